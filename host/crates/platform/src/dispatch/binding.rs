//! Explains a request that was refused because its secret is bound to other origins.
//!
//! A tool learns only that the policy refused its request, and cannot know that the origin itself
//! is granted. The message does not name the origins that the secret is bound to: they belong to
//! its owner.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::trail::Trail;
use tavora_egress::{DenialReason, EgressDenied, EgressLog, Origin};
use tavora_wasm::bindings::ToolError;
use tavora_wasm::tool::ToolComponent;

/// Records the refusals of one instance and passes them on to the trail. An instance answers one
/// call at a time.
pub(super) struct Refusals {
    trail: Arc<Trail>,
    /// The last such refusal in the current call.
    last_bound: Mutex<Option<Bound>>,
}

struct Bound {
    secret: String,
    to: Option<Origin>,
    /// The secret's value names the origin, so its value is not what binds it.
    is_its_own: bool,
}

impl Refusals {
    pub(super) fn new(trail: Arc<Trail>) -> Self {
        Self {
            trail,
            last_bound: Mutex::default(),
        }
    }

    /// Forgets the refusals of the previous call.
    pub(super) fn begin(&self) {
        *self.last_bound() = None;
    }

    /// Returns the call's error, with the explanation in place of the tool's own message.
    pub(super) fn explain(&self, tool: &ToolComponent, error: ToolError) -> ToolError {
        if error.code != "egress_denied" {
            return error;
        }
        match self.words(tool) {
            Some(message) => ToolError { message, ..error },
            None => error,
        }
    }

    /// Explains the refusal, if a bound secret was its cause.
    pub(super) fn words(&self, tool: &ToolComponent) -> Option<String> {
        let bound = self.last_bound().take()?;
        Some(bound.message(tool))
    }

    fn last_bound(&self) -> MutexGuard<'_, Option<Bound>> {
        self.last_bound
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl EgressLog for Refusals {
    fn denied(&self, denied: &EgressDenied) {
        if let DenialReason::SecretBoundElsewhere { name, is_its_own } = &denied.reason {
            *self.last_bound() = Some(Bound {
                secret: name.clone(),
                to: denied.origin.clone(),
                is_its_own: *is_its_own,
            });
        }
        self.trail.denied(denied);
    }
}

impl Bound {
    fn message(&self, tool: &ToolComponent) -> String {
        let Self {
            secret,
            to,
            is_its_own,
        } = self;
        let secrets = &tool.grants.secrets;
        let mut bind = secrets
            .bind
            .iter()
            .filter(|(name, _)| name.as_str() == secret);
        let by_manifest =
            bind.any(|(_, origins)| to.as_ref().is_none_or(|to| !origins.contains(to)));
        let by_itself = !is_its_own && secrets.opens.iter().any(|name| name.as_str() == secret);
        let whose = if by_manifest {
            format!(
                "by `bind` of the tool {:?}, which the operator can change",
                tool.name
            )
        } else if by_itself {
            "by its value, which is a URL and goes to that URL alone".to_owned()
        } else {
            "by `origins` in its vault's metadata, which the app's owner can change".to_owned()
        };
        format!(
            "the egress policy does not let the tool {:?} send the secret {secret:?} there: it is bound to other origins {whose}",
            tool.name
        )
    }
}
