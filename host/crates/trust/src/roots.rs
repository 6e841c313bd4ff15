//! The host's TLS settings as a client of upstreams and databases: rustls with the ring provider,
//! and either the platform's roots or only those of a file. No client certificates.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use super::config_error::ConfigError;

/// Why TLS cannot be set up. The caller knows which file the error is about.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The text is not PEM.
    #[error("it is not PEM; give a file with BEGIN CERTIFICATE blocks")]
    NotPem(#[source] rustls::pki_types::pem::Error),
    /// The text has no certificate.
    #[error("it holds no certificate; give a file with BEGIN CERTIFICATE blocks")]
    NoCertificate,
    /// A certificate cannot be a root, or the platform's verifier failed.
    #[error("a root certificate in it, or one of the platform's, cannot be used; check the file")]
    Unusable(#[source] rustls::Error),
}

/// Returns a configuration that trusts only the roots in `pem`.
pub fn client_config_of(pem: &[u8]) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(TrustError::Unusable)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Unusable)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Returns a configuration that trusts the platform's roots and those in `extra_ca_pem`.
pub fn client_config(extra_ca_pem: Option<&[u8]>) -> Result<ClientConfig, TrustError> {
    let extra = match extra_ca_pem {
        None => Vec::new(),
        Some(pem) => certificates(pem)?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Unusable)?;
    let has_extra = !extra.is_empty();
    match Verifier::new_with_extra_roots(extra, provider) {
        Ok(verifier) => Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()),
        Err(error) if has_extra => Err(TrustError::Unusable(error)),
        Err(error) => {
            // Without roots the host can still serve calls that need none. Every certificate is
            // then unknown.
            tracing::warn!(
                %error,
                "no CA certificates; https origins cannot be reached until the platform's are installed or [egress] extra_ca_file is set"
            );
            Ok(builder
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth())
        }
    }
}

/// Reads the configuration's `extra_ca_file`, if there is one.
pub fn extra_ca_pem(file: Option<&Path>) -> Result<Option<Vec<u8>>, ConfigError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })
    };
    file.map(read).transpose()
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(TrustError::NotPem)?;
    match certificates.is_empty() {
        true => Err(TrustError::NoCertificate),
        false => Ok(certificates),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_no_root_is_refused_with_its_reason() {
        let beside_the_platforms = |pem: &[u8]| client_config(Some(pem));
        for read in [
            &beside_the_platforms as &dyn Fn(&[u8]) -> _,
            &client_config_of,
        ] {
            assert!(matches!(read(b"nothing"), Err(TrustError::NoCertificate)));
            assert!(matches!(
                read(b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n"),
                Err(TrustError::NotPem(_))
            ));
            assert!(matches!(
                read(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                Err(TrustError::Unusable(_))
            ));
        }
        assert!(client_config(None).is_ok());
    }
}
