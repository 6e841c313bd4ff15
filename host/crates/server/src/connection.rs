//! Serves one connection, from the accepted socket to its close: TLS, HTTP/1.1 or HTTP/2, and the
//! watch over its pace.
//!
//! The router decides what is answered.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::ConnectInfo;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep_until, timeout};
use tower::ServiceExt;

use super::body::{RequestBody, ResponseBody};
use super::claim::Claim;
use super::gate::Turn;
use super::pace::{InFlight, Late, Pace, at};
use super::seats::Seat;
use super::shared::Shared;
use super::socket::{Socket, Stream, close_gently};
use super::stopping::{Stage, Stopping};
use crate::peer::Peer;

/// A request extension: the request came over the host's own TLS.
#[derive(Clone, Copy, Debug)]
pub struct IsTls;

/// The accept loop's side of a connection.
pub(super) struct Wire {
    pub pace: Arc<Pace>,
    /// Tells the connection to close now, because another one needs the room.
    pub closing: Arc<Notify>,
    /// Tells the connection to take no request after those in flight, and later to end them.
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
    // Answers are written whole, so Nagle's algorithm would only delay them.
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
    let (socket, returned) = Socket::new(stream, &wire.pace, &shared.gate, seat, limits);
    let may_have_more = speak(&shared, socket, peer, &mut wire).await;
    if may_have_more && let Ok(stream) = returned.await {
        close_gently(stream, limits).await;
    }
}

/// Speaks HTTP until the connection ends. Returns whether the peer may still be sending bytes that
/// nobody reads.
async fn speak(shared: &Arc<Shared>, socket: Socket, peer: SocketAddr, wire: &mut Wire) -> bool {
    let limits = &shared.limits;
    let pace = &wire.pace;
    let stopping = Stopping(wire.stage.clone());
    let answer = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(stopping.clone());
        // Counted here and not when the request is first polled: it takes memory from here on.
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
            // Requests in flight observe the stage and end themselves. An idle connection has
            // nothing to wait for.
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
    if shared.tls.is_some() {
        extensions.insert(IsTls);
    }
    extensions.insert(Claim::new(&pace, turn.clone()));
    if let Some(malformed) = in_flight.refused_head() {
        extensions.insert(malformed);
        // Nothing after the malformed head is read, and `close_gently` closes the connection.
        pace.body_left();
    }
    let mut response = shared.router.clone().oneshot(request).await?;
    if let Some(turn) = turn {
        turn.end();
    }
    // Hyper closes such a connection without a `connection: close` header. A client that reused the
    // connection would lose its next request.
    if pace.has_unread_body() {
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| ResponseBody::new(body, in_flight)))
}
