//! The audit entries that the host writes on its own: what it refused to release, what it refused to send, and what it
//! took out of a tool's answer. Changes and releases are recorded by the vault itself.
//!
//! An entry holds names and origins, never a value, a path or a query.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vault_core::{Actor, AuditDraft, Caller, ReleaseContext, SecretVaults, Subject};

use crate::egress::{EgressDenied, EgressLog, ReleasedSecrets};

/// Writes the entries of one run.
pub(crate) struct Trail {
    vaults: SecretVaults,
    released: Arc<ReleasedSecrets>,
    max_denials: usize,
    /// By the name of the tool that asked.
    denials: Mutex<HashMap<String, Denials>>,
}

#[derive(Default)]
struct Denials {
    kept: Vec<EgressDenied>,
    more: u64,
}

impl Trail {
    /// Of what is refused to a tool in one call, `max_denials` are recorded one by one; the rest is counted.
    pub(crate) fn new(
        vaults: SecretVaults,
        released: Arc<ReleasedSecrets>,
        max_denials: usize,
    ) -> Self {
        Self {
            vaults,
            released,
            max_denials,
            denials: Mutex::default(),
        }
    }

    /// A tool's answer held a secret, and it was taken out.
    pub(crate) async fn leak_blocked(&self, context: &ReleaseContext, secret: &str) {
        let entry = draft(context, "leak.blocked").about(Subject::new("secret", secret));
        record(&self.vaults, entry).await;
    }

    /// Writes down what the egress policy refused to the context's tool since the last time.
    pub(crate) async fn write_denials(&self, context: &ReleaseContext) {
        let denials = self.denials().remove(&context.tool);
        let Denials { kept, more } = denials.unwrap_or_default();
        for denied in kept {
            let origin = denied.origin.map_or("unknown".to_owned(), |origin| {
                scrubbed(&self.released, &origin.to_string())
            });
            tracing::warn!(
                tool = denied.tool,
                origin,
                reason = scrubbed(&self.released, &denied.reason.to_string()),
                "a request was refused"
            );
            let entry = draft(context, "egress.denied")
                .about(Subject::new("origin", origin))
                .outcome("denied")
                .detail("reason", denied.reason.code());
            record(&self.vaults, entry).await;
        }
        if more > 0 {
            let entry = draft(context, "egress.denied")
                .outcome("denied")
                .detail("more", more);
            record(&self.vaults, entry).await;
        }
    }

    fn denials(&self) -> MutexGuard<'_, HashMap<String, Denials>> {
        self.denials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EgressLog for Trail {
    fn denied(&self, denied: &EgressDenied) {
        let mut by_tool = self.denials();
        let denials = by_tool.entry(denied.tool.clone()).or_default();
        if denials.kept.len() < self.max_denials {
            denials.kept.push(denied.clone());
        } else {
            denials.more += 1;
        }
    }
}

/// A tool asked for a secret that it is not granted.
pub(crate) async fn release_denied(
    vaults: &SecretVaults,
    released: &ReleasedSecrets,
    context: &ReleaseContext,
    secret: &str,
) {
    let secret = scrubbed(released, secret);
    let entry = draft(context, "release.denied")
        .about(Subject::new(
            "secret",
            secret.chars().take(255).collect::<String>(),
        ))
        .outcome("not_granted");
    record(vaults, entry).await;
}

/// A text that a tool made up, without the secrets that it may have put there.
fn scrubbed(released: &ReleasedSecrets, text: &str) -> String {
    released.scrubber().scrub(text).text.into_owned()
}

fn draft(context: &ReleaseContext, action: &'static str) -> AuditDraft {
    let caller = Caller {
        actor: Actor::Tool {
            name: context.tool.clone(),
            digest: context.tool_digest.clone(),
        },
        request_id: context.request_id.clone(),
        session_id: context.session_id.clone(),
    };
    AuditDraft::new(&caller, action)
        .app(context.app_id)
        .on_behalf_of(context.api_key_id)
}

/// These entries tell what did not happen, so nothing waits on them but the log line if they cannot be written.
async fn record(vaults: &SecretVaults, entry: AuditDraft) {
    if let Err(error) = vaults.record(entry).await {
        tracing::error!(%error, "an audit entry could not be written");
    }
}
