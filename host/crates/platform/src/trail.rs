//! The audit entries that the host itself writes. They record refused releases, refused requests,
//! secrets removed from upstreams' answers, visits to the page at `/admin`, and backups and
//! restores of the database. The vault itself records changes and releases.
//!
//! An entry holds names and origins, never a value, a path or a query.

mod refusals;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::{Map, Value};
use vault_core::audit::outcome;
use vault_core::{AuditDraft, Caller, ReleaseContext, SecretVaults, Subject, VerifyReport};

pub use refusals::Refusals;
use tavora_egress::{EgressDenied, EgressLog, ReleasedSecrets};
use tavora_telemetry::Metrics;
pub use tavora_wasm::tool::secrets::ReleaseLog;

/// A tool's answer held a secret, which was removed.
const LEAK_BLOCKED: &str = "leak.blocked";
/// The egress policy refused a tool's request.
const EGRESS_DENIED: &str = "egress.denied";
/// A tool asked for a secret that it is not granted.
const RELEASE_DENIED: &str = "release.denied";
/// Somebody signed in to the page with the admin token.
const SIGNED_IN: &str = "admin.signed_in";
/// Somebody tried to sign in to the page with another text.
const SIGN_IN_REFUSED: &str = "admin.sign_in_refused";
/// The operator signed out of the page.
const SIGNED_OUT: &str = "admin.signed_out";
/// The operator took a backup. Anyone who has the backup and the KEKs has every secret of that
/// moment.
const DATABASE_COPIED: &str = "database.backed_up";
/// The database is a restored backup. Entries before this one are from the backup, and those after
/// it are new.
const DATABASE_RESTORED: &str = "database.restored";
/// Everything was moved here from another store. Entries before this one were recorded there.
const PLATFORM_MOVED: &str = "platform.moved";

/// The actions that the host records, in addition to the vault's own.
pub const ACTIONS: [&str; 9] = [
    RELEASE_DENIED,
    EGRESS_DENIED,
    LEAK_BLOCKED,
    SIGNED_IN,
    SIGN_IN_REFUSED,
    SIGNED_OUT,
    DATABASE_COPIED,
    DATABASE_RESTORED,
    PLATFORM_MOVED,
];

/// Writes the entries of one run.
pub(crate) struct Trail {
    vaults: SecretVaults,
    released: Arc<ReleasedSecrets>,
    max_denials: usize,
    /// The refusals by the name of the tool that asked.
    denials: Mutex<HashMap<String, Denials>>,
    /// Each tool with a secret that an upstream's answer held.
    echoes: Mutex<BTreeSet<(String, String)>>,
    metrics: Metrics,
}

#[derive(Default)]
struct Denials {
    kept: Vec<EgressDenied>,
    more: u64,
}

impl Trail {
    /// Records up to `max_denials` refusals to a tool in one call one by one, and counts the rest.
    pub(crate) fn new(
        vaults: SecretVaults,
        released: Arc<ReleasedSecrets>,
        max_denials: usize,
        metrics: Metrics,
    ) -> Self {
        Self {
            vaults,
            released,
            max_denials,
            denials: Mutex::default(),
            echoes: Mutex::default(),
            metrics,
        }
    }

    /// Records that a tool's answer held a secret, which was removed.
    pub(crate) async fn leak_blocked(&self, context: &ReleaseContext, secret: &str) {
        self.metrics.leak_blocked(&context.tool);
        let entry = context
            .draft(LEAK_BLOCKED)
            .about(Subject::new("secret", secret));
        record(&self.vaults, entry).await;
    }

