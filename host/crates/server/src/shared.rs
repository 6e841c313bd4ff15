//! State that all connections share, and the HTTP settings of each.

use std::sync::Arc;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::sync::Semaphore;

use super::gate::Gate;
use super::proxies::TrustedProxies;
use super::seats::Seats;
use super::settings::{ServerConfig, ServerLimits};
use super::tls::Tls;

/// State that all connections share.
pub(super) struct Shared {
    pub limits: ServerLimits,
    pub proxies: TrustedProxies,
    pub tls: Option<Arc<Tls>>,
    pub router: Router,
    pub http: Builder<TokioExecutor>,
    /// Limits the requests of strangers that are worked at.
    pub gate: Arc<Gate>,
    /// Limits the HTTP/2 connections of strangers.
    pub seats: Arc<Seats>,
    /// Limits the HTTP/2 bodies that are read and dropped at once.
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

/// Hyper's minimum for `max_buf_size`.
const HTTP1_BUFFER_MIN_BYTES: usize = 8_192;
/// The most bytes that are buffered of one HTTP/2 response that the client does not take.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// Configures hyper. Its limits on heads are twice the settings. The router refuses heads between
/// the setting and twice the setting with its own message. Hyper, whose refusals have no body,
/// refuses the heads that would take too much memory.
fn http(limits: &ServerLimits) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        // `pace` has this timeout, together with the others.
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

/// The number of bytes after which hyper refuses a head of HTTP/1.1.
pub(super) fn head_bytes(limits: &ServerLimits) -> usize {
    let header_bytes = limits.max_header_bytes.saturating_mul(2) as usize;
    let head_bytes = limits.max_uri_bytes.saturating_mul(2) + header_bytes;
    head_bytes.max(HTTP1_BUFFER_MIN_BYTES)
}
