//! `tavora-host migrate`: moves everything from one store to another, in one transaction of the
//! target.
//!
//! Rows stay sealed and unchanged, so no KEK is needed. The hosts' configuration decides which
//! store they use.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use clap::Args;
use serde::{Serialize, Serializer};
use vault_core::audit::Verifier;
use vault_core::store::transfer::{survey, transfer};
use vault_core::{
    Finding, TableCount, TransferError, TransferPhase, TransferProgress, Transferred,
};

use super::global::Global;
use super::outcome::{Failure, Outcome, usage};
use super::output::{Output, print_error_line, table, visible};
use super::progress::{Interrupt, Progress};
use super::session::{not_opened, operator, storage_password};
use crate::config::{Config, StorageUrl};
use crate::storage;
use tavora_platform::trail;

const EXAMPLES: &str = "\
Examples:
  tavora-host migrate --dry-run --from sqlite://.tavora/tavora.db --to postgres://tavora@db.example.com/tavora
  tavora-host migrate --from sqlite://.tavora/tavora.db --to postgres://tavora@db.example.com/tavora
  tavora-host migrate --from postgres://tavora@db.example.com/tavora --to sqlite://tavora.db      and back

Stop every host on the source first. The target must be empty; it takes everything or nothing. The source is not changed.
The password of a database is in TAVORA_STORAGE_PASSWORD, as text or as file:///path, and not in the URL.
Exit status: 0 done, 1 it did not work, or the audit has findings in the target that it had not in the source, 2 wrong usage.";

/// Move everything from one store to another, from SQLite to PostgreSQL or back.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Migrate {
    // Texts, because a URL that is refused would be shown with the password that may stand in it.
    /// The store to move from: sqlite://PATH or postgres://USER@HOST:PORT/DATABASE.
    #[arg(long, value_name = "URL")]
    from: String,
    /// The store to move to, which must be empty.
    #[arg(long, value_name = "URL")]
    to: String,
    /// Count what would be moved, look whether the target is there and empty, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Surveyed {
    #[serde(serialize_with = "shown")]
    from: StorageUrl,
    #[serde(serialize_with = "shown")]
    to: StorageUrl,
    dry_run: bool,
    tables: Vec<TableCount>,
}

#[derive(Serialize)]
struct Moved {
    #[serde(serialize_with = "shown")]
    from: StorageUrl,
    #[serde(serialize_with = "shown")]
    to: StorageUrl,
    dry_run: bool,
    #[serde(flatten)]
    moved: Transferred,
    /// Faults in the target's audit that the source does not have.
    new_findings: Vec<Finding>,
}

impl Migrate {
    /// Returns the database file that the command works on, preferably the source.
    pub(super) fn database(&self) -> Option<PathBuf> {
        let urls = [&self.from, &self.to].map(|text| text.parse::<StorageUrl>());
        urls.into_iter().find_map(|url| match url {
            Ok(StorageUrl::Sqlite(file)) => Some(file),
            _ => None,
        })
    }

    pub(crate) async fn execute(self, global: &Global, output: &Output) -> Outcome {
        let config = global.config()?;
        let (from, to) = (url("--from", &self.from)?, url("--to", &self.to)?);
        if is_same(&from, &to) {
            return Err(usage("--from and --to name the same database"));
        }
        if let StorageUrl::Sqlite(file) = &from
            && !file.exists()
        {
            return Err(usage(format!("there is no database at {}", file.display())));
        }
        let password = storage_password(global)?;
        let password = password.as_ref().map(|text| text.as_str());
        let (postgres, extra_ca) = (&config.storage.postgres, config.extra_ca_file());
        let mut source =
            storage::source(from.clone(), password, postgres, extra_ca).map_err(not_opened)?;
        let mut target =
            storage::target(to.clone(), password, postgres, extra_ca).map_err(not_opened)?;
        if self.dry_run {
            let tables = survey(&mut *source, &mut *target).await;
            let surveyed = Surveyed {
                tables: tables.map_err(refused)?,
                from,
                to,
                dry_run: true,
            };
            return output.show(&surveyed, would_move).map_err(Failure::from);
        }
        let entry = |moved: &Transferred| {
            trail::platform_moved(&operator(), &moved.audit, from.scheme(), to.scheme())
        };
        let moved = transfer(&mut *source, &mut *target, entry, watched())
            .await
            .map_err(refused)?;
        drop((source, target));
        let new_findings = new_findings(&to, password, &config, &moved)
            .await
            .inspect_err(|_| {
                print_error_line("everything was moved, and the audit was not checked once more");
            })?;
        let moved = Moved {
            from,
            to,
            dry_run: false,
            moved,
            new_findings,
        };
        output.show(&moved, text)?;
        match moved.new_findings.is_empty() {
            true => Ok(()),
            false => Err(Failure::Status(1)),
        }
    }
}

