//! `tavora:platform/secrets`: the import that distinguishes a trusted tool from a component of an
//! agent.
//!
//! Only the linker of trusted tools has it. The store was made for one app, and the guest gives
//! nothing but the name of a secret. The guest receives a stand-in, or the value of a secret that
//! the grants reveal. The egress policy decides where a value may be sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use tracing::field::Empty;
use vault_core::{
    ReleaseContext, ReleaseError, Released, SealedSecret, SecretName, SecretVaults, Unavailability,
};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;
use zeroize::Zeroize;

use crate::bindings::ResolveError;
use tavora_egress::{Lending, OpenedOrigins, Origin, ReleasedSecrets, StandIns, copied};
use tavora_telemetry::{Metrics, activity};
use tavora_trust::slot::Slot;

/// The interface's name, as components import it.
const INTERFACE: &str = "tavora:platform/secrets@0.1.0";

/// The secrets that a tool may resolve, and the rules for each.
#[derive(Clone, Debug)]
pub struct SecretGrants {
    /// The names of all granted secrets.
    pub names: Arc<[SecretName]>,
    /// The origins that a secret may be sent to, for secrets that are bound.
    pub bind: Arc<BTreeMap<SecretName, Vec<Origin>>>,
    /// The secrets whose values are URLs. Such a secret opens the URL's origin to the tool for the
    /// call, and may be sent nowhere else.
    pub opens: Arc<[SecretName]>,
    /// The secrets whose values the tool sees. The others are lent.
    pub reveal: Arc<[SecretName]>,
    /// The slot of a lent secret, if the grants name one.
    pub slots: Arc<BTreeMap<SecretName, Slot>>,
}

/// The slots of a secret whose grant names none.
pub const USUAL_SLOTS: [Slot; 2] = [Slot::Bearer, Slot::Basic];

impl SecretGrants {
    /// Returns grants without any secret.
    pub(crate) fn none() -> Self {
        Self {
            names: Arc::new([]),
            bind: Arc::default(),
            opens: Arc::new([]),
            reveal: Arc::new([]),
            slots: Arc::default(),
        }
    }

    /// Whether the tool sees the value: it must compute with it, or read an address in it.
    pub fn is_revealed(&self, name: &SecretName) -> bool {
        self.reveal.contains(name) || self.opens.contains(name)
    }

    /// Returns the slots in which a lent secret may stand.
    pub fn slots_of(&self, name: &SecretName) -> Vec<Slot> {
        match self.slots.get(name) {
            Some(slot) => vec![slot.clone()],
            None => USUAL_SLOTS.to_vec(),
        }
    }
}

/// Receives each request of a tool for a secret that it is not granted, before the tool gets the
/// error.
#[async_trait]
pub trait ReleaseLog: Send + Sync {
    /// Records that a tool asked for a secret that it is not granted. The tool may have made up the
    /// name.
    async fn release_denied(&self, context: &ReleaseContext, secret: &str);
}

/// Records one instance's requests for secrets that it is not granted.
pub(crate) struct Denials {
    log: Arc<dyn ReleaseLog>,
    /// The number of such requests in this call.
    in_this_call: usize,
    max_recorded: usize,
}

impl Denials {
    /// Returns a record that passes on the first `max_recorded` requests of each call.
    pub(crate) fn new(log: Arc<dyn ReleaseLog>, max_recorded: usize) -> Self {
        Self {
            log,
            in_this_call: 0,
            max_recorded,
        }
    }
}

/// Resolves secrets for one trusted tool and the one app that its store was made for.
pub(crate) struct SecretsCapability {
    vaults: SecretVaults,
    context: ReleaseContext,
    grants: SecretGrants,
    released: Arc<ReleasedSecrets>,
    opened: OpenedOrigins,
    stand_ins: StandIns,
    /// The secrets that this call has released, sealed. When the call resolves one again, it is
    /// opened again but not audited again.
    in_this_call: HashMap<SecretName, Arc<SealedSecret>>,
    denials: Denials,
    /// Values on their way into the guest. They are wiped at the next resolve, at the next call, or
    /// when the instance ends.
    passed: Vec<Arc<str>>,
    metrics: Metrics,
}

