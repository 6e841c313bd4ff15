//! Sends this project's spans to a collector by OTLP over HTTP, if one is configured.
//!
//! Spans of libraries and log lines are never sent. A slow or missing collector costs spans and
//! nothing else: the queue is bounded, and adding a span never waits. A trace begun by the client
//! is continued; upstreams receive no trace headers.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use rustls::ClientConfig;
use tokio::runtime::Handle;
use tracing::subscriber::Subscriber;
use tracing::{Metadata, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::registry::LookupSpan;

use super::own::is_own;
use super::settings::{InvalidEndpoint, OtlpEndpoint, TelemetryConfig};
use tavora_trust::{ConfigError, TrustError, client_config, extra_ca_pem};

/// The service's name, if neither `OTEL_SERVICE_NAME` nor `OTEL_RESOURCE_ATTRIBUTES` gives one.
const SERVICE_NAME: &str = "tavora-host";

/// The longest answer of a collector, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// The shortest time between two log lines about a collector that fails.
const LOG_INTERVAL: Duration = Duration::from_secs(300);

/// Added to the time limit of the last attempt when the host ends, so that its failure is still
/// logged.
const END_MARGIN: Duration = Duration::from_millis(500);

/// The request header that names the client's trace and span.
const TRACEPARENT: &str = "traceparent";

/// Why traces cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// A variable holds no URL of a collector.
    #[error("{variable}: {source}")]
    Endpoint {
        variable: &'static str,
        source: InvalidEndpoint,
    },
    /// The extra certificate authorities cannot be read.
    #[error("[egress] extra_ca_file: {0}")]
    ExtraCaUnreadable(#[from] ConfigError),
    /// The extra certificate authorities cannot be used.
    #[error("[egress] extra_ca_file: {0}")]
    ExtraCa(#[from] TrustError),
    /// The exporter refused its configuration. Its message may quote variables, so it is left out.
    #[error("the OTEL_EXPORTER_OTLP variables cannot be used; check their values")]
    Exporter,
}

/// The span export of one process. Call [`Self::flush`] at the end.
pub struct Traces {
    provider: SdkTracerProvider,
    timeout: Duration,
}

impl Traces {
    /// Starts the export, if a collector is configured. `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is
    /// used as it is; otherwise the base URL comes from `OTEL_EXPORTER_OTLP_ENDPOINT` or the
    /// configuration. Headers, the service's name, the resource and the sampler come from the
    /// variables of OpenTelemetry. The collector's certificate may be signed by an authority in
    /// `extra_ca_file`.
    ///
    /// # Errors
    /// A variable cannot be used.
    pub fn start(
        config: &TelemetryConfig,
        extra_ca_file: Option<&Path>,
        runtime: Handle,
    ) -> Result<Option<Self>, TracesError> {
        let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|it| it == "true");
        let Some(url) = endpoint(config)?.filter(|_| !disabled) else {
            return Ok(None);
        };
        let tls = client_config(extra_ca_pem(extra_ca_file)?.as_deref())?;
        let timeout = Duration::from_millis(config.export_timeout_ms.get());
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new(tls, runtime, timeout))
            .with_endpoint(url)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(timeout)
            .build()
            .map_err(|_| TracesError::Exporter)?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(config.max_queued_spans.get())
            .build();
        let processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(batches)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_span_processor(processor)
            .build();
        Ok(Some(Self { provider, timeout }))
    }

    /// Returns the layer for the subscriber. It takes this project's spans, at any log level.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracer = self.provider.tracer(SERVICE_NAME);
        let own_spans = |metadata: &Metadata<'_>| metadata.is_span() && is_own(metadata);
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_context_activation(false)
            .with_level(false)
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(FilterFn::new(own_spans))
    }

    /// Ends the export. Spans in the queue get the time of one attempt to send. The runtime that
    /// started the export must still be running, and this function must not be called on it.
    pub fn flush(self) {
        // The collector's client has already logged the failure.
        let _ = self
            .provider
            .shutdown_with_timeout(self.timeout + END_MARGIN);
    }
}

