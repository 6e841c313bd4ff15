//! One request and its response, from the checks to the head of the response.
//! Bodies stream past it. It follows no redirect and tries nothing twice.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::connect::capture_connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wasmtime_wasi_http::{Error as WasiError, RequestOptions, WasiBody};

use super::body::{BodyVerdict, RequestBody, ResponseBody};
use super::denial::Reporter;
use super::failure::Failure;
use super::header;
use super::pool::HttpClient;
use super::watch::SecretWatch;
use super::{DenialReason, EgressLimits, Origin, ReleasedSecrets};

/// A request that passed the checks, ready to be sent.
pub(super) struct Exchange {
    request: Request<RequestBody>,
    verdict: BodyVerdict,
    limits: EgressLimits,
    options: RequestOptions,
    permit: OwnedSemaphorePermit,
}

impl Exchange {
    /// Checks all that can be checked without the network. The origin is one that
    /// the tool is granted.
    pub(super) fn new(
        request: Request<WasiBody>,
        options: RequestOptions,
        origin: &Origin,
        limits: EgressLimits,
        released: Arc<ReleasedSecrets>,
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
        let watch = SecretWatch::new(released, origin.clone());
        watch.check_target(&parts.method, &parts.uri)?;
        watch.check_headers(&parts.headers)?;
        let declared = header::content_length(&parts.headers)?;
        let (body, verdict) = RequestBody::new(body, declared, watch, &limits, reporter)?;
        let permit = in_flight
            .try_acquire_owned()
            .map_err(|_| WasiError::ConnectionLimitReached)?;

        let mut request = Request::new(body);
        *request.method_mut() = parts.method;
        *request.uri_mut() = canonical_uri(origin, parts.uri.path_and_query())?;
        *request.headers_mut() = parts.headers;
        Ok(Self {
            request,
            verdict,
            limits,
            options,
            permit,
        })
    }

    /// Sends the request and waits for the head of its response.
    pub(super) async fn run(self, client: HttpClient) -> Result<Response<WasiBody>, Failure> {
        let Self {
            mut request,
            verdict,
            limits,
            options,
            permit,
        } = self;
        let connect_timeout = shorter(options.connect_timeout, limits.connect_timeout());
        let first_byte_timeout = shorter(options.first_byte_timeout, limits.first_byte_timeout());
        let idle_timeout = shorter(options.between_bytes_timeout, limits.idle_timeout());

        let method = request.method().clone();
        let mut connection = capture_connection(&mut request);
        let mut sending = pin!(client.request(request));
        let connected = async {
            connection.wait_for_connection_metadata().await;
        };
        let early = timeout(connect_timeout, async {
            tokio::select! {
                biased;
                outcome = &mut sending => Some(outcome),
                () = connected => None,
            }
        });
        let outcome = match early.await {
            Err(_) => return Err(WasiError::ConnectionTimeout.into()),
            Ok(Some(outcome)) => outcome,
            Ok(None) => timeout(first_byte_timeout, sending)
                .await
                .map_err(|_| WasiError::HttpResponseTimeout)?,
        };
        let response = match outcome {
            Ok(response) => response,
            Err(error) => {
                return Err(verdict
                    .error()
                    .map_or_else(|| error.into(), Failure::Failed));
            }
        };
        let (mut parts, body) = response.into_parts();
        check_response(&method, parts.status, &parts.headers, &limits)?;
        header::strip_hop_by_hop(&mut parts.headers);
        let body = ResponseBody::new(body, idle_timeout, &limits, permit);
        Ok(Response::from_parts(parts, body.boxed_unsync()))
    }
}

/// The URI with the origin that was checked, whatever notation the tool used.
fn canonical_uri(origin: &Origin, path: Option<&PathAndQuery>) -> Result<Uri, Failure> {
    Uri::builder()
        .scheme(origin.scheme().as_str())
        .authority(origin.authority())
        .path_and_query(path.map_or("/", PathAndQuery::as_str))
        .build()
        .map_err(|_| WasiError::HttpRequestUriInvalid.into())
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
    for coding in headers.get_all(CONTENT_ENCODING) {
        if !coding.as_bytes().eq_ignore_ascii_case(b"identity") {
            // It was not asked for, and the scrubber could not look into it.
            let coding = coding.to_str().ok().map(str::to_owned);
            return Err(WasiError::HttpResponseContentCoding(coding));
        }
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