    /// Records the egress policy's refusals to the context's tool since the last time, and the
    /// secrets that were removed from upstreams' answers.
    pub(crate) async fn write_denials(&self, context: &ReleaseContext) {
        let echoed: Vec<_> = {
            let mut echoes = self.echoes.lock().unwrap_or_else(PoisonError::into_inner);
            echoes
                .extract_if(.., |(tool, _)| *tool == context.tool)
                .collect()
        };
        for (_, secret) in echoed {
            self.leak_blocked(context, &secret).await;
        }
        let denials = self.denials().remove(&context.tool);
        let Denials { kept, more } = denials.unwrap_or_default();
        for denied in kept {
            let full = denied.origin.map(|origin| origin.to_string());
            let origin = full.as_deref().map_or("unknown".to_owned(), |origin| {
                // Origins are in lower case, so this scrubber ignores the case of a secret's value.
                let names = self.released.scrubber_of_names();
                names
                    .scrub(&scrubbed(&self.released, origin))
                    .text
                    .into_owned()
            });
            // An address that a secret leads to is secret, too.
            let reason = if full.is_some_and(|full| full != origin) {
                denied.reason.code().to_owned()
            } else {
                scrubbed(&self.released, &denied.reason.to_string())
            };
            tracing::warn!(tool = denied.tool, origin, reason, "a request was refused");
            let mut entry = context
                .draft(EGRESS_DENIED)
                .about(Subject::new("origin", origin))
                .outcome("denied")
                .detail("reason", denied.reason.code());
            if let Some(name) = denied.reason.secret() {
                entry = entry.detail("secret", name);
            }
            record(&self.vaults, entry).await;
        }
        if more > 0 {
            let entry = context
                .draft(EGRESS_DENIED)
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
        self.metrics
            .egress_denied(&denied.tool, denied.reason.code());
        let mut by_tool = self.denials();
        let denials = by_tool.entry(denied.tool.clone()).or_default();
        if denials.kept.len() < self.max_denials {
            denials.kept.push(denied.clone());
        } else {
            denials.more += 1;
        }
    }

    fn echoed(&self, tool: &str, secret: &str) {
        let mut echoes = self.echoes.lock().unwrap_or_else(PoisonError::into_inner);
        echoes.insert((tool.to_owned(), secret.to_owned()));
    }
}

#[async_trait]
impl ReleaseLog for Trail {
    async fn release_denied(&self, context: &ReleaseContext, secret: &str) {
        let secret = scrubbed(&self.released, secret);
        let entry = context
            .draft(RELEASE_DENIED)
            .about(Subject::new(
                "secret",
                secret.chars().take(255).collect::<String>(),
            ))
            .outcome("not_granted");
        record(&self.vaults, entry).await;
    }
}

/// The operator's visit to the page: its beginning or its end.
#[derive(Clone, Copy)]
pub enum PageVisit {
    SignedIn,
    SignedOut,
}

/// Records a visit to the page. The visit goes on even if the audit cannot be written, because the
/// page shows the operator why. [`Refusals`] records refused visitors.
pub async fn page_visit(vaults: &SecretVaults, visit: PageVisit, client: IpAddr, request_id: &str) {
    let action = match visit {
        PageVisit::SignedIn => SIGNED_IN,
        PageVisit::SignedOut => SIGNED_OUT,
    };
    let entry = AuditDraft::new(&Caller::operator().in_request(request_id), action)
        .outcome(outcome::OK)
        .detail("peer", client.to_string());
    record(vaults, entry).await;
}

/// Returns the entry for a backup. It is written before the backup, so that the backup holds it
/// too.
pub fn database_copied(caller: &Caller) -> AuditDraft {
    AuditDraft::new(caller, DATABASE_COPIED)
}

/// Returns the entry for a restore. The report says how the audit of the backup ended.
pub fn database_restored(caller: &Caller, backup: &VerifyReport) -> AuditDraft {
    ended_as(AuditDraft::new(caller, DATABASE_RESTORED), backup)
}

/// Returns the entry for a move from another kind of store. The report says how the audit ended
/// there.
pub fn platform_moved(
    caller: &Caller,
    source: &VerifyReport,
    from: &'static str,
    to: &'static str,
) -> AuditDraft {
    ended_as(AuditDraft::new(caller, PLATFORM_MOVED), source)
        .detail("from", from)
        .detail("to", to)
        .detail("secrets", source.secrets)
}

fn ended_as(entry: AuditDraft, backup: &VerifyReport) -> AuditDraft {
    let head = backup.head().map(|head| head.to_string());
    let entry = entry
        .detail("head", head)
        .detail("entries", backup.entries)
        .detail("findings", backup.findings_total);
    let named = backup
        .named()
        .map(|chain| (chain.name.to_string(), Value::from(chain.head.to_string())));
    let heads: Map<_, _> = named.collect();
    match heads.is_empty() {
        true => entry,
        false => entry.detail("heads", heads),
    }
}

/// Returns a text from a tool, without the secrets that the tool may have put there.
fn scrubbed(released: &ReleasedSecrets, text: &str) -> String {
    released.scrubber().scrub(text).text.into_owned()
}

/// These entries record refusals. If they cannot be written, nothing fails, and only the log tells
/// of it.
async fn record(vaults: &SecretVaults, entry: AuditDraft) {
    if let Err(error) = vaults.record(entry).await {
        tracing::error!(%error, "an audit entry could not be written");
    }
}

#[cfg(test)]
mod tests {
    use tavora_egress::DenialReason;
    use vault_core::{AuditEntry, AuditQuery, SqliteOptions, SqliteStore};