impl SecretsCapability {
    pub(crate) fn new(
        vaults: SecretVaults,
        context: ReleaseContext,
        grants: SecretGrants,
        released: Arc<ReleasedSecrets>,
        (opened, stand_ins): (OpenedOrigins, StandIns),
        denials: Denials,
        metrics: Metrics,
    ) -> Self {
        let lent = grants.names.iter().filter(|name| !grants.is_revealed(name));
        for name in lent {
            stand_ins.declare(name.as_str(), grants.slots_of(name).into());
        }
        Self {
            vaults,
            context,
            grants,
            released,
            opened,
            stand_ins,
            in_this_call: HashMap::new(),
            denials,
            passed: Vec::new(),
            metrics,
        }
    }

    /// Forgets the releases of the last call, so that the next call is authorised and audited anew.
    pub(crate) fn start_call(&mut self) {
        self.in_this_call.clear();
        self.denials.in_this_call = 0;
        self.opened.close();
        self.stand_ins.start_call();
        self.wipe_passed();
    }

    async fn resolve(&mut self, name: &str) -> Result<Arc<str>, ResolveError> {
        self.wipe_passed();
        let mut granted = self.grants.names.iter();
        let Some(name) = granted.find(|granted| granted.as_str() == name) else {
            self.note_denied(name).await;
            return Err(ResolveError::NotGranted);
        };
        let name = name.clone();
        let handed = match self.grants.is_revealed(&name) {
            true => self.reveal(&name).await,
            false => self.lend(&name).await,
        };
        handed.map_err(|error| match error {
            ReleaseError::NoVaultDesignated => ResolveError::NoVaultDesignated,
            ReleaseError::NotFound { .. } => ResolveError::NotFound,
            ReleaseError::Unavailable { .. } => ResolveError::Unavailable,
        })
    }

    async fn note_denied(&mut self, name: &str) {
        self.metrics.release_denied(&self.context.tool);
        self.denials.in_this_call += 1;
        if self.denials.in_this_call <= self.denials.max_recorded {
            self.denials.log.release_denied(&self.context, name).await;
        }
    }

    /// Returns the value. A value that this call has already released is opened again.
    async fn reveal(&mut self, name: &SecretName) -> Result<Arc<str>, ReleaseError> {
        if let Some(sealed) = self.in_this_call.get(name) {
            let value = self.vaults.reopen(sealed).await?;
            return Ok(self.pass(copied::plain(value.expose())));
        }
        let released = self
            .observed(self.vaults.release(&self.context, name))
            .await?;
        let mut bound_to = bound_to(self.grants.bind.get(name), released.origins.as_deref());
        if self.grants.opens.contains(name) {
            bound_to = Some(self.open(name, released.value.expose(), bound_to));
        }
        for form in copied::sent_as(released.value.expose()) {
            self.released.add(name.as_str(), form, bound_to.as_deref());
        }
        self.in_this_call.insert(name.clone(), released.sealed);
        Ok(self.pass(copied::plain(released.value.expose())))
    }

    /// Returns a stand-in, always the same one within a call. The value goes to egress, not to the
    /// guest.
    async fn lend(&mut self, name: &SecretName) -> Result<Arc<str>, ReleaseError> {
        if let Some(stand_in) = self.stand_ins.of_this_call(name.as_str()) {
            return Ok(stand_in.into());
        }
        let released = self.observed(self.vaults.lend(&self.context, name)).await?;
        let bound_to = bound_to(self.grants.bind.get(name), released.origins.as_deref());
        let value = released.value.expose();
        for form in copied::sent_as(value) {
            self.released
                .add_lent(name.as_str(), form, bound_to.as_deref());
        }
        let stand_in = self.stand_ins.lend(Lending {
            name: name.as_str(),
            value,
            bound_to,
        });
        let stand_in = stand_in.map_err(|error| ReleaseError::Unavailable {
            cause: Unavailability::Random(error),
        })?;
        self.released.add_stand_in(name.as_str(), &stand_in);
        Ok(stand_in.into())
    }

    async fn observed(
        &self,
        work: impl Future<Output = Result<Released, ReleaseError>>,
    ) -> Result<Released, ReleaseError> {
        let tool = &*self.context.tool;
        let span = tracing::info_span!("secret_release", tool, outcome = Empty);
        activity::observe(span, work, outcome_word, |outcome, took| {
            self.metrics.release_ended(tool, outcome, took);
        })
        .await
    }

