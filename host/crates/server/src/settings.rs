//! `[server]` of `tavora.toml`: where the host listens, and what a peer may use of it.
//!
//! Limits of single routes (an agent's run, a secret's size) are not here.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::host_names::HostName;
use super::listener::ListenAddress;
use super::proxies::TrustedProxies;
use crate::throttle::{AuthFailureLimits, RequestRateLimits};
use tavora_trust::origin::Origin;

/// `[server]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// The address where `tavora-host serve` and `dev` listen: an IP address and a port, or
    /// `localhost` and a port. The option `--listen` comes first.
    pub listen: ListenAddress,
    /// The names that the host answers to, for example `["vault.example.com",
    /// "vault.example.com:8443", "*.example.com"]`. A name has a port where browsers find `/admin`
    /// at another port than the usual one. Addresses and `localhost` are always answered; any other
    /// name is refused with 421. Without a list, a host on loopback answers to nothing else, and a
    /// host on the network answers to every name. `"*"` is every name.
    pub hosts: Vec<HostName>,
    /// The time in which the host still takes requests after it was told to stop. Meanwhile
    /// `/readyz` answers 503, so that load balancers send requests elsewhere.
    pub drain_delay_ms: u64,
    /// The time that requests have to end after `drain_delay_ms`. A stream that does not end by
    /// then says that it was cut.
    pub shutdown_grace_ms: u64,
    /// The PEM file of the host's certificate and of those above it, relative to `tavora.toml`.
    /// With this file and `tls_key_file`, the host speaks TLS only. SIGHUP makes it read both
    /// again.
    #[schemars(example = &"/etc/tavora/cert.pem")]
    pub tls_cert_file: Option<PathBuf>,
    /// The PEM file of the certificate's private key, relative to `tavora.toml`.
    #[schemars(example = &"/etc/tavora/key.pem")]
    pub tls_key_file: Option<PathBuf>,
    /// The origins whose web pages may use `/api/sdk` from a browser, for example
    /// `["https://app.example.com"]`. The operator's routes are never open to them.
    pub cors_allowed_origins: Vec<Origin>,
    /// The proxies in front of the host, as addresses and networks, for example `["10.0.0.0/8"]`.
    /// The client that a proxy names in `Forwarded` or `X-Forwarded-For` is the one that is
    /// throttled, and that the audit and the log name. A proxy must replace or remove the one of
    /// the two headers that it does not write itself.
    pub trusted_proxies: TrustedProxies,
    /// Limits of connections and requests.
    pub limits: ServerLimits,
    /// How often a peer may fail to sign in. A peer is an IPv4 address, or a /64 of IPv6.
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
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerLimits {
    /// Connections at once. Beyond them, each new connection closes one that waits for its client;
    /// where all are busy, new connections wait.
    pub max_connections: NonZeroUsize,
    /// Connections of one peer at once: an IPv4 address, or a /64 of IPv6. Trusted proxies,
    /// 127.0.0.1 and ::1 have no such limit.
    pub max_connections_per_peer: NonZeroUsize,
    /// Requests at once on connections that have shown no right credential. Beyond them, the host
    /// reads nothing more from such connections, except the first bytes of one that has not asked
    /// yet.
    pub max_stranger_requests: NonZeroUsize,
    /// The time that a connection must have waited for its client before a new one may displace it.
    /// A connection that was answered without a right credential can be displaced at once.
    pub displace_after_ms: u64,
    /// The time from the accepted connection to the end of the TLS handshake.
    pub tls_handshake_timeout_ms: u64,
    /// The time from the first byte of a request's head to its last. For the first request it
    /// counts from the start of the connection.
    pub header_read_timeout_ms: u64,
    /// The time that a connection may wait for its next request.
    pub idle_timeout_ms: u64,
    /// The time from a request's head to the end of its body.
    pub request_body_timeout_ms: u64,
    /// The time that a client may leave a piece of a response's body unread.
    pub response_stall_timeout_ms: u64,
    /// The target in the request line; a longer one is refused with 414.
    pub max_uri_bytes: usize,
    /// Headers of one request; more are refused with 431.
    pub max_headers: usize,
    /// Names and values of one request's headers together; more are refused with 431.
    pub max_header_bytes: u32,
    /// The body of one request; a longer one is refused with 413.
    pub max_body_bytes: usize,
    /// Bodies in the whole process that are being collected for clients that have shown no right
    /// credential. Beyond them, the oldest unfinished body of the peer that holds most gives way.
    pub max_stranger_body_bytes: usize,
    /// The part of `max_stranger_body_bytes` that one peer may have: an IPv4 address, or a /64 of
    /// IPv6. Beyond it, the peer's oldest unfinished body gives way.
    pub max_stranger_body_bytes_per_peer: usize,
    /// Bodies in the whole process that are being collected for clients that have shown a right
    /// credential.
    pub max_collected_bytes: usize,
    /// The part of an unwanted body that is read and dropped, so that its client reads the answer
    /// and not a reset.
    pub max_discarded_bytes: usize,
    /// The time that reading and dropping an unwanted body may take.
    pub discard_timeout_ms: u64,
    /// HTTP/2 connections at once that have shown no right credential. Others wait before they are
    /// parsed, and each of them closes one that waits for its client.
    pub http2_max_strangers: NonZeroUsize,
    /// The most requests at once on one HTTP/2 connection.
    pub http2_max_streams: NonZeroU32,
    /// The bytes of bodies that an HTTP/2 client may send on one connection before anybody reads
    /// them.
    pub http2_window_bytes: NonZeroU32,
    /// HTTP/2 bodies in the whole process that are read and dropped at once. Beyond them, their
    /// streams are reset.
    pub http2_max_discards: usize,
    /// Requests that a client may reset before they are looked at, and resets that it may provoke,
    /// on one HTTP/2 connection.
    pub http2_max_resets: usize,
    /// Frames without a request (pings, settings, windows, priorities, resets, data without a byte)
    /// between two requests, on one HTTP/2 connection that has shown no right credential. One more
    /// ends the connection.
    pub http2_max_control_frames: usize,
    /// The time between two questions to an HTTP/2 client whether it is still there, and the time
    /// that it has to answer one.
    pub http2_ping_ms: u64,
    /// The age at which the counts of secrets in `/metrics` are counted again.
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
