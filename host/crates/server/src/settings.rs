//! `[server]` of `tavora.toml`: where the host listens, and what a peer may use of it.
//!
//! What the routes themselves bound (a program's run, a secret's size) is not here.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::host_names::HostName;
use super::listener::ListenAddress;
use super::proxies::TrustedProxies;
use crate::throttle::{AuthFailureLimits, RequestRateLimits};
use tavora_trust::origin::Origin;

/// `[server]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// An IP address and a port, or `localhost` and a port.
    pub listen: ListenAddress,
    /// The names that it answers to; without any, on loopback those of loopback, else every name.
    pub hosts: Vec<HostName>,
    /// How long requests are still taken after the host was told to stop, while `/readyz` sends
    /// them elsewhere, in milliseconds.
    pub drain_delay_ms: u64,
    /// How long requests may go on after that, in milliseconds. Streams that do not end by then say
    /// that they were cut.
    pub shutdown_grace_ms: u64,
    /// A PEM file of the host's certificate and those above it. With it and the key, the host talks
    /// TLS only.
    pub tls_cert_file: Option<PathBuf>,
    /// A PEM file of the certificate's private key.
    pub tls_key_file: Option<PathBuf>,
    /// Origins whose pages may use `/api/sdk` from a browser. None, unless listed.
    pub cors_allowed_origins: Vec<Origin>,
    /// Proxies that are believed whom they ask for, in `Forwarded` and `X-Forwarded-For`: addresses
    /// and networks.
    pub trusted_proxies: TrustedProxies,
    /// What connections and requests may use.
    pub limits: ServerLimits,
    /// How often a peer may fail to sign in.
    pub auth_failures: AuthFailureLimits,
    /// How often an API key may ask.
    pub rate_limit: RequestRateLimits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)).into(),
            hosts: Vec::new(),
            drain_delay_ms: 0,
            shutdown_grace_ms: 5_000,
            tls_cert_file: None,
            tls_key_file: None,
            cors_allowed_origins: Vec::new(),
            trusted_proxies: TrustedProxies::default(),
            limits: ServerLimits::default(),
            auth_failures: AuthFailureLimits::default(),
            rate_limit: RequestRateLimits::default(),
        }
    }
}

impl ServerConfig {
    /// Resolves relative paths from the folder of the configuration.
    pub fn relative_to(&mut self, folder: &Path) {
        for file in [&mut self.tls_cert_file, &mut self.tls_key_file]
            .into_iter()
            .flatten()
        {
            *file = folder.join(&file);
        }
    }

    pub(super) fn shutdown_grace(&self) -> Duration {
        Duration::from_millis(self.shutdown_grace_ms)
    }
}

