//! nginx as a reverse proxy in front of a host, on loopback, with or without TLS. It has a folder
//! and a configuration of its own, and one process that ends with the test.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::process::{LastWill, Process, free_address};
use crate::requirement::{answers, are_there};
use crate::wire::{Answer, Request, connect, read_answer};

/// The name of the proxy for browsers.
pub const NAME: &str = "vault.example.com";

/// Time limit until nginx listens.
const START: Duration = Duration::from_secs(60);

/// Debian installs it in a folder that is only in root's PATH.
const PROGRAM: &str = "/usr/sbin/nginx";

/// The directives that a host needs from a correctly configured proxy.
pub const SENSIBLE: &str = "proxy_set_header Host $http_host;
    proxy_set_header Forwarded \"\";
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    client_max_body_size 2m;";

/// A running nginx.
pub struct Nginx {
    /// The address that it listens on.
    pub address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    // Declared before the folder, so that the process ends before its folder is removed.
    _process: Process,
    _will: LastWill,
    _folder: TempDir,
}

impl Nginx {
    /// Whether nginx is installed. If not, the test says so.
    pub fn is_there() -> bool {
        are_there(&[("nginx", answers(PROGRAM, &["-v"]))])
    }

    /// Starts nginx in front of `upstream`, with these directives besides `proxy_pass`.
    pub fn start(upstream: SocketAddr, directives: &str, with_tls: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = free_address();
        let (listen, certificate) = match with_tls {
            true => (
                format!("{address} ssl"),
                Some(make_certificate(folder.path())),
            ),
            false => (address.to_string(), None),
        };
        let certificate_lines = match with_tls {
            true => "ssl_certificate cert.pem;\n  ssl_certificate_key key.pem;",
            false => "",
        };
        let config = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr warn;\nevents {{}}\n\
             http {{\n  access_log off;\n  client_body_temp_path body;\n  proxy_temp_path proxy;\n\
               fastcgi_temp_path fastcgi;\n  uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n\
             server {{\n  listen {listen};\n  server_name {NAME};\n  {certificate_lines}\n\
               location / {{\n    proxy_pass http://{upstream};\n    {directives}\n  }}\n}}\n}}\n"
        );
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, config).expect("the folder is writable");
        let child = Command::new(PROGRAM)
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .stdin(Stdio::null())
            .spawn()
            .expect("a program that is there starts");
        let process = Process::from(child);
        let will = LastWill::leave(&format!("kill -9 {}", process.id()), |_| ());
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(process.is_running(), "nginx ended; its words are above");
            assert!(begun.elapsed() < START, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            address,
            tls: certificate.map(trusting),
            _process: process,
            _will: will,
            _folder: folder,
        }
    }

    /// The origin for browsers.
    pub fn origin(&self) -> String {
        match self.tls {
            Some(_) => format!("https://{}", self.host()),
            None => format!("http://{}", self.host()),
        }
    }

    /// The name and the port of that origin.
    pub fn host(&self) -> String {
        format!("{NAME}:{}", self.address.port())
    }

    /// Sends a request as a browser does, with the name of the proxy.
    pub fn send(&self, request: &Request) -> Answer {
        let mut connection = self.connect(request);
        let is_head = request.is_head();
        read_answer(&mut connection, is_head).unwrap_or_else(|error| panic!("{error}: {request:?}"))
    }

    /// Sends a request. The caller reads the answer.
    pub fn connect(&self, request: &Request) -> BufReader<Box<dyn Connection>> {
        let stream = connect(self.address).expect("it listens");
        let mut stream: Box<dyn Connection> = match &self.tls {
            None => Box::new(stream),
            Some(config) => {
                let name = ServerName::try_from(NAME).expect("a name");
                let session = ClientConnection::new(Arc::clone(config), name);
                Box::new(StreamOwned::new(session.expect("a configuration"), stream))
            }
        };
        let request = request.clone().header("host", self.host());
        stream.write_all(&request.bytes()).expect("it reads");
        BufReader::new(stream)
    }
}

/// A connection, with TLS or without.
pub trait Connection: std::io::Read + Write {}

impl<T: std::io::Read + Write> Connection for T {}

fn make_certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a valid name");
    let write = |name, text: String| std::fs::write(folder.join(name), text).expect("writable");
    write("cert.pem", made.cert.pem());
    write("key.pem", made.signing_key.serialize_pem());
    made.cert.der().clone()
}

fn trusting(certificate: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("supported")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
