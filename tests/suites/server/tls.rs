//! TLS: its protocols, its files, and when they are read again.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use nix::sys::signal::Signal;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tavora_host::config::Config;
use tavora_host::server::{Server, Tls};
use tavora_tests::eventually::until;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::serve::serve;
use super::served::{Served, rest};

/// Makes a certificate for `localhost`, in the files `cert.pem` and `key.pem` of `folder`.
pub fn certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a valid name");
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).expect("writable");
    key(folder, &made.signing_key.serialize_pem());
    made.cert.der().clone()
}

fn key(folder: &Path, text: &str) {
    let path = folder.join("key.pem");
    std::fs::write(&path, text).expect("writable");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("owned");
}

fn settings(folder: &Path) -> String {
    let file = |name| folder.join(name).display().to_string();
    format!(
        "[server]\ntls_cert_file = {:?}\ntls_key_file = {:?}\n",
        file("cert.pem"),
        file("key.pem")
    )
}

/// A client that trusts this certificate and offers `alpn`.
fn connector(trusted: CertificateDer<'static>, alpn: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("supported")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn shake(
    address: std::net::SocketAddr,
    connector: &TlsConnector,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    connector.connect(name, stream).await
}

fn hello() -> Router {
    Router::new().route(
        "/",
        get(async |version: axum::http::Version| format!("{version:?}")),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_are_spoken_over_tls_and_neither_without() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let trusted = certificate(folder.path());
    let served = Served::start(&settings(folder.path()), hello()).await;

    let mut stream = shake(served.address, &connector(trusted.clone(), "http/1.1"))
        .await
        .expect("trusted");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .expect("it reads");
    let mut answer = String::new();
    // Without a close_notify, this would be an error.
    stream
        .read_to_string(&mut answer)
        .await
        .expect("it ends as TLS should");
    assert!(answer.ends_with("HTTP/1.1"), "{answer}");

    let stream = shake(served.address, &connector(trusted, "h2"))
        .await
        .expect("trusted");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let handshake = hyper::client::conn::http2::handshake(executor, io);
    let (mut client, connection) = handshake.await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    let request = axum::extract::Request::get("https://localhost/").body(axum::body::Body::empty());
    let response = client
        .send_request(request.expect("valid"))
        .await
        .expect("it answers");
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .expect("whole");
    assert_eq!(body.to_bytes(), "HTTP/2.0");

    let plain = served.get("/").await;
    assert!(!plain.contains("200"), "{plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_come_is_cut() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    certificate(folder.path());
    let settings = settings(folder.path()) + "[server.limits]\ntls_handshake_timeout_ms = 300";
    let served = Served::start(&settings, hello()).await;
    let begun = Instant::now();
    let mut silent = served.connect().await;
    assert_eq!(rest(&mut silent).await, "");
    assert!(
        begun.elapsed() >= Duration::from_millis(300),
        "it was cut too soon"
    );
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    fn refused(change: impl FnOnce(&Path)) -> (String, TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        certificate(folder.path());
        change(folder.path());
        let config = Config::parse(&settings(folder.path()))
            .expect("valid")
            .server;
        match Tls::load(&config) {
            Ok(_) => panic!("the files were accepted"),
            Err(error) => {
                let path = format!("{}/", folder.path().display());
                (error.to_string().replace(&path, ""), folder)
            }
        }
    }
    let write = |name: &'static str, text: &'static str| {
        move |folder: &Path| std::fs::write(folder.join(name), text).expect("writable")
    };
    let expect = |said: &str, change: Box<dyn FnOnce(&Path)>| {
        let (error, _folder) = refused(change);
        assert_eq!(error, said);
    };
    let remove = |name: &'static str| {
        move |folder: &Path| std::fs::remove_file(folder.join(name)).expect("it is there")
    };
    expect(
        "[server] tls_cert_file: cannot read cert.pem: No such file or directory (os error 2)",
        Box::new(remove("cert.pem")),
    );
    expect(
        "[server] tls_key_file: cannot read key.pem: No such file or directory (os error 2)",
        Box::new(remove("key.pem")),
    );
    expect(
        "[server] tls_cert_file: cert.pem holds no certificate",
        Box::new(write("cert.pem", "")),
    );
    expect(
        "[server] tls_key_file: key.pem holds no private key",
        Box::new(write("key.pem", "hunter2")),
    );
    expect(
        "[server] tls_key_file: key.pem is not PEM; give a file with BEGIN and END lines",
        Box::new(write(
            "key.pem",
            "-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----\n",
        )),
    );
    expect(
        "[server] tls_key_file: key.pem can be read by every user; `chmod o-rwx key.pem` ends that",
        Box::new(|folder| {
            let mode = PermissionsExt::from_mode(0o604);
            std::fs::set_permissions(folder.join("key.pem"), mode).expect("owned");
        }),
    );
    let other = rcgen::KeyPair::generate()
        .expect("randomness")
        .serialize_pem();
    let (error, _folder) = refused(|folder| key(folder, &other));
    let start = "[server] the certificate in cert.pem does not work with the key in key.pem: ";
    assert!(error.starts_with(start), "{error}");

    for (given, missing) in [
        ("tls_cert_file", "tls_key_file"),
        ("tls_key_file", "tls_cert_file"),
    ] {
        let config = Config::parse(&format!("[server]\n{given} = \"x\""))
            .expect("valid")
            .server;
        let error = Tls::load(&config).err().expect("refused").to_string();
        assert_eq!(
            error,
            format!("[server] has {given} without {missing}; set both for TLS, or neither")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_had_is_an_error_and_so_is_a_bad_certificate() {
    let taken = Served::start("", hello()).await;
    let mut config = Config::default().server;
    config.listen = taken.address.into();
    let error = Server::bind(config.clone())
        .await
        .err()
        .expect("refused")
        .to_string();
    assert!(
        error.starts_with(&format!("cannot listen on {}: ", taken.address)),
        "{error}"
    );
    config.tls_cert_file = Some("nothing.pem".into());
    config.tls_key_file = Some("nothing.pem".into());
    let error = Server::bind(config)
        .await
        .err()
        .expect("refused")
        .to_string();
    assert!(
        error.contains("tls_cert_file: cannot read nothing.pem"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_are_read_again_on_hangup_and_bad_ones_change_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let first = certificate(path);
    std::fs::write(path.join("tavora.toml"), settings(path)).expect("writable");
    let daemon = {
        let path = path.to_owned();
        let started = tokio::task::spawn_blocking(move || serve(&path, &[]));
        started.await.expect("no panic")
    };
    assert!(daemon.log().contains("listening on https://"));
    let first = connector(first, "http/1.1");
    shake(daemon.address, &first).await.expect("trusted");

    let good = std::fs::read(path.join("cert.pem")).expect("readable");
    std::fs::write(path.join("cert.pem"), "no certificate").expect("writable");
    daemon.signal(Signal::SIGHUP);
    until("reads the certificate", async || {
        daemon.log().contains("holds no certificate")
    })
    .await;
    shake(daemon.address, &first)
        .await
        .expect("it is the one from before");
    std::fs::write(path.join("cert.pem"), good).expect("writable");

    let second = connector(certificate(path), "http/1.1");
    daemon.signal(Signal::SIGHUP);
    until("reads it again", async || {
        shake(daemon.address, &second).await.is_ok()
    })
    .await;
    let (status, log) = tokio::task::spawn_blocking(|| daemon.stop())
        .await
        .expect("no panic");
    assert!(status.success(), "{log}");
    assert!(
        log.contains("holds no certificate") && log.contains("read the certificate"),
        "{log}"
    );
}
