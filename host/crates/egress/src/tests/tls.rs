//! Tests of upstreams behind TLS.

use std::convert::Infallible;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::upstream::Upstream;
use super::*;

/// A certificate authority for this test only.
pub(super) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// Returns an acceptor with a certificate for `name` that offers these protocols.
    pub(super) fn acceptor(&self, name: &str, alpn: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(certificate)],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .expect("a key that fits");
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Serves `name` over HTTP/2 or HTTP/1.1. The answer says which one was used.
    async fn serve(&self, name: &str, alpn: &[&str]) -> Upstream {
        let acceptor = self.acceptor(name, alpn);
        Upstream::serving("127.0.0.1:0", move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
                    let version = format!("{:?}", request.version());
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(version))))
                });
                let stream = TokioIo::new(stream);
                if h2 {
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(stream, service).await;
                } else {
                    let builder = hyper::server::conn::http1::Builder::new();
                    let _ = builder.serve_connection(stream, service).await;
                }
            }
        })
        .await
    }
}

pub(super) fn bench(target: &Origin, trusted: Option<&Authority>) -> Bench {
    let settings = EgressSettings {
        extra_ca_pem: trusted.map(|authority| authority.pem.clone().into_bytes()),
        ..settings(&[target])
    };
    Bench::with_names(settings, Names::with("api.example", &["127.0.0.1"]))
}

#[tokio::test]
async fn an_upstream_of_a_trusted_authority_is_reached_in_the_protocol_it_offers() {
    let authority = Authority::new();
    for (alpn, version) in [
        (&["h2", "http/1.1"][..], "HTTP/2.0"),
        (&["http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ] {
        let upstream = authority.serve("api.example", alpn).await;
        let target = origin(&format!("https://api.example:{}", upstream.port()));
        let bench = bench(&target, Some(&authority));
        let mut tool = bench.tool(&[&target]);
        for _ in 0..2 {
            let response = send(&mut tool, get(target.to_string()))
                .await
                .expect("a response");
            assert_eq!(text(response).await.expect("a body"), version);
        }
    }
}

#[tokio::test]
async fn an_address_is_verified_as_an_address() {
    let authority = Authority::new();
    let upstream = authority.serve("127.0.0.1", &[]).await;
    let target = origin(&format!("https://127.0.0.1:{}", upstream.port()));
    let bench = bench(&target, Some(&authority));
    assert!(
        send(&mut bench.tool(&[&target]), get(target.to_string()))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_unknown_authority_and_another_name_are_refused() {
    let authority = Authority::new();
    for (name, trusted) in [
        ("api.example", None),
        ("api.example", Some(&Authority::new())),
        ("other.example", Some(&authority)),
    ] {
        let upstream = authority.serve(name, &[]).await;
        let target = origin(&format!("https://api.example:{}", upstream.port()));
        let bench = bench(&target, trusted);
        let outcome = send(&mut bench.tool(&[&target]), get(target.to_string())).await;
        assert!(
            matches!(outcome, Err(WasiError::TlsCertificateError)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_speak_tls_is_a_protocol_error() {
    let upstream = Upstream::serving("127.0.0.1:0", |mut stream| async move {
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 No\r\n\r\n").await;
    })
    .await;
    let target = origin(&format!("https://{}", upstream.address));
    let bench = Bench::allowing(&[&target]);
    let outcome = send(&mut bench.tool(&[&target]), get(target.to_string())).await;
    assert!(matches!(outcome, Err(WasiError::TlsProtocolError)));
}
