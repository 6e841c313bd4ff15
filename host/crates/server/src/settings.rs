//! `[server]` of `tavora.toml`: where the host listens, and what a peer may use of it.
//!
//! Limits of single routes (an agent's run, a secret's size) are not here.

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
    /// The names that the host answers to. If empty, a host on loopback answers to loopback names,
    /// and any other host to every name.
    pub hosts: Vec<HostName>,
    /// How long requests are still taken after the host was told to stop, in milliseconds.
    /// Meanwhile `/readyz` reports that it is not ready, so that load balancers send requests
    /// elsewhere.
    pub drain_delay_ms: u64,
    /// How long requests may go on after that, in milliseconds. Streams that do not end by then
    /// report that they were cut.
    pub shutdown_grace_ms: u64,
    /// A PEM file of the host's certificate and its chain. With the certificate and the key, the
    /// host speaks TLS only.
    pub tls_cert_file: Option<PathBuf>,
    /// A PEM file of the certificate's private key.
    pub tls_key_file: Option<PathBuf>,
    /// Origins whose pages may use `/api/sdk` from a browser. Empty by default.
    pub cors_allowed_origins: Vec<Origin>,
    /// Proxies that are trusted to name the client in `Forwarded` and `X-Forwarded-For`: addresses
    /// and networks.
    pub trusted_proxies: TrustedProxies,
    /// Limits of connections and requests.
    pub limits: ServerLimits,
    /// Limits of failed sign-ins.
    pub auth_failures: AuthFailureLimits,
    /// Limits of requests by API key.
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
    /// Resolves relative paths against the folder of the configuration.
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
    /// The most connections at once. Beyond that, each new one displaces one that waits for its
    /// client. If all are busy, new ones wait.
    pub max_connections: NonZeroUsize,
    /// The most connections of one peer at once (an IPv4 address or an IPv6 /64). Trusted proxies,
    /// 127.0.0.1 and ::1 have no such limit.
    pub max_connections_per_peer: NonZeroUsize,
    /// The most requests of strangers at once. Beyond that, nothing more is read from their
    /// connections.
    pub max_stranger_requests: NonZeroUsize,
    /// How long a connection must have waited for its client before a new one may displace it, in
    /// milliseconds. A stranger's connection that was answered may be displaced at once.
    pub displace_after_ms: u64,
    /// Time limit from the accepted connection to the end of the TLS handshake, in milliseconds.
    pub tls_handshake_timeout_ms: u64,
    /// Time limit from the first byte of a request's head to its last, in milliseconds. For the
    /// first request it begins with the connection.
    pub header_read_timeout_ms: u64,
    /// How long a connection may wait for its next request, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Time limit from a request's head to the end of its body, in milliseconds.
    pub request_body_timeout_ms: u64,
    /// How long a client may leave a piece of a response's body unread, in milliseconds.
    pub response_stall_timeout_ms: u64,
    /// The longest target of a request line, in bytes.
    pub max_uri_bytes: usize,
    /// The most headers in a request.
    pub max_headers: usize,
    /// The largest total of a request's header names and values, in bytes.
    pub max_header_bytes: u32,
    /// The largest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// The most bytes of strangers' bodies that are collected at once, in the whole process.
    pub max_stranger_body_bytes: usize,
    /// The most of those bytes for one peer (an IPv4 address or an IPv6 /64).
    pub max_stranger_body_bytes_per_peer: usize,
    /// The most bytes of bodies that are collected at once for known clients, in the whole process.
    pub max_collected_bytes: usize,
    /// The most bytes that are read and dropped of an unwanted body, so that the client reads the
    /// answer and not a reset.
    pub max_discarded_bytes: usize,
    /// The longest time to read and drop such a body, in milliseconds.
    pub discard_timeout_ms: u64,
    /// The most HTTP/2 connections of strangers at once. Others wait unparsed, and each displaces
    /// one that waits for its client.
    pub http2_max_strangers: NonZeroUsize,
    /// The most requests at once on one HTTP/2 connection.
    pub http2_max_streams: NonZeroU32,
    /// How many unread bytes of bodies an HTTP/2 client may send on one connection.
    pub http2_window_bytes: NonZeroU32,
    /// The most HTTP/2 bodies that are read and dropped at once, in the whole process. Beyond that,
    /// streams are reset.
    pub http2_max_discards: usize,
    /// Per HTTP/2 connection: the most requests that a client may reset before they are handled,
    /// and the most resets that it may provoke.
    pub http2_max_resets: usize,
    /// The most frames without a request (pings, settings, windows, priorities, resets, data without
    /// a byte) between two requests on one HTTP/2 connection of a stranger.
    pub http2_max_control_frames: usize,
    /// The interval of pings to an HTTP/2 client, and the time that it has to answer one, in
    /// milliseconds.
    pub http2_ping_ms: u64,
    /// The age at which the counts of secrets in `/metrics` are counted again, in milliseconds.
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
            // Longer than clients keep idle connections (Go: 90 s). So the client closes, and the
            // two do not close at the same moment.
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
