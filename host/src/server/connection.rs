//! One connection, from the accepted socket to its close: TLS, HTTP/1.1 or HTTP/2, and the watch over its pace.
//!
//! What is answered is the router's business.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{sleep_until, timeout};
use tower::ServiceExt;

use super::body::{RequestBody, ResponseBody};
use super::claim::Claim;
use super::gate::{Gate, Turn};
use super::pace::{InFlight, Late, Pace, at};
use super::peer::Peer;
use super::proxies::TrustedProxies;
use super::seats::{Seat, Seats};
use super::settings::{ServerConfig, ServerLimits};
use super::socket::{Socket, Stream, close_gently};
use super::stopping::{Stage, Stopping};
use super::tls::Tls;

/// What all connections share.
pub(super) struct Shared {
    pub limits: ServerLimits,
    pub proxies: TrustedProxies,
    pub tls: Option<Arc<Tls>>,
    pub router: Router,
    pub http: Builder<TokioExecutor>,
    /// Requests of strangers that are worked at.
    pub gate: Arc<Gate>,
    /// HTTP/2 connections of strangers.
    pub seats: Arc<Seats>,
    /// Places for bodies of HTTP/2 that are read and dropped.
    pub discards: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(config: &ServerConfig, tls: Option<Arc<Tls>>, router: Router) -> Arc<Self> {
        let limits = config.limits;
        Arc::new(Self {
            http: http(&limits),
            gate: Gate::new(limits.max_stranger_requests.get()),
            seats: Seats::new(limits.http2_max_strangers.get()),
            discards: Arc::new(Semaphore::new(limits.http2_max_discards)),
            limits,
            proxies: config.trusted_proxies.clone(),
            tls,
            router,
        })
    }
}

/// How the accept loop speaks to a connection.
pub(super) struct Wire {
    pub pace: Arc<Pace>,
    /// To close now, because another connection needs the room.
    pub closing: Arc<Notify>,
    /// To take no request after those in flight, and to end them.
    pub stage: watch::Receiver<Stage>,
}

/// Serves one connection until it ends.
pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, wire: Wire) {
    let closing = Arc::clone(&wire.closing);
    tokio::select! {
        () = converse(shared, stream, peer, wire) => {}
        () = closing.notified() => {
            tracing::debug!(%peer, "a waiting connection is closed for a new one");
        }
    }
}

async fn converse(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, mut wire: Wire) {
    // Answers are written whole, so waiting for more to send only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "a connection was gone before it was served");
        return;
    }
    let limits = &shared.limits;
    let stream: Box<dyn Stream> = match &shared.tls {
        None => Box::new(stream),
        Some(tls) => {
            let handshake = timeout(
                limits.tls_handshake_timeout(),
                tls.acceptor().accept(stream),
            );
            let shaken = tokio::select! {
                shaken = handshake => shaken,
                _ = wire.stage.wait_for(|stage| *stage >= Stage::Draining) => return,
            };
            match shaken {
                Ok(Ok(stream)) => Box::new(stream),
                Ok(Err(error)) => return tracing::debug!(%peer, %error, "a TLS handshake failed"),
                Err(_) => {
                    let limit = "server.limits.tls_handshake_timeout_ms";
                    return tracing::debug!(%peer, limit, "a connection is cut");
                }
            }
        }
    };
    let seat = Seat::new(&shared.seats, Peer::from(peer.ip()));
    let (socket, returned) =
        Socket::new(stream, &wire.pace, &shared.gate, seat, head_bytes(limits));
    let may_have_more = speak(&shared, socket, peer, &mut wire).await;
    if may_have_more && let Ok(stream) = returned.await {
        close_gently(stream, limits).await;
    }
}

