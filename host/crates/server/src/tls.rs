//! The certificate that the host shows: read from files, and again when the operator says so.
//!
//! rustls with the ring provider, TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN. No client
//! certificates.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::TlsAcceptor;

use super::settings;

/// A certificate with its key, and the files that they come from.
pub struct Tls {
    cert_file: PathBuf,
    key_file: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One file without the other.
    #[error("[server] has {given} without {missing}; set both for TLS, or neither")]
    Half {
        /// The key that is set.
        given: &'static str,
        /// The key that is not.
        missing: &'static str,
    },
    /// A file cannot be read.
    #[error("[server] {key}: cannot read {}: {source}", path.display())]
    Unreadable {
        /// The key.
        key: &'static str,
        /// Its file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The private key is for everybody to read.
    #[error("[server] tls_key_file: {0} can be read by every user; `chmod o-rwx {0}` ends that", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// A file has nothing of what it should hold.
    #[error("[server] {key}: {} holds no {wanted}", path.display())]
    Empty {
        /// The key.
        key: &'static str,
        /// Its file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// A file is not PEM. Where it is not is not said: the parser would quote the line, and that
    /// may be of the key.
    #[error("[server] {key}: {} is not PEM; give a file with BEGIN and END lines", path.display())]
    NotPem {
        /// The key.
        key: &'static str,
        /// Its file.
        path: PathBuf,
    },
    /// The certificate and the key do not belong together, or cannot be used.
    #[error("[server] the certificate in {} does not work with the key in {}: {source}", cert.display(), key.display())]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

impl Tls {
    /// Reads the files that the configuration names; `None` where it names none.
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

    /// Reads the files again, for the connections that come from now on. On an error everything
    /// stays as it was.
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
