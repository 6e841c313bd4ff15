//! The egress policy: the one way out for a trusted tool's HTTP requests.
//!
//! A request goes out only to an origin that the tool is granted, only to an address that was
//! checked, and never with a secret that is bound elsewhere. Redirects go back to the tool as they
//! are: it can follow one only to an origin that it is granted. No proxy is used and no environment
//! variable read. Every refusal goes to an [`EgressLog`] and reaches the tool as
//! `HTTP-request-denied`.
//!
//! A request is sent again only where a connection of the pool turns out to be dead.
//!
//! A tool holds a stand-in for each secret that is lent to it. Egress replaces the stand-in with
//! the secret in the granted slot and nowhere else, and removes the secret from what the upstream
//! answers.
//!
//! This crate does not decide which origins and slots a tool is granted. Apart from secrets, the
//! tool can read the whole answer of an upstream. The answer is scrubbed when the tool passes it
//! on.
//!
//! [`EgressPool`] is made once for a host; [`EgressPool::open`] gives the
//! [`Egress`] of one tool instance, which is the `wasi:http` hooks of its store.

mod address;
mod body;
mod client;
mod coding;
mod connect;
pub mod copied;
mod counted;
mod denial;
mod echo;
mod exchange;
mod failure;
mod header;
mod limit;
mod opened;
mod pool;
mod released;
mod resend;
mod resolve;
mod settings;
mod sieve;
mod slots;
mod stand_in;
mod watch;

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;

use http::{HeaderName, Request, Response};
use tokio::sync::Semaphore;
use tracing::Span;
use tracing::field::Empty;
use wasmtime_wasi_http::{
    Error as WasiError, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

pub use self::address::refused_range;
use self::client::HttpClient;
use self::denial::Reporter;
pub use self::denial::{DenialReason, EgressDenied, EgressLog, EgressScope, StandInPlace};
use self::exchange::Exchange;
use self::failure::Failure;
pub use self::header::{carries_json, is_forbidden as is_forbidden_header};
pub use self::limit::EgressLimits;
pub use self::opened::OpenedOrigins;
pub use self::pool::EgressPool;
pub use self::released::ReleasedSecrets;
pub use self::resolve::{Resolve, SystemResolver};
pub use self::settings::{EgressConfig, EgressSettings};
pub use self::sieve::MAX_EMPTY_CHUNKS;
pub use self::stand_in::{Lending, STAND_IN_CHARS, StandIns};
use tavora_telemetry::http::{known_method, status_class};
use tavora_telemetry::{Metrics, activity};
pub use tavora_trust::origin::{Origin, OriginError, Scheme};

/// The egress of one tool instance.
pub struct Egress {
    scope: EgressScope,
    granted: BTreeSet<Origin>,
    opened: OpenedOrigins,
    stand_ins: StandIns,
    limits: EgressLimits,
    client: HttpClient,
    released: Arc<ReleasedSecrets>,
    in_flight: Arc<Semaphore>,
    log: Arc<dyn EgressLog>,
    metrics: Metrics,
}

type Finishing = Box<dyn Future<Output = Result<(), WasiError>> + Send>;
type Sending = Box<dyn Future<Output = Result<(Response<WasiBody>, Finishing), WasiError>> + Send>;

impl Egress {
    /// Grants one more origin until this instance ends. The app's own configuration opens such
    /// origins for one call.
    pub fn grant(&mut self, origin: Origin) {
        self.granted.insert(origin);
    }

    /// Sets the wait for an upstream's next byte, whatever the limits for other tools are.
    pub fn waiting(mut self, idle_ms: NonZeroU64) -> Self {
        self.limits.first_byte_timeout_ms = idle_ms;
        self.limits.idle_timeout_ms = idle_ms;
        self
    }

    /// Returns the origins that secrets open for one call, in addition to the granted ones.
    pub fn opened(&self) -> OpenedOrigins {
        self.opened.clone()
    }

    /// Returns the stand-ins of this instance.
    pub fn stand_ins(&self) -> StandIns {
        self.stand_ins.clone()
    }

    /// Makes the checks that need no network. Their order gives the most useful reason.
    fn exchange(
        &self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        reporter: &Reporter,
    ) -> Result<Exchange, Failure> {
        let origin = reporter.origin.as_ref();
        let origin = origin.ok_or(DenialReason::TargetInvalid)?;
        if !self.granted.contains(origin) && !self.opened.contains(origin) {
            let reason = match self.opened.withheld_by(origin) {
                Some(name) => DenialReason::SecretBoundElsewhere {
                    name,
                    is_its_own: true,
                },
                None => DenialReason::OriginNotGranted,
            };
            return Err(reason.into());
        }
        Exchange::new(
            request,
            options.unwrap_or_default(),
            origin,
            self.limits,
            (self.released.clone(), self.stand_ins.clone()),
            self.in_flight.clone(),
            reporter.clone(),
        )
    }
}

impl WasiHttpHooks for Egress {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        header::is_forbidden(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(header::is_forbidden)
    }

    /// Returns `false`, because the client sets the header from the checked origin.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Finishing,
    ) -> Sending {
        let reporter = Reporter {
            scope: self.scope.clone(),
            origin: Origin::of_uri(request.uri()).ok(),
            log: self.log.clone(),
        };
        // An origin that is not granted is not recorded: a tool may have made it up, or the value
        // of a secret may have opened it.
        let origin = reporter.origin.as_ref();
        let span = tracing::info_span!(
            "egress_request",
            otel.kind = "client",
            tool = self.scope.tool,
            method = known_method(request.method()),
            origin = origin
                .filter(|origin| self.granted.contains(origin))
                .map(tracing::field::display),
            status = Empty,
            outcome = Empty,
        );
        let exchange = self.exchange(request, options, &reporter);
        let client = self.client.clone();
        let metrics = self.metrics.clone();
        let work = async move {
            let response = exchange?.run(client).await?;
            Span::current().record("status", response.status().as_u16());
            Ok(response)
        };
        Box::new(async move {
            let tool = &*reporter.scope.tool;
            let outcome = activity::observe(span, work, outcome_word, |outcome, took| {
                metrics.egress_ended(tool, outcome, took);
            })
            .await;
            if let Some(limit) = outcome.as_ref().err().and_then(Failure::limit) {
                metrics.limit_hit(limit);
            }
            match outcome {
                // The pool drives its connections itself.
                Ok(response) => Ok((response, Box::new(async { Ok(()) }) as Finishing)),
                Err(Failure::Failed(error)) => Err(error),
                Err(Failure::Denied(reason)) => {
                    let error = reason.error();
                    reporter.report(reason);
                    Err(error)
                }
            }
        })
    }
}

/// Returns the word for the request's outcome, for metrics and traces.
fn outcome_word(outcome: &Result<Response<WasiBody>, Failure>) -> &'static str {
    match outcome {
        Ok(response) => status_class(response.status()),
        Err(failure) => failure.word(),
    }
}

#[cfg(test)]
mod tests;
