//! The host's own certificate: read from files at start, and again when the operator asks for it.
//!
//! TLS is rustls with the ring provider: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN, no client
//! certificates.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::TlsAcceptor;

use super::settings;

/// A certificate with its key, and the files that hold them.
pub struct Tls {
    cert_file: PathBuf,
    key_file: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
}

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Only one of the two files is configured.
    #[error("[server] has {given} without {missing}; set both for TLS, or neither")]
    Half {
        /// The setting that is given.
        given: &'static str,
        /// The setting that is missing.
        missing: &'static str,
    },
    /// A file cannot be read.
    #[error("[server] {key}: cannot read {}: {source}", path.display())]
    Unreadable {
        /// The setting that names the file.
        key: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// Other users of the machine can read the private key.
    #[error("[server] tls_key_file: {0} can be read by every user; `chmod o-rwx {0}` ends that", path.display())]
    Exposed {
        /// The private key's file.
        path: PathBuf,
    },
    /// The file has no certificate, or no key.
    #[error("[server] {key}: {} holds no {wanted}", path.display())]
    Empty {
        /// The setting that names the file.
        key: &'static str,
        path: PathBuf,
        /// The content that the file should have.
        wanted: &'static str,
    },
    /// The file is not PEM. The parser's own message is left out: it would quote a line, which may
    /// be part of the key.
    #[error("[server] {key}: {} is not PEM; give a file with BEGIN and END lines", path.display())]
    NotPem {
        /// The setting that names the file.
        key: &'static str,
        path: PathBuf,
    },
    /// The certificate and the key do not belong together, or cannot be used.
    #[error("[server] the certificate in {} does not work with the key in {}: {source}", cert.display(), key.display())]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads the configured files. Returns `None` if none are configured.
    pub fn load(config: &settings::ServerConfig) -> Result<Option<Arc<Self>>, TlsError> {
        let (cert_file, key_file) = match (&config.tls_cert_file, &config.tls_key_file) {
            (None, None) => return Ok(None),
            (Some(cert), Some(key)) => (cert.clone(), key.clone()),
            (Some(_), None) => {
                return Err(TlsError::Half {
                    given: CERT_KEY,
                    missing: KEY_KEY,
                });
            }
            (None, Some(_)) => {
                return Err(TlsError::Half {
                    given: KEY_KEY,
                    missing: CERT_KEY,
                });
            }
        };
        let current = RwLock::new(Arc::new(read(&cert_file, &key_file)?));
        Ok(Some(Arc::new(Self {
            cert_file,
            key_file,
            current,
        })))
    }

    /// Reads the files again, for new connections. After an error the old certificate stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let new = Arc::new(read(&self.cert_file, &self.key_file)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }
}

const CERT_KEY: &str = "tls_cert_file";
const KEY_KEY: &str = "tls_key_file";

fn read(cert: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&bytes(CERT_KEY, cert)?)
            .collect::<Result<_, _>>()
            .map_err(|error| not_pem(CERT_KEY, cert, "certificate", error))?;
    if chain.is_empty() {
        return Err(not_pem(
            CERT_KEY,
            cert,
            "certificate",
            pem::Error::NoItemsFound,
        ));
    }
    let mode = key.metadata().map(|found| found.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o007 != 0) {
        return Err(TlsError::Exposed { path: key.into() });
    }
    let private = zeroize::Zeroizing::new(bytes(KEY_KEY, key)?);
    let private = PrivateKeyDer::from_pem_slice(&private)
        .map_err(|error| not_pem(KEY_KEY, key, "private key", error))?;
    let unusable = |source| TlsError::Unusable {
        cert: cert.into(),
        key: key.into(),
        source,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, private)
        })
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn bytes(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable {
        key,
        path: path.into(),
        source,
    })
}

fn not_pem(key: &'static str, path: &Path, wanted: &'static str, error: pem::Error) -> TlsError {
    let path = path.into();
    match error {
        pem::Error::NoItemsFound => TlsError::Empty { key, path, wanted },
        _ => TlsError::NotPem { key, path },
    }
}
