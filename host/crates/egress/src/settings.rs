//! `[egress]` of the configuration.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::limit::EgressLimits;
use tavora_trust::origin::Origin;
use tavora_trust::{ConfigError, extra_ca_pem};

/// `[egress]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EgressConfig {
    /// The origins that may have private, loopback or otherwise internal addresses. Each is scheme,
    /// host and port, for example `["http://127.0.0.1:11434"]`.
    pub allow_private_origins: Vec<Origin>,
    /// The PEM file of certificate authorities to trust besides the platform's: for tools, the
    /// trace collector and KEK providers. It is relative to `tavora.toml`.
    #[schemars(example = &"/etc/tavora/ca.pem")]
    pub extra_ca_file: Option<PathBuf>,
    /// Timeouts and sizes of tools' outbound requests. A tool can ask for a shorter time, never for
    /// a longer one.
    pub limits: EgressLimits,
}

impl EgressConfig {
    /// Resolves relative paths against the folder of the configuration.
    pub fn relative_to(&mut self, folder: &Path) {
        if let Some(file) = &mut self.extra_ca_file {
            *file = folder.join(&file);
        }
    }

    /// Returns the settings, with the content of `extra_ca_file`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn settings(&self) -> Result<EgressSettings, ConfigError> {
        Ok(EgressSettings {
            allow_private_origins: self.allow_private_origins.iter().cloned().collect(),
            extra_ca_pem: extra_ca_pem(self.extra_ca_file.as_deref())?,
            limits: self.limits,
        })
    }
}

/// The operator's settings for the outbound traffic of all tools.
#[derive(Debug, Clone, Default)]
pub struct EgressSettings {
    /// The origins that may resolve to addresses that are not public.
    pub allow_private_origins: BTreeSet<Origin>,
    /// Root certificates to trust besides the platform's, as PEM.
    pub extra_ca_pem: Option<Vec<u8>>,
    pub limits: EgressLimits,
}
