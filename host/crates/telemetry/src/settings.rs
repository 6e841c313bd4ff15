//! `[telemetry]` of the configuration, and what a collector's URL may be.

use std::num::{NonZeroU64, NonZeroUsize};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use url::Url;

/// `[telemetry]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// The collector that traces are sent to, by OTLP over HTTP. `OTEL_EXPORTER_OTLP_ENDPOINT`
    /// comes first. A header with a credential goes into `OTEL_EXPORTER_OTLP_HEADERS`.
    #[schemars(with = "Option<String>", example = &"http://127.0.0.1:4318")]
    pub otlp_endpoint: Option<OtlpEndpoint>,
    /// The time that one attempt to send spans may take, and the last one when the host ends.
    pub export_timeout_ms: NonZeroU64,
    /// The most spans in the queue. Further ones are dropped.
    pub max_queued_spans: NonZeroUsize,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            export_timeout_ms: NonZeroU64::new(3_000).expect("it is above zero"),
            max_queued_spans: NonZeroUsize::new(2_048).expect("it is above zero"),
        }
    }
}

/// The base URL of a collector: http or https, without user name, query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpEndpoint(Url);

/// The text is no base URL of a collector. It may hold a credential, so it is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a collector's URL must read http://HOST:PORT or https://HOST:PORT, with a path if need be; credentials belong in OTEL_EXPORTER_OTLP_HEADERS"
)]
pub struct InvalidEndpoint;

impl std::str::FromStr for OtlpEndpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let url = Url::parse(text).map_err(|_| InvalidEndpoint)?;
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        (is_web && is_bare)
            .then_some(Self(url))
            .ok_or(InvalidEndpoint)
    }
}

impl<'de> Deserialize<'de> for OtlpEndpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl OtlpEndpoint {
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the URL for traces below the base URL.
    pub(super) fn traces(&self) -> String {
        format!("{}/v1/traces", self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_has_a_plain_base_url() {
        for (text, traces) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("https://otlp.example/", "https://otlp.example/v1/traces"),
            (
                "https://otlp.example/in",
                "https://otlp.example/in/v1/traces",
            ),
        ] {
            let endpoint: OtlpEndpoint = text.parse().expect(text);
            assert_eq!(endpoint.traces(), traces);
        }
        for text in [
            "",
            "127.0.0.1:4318",
            "localhost",
            "grpc://127.0.0.1:4317",
            "unix:/run/otlp",
            "http://key@otlp.example",
            "http://user:key@otlp.example",
            "http://otlp.example/?key=1",
            "http://otlp.example/#key",
        ] {
            assert_eq!(text.parse::<OtlpEndpoint>(), Err(InvalidEndpoint), "{text}");
        }
    }
}
