//! Connections to upstreams, with a separate pool for each app's tool. A connection that carried
//! one app's credential never carries another app's request. The pool applies no policy to
//! requests.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::client::Resumption;
use tokio::sync::Semaphore;

use super::client::HttpClient;
use super::connect::Connector;
use super::{
    Egress, EgressLimits, EgressLog, EgressScope, EgressSettings, OpenedOrigins, Origin,
    ReleasedSecrets, Resolve, StandIns, SystemResolver,
};
use tavora_telemetry::Metrics;
use tavora_trust::{TrustError, client_config};

/// Hyper's minimum for the buffer of a response's head.
const MIN_HEAD_BUFFER_BYTES: u64 = 8192;

/// All outbound connections of a host.
pub struct EgressPool {
    resolver: Arc<dyn Resolve>,
    allow_private: Arc<BTreeSet<Origin>>,
    tls: ClientConfig,
    limits: EgressLimits,
    clients: Mutex<Clients>,
    metrics: Metrics,
}

impl EgressPool {
    /// Returns a pool with the operating system's resolver.
    ///
    /// # Errors
    /// The extra root certificates cannot be used.
    pub fn new(settings: EgressSettings) -> Result<Self, TrustError> {
        Self::with_resolver(settings, Arc::new(SystemResolver))
    }

    /// Returns a pool with another resolver.
    ///
    /// # Errors
    /// The extra root certificates cannot be used.
    pub fn with_resolver(
        settings: EgressSettings,
        resolver: Arc<dyn Resolve>,
    ) -> Result<Self, TrustError> {
        let EgressSettings {
            allow_private_origins,
            extra_ca_pem,
            limits,
        } = settings;
        Ok(Self {
            resolver,
            allow_private: Arc::new(allow_private_origins),
            tls: client_config(extra_ca_pem.as_deref())?,
            limits,
            clients: Mutex::default(),
            metrics: Metrics::new(),
        })
    }

    /// Counts requests in these metrics instead of private ones.
    #[must_use]
    pub fn counted_in(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// Returns the egress of one tool instance, limited to these origins.
    pub fn open(
        &self,
        scope: EgressScope,
        origins: impl IntoIterator<Item = Origin>,
        released: Arc<ReleasedSecrets>,
        log: Arc<dyn EgressLog>,
    ) -> Egress {
        let permits = self.limits.max_concurrent_requests.get();
        Egress {
            client: self.client(&scope),
            scope,
            granted: origins.into_iter().collect(),
            opened: OpenedOrigins::default(),
            stand_ins: StandIns::default(),
            limits: self.limits,
            released,
            in_flight: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            log,
            metrics: self.metrics.clone(),
        }
    }

    /// The number of pairs of app and tool that have a pool.
    pub fn pool_count(&self) -> usize {
        self.clients().by_scope.len()
    }

    fn client(&self, scope: &EgressScope) -> HttpClient {
        let mut clients = self.clients();
        clients.clock += 1;
        let now = clients.clock;
        if let Some(entry) = clients.by_scope.get_mut(scope) {
            entry.last_used = now;
            return entry.client.clone();
        }
        if clients.by_scope.len() >= self.limits.max_pools.get() {
            let oldest = clients
                .by_scope
                .iter()
                .min_by_key(|(_, entry)| entry.last_used);
            if let Some(oldest) = oldest.map(|(scope, _)| scope.clone()) {
                clients.by_scope.remove(&oldest);
            }
        }
        let client = self.make_client();
        let entry = PooledClient {
            client: client.clone(),
            last_used: now,
        };
        clients.by_scope.insert(scope.clone(), entry);
        client
    }

    fn make_client(&self) -> HttpClient {
        // TLS sessions are not shared between pools either.
        let mut tls = self.tls.clone();
        tls.resumption = Resumption::default();
        let connector = Connector::new(
            self.resolver.clone(),
            self.allow_private.clone(),
            tls,
            self.limits.connect_timeout(),
        );
        let head_bytes = self.limits.max_response_header_bytes.get();
        let buffer = usize::try_from(head_bytes.max(MIN_HEAD_BUFFER_BYTES)).unwrap_or(usize::MAX);
        let client = |max_idle| {
            Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(self.limits.pool_idle_timeout())
                .pool_max_idle_per_host(max_idle)
                .http1_max_buf_size(buffer)
                .http2_max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
                .build(connector.clone())
        };
        HttpClient {
            pooled: client(self.limits.max_idle_connections_per_origin.get()),
            fresh: client(0),
        }
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, Clients> {
        self.clients
            .lock()
            .expect("no code that holds this lock can panic half-way through a change")
    }
}

#[derive(Default)]
struct Clients {
    by_scope: HashMap<EgressScope, PooledClient>,
    /// Counts uses, to find the least recently used pool.
    clock: u64,
}

struct PooledClient {
    client: HttpClient,
    last_used: u64,
}