/// `[server.limits]`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerLimits {
    /// Connections at once. Beyond them, one that waits for its client is closed for each that
    /// comes; where all are busy, those that come wait.
    pub max_connections: NonZeroUsize,
    /// Connections of one peer at once, an IPv4 address or an IPv6 /64. Trusted proxies, 127.0.0.1
    /// and ::1 have no such limit.
    pub max_connections_per_peer: NonZeroUsize,
    /// Requests at once on connections that have shown no right credential. Where there are more,
    /// nothing more is read from such connections.
    pub max_stranger_requests: NonZeroUsize,
    /// How long a connection must have waited for its client before it is closed for a new one, in
    /// milliseconds. One that was answered without a right credential has to wait no longer.
    pub displace_after_ms: u64,
    /// From the accepted connection to the end of the TLS handshake, in milliseconds.
    pub tls_handshake_timeout_ms: u64,
    /// From the first byte of a request's head (of the first request: from the connection on) to
    /// its last, in milliseconds.
    pub header_read_timeout_ms: u64,
    /// How long a connection may wait for its next request, in milliseconds.
    pub idle_timeout_ms: u64,
    /// From a request's head to the end of its body, in milliseconds.
    pub request_body_timeout_ms: u64,
    /// How long a client may leave a piece of a response's body unread, in milliseconds.
    pub response_stall_timeout_ms: u64,
    /// The request line's target, in bytes.
    pub max_uri_bytes: usize,
    /// How many headers a request may have.
    pub max_headers: usize,
    /// Names and values of a request's headers together, in bytes.
    pub max_header_bytes: u32,
    /// A request's body, in bytes.
    pub max_body_bytes: usize,
    /// Bodies that are being collected for those who have shown no right credential, in the whole
    /// process, in bytes.
    pub max_stranger_body_bytes: usize,
    /// The part of them that one peer may have, an IPv4 address or an IPv6 /64, in bytes.
    pub max_stranger_body_bytes_per_peer: usize,
    /// Bodies that are being collected for those who have, in the whole process, in bytes.
    pub max_collected_bytes: usize,
    /// What is read and dropped of a body that nobody wants, so that the client reads the answer
    /// and not a reset, in bytes.
    pub max_discarded_bytes: usize,
    /// How long that may take, in milliseconds.
    pub discard_timeout_ms: u64,
    /// HTTP/2 connections at once that have shown no right credential. Others wait before they are
    /// parsed, and one that waits for its client is closed for each.
    pub http2_max_strangers: NonZeroUsize,
    /// Requests at once on one HTTP/2 connection.
    pub http2_max_streams: NonZeroU32,
    /// What an HTTP/2 client may send of a body that nobody has read yet, on one connection, in
    /// bytes.
    pub http2_window_bytes: NonZeroU32,
    /// Bodies of HTTP/2 that are read and dropped at once, in the whole process. Where there are
    /// more, their streams are reset.
    pub http2_max_discards: usize,
    /// Requests that a client may have reset before they are looked at, and resets that it may
    /// provoke, on one HTTP/2 connection.
    pub http2_max_resets: usize,
    /// Frames between two requests that ask for nothing (pings, settings, windows, priorities,
    /// resets, data without a byte), on one HTTP/2 connection that has shown no right credential.
    pub http2_max_control_frames: usize,
    /// How often an HTTP/2 client is asked whether it is still there, and how long it may take to
    /// say so, in milliseconds.
    pub http2_ping_ms: u64,
    /// How old the counts of secrets in `/metrics` may be before they are counted again, in
    /// milliseconds.
    pub kek_counts_max_age_ms: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_connections: NonZeroUsize::new(1_024).expect("a default is not zero"),
            max_connections_per_peer: NonZeroUsize::new(256).expect("a default is not zero"),
            max_stranger_requests: NonZeroUsize::new(32).expect("a default is not zero"),
            displace_after_ms: 500,
            tls_handshake_timeout_ms: 10_000,
            header_read_timeout_ms: 10_000,
            // Longer than clients keep theirs (Go: 90 s), so that it is they who close, and not
            // both at once.
            idle_timeout_ms: 120_000,
            request_body_timeout_ms: 30_000,
            response_stall_timeout_ms: 30_000,
            max_uri_bytes: 8_192,
            max_headers: 100,
            max_header_bytes: 32_768,
            max_body_bytes: 1 << 20,
            max_stranger_body_bytes: 4 << 20,
            max_stranger_body_bytes_per_peer: 64 << 10,
            max_collected_bytes: 256 << 20,
            max_discarded_bytes: 8 << 20,
            discard_timeout_ms: 5_000,
            http2_max_strangers: NonZeroUsize::new(128).expect("a default is not zero"),
            http2_max_streams: NonZeroU32::new(100).expect("a default is not zero"),
            http2_window_bytes: NonZeroU32::new(65_535).expect("a default is not zero"),
            http2_max_discards: 256,
            http2_max_resets: 50,
            http2_max_control_frames: 1_000,
            http2_ping_ms: 20_000,
            kek_counts_max_age_ms: 15_000,
        }
    }
}

impl ServerLimits {
    pub(super) fn displace_after(&self) -> Duration {
        Duration::from_millis(self.displace_after_ms)
    }

    pub(super) fn tls_handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.tls_handshake_timeout_ms)
    }

    pub(super) fn header_read_timeout(&self) -> Duration {
        Duration::from_millis(self.header_read_timeout_ms)
    }

    pub(super) fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    pub(super) fn request_body_timeout(&self) -> Duration {
        Duration::from_millis(self.request_body_timeout_ms)
    }

    pub(super) fn response_stall_timeout(&self) -> Duration {
        Duration::from_millis(self.response_stall_timeout_ms)
    }

    pub(super) fn discard_timeout(&self) -> Duration {
        Duration::from_millis(self.discard_timeout_ms)
    }

    /// See `kek_counts_max_age_ms`.
    pub fn kek_counts_max_age(&self) -> Duration {
        Duration::from_millis(self.kek_counts_max_age_ms)
    }

    pub(super) fn http2_ping(&self) -> Duration {
        Duration::from_millis(self.http2_ping_ms)
    }
}