/// Parses a store's URL. A password in an argument is refused, because every user of the machine
/// can see it.
fn url(option: &str, text: &str) -> Result<StorageUrl, Failure> {
    let url: StorageUrl = text
        .parse()
        .map_err(|error| usage(format!("{option}: {error}")))?;
    match &url {
        StorageUrl::Postgres(postgres) if postgres.has_password() => Err(usage(format!(
            "{option}: other users of this machine can see a password in an argument; take it out of the URL, and set {} to it or to file:///path of a file with it",
            storage::PASSWORD_VARIABLE
        ))),
        _ => Ok(url),
    }
}

fn is_same(from: &StorageUrl, to: &StorageUrl) -> bool {
    match (from, to) {
        (StorageUrl::Sqlite(from), StorageUrl::Sqlite(to)) => {
            let file = |path: &std::path::Path| {
                let found = path.metadata().ok()?;
                Some((found.dev(), found.ino()))
            };
            from == to || file(from).is_some_and(|from| file(to) == Some(from))
        }
        (from, to) => from == to,
    }
}

/// Maps an error. A target that is not empty is a mistake of the user.
fn refused(error: TransferError) -> Failure {
    match error {
        TransferError::TargetNotEmpty { .. } => usage(error),
        other => other.into(),
    }
}

/// Shows the progress, and stops after a batch if the user interrupts.
fn watched() -> impl FnMut(&TransferProgress) -> std::ops::ControlFlow<()> + Send {
    let interrupt = Interrupt::watched();
    let mut shown: Option<(TransferPhase, Progress)> = None;
    move |now| {
        if shown.as_ref().is_none_or(|(phase, _)| *phase != now.phase) {
            let what = match now.phase {
                TransferPhase::Moving => "moving, rows",
                TransferPhase::Checking => "comparing, rows",
            };
            // The bar of the previous phase must go first.
            shown = None;
            shown = Some((now.phase, Progress::new(what)));
        }
        if let Some((_, progress)) = &mut shown {
            progress.show(now.done, now.total);
        }
        interrupt.flow()
    }
}

/// Checks the target's audit in the same way as a host does.
async fn new_findings(
    to: &StorageUrl,
    password: Option<&str>,
    config: &Config,
    moved: &Transferred,
) -> Result<Vec<Finding>, Failure> {
    let (postgres, extra_ca) = (&config.storage.postgres, config.extra_ca_file());
    let store = storage::open(to.clone(), password, postgres, extra_ca)
        .await
        .map_err(not_opened)?;
    let report = store.verify(Verifier::new(Vec::new())).await;
    store.close().await?;
    let mut findings = report?.findings;
    findings.retain(|finding| !moved.audit.findings.contains(finding));
    Ok(findings)
}

fn shown<S: Serializer>(url: &StorageUrl, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(url)
}

fn would_move(surveyed: &Surveyed) -> String {
    let rows = surveyed.tables.iter();
    let rows: Vec<_> = rows
        .map(|count| [count.table.to_string(), count.rows.to_string()])
        .collect();
    format!(
        "{} can be moved to {}, which is empty; nothing was changed\n\n{}",
        visible(&surveyed.from.to_string()),
        visible(&surveyed.to.to_string()),
        table(["TABLE", "ROWS"], &rows, "nothing")
    )
}

fn text(done: &Moved) -> String {
    let to = visible(&done.to.to_string());
    let rows = done.moved.tables.iter().map(|digest| {
        [
            digest.table.to_string(),
            digest.rows.to_string(),
            digest.sha256.clone(),
        ]
    });
    let mut lines = vec![
        format!(
            "moved {} to {to}; both hold the same",
            visible(&done.from.to_string())
        ),
        String::new(),
        table(
            ["TABLE", "ROWS", "SHA-256"],
            &rows.collect::<Vec<_>>(),
            "nothing",
        ),
        String::new(),
    ];
    let audit = &done.moved.audit;
    lines.extend(
        audit
            .findings
            .iter()
            .map(|finding| format!("FOUND, as in the source: {}", visible(&finding.to_string()))),
    );
    lines.extend(
        done.new_findings
            .iter()
            .map(|finding| format!("FOUND: {}", visible(&finding.to_string()))),
    );
    lines.push(format!(
        "the audit was checked after the move: {} entries came along, {} findings of before, {} new ones",
        audit.entries,
        audit.findings_total,
        done.new_findings.len()
    ));
    lines.push(format!(
        "next: [storage] url = \"{to}\" in tavora.toml of every host, with the same KEKs; keep the source until they run"
    ));
    lines.join("\n")
}
