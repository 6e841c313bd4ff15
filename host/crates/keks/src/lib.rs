//! The KEKs that this process does not hold itself, and the keyring of those and the local ones.
//!
//! Each provider makes one attempt at a time and says what went wrong; `cached` is the patience
//! around it: time limits, further attempts, and the DEKs that are remembered. A kek id follows
//! from the configuration alone, so that a host starts, and knows which rows are whose, while a
//! provider is away. Rewrapping is the vault's.

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

/// Why there is no keyring.
#[derive(Debug, thiserror::Error)]
pub enum KekSetupError {
    /// `[kek] provider` names a table that is not there.
    #[error("[kek] provider names {name}, and there is no [kek.{name}]; there is: {known}")]
    UnknownProvider {
        /// What it names.
        name: ProviderName,
        /// What there is.
        known: String,
    },
    /// `[kek] provider` names a kind of which there are several.
    #[error(
        "[kek] provider names {name}, and there are several of that kind; name one of: {known}"
    )]
    Ambiguous {
        /// What it names.
        name: ProviderName,
        /// What there is.
        known: String,
    },
    /// A table says too little or too much.
    #[error("[kek.{table}]: {problem}")]
    Table {
        /// Which one.
        table: ProviderName,
        /// What is wrong, and what to write.
        problem: String,
    },
    /// The file of certificate authorities cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It cannot be used.
    #[error("[egress] extra_ca_file: {0}")]
    Trust(#[from] TrustError),
    /// A KEK is there twice.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

/// The keyring of every key that the configuration has and of the `local` KEKs. The primary is the
/// one that `[kek] provider` names; where that is `local`, the first of those, and without one
/// there is no keyring.
///
/// No provider is asked anything yet: whether it works is seen when it is used.
///
/// # Errors
/// The configuration does not fit together.
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

/// Says that this program was built without the provider of a table.
#[cfg(not(all(feature = "aws-kms", feature = "pkcs11")))]
fn left_out<T>(name: &ProviderName, _: &T, feature: &str) -> Result<Transit, KekSetupError> {
    Err(problem_in(name)(format!(
        "this program was built without it; build it with the feature {feature}"
    )))
}

/// Where the provider is that the configuration names: by its kind alone, if there is one of that
/// kind.
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
