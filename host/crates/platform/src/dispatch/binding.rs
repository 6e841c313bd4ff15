//! The words for a request that was refused because of a secret in it: one that is bound to other
//! origins, or one that is not in its slot.
//!
//! A tool learns only that the policy refused its request. It cannot know that the origin is
//! granted, nor what stands for a secret. Nothing here names the origins that the secret is bound
//! to: they are its owner's business.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::trail::Trail;
use tavora_egress::{DenialReason, EgressDenied, EgressLog, Origin, StandInPlace};
use tavora_wasm::bindings::ToolError;
use tavora_wasm::tool::ToolComponent;

/// The code of a request that the policy refused.
pub(super) const DENIED: &str = "egress_denied";
/// The code of a request that cannot carry its credential.
pub(super) const UNUSABLE: &str = "unusable_secret";

/// The refusals of one instance, which answers one call at a time. They go on to the trail.
pub(super) struct Refusals {
    trail: Arc<Trail>,
    /// Of the call that goes on, if it was because of a secret.
    last: Mutex<Option<EgressDenied>>,
}

impl Refusals {
    pub(super) fn new(trail: Arc<Trail>) -> Self {
        Self {
            trail,
            last: Mutex::default(),
        }
    }

    /// Forgets what was refused to the call before.
    pub(super) fn begin(&self) {
        *self.last() = None;
    }

    /// The error of a call, with the words of the refusal in the place of the tool's guess.
    pub(super) fn explain(&self, tool: &ToolComponent, error: ToolError) -> ToolError {
        if error.code != DENIED {
            return error;
        }
        self.words(tool).unwrap_or(error)
    }

    /// Why a request was refused, if it was because of a secret.
    pub(super) fn words(&self, tool: &ToolComponent) -> Option<ToolError> {
        let denied = self.last().take()?;
        let code = match denied.reason {
            DenialReason::SecretUnfit { .. } => UNUSABLE,
            _ => DENIED,
        };
        Some(ToolError {
            code: code.to_owned(),
            message: message(tool, &denied),
        })
    }

    fn last(&self) -> MutexGuard<'_, Option<EgressDenied>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EgressLog for Refusals {
    fn denied(&self, denied: &EgressDenied) {
        let is_of_secret =
            denied.reason.secret().is_some() || denied.reason == DenialReason::StandInUnknown;
        if is_of_secret {
            *self.last() = Some(denied.clone());
        }
        self.trail.denied(denied);
    }

    fn echoed(&self, tool: &str, secret: &str) {
        self.trail.echoed(tool, secret);
    }
}

fn message(tool: &ToolComponent, denied: &EgressDenied) -> String {
    let name = &tool.name;
    match &denied.reason {
        DenialReason::SecretBoundElsewhere { name } => {
            bound_elsewhere(tool, name, denied.origin.as_ref())
        }
        DenialReason::StandInMisplaced {
            name: secret,
            place,
        } => {
            format!(
                "the egress policy does not let the tool {name:?} send the secret {secret:?} in {place}: \
                 its slot is {}; the operator can {}",
                slots(tool, secret),
                line_to_add(name, secret, place)
            )
        }
        DenialReason::SecretUnfit { .. } => denied.reason.to_string(),
        reason => {
            format!(
                "the egress policy does not let this request of the tool {name:?} out: {reason}"
            )
        }
    }
}

/// The slots of a secret, in words.
fn slots(tool: &ToolComponent, secret: &str) -> String {
    let secrets = &tool.grants.secrets;
    let mut names = secrets.names.iter();
    let Some(name) = names.find(|name| name.as_str() == secret) else {
        return "none".to_owned();
    };
    let slots: Vec<String> = secrets
        .slots_of(name)
        .iter()
        .map(ToString::to_string)
        .collect();
    slots.join(" or ")
}

/// What would let the secret stand there.
fn line_to_add(tool: &str, secret: &str, place: &StandInPlace) -> String {
    let slot = match place {
        StandInPlace::Header(header) => format!("header = \"{header}\""),
        StandInPlace::Parameter(parameter) => format!("query = \"{parameter}\""),
        StandInPlace::HeaderName
        | StandInPlace::Target
        | StandInPlace::Body
        | StandInPlace::Trailers => {
            return format!(
                "add `reveal = [\"{secret}\"]` to [tools.{tool}] of tavora.toml, which lets the tool see the secret"
            );
        }
    };
    format!("add `[tools.{tool}.credentials.{secret}]` with `slot = {{ {slot} }}` to tavora.toml")
}

fn bound_elsewhere(tool: &ToolComponent, secret: &str, to: Option<&Origin>) -> String {
    let secrets = &tool.grants.secrets;
    let mut bind = secrets
        .bind
        .iter()
        .filter(|(name, _)| name.as_str() == secret);
    let by_manifest = bind.any(|(_, origins)| to.is_none_or(|to| !origins.contains(to)));
    let by_itself = secrets.opens.iter().any(|name| name.as_str() == secret);
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