/// Speaks HTTP until the connection ends, and says whether the peer may still be sending what nobody reads.
async fn speak(shared: &Arc<Shared>, socket: Socket, peer: SocketAddr, wire: &mut Wire) -> bool {
    let limits = &shared.limits;
    let pace = &wire.pace;
    let stopping = Stopping(wire.stage.clone());
    let answer = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(stopping.clone());
        // Now, and not when it is first worked at: until then, it takes memory already.
        let in_flight = pace.request(request.version() == Version::HTTP_2);
        let turn = (!pace.is_known()).then(|| shared.gate.turn());
        answer(Arc::clone(shared), in_flight, turn, peer, request)
    });
    let mut connection = pin!(shared.http.serve_connection(TokioIo::new(socket), answer));
    let mut look_again = pin!(sleep_until(at(Instant::now())));
    let mut closing = wire.stage.clone();
    let mut is_draining = false;
    let mut is_idle = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = &ended {
                    tracing::debug!(%peer, error = &**error, "a connection ended in an error");
                }
                let was_refused = ended.is_err_and(|error| {
                    let cause = error.downcast_ref::<hyper::Error>();
                    cause.is_some_and(hyper::Error::is_parse)
                });
                return was_refused || pace.has_unread_body();
            }
            _ = wire.stage.wait_for(|stage| *stage >= Stage::Draining), if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
            }
            // Requests in flight hear of it and end; where there is none, nothing is waited for.
            _ = closing.wait_for(|stage| *stage >= Stage::Closing), if pace.is_at_rest() => {
                return false;
            }
            () = look_again.as_mut() => match pace.verdict(Instant::now(), limits) {
                Ok(moment) => look_again.as_mut().reset(at(moment)),
                Err(Late::Idle) if !is_idle => {
                    is_idle = true;
                    connection.as_mut().graceful_shutdown();
                    look_again.as_mut().reset(at(Instant::now() + limits.discard_timeout()));
                }
                Err(late) => {
                    tracing::debug!(%peer, limit = late.limit(), "a connection is cut");
                    return false;
                }
            },
        }
    }
}

async fn answer(
    shared: Arc<Shared>,
    in_flight: InFlight,
    turn: Option<Arc<Turn>>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let pace = Arc::clone(in_flight.pace());
    let mut request = RequestBody::of(request, &shared, &pace, turn.clone());
    let arrival = shared.proxies.arrival(peer.ip(), request.headers());
    let extensions = request.extensions_mut();
    extensions.insert(ConnectInfo(peer));
    extensions.insert(arrival);
    extensions.insert(Claim::new(&pace, turn.clone()));
    if let Some(malformed) = in_flight.refused_head() {
        extensions.insert(malformed);
        // What follows it is not read, and the connection is closed with care.
        pace.body_left();
    }
    let mut response = shared.router.clone().oneshot(request).await?;
    if let Some(turn) = turn {
        turn.end();
    }
    // Hyper ends such a connection and does not say so; a client that used it again would lose its next request.
    if pace.has_unread_body() {
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| ResponseBody::new(body, in_flight)))
}

/// What hyper insists on.
const HTTP1_BUFFER_MIN_BYTES: usize = 8_192;
/// What is kept of one HTTP/2 response that the client does not take.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// HTTP within the limits. Those of heads are twice the setting: the router refuses what is between them in its own
/// words, and the library, whose refusals have no body, refuses what would take memory.
fn http(limits: &ServerLimits) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        // `pace` has this timeout and its companions.
        .header_read_timeout(None)
        .max_headers(limits.max_headers.saturating_mul(2))
        .max_buf_size(head_bytes(limits));
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_max_streams.get())
        .max_pending_accept_reset_streams(limits.http2_max_resets)
        .max_local_error_reset_streams(limits.http2_max_resets)
        .keep_alive_interval(limits.http2_ping())
        .keep_alive_timeout(limits.http2_ping())
        .max_header_list_size(limits.max_header_bytes.saturating_mul(2))
        .initial_connection_window_size(limits.http2_window_bytes.get())
        .initial_stream_window_size(limits.http2_window_bytes.get())
        .max_send_buf_size(SEND_BUFFER_BYTES);
    http
}

/// How many bytes of a head of HTTP/1.1 are read before the library refuses it.
fn head_bytes(limits: &ServerLimits) -> usize {
    let header_bytes = limits.max_header_bytes.saturating_mul(2) as usize;
    let head_bytes = limits.max_uri_bytes.saturating_mul(2) + header_bytes;
    head_bytes.max(HTTP1_BUFFER_MIN_BYTES)
}