    /// Opens the origin of the URL in the secret, unless the secret is bound elsewhere. Returns the
    /// origins that the secret may go to.
    fn open(&self, name: &SecretName, url: &str, bound_to: Option<Vec<Origin>>) -> Vec<Origin> {
        let Ok(origin) = Origin::of_url(copied::plain(url).trim()) else {
            return Vec::new();
        };
        // Errors and refusals contain origins, which would reveal the secret in another form. A
        // host without a port is not hidden, because it can be an ordinary word.
        let with_port = Some(origin.authority()).filter(|authority| authority.contains(':'));
        for form in with_port.into_iter().chain([origin.to_string()]) {
            self.released.add(name.as_str(), &form, None);
        }
        if bound_to.is_some_and(|origins| !origins.contains(&origin)) {
            self.opened.withhold(origin, name.as_str());
            return Vec::new();
        }
        self.opened.open(origin.clone());
        vec![origin]
    }

    /// Returns a copy that the runtime may read while it writes the value into the guest's memory.
    fn pass(&mut self, value: &str) -> Arc<str> {
        let passed: Arc<str> = Arc::from(value);
        self.passed.push(Arc::clone(&passed));
        passed
    }

    fn wipe_passed(&mut self) {
        self.passed.retain_mut(|passed| match Arc::get_mut(passed) {
            Some(text) => {
                text.zeroize();
                false
            }
            None => true,
        });
    }
}

impl Drop for SecretsCapability {
    fn drop(&mut self) {
        self.wipe_passed();
    }
}

/// Returns the word for the release's outcome, for metrics and traces.
fn outcome_word(outcome: &Result<Released, ReleaseError>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(ReleaseError::NoVaultDesignated) => "no_vault_designated",
        Err(ReleaseError::NotFound { .. }) => "not_found",
        Err(ReleaseError::Unavailable { .. }) => "unavailable",
    }
}

/// Returns the only origins that a secret may go to: those in both the operator's manifest and the
/// vault's metadata. An entry of the metadata that is no origin opens nothing.
fn bound_to(manifest: Option<&Vec<Origin>>, metadata: Option<&[String]>) -> Option<Vec<Origin>> {
    let metadata: Option<Vec<Origin>> = metadata.map(|origins| {
        origins
            .iter()
            .filter_map(|origin| origin.parse().ok())
            .collect()
    });
    match (manifest, metadata) {
        (Some(manifest), Some(mut both)) => {
            both.retain(|origin| manifest.contains(origin));
            Some(both)
        }
        (Some(only), None) => Some(only.clone()),
        (None, only) => only,
    }
}

/// Adds the interface to `linker`. The code is not generated, so that the value is lowered from
/// memory that is wiped afterwards, and not from a `String` that is only freed.
pub(crate) fn add_to_linker<T, F>(linker: &mut Linker<T>, capability: F) -> wasmtime::Result<()>
where
    T: Send + 'static,
    F: for<'a> Fn(&'a mut T) -> &'a mut SecretsCapability + Copy + Send + Sync + 'static,
{
    linker.instance(INTERFACE)?.func_wrap_async(
        "resolve",
        move |mut store: StoreContextMut<'_, T>, (name,): (String,)| {
            Box::new(async move {
                let secrets = capability(store.data_mut());
                Ok((secrets.resolve(&name).await,))
            })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_only_where_both_the_manifest_and_the_vault_let_it() {
        let origin = |text: &str| text.parse::<Origin>().expect("valid");
        let (a, b) = (origin("https://a.example"), origin("https://b.example"));
        let manifest = vec![a.clone()];
        let metadata = |origins: &[&str]| -> Vec<String> {
            origins.iter().map(|&origin| origin.to_owned()).collect()
        };
        assert_eq!(bound_to(None, None), None);
        assert_eq!(bound_to(Some(&manifest), None), Some(vec![a.clone()]));
        for (manifest, metadata, both) in [
            (None, metadata(&["https://b.example"]), vec![b]),
            (None, metadata(&["no origin"]), vec![]),
            (Some(&manifest), metadata(&["https://b.example"]), vec![]),
            (Some(&manifest), metadata(&[]), vec![]),
            (
                Some(&manifest),
                metadata(&["https://b.example", "https://a.example"]),
                vec![a],
            ),
        ] {
            assert_eq!(bound_to(manifest, Some(&metadata)), Some(both));
        }
    }
}
