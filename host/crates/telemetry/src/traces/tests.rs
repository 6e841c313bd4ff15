//! Tests a collector behind TLS. The other tests are outside, against a real receiver.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

/// Serves TLS on 127.0.0.1. Returns the URL, the certificate as PEM, and the counter of requests to
/// `/v1/traces`.
async fn collector() -> (String, String, Arc<AtomicUsize>) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = made.signing_key.serialize_der();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![made.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(key.into()),
        )
        .expect("a key that fits");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("https://{}", listener.local_addr().expect("bound"));
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let service = service_fn(|request: Request<Incoming>| {
                let is_traces = request.uri().path() == "/v1/traces";
                count.fetch_add(usize::from(is_traces), Ordering::Relaxed);
                async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))) }
            });
            let builder = hyper::server::conn::http1::Builder::new();
            // The client may close the connection in any way.
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    });
    (url, made.cert.pem(), taken)
}

#[tokio::test]
async fn a_collector_behind_tls_is_reached_if_its_certificate_is_trusted() {
    for (is_trusted, expected) in [(true, 1), (false, 0)] {
        let (url, pem, taken) = collector().await;
        let ca = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(ca.path(), pem).expect("writable");
        let config = TelemetryConfig {
            otlp_endpoint: Some(url.parse().expect("a URL")),
            ..TelemetryConfig::default()
        };
        let extra_ca_file = is_trusted.then(|| ca.path());
        let traces = Traces::start(&config, extra_ca_file, Handle::current()).expect("valid");
        let traces = traces.expect("there is a collector");
        let subscriber = tracing_subscriber::registry().with(traces.layer());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("a_span").in_scope(|| ());
        });
        let flushed = tokio::task::spawn_blocking(move || traces.flush()).await;
        flushed.expect("no panic");
        assert_eq!(taken.load(Ordering::Relaxed), expected, "{is_trusted}");
    }
}