    use super::*;

    const VALUE: &str = "canary-7f3d1c9ab2e84655";

    /// The entries of `action` after `act`, oldest first.
    async fn entries<F: AsyncFnOnce(&SecretVaults, Arc<ReleasedSecrets>, &ReleaseContext)>(
        action: &str,
        act: F,
    ) -> Vec<AuditEntry> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = SqliteStore::open(folder.path().join("tavora.db"), SqliteOptions::default())
            .expect("a new database opens");
        let vaults = SecretVaults::open(Arc::new(store), None)
            .await
            .expect("a new database needs no KEK yet");
        let app = vaults
            .create_app(
                &Caller::operator(),
                "app".parse().expect("valid"),
                None,
                None,
            )
            .await
            .expect("the first app");
        let released = Arc::new(ReleasedSecrets::new());
        released.add("key", VALUE, None);
        let context = ReleaseContext::new(app.id, "mine", "sha256:0");
        act(&vaults, released, &context).await;
        let query = AuditQuery {
            action: Some(action.to_owned()),
            limit: Some(100),
            ..AuditQuery::default()
        };
        let page = vaults.audit_entries(query).await.expect("readable");
        let mut entries = page.entries;
        entries.reverse();
        entries
    }

    fn denied(origin: &str) -> EgressDenied {
        EgressDenied {
            app: "app".to_owned(),
            tool: "mine".to_owned(),
            origin: Some(origin.parse().expect("valid")),
            reason: DenialReason::OriginNotGranted,
        }
    }

    #[tokio::test]
    async fn a_refused_origin_is_recorded_without_the_credential_in_it() {
        let entries = entries("egress.denied", async |vaults, released, context| {
            let trail = Trail::new(vaults.clone(), released, 10, Metrics::new());
            trail.denied(&denied(&format!("https://{VALUE}.example")));
            trail.write_denials(context).await;
            trail.write_denials(context).await;
        })
        .await;
        assert_eq!(entries.len(), 1);
        let subject = entries[0].subject.as_ref().expect("an origin");
        assert_eq!(subject.id, "https://[redacted:key].example");
        assert_eq!(entries[0].detail["reason"], "origin_not_granted");
    }

    #[tokio::test]
    async fn refusals_past_the_limit_are_counted_in_one_entry() {
        let entries = entries("egress.denied", async |vaults, released, context| {
            let trail = Trail::new(vaults.clone(), released, 2, Metrics::new());
            for n in 0..5 {
                trail.denied(&denied(&format!("https://n{n}.example")));
            }
            trail.write_denials(context).await;
        })
        .await;
        assert_eq!(entries.len(), 3);
        assert_eq!(
            entries[1].subject.as_ref().expect("an origin").id,
            "https://n1.example"
        );
        assert_eq!(entries[2].detail["more"], 3);
    }

    #[tokio::test]
    async fn a_name_that_was_not_granted_is_recorded_short_and_without_the_credential_in_it() {
        let entries = entries("release.denied", async |vaults, released, context| {
            let trail = Trail::new(vaults.clone(), released, 10, Metrics::new());
            for name in [format!("my-{VALUE}-key"), "é".repeat(1000)] {
                trail.release_denied(context, &name).await;
            }
        })
        .await;
        let id = |n: usize| &entries[n].subject.as_ref().expect("a secret").id;
        assert_eq!(entries.len(), 2);
        assert_eq!(id(0), "my-[redacted:key]-key");
        assert_eq!(id(1), &"é".repeat(255));
    }
}
