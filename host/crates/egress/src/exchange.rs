//! One request and its response, from the checks to the head of the response.
//! Bodies stream past it. It follows no redirect. It tries a second time only after a
//! connection that had served before brought nothing, once, and on a new one.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, IF_RANGE, RANGE};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::capture_connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wasmtime_wasi_http::{Error as WasiError, RequestOptions, WasiBody};

use super::body::{BodyVerdict, Outgoing, RequestBody, ResponseBody};
use super::client::HttpClient;
use super::connect::Connector;
use super::denial::Reporter;
use super::failure::{Failure, is_closed, was_refused_unread};
use super::resend::{Resend, SentBody};
use super::slots::Filling;
use super::stand_in::StandIns;
use super::watch::SecretWatch;
use super::{DenialReason, EgressLimits, Origin, ReleasedSecrets, coding, counted, echo, header};

/// A request that passed the checks, ready to be sent.
pub(super) struct Exchange {
    request: Request<RequestBody>,
    verdict: BodyVerdict,
    limits: EgressLimits,
    options: RequestOptions,
    permit: OwnedSemaphorePermit,
    origin: Origin,
    target: Option<PathAndQuery>,
    /// The credentials that are written in at the last moment.
    filling: Filling,
    released: Arc<ReleasedSecrets>,
    /// Whether secrets can be lent to the instance.
    can_lend: bool,
    reporter: Reporter,
}

impl Exchange {
    /// Checks all that can be checked without the network. The origin is one that
    /// the tool is granted.
    pub(super) fn new(
        request: Request<WasiBody>,
        options: RequestOptions,
        origin: &Origin,
        limits: EgressLimits,
        (released, stand_ins): (Arc<ReleasedSecrets>, StandIns),
        in_flight: Arc<Semaphore>,
        reporter: Reporter,
    ) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        // Some servers do not tell `trace` from `TRACE`.
        let method = parts.method.as_str();
        let refused = ["CONNECT", "TRACE"];
        if let Some(method) = refused
            .into_iter()
            .find(|it| it.eq_ignore_ascii_case(method))
        {
            return Err(DenialReason::MethodRefused { method }.into());
        }
        header::prepare_request(&mut parts.headers)?;
        let mut target = parts.uri.path_and_query().cloned();
        let filling = Filling::take(&stand_ins, origin, &mut parts.headers, &mut target)?;
        released.sent(filling.names(), origin);
        if !filling.names().is_empty() {
            // An upstream that echoes shows a credential in pieces that are too short to be found.
            parts.headers.remove(RANGE);
            parts.headers.remove(IF_RANGE);
        }
        let watch = SecretWatch::new(released.clone(), stand_ins.clone(), origin.clone());
        watch.check_target(&parts.method, target.as_ref())?;
        watch.check_headers(&parts.headers)?;
        let declared = header::content_length(&parts.headers)?;
        let (body, verdict) = Outgoing::body(body, declared, watch, &limits, reporter.clone())?;
        let permit = in_flight
            .try_acquire_owned()
            .map_err(|_| WasiError::ConnectionLimitReached)?;

