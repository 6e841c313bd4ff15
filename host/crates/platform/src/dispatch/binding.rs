//! Explains a request that was refused because its secret is bound to other origins.
//!
//! A tool learns only that the policy refused its request, and cannot know that the origin itself
//! is granted. The message does not name the origins that the secret is bound to: they belong to
//! its owner.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::trail::Trail;
use tavora_egress::{DenialReason, EgressDenied, EgressLog, Origin, StandInPlace};
use tavora_wasm::bindings::ToolError;
use tavora_wasm::tool::ToolComponent;

/// The code of a request that the policy refused.
pub(super) const DENIED: &str = "egress_denied";
/// The code of a request that cannot carry its credential.
pub(super) const UNUSABLE: &str = "unusable_secret";

/// Records the refusals of one instance and passes them on to the trail. An instance answers one
/// call at a time.
pub(super) struct Refusals {
    trail: Arc<Trail>,
    /// The last refusal in the current call that a secret caused.
    last: Mutex<Option<EgressDenied>>,
}

impl Refusals {
    pub(super) fn new(trail: Arc<Trail>) -> Self {
        Self {
            trail,
            last: Mutex::default(),
        }
    }

    /// Forgets the refusals of the previous call.
    pub(super) fn begin(&self) {
        *self.last() = None;
    }

    /// Returns the call's error, with the explanation in place of the tool's own message.
    pub(super) fn explain(&self, tool: &ToolComponent, error: ToolError) -> ToolError {
        if error.code != DENIED {
            return error;
        }
        self.words(tool).unwrap_or(error)
    }

    /// Explains the refusal, if a secret was its cause.
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
        DenialReason::SecretBoundElsewhere { name, is_its_own } => {
            bound_elsewhere(tool, name, denied.origin.as_ref(), *is_its_own)
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

/// Returns the slots of a secret, in words.
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

/// Returns the change of the configuration that lets the secret stand in this place.
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

/// Explains that the secret is bound to other origins. `is_its_own`: the secret's value names the
/// origin, so it is not the value that binds the secret.
fn bound_elsewhere(
    tool: &ToolComponent,
    secret: &str,
    to: Option<&Origin>,
    is_its_own: bool,
) -> String {
    let secrets = &tool.grants.secrets;
    let mut bind = secrets
        .bind
        .iter()
        .filter(|(name, _)| name.as_str() == secret);
    let by_manifest = bind.any(|(_, origins)| to.is_none_or(|to| !origins.contains(to)));
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
