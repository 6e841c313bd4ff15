//! A real receiver of OTLP over HTTP on loopback. It keeps everything that it receives.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;

/// One request with spans.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The headers of the request.
    pub headers: HeaderMap,
    /// The body of the request, as protobuf.
    pub body: Bytes,
}

/// The running receiver. It ends with the test's runtime.
pub struct Collector {
    url: String,
    batches: Arc<Mutex<Vec<Batch>>>,
}

impl Collector {
    /// Starts a receiver that answers at once.
    pub async fn start() -> Self {
        Self::slow(Duration::ZERO).await
    }

    /// Starts a receiver that answers after `delay`.
    pub async fn slow(delay: Duration) -> Self {
        let batches: Arc<Mutex<Vec<Batch>>> = Arc::default();
        let state = (delay, Arc::clone(&batches));
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(state);
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, batches }
    }

    /// The value of the setting for the endpoint.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All requests so far.
    pub fn batches(&self) -> Vec<Batch> {
        self.batches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All spans so far, each with the name of the service that sent it.
    pub fn spans(&self) -> Vec<(String, Span)> {
        let mut spans = Vec::new();
        for batch in self.batches() {
            let request = ExportTraceServiceRequest::decode(batch.body).expect("protobuf");
            for resource in request.resource_spans {
                let attributes = &resource.resource.expect("spans have a resource").attributes;
                let service = attributes.iter().find(|it| it.key == "service.name");
                let service = text(service.and_then(|it| it.value.as_ref()?.value.as_ref()));
                for scope in resource.scope_spans {
                    spans.extend(scope.spans.into_iter().map(|span| (service.clone(), span)));
                }
            }
        }
        spans
    }
}

/// An attribute of a span as text.
pub fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|it| it.key == key)?;
    Some(text(found.value.as_ref()?.value.as_ref()))
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

async fn take(
    State((delay, batches)): State<(Duration, Arc<Mutex<Vec<Batch>>>)>,
    headers: HeaderMap,
    body: Bytes,
) {
    batches
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Batch { headers, body });
    tokio::time::sleep(delay).await;
}
