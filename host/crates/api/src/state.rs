//! State that all routes share.

use std::sync::Arc;

use vault_core::{KekStatus, SecretVaults};

use super::admin_token::AdminToken;
use super::app_runs::AppRuns;
use super::body::BodyBudgets;
use tavora_egress::Origin;
use tavora_platform::Platform;
use tavora_platform::rotation::Rotation;
use tavora_platform::trail::Refusals;
use tavora_server::throttle::{FailureThrottle, RequestRate};
use tavora_server::{HostNames, ServerConfig, ServerLimits};
use tavora_telemetry::metrics::Counted;

/// State that all routes share. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

struct Shared {
    platform: Platform,
    admin_token: AdminToken,
    auth_failures: FailureThrottle,
    refusals: Refusals,
    request_rate: RequestRate,
    app_runs: AppRuns,
    app_streams: AppRuns,
    rotation: Rotation,
    bodies: BodyBudgets,
    kek_counts: Counted<KekStatus>,
    limits: ServerLimits,
    cors_allowed_origins: Vec<Origin>,
    host_names: HostNames,
}

impl Api {
    /// Returns the API of a platform, with the limits of `[server]`.
    pub fn new(platform: Platform, admin_token: AdminToken, server: &ServerConfig) -> Self {
        Self(Arc::new(Shared {
            app_runs: AppRuns::new(platform.limits().agent.max_runs_per_app),
            app_streams: AppRuns::new(platform.limits().stream.max_per_app),
            refusals: Refusals::new(
                platform.vaults().clone(),
                platform.metrics().clone(),
                server.auth_failures.max_audited_per_minute,
            ),
            platform,
            rotation: Rotation::default(),
            admin_token,
            auth_failures: FailureThrottle::new(&server.auth_failures),
            request_rate: RequestRate::new(&server.rate_limit),
            bodies: BodyBudgets::new(&server.limits),
            kek_counts: Counted::new(server.limits.kek_counts_max_age()),
            limits: server.limits,
            cors_allowed_origins: server.cors_allowed_origins.clone(),
            host_names: HostNames::new(server.hosts.clone(), &server.listen),
        }))
    }

    /// The platform that runs the tools and the sandbox.
    pub fn platform(&self) -> &Platform {
        &self.0.platform
    }

    pub fn vaults(&self) -> &SecretVaults {
        self.0.platform.vaults()
    }

    pub fn admin_token(&self) -> &AdminToken {
        &self.0.admin_token
    }

    /// Counts failed authentications, the page's sign-in included.
    pub fn auth_failures(&self) -> &FailureThrottle {
        &self.0.auth_failures
    }

    pub fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    /// The current walk over all secrets, or the last one.
    pub fn rotation(&self) -> &Rotation {
        &self.0.rotation
    }

    /// The names that the host answers to.
    pub fn host_names(&self) -> &HostNames {
        &self.0.host_names
    }

    pub(super) fn app_runs(&self) -> &AppRuns {
        &self.0.app_runs
    }

    pub(super) fn app_streams(&self) -> &AppRuns {
        &self.0.app_streams
    }

    pub(super) fn request_rate(&self) -> &RequestRate {
        &self.0.request_rate
    }

    pub(crate) fn bodies(&self) -> &BodyBudgets {
        &self.0.bodies
    }

    pub(crate) fn kek_counts(&self) -> &Counted<KekStatus> {
        &self.0.kek_counts
    }

    pub(super) fn cors_allowed_origins(&self) -> &[Origin] {
        &self.0.cors_allowed_origins
    }

    pub fn limits(&self) -> &ServerLimits {
        &self.0.limits
    }
}