/// Makes `span` part of the trace in the request's `traceparent`, if there is one. `tracestate` is
/// free text of the client and is ignored.
pub fn continue_trace(span: &Span, headers: &HeaderMap) {
    struct TraceParent<'h>(&'h HeaderMap);

    impl Extractor for TraceParent<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            let value = (key == TRACEPARENT).then(|| self.0.get(key))??;
            value.to_str().ok()
        }

        fn keys(&self) -> Vec<&str> {
            vec![TRACEPARENT]
        }
    }

    if headers.contains_key(TRACEPARENT) {
        let parent = TraceContextPropagator::new().extract(&TraceParent(headers));
        // This fails only if no spans are exported, and then there is nothing to continue.
        let _ = span.set_parent(parent);
    }
}

/// Returns the URL that traces are posted to.
fn endpoint(config: &TelemetryConfig) -> Result<Option<String>, TracesError> {
    let parsed = |variable: &'static str, text: String| {
        text.parse::<OtlpEndpoint>()
            .map_err(|source| TracesError::Endpoint { variable, source })
    };
    let (for_traces, for_all) = (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    );
    if let Some(text) = variable(for_traces) {
        return Ok(Some(parsed(for_traces, text)?.as_str().to_owned()));
    }
    let base = match variable(for_all) {
        Some(text) => Some(parsed(for_all, text)?),
        None => config.otlp_endpoint.clone(),
    };
    Ok(base.map(|base| base.traces()))
}

/// Reads an environment variable. An empty one counts as not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Describes this service in every batch of spans.
fn resource() -> Resource {
    let named = Resource::builder().build();
    let is_unknown = named
        .get(&"service.name".into())
        .is_none_or(|name| name.as_str().starts_with("unknown_service"));
    let builder = Resource::builder();
    match is_unknown {
        true => builder.with_service_name(SERVICE_NAME).build(),
        false => builder.build(),
    }
}

type CollectorClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The HTTP client for the collector. It runs on the host's runtime, whichever thread calls it.
#[derive(Debug)]
struct Collector {
    client: CollectorClient,
    runtime: Handle,
    timeout: Duration,
    silence: Mutex<Option<Silence>>,
}

/// A collector that fails: when that was last logged, and the attempts since then.
#[derive(Debug)]
struct Silence {
    logged: Instant,
    attempts: u64,
}

/// Why a batch of spans was not taken.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it did not answer within [telemetry] export_timeout_ms")]
    TimedOut,
    #[error("its answer is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    #[error("its answer broke off")]
    BrokeOff,
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("the host was ending")]
    Ending,
}

impl Collector {
    fn new(tls: ClientConfig, runtime: Handle, timeout: Duration) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            runtime,
            timeout,
            silence: Mutex::default(),
        }
    }

    /// Logs a collector that fails, at most once per [`LOG_INTERVAL`].
    fn note(&self, failed: Option<&ExportError>) {
        let mut silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        match (failed, &mut *silence) {
            (None, None) => {}
            (None, known @ Some(_)) => {
                *known = None;
                tracing::info!("the trace collector works again");
            }
            (Some(_), Some(known)) if known.logged.elapsed() < LOG_INTERVAL => known.attempts += 1,
            (Some(error), known) => {
                let attempts = known.take().map_or(1, |it| it.attempts + 1);
                *known = Some(Silence {
                    logged: Instant::now(),
                    attempts: 0,
                });
                tracing::warn!(%error, attempts, "spans were lost: the trace collector does not take them");
            }
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The exporter's thread has no runtime of its own.
        let sending = self
            .runtime
            .spawn(send(self.client.clone(), request, self.timeout));
        let answer = sending.await.unwrap_or(Err(ExportError::Ending));
        match &answer {
            Ok(answer) if answer.status().is_success() => self.note(None),
            Ok(answer) => self.note(Some(&ExportError::Status(answer.status()))),
            Err(error) => self.note(Some(error)),
        }
        Ok(answer?)
    }
}

async fn send(
    client: CollectorClient,
    request: Request<Bytes>,
    timeout: Duration,
) -> Result<Response<Bytes>, ExportError> {
    let whole = async {
        let answer = client.request(request.map(Full::new)).await;
        let (head, body) = answer
            .map_err(|error| ExportError::Unreachable(root_cause(&error)))?
            .into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => ExportError::TooLong,
            false => ExportError::BrokeOff,
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    let within = tokio::time::timeout(timeout, whole).await;
    within.unwrap_or(Err(ExportError::TimedOut))
}

/// Returns the innermost cause of an error, which is the informative one.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests;