        let mut request = Request::new(body);
        *request.method_mut() = parts.method;
        *request.headers_mut() = parts.headers;
        Ok(Self {
            request,
            verdict,
            limits,
            options,
            permit,
            origin: origin.clone(),
            target,
            filling,
            released,
            can_lend: stand_ins.can_lend(),
            reporter,
        })
    }

    /// Sends the request and waits for the head of its response.
    pub(super) async fn run(self, client: HttpClient) -> Result<Response<WasiBody>, Failure> {
        let Self {
            request,
            verdict,
            limits,
            options,
            permit,
            origin,
            mut target,
            filling,
            released,
            can_lend,
            reporter,
        } = self;
        let waits = Waits {
            connect: shorter(options.connect_timeout, limits.connect_timeout()),
            first_byte: shorter(options.first_byte_timeout, limits.first_byte_timeout()),
        };
        let idle_timeout = shorter(options.between_bytes_timeout, limits.idle_timeout());
        let (mut head, body) = request.into_parts();
        filling.fill(&mut head.headers, &mut target)?;
        head.uri = canonical_uri(&origin, target)?;
        let method = head.method.clone();
        let body = Resend::new(body, limits.max_resent_body_bytes.get());
        let request = || Some(Request::from_parts(head.clone(), body.next()?));

        let first = request().ok_or(WasiError::HttpProtocolError)?;
        let mut outcome = waits.send(&client.pooled, first).await;
        let is_dead = outcome.as_ref().is_err_and(|lost| lost.is_unanswered);
        if is_dead
            && verdict.error().is_none()
            && let Some(again) = request()
        {
            outcome = waits.send(&client.fresh, again).await;
        }
        let response = outcome
            .map_err(|Lost { failure, .. }| verdict.error().map_or(failure, Failure::Failed))?;
        let (mut parts, body) = response.into_parts();
        check_response(&method, parts.status, &parts.headers, &limits)?;
        header::strip_hop_by_hop(&mut parts.headers);
        header::date(&mut parts.headers);
        header::tell_oddity(&mut parts.headers, parts.status, filling.oddity());
        echo::scrub_headers(&released, &origin, &mut parts.headers, &reporter);
        let body = ResponseBody::new(body, idle_timeout, &limits, permit);
        let max_bytes = limits.max_response_body_bytes.get();
        let body = coding::decoded(&mut parts.headers, body, max_bytes).await?;
        let body = echo::scrubbed(
            released,
            origin,
            can_lend,
            &method,
            &mut parts.headers,
            body,
            reporter,
        );
        Ok(Response::from_parts(parts, body))
    }
}

/// How long one try waits.
struct Waits {
    connect: Duration,
    first_byte: Duration,
}

/// A try that came to nothing.
struct Lost {
    failure: Failure,
    /// The upstream did nothing with the request, or the connection had died before it.
    is_unanswered: bool,
}

impl Waits {
    async fn send(
        &self,
        client: &Client<Connector, SentBody>,
        mut request: Request<SentBody>,
    ) -> Result<Response<Incoming>, Lost> {
        let mut connection = capture_connection(&mut request);
        let mut sending = pin!(client.request(request));
        let connected = async {
            connection.wait_for_connection_metadata().await;
        };
        let early = timeout(self.connect, async {
            tokio::select! {
                biased;
                outcome = &mut sending => Some(outcome),
                () = connected => None,
            }
        });
        let late = |error: WasiError| Lost {
            failure: error.into(),
            is_unanswered: false,
        };
        let outcome = match early.await {
            Err(_) => return Err(late(WasiError::ConnectionTimeout)),
            Ok(Some(outcome)) => outcome,
            Ok(None) => timeout(self.first_byte, sending)
                .await
                .map_err(|_| late(WasiError::HttpResponseTimeout))?,
        };
        outcome.map_err(|error| Lost {
            is_unanswered: was_refused_unread(&error)
                || is_closed(&error) && counted::was_reused_and_silent(&connection),
            failure: error.into(),
        })
    }
}

/// The URI with the origin that was checked, whatever notation the tool used.
fn canonical_uri(origin: &Origin, target: Option<PathAndQuery>) -> Result<Uri, WasiError> {
    // Not by its text: a copy of that would not be wiped.
    let target = target.unwrap_or(PathAndQuery::from_static("/"));
    Uri::builder()
        .scheme(origin.scheme().as_str())
        .authority(origin.authority())
        .path_and_query(target)
        .build()
        .map_err(|_| WasiError::HttpRequestUriInvalid)
}

fn check_response(
    method: &Method,
    status: StatusCode,
    headers: &HeaderMap,
    limits: &EgressLimits,
) -> Result<(), WasiError> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(WasiError::HttpUpgradeFailed);
    }
    let header_bytes = header::section_bytes(headers);
    if header_bytes > limits.max_response_header_bytes.get() {
        let bytes = u32::try_from(header_bytes).ok();
        return Err(WasiError::HttpResponseHeaderSectionSize(bytes));
    }
    let has_body = *method != Method::HEAD && status != StatusCode::NOT_MODIFIED;
    if has_body && headers.contains_key(CONTENT_LENGTH) {
        let length = header::content_length(headers)?;
        let too_long = |&bytes: &u64| bytes > limits.max_response_body_bytes.get();
        if let Some(bytes) = length.filter(too_long) {
            return Err(WasiError::HttpResponseBodySize(Some(bytes)));
        }
    }
    Ok(())
}

fn shorter(asked: Option<Duration>, limit: Duration) -> Duration {
    asked.map_or(limit, |asked| asked.min(limit))
}
