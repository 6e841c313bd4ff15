//! KEK providers outside this process, and the keyring of remote and local KEKs.
//!
//! Each provider makes one attempt at a time and reports what went wrong. `cached` adds time
//! limits, retries and a cache of DEKs. A kek id depends on the configuration alone, so that a host
//! can start and recognise its rows while a provider is unreachable. Rewrapping belongs to the
//! vault.

#[cfg(feature = "aws-kms")]
mod aws_kms;
mod cached;
pub mod config;
mod dek_cache;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod transit;
mod wrapped;

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use vault_core::{KekProvider, Keyring, KeyringError};

#[cfg(feature = "aws-kms")]
use self::aws_kms::AwsKms;
use self::cached::CachedKek;
use self::config::{KekConfig, ProviderKind, ProviderName};
#[cfg(feature = "pkcs11")]
use self::pkcs11::Pkcs11;
use self::transit::Transit;
use tavora_trust::{ConfigError, TrustError, client_config, extra_ca_pem};

/// Why no keyring could be built.
#[derive(Debug, thiserror::Error)]
pub enum KekSetupError {
    /// `[kek] provider` names a table that does not exist.
    #[error("[kek] provider names {name}, and there is no [kek.{name}]; there is: {known}")]
    UnknownProvider {
        /// The name in the configuration.
        name: ProviderName,
        /// The tables that exist.
        known: String,
    },
    /// `[kek] provider` names a kind that has several tables.
    #[error(
        "[kek] provider names {name}, and there are several of that kind; name one of: {known}"
    )]
    Ambiguous {
        /// The name in the configuration.
        name: ProviderName,
        /// The tables of this kind.
        known: String,
    },
    /// The table lacks a setting, or has a superfluous one.
    #[error("[kek.{table}]: {problem}")]
    Table {
        table: ProviderName,
        /// The problem, and its correction.
        problem: String,
    },
    /// The file of certificate authorities cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The certificate authorities cannot be used.
    #[error("[egress] extra_ca_file: {0}")]
    Trust(#[from] TrustError),
    /// The keyring has the same KEK twice.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

/// Builds the keyring from every configured key and the `local` KEKs. `[kek] provider` names the
/// primary KEK. If it is `local`, the first local KEK is primary, and without a local KEK there is
/// no keyring.
///
/// No provider is contacted yet: whether it works is found out at its first use.
///
/// # Errors
/// The configuration is not consistent.
pub fn keyring(
    config: &KekConfig,
    extra_ca_file: Option<&Path>,
    local: Vec<Arc<dyn KekProvider>>,
) -> Result<Option<Keyring>, KekSetupError> {
    let mut remote = providers(config, extra_ca_file)?;
    let wanted = &config.provider;
    let primary = match wanted.kind {
        ProviderKind::Local => None,
        _ => Some(remote.remove(position(&remote, wanted)?)),
    };
    if primary.is_none() && local.is_empty() {
        return Ok(None);
    }
    let primary = primary.into_iter().map(|(_, kek)| kek);
    let remote = remote.into_iter().map(|(_, kek)| kek);
    let mut keks = primary.chain(local).chain(remote);
    let primary = keks.next().expect("there is a primary, or a local one");
    Ok(Some(Keyring::new(primary, keks.collect())?))
}

type Named = (ProviderName, Arc<dyn KekProvider>);

fn providers(
    config: &KekConfig,
    extra_ca_file: Option<&Path>,
) -> Result<Vec<Named>, KekSetupError> {
    let KekConfig {
        limits,
        aws_kms,
        transit,
        pkcs11,
        ..
    } = config;
    let mut found: Vec<Named> = Vec::new();
    let mut add = |name, kek: CachedKek| found.push((name, Arc::new(kek)));
    let extra_ca_pem = extra_ca_pem(extra_ca_file)?;
    for (name, table) in aws_kms {
        let name = ProviderName::of(ProviderKind::AwsKms, name);
        #[cfg(feature = "aws-kms")]
        let kek = AwsKms::new(table, limits, extra_ca_pem.clone());
        #[cfg(not(feature = "aws-kms"))]
        let kek = left_out(&name, table, "aws-kms")?;
        add(name, CachedKek::new(kek, limits));
    }
    if !transit.is_empty() {
        let tls = client_config(extra_ca_pem.as_deref())?;
        for (name, table) in transit {
            let name = ProviderName::of(ProviderKind::Transit, name);
            let kek = Transit::new(table, limits, tls.clone()).map_err(problem_in(&name))?;
            add(name, CachedKek::new(kek, limits));
        }
    }
    for (name, table) in pkcs11 {
        let name = ProviderName::of(ProviderKind::Pkcs11, name);
        #[cfg(feature = "pkcs11")]
        let kek = Pkcs11::new(table);
        #[cfg(not(feature = "pkcs11"))]
        let kek = left_out(&name, table, "pkcs11")?;
        add(name, CachedKek::new(kek, limits));
    }
    Ok(found)
}

/// Returns the error for a provider that this program was built without.
#[cfg(not(all(feature = "aws-kms", feature = "pkcs11")))]
fn left_out<T>(name: &ProviderName, _: &T, feature: &str) -> Result<Transit, KekSetupError> {
    Err(problem_in(name)(format!(
        "this program was built without it; build it with the feature {feature}"
    )))
}

/// Finds the provider that the configuration names. The kind alone is enough if it has one table.
fn position(remote: &[Named], wanted: &ProviderName) -> Result<usize, KekSetupError> {
    let mut fitting = (0..remote.len()).filter(|index| remote[*index].0.fits(wanted));
    let known = || {
        let names: Vec<String> = remote.iter().map(|(name, _)| name.to_string()).collect();
        match names.is_empty() {
            true => "local".to_owned(),
            false => names.join(", "),
        }
    };
    match (fitting.next(), fitting.next()) {
        (Some(index), None) => Ok(index),
        (None, _) => Err(KekSetupError::UnknownProvider {
            name: wanted.clone(),
            known: known(),
        }),
        (Some(_), Some(_)) => Err(KekSetupError::Ambiguous {
            name: wanted.clone(),
            known: known(),
        }),
    }
}

fn problem_in<E: Display>(table: &ProviderName) -> impl Fn(E) -> KekSetupError {
    let table = table.clone();
    move |problem| KekSetupError::Table {
        table: table.clone(),
        problem: problem.to_string(),
    }
}
