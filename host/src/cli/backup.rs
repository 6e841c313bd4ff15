//! `tavora-host backup`: copies the database at one moment into one file, while hosts go on
//! writing.
//!
//! The keys are not included. Nobody can use the copy without the KEKs that it names, not even its
//! owner.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tempfile::TempPath;
use tokio::task::{JoinError, JoinHandle};
use vault_core::SqliteFile;

use super::global::Global;
use super::outcome::{Failure, Outcome, usage};
use super::output::{Output, print_error_line, visible};
use super::progress::Progress;
use super::session::{Session, database_file, existing, operator};
use super::staged::{Contents, Staged};
use tavora_platform::trail;

/// The interval in which the progress of the copy is checked.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  tavora-host backup /backups/tavora-$(date +%F).db      beside a running host
  tavora-host restore --dry-run /backups/tavora-….db     whether it could be restored with the keys at hand

The file holds no key: keep the KEKs that are listed, elsewhere. It is written whole or not at all, for its owner alone.
Exit status: 0 done, 1 it failed, or the audit has findings (the file is there then), 2 wrong usage.";

/// Copy the database to a new file, beside a running host.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Backup {
    /// The file to make; it must not exist yet.
    file: PathBuf,
}

#[derive(Serialize)]
struct Made {
    file: PathBuf,
    bytes: u64,
    /// Whether the database's audit has an entry about this backup.
    recorded: bool,
    /// The contents of the copy, or nothing if an older program's schema was copied unchanged.
    #[serde(flatten)]
    contents: Option<Contents>,
}

impl Backup {
    pub(crate) async fn execute(self, global: &Global, output: &Output) -> Outcome {
        let config = global.config()?;
        let database = database_file(global, &config)?;
        existing(&database)?;
        let database = SqliteFile::at(database);
        if self.file.symlink_metadata().is_ok() {
            return Err(taken(&self.file));
        }
        let staged = Staged::beside(&self.file).map_err(|failure| elsewhere(failure, global))?;
        // Examining or recording the copy would migrate an older program's data. A backup is made
        // before a migration, so the copy stays as it is.
        let is_current = database.is_current()?;
        let recorded = is_current && record(global).await;
        let copy = staged.path();
        let total = database.content_bytes()?;
        let copied = tokio::task::spawn_blocking(move || {
            let copy = database.copy_to(&copy)?;
            copy.check()
        });
        watched(copied, &staged.path(), total).await??;
        let contents = match is_current {
            true => {
                let look = staged.look_through(global, config, Vec::new(), async |_, _| Ok(()));
                Some(look.await?)
            }
            false => None,
        };
        let bytes = staged.path().metadata()?.len();
        let copy = TempPath::try_from_path(staged.path())?;
        copy.persist_noclobber(&self.file)
            .map_err(|refused| match refused.error.kind() {
                std::io::ErrorKind::AlreadyExists => taken(&self.file),
                _ => refused.error.into(),
            })?;
        let file = self.file.canonicalize()?;
        if let Some(folder) = file.parent() {
            std::fs::File::open(folder)?.sync_all()?;
        }
        let made = Made {
            file,
            bytes,
            recorded,
            contents,
        };
        output.show(&made, text)?;
        match &made.contents {
            Some(contents) if !contents.audit.is_clean() => Err(Failure::Status(1)),
            _ => Ok(()),
        }
    }
}

/// Records in the audit that a copy is about to be made. The copy does not depend on the entry: a
/// full disk may prevent the entry and is a good reason for a backup, and the user could copy the
/// file anyway.
async fn record(global: &Global) -> bool {
    let recorded = Session::with(global, async |session| {
        let entry = trail::database_copied(&operator());
        session.vaults.record(entry).await?;
        Ok(())
    });
    match recorded.await {
        Ok(()) => true,
        Err(failure) => {
            print_error_line(&format!(
                "warning: the audit has no entry about this backup: {failure}"
            ));
            false
        }
    }
}

/// Waits for the copy, and shows its size meanwhile.
async fn watched<T>(copying: JoinHandle<T>, copy: &Path, total: u64) -> Result<T, JoinError> {
    let mut progress = Progress::new("copying, bytes");
    tokio::pin!(copying);
    loop {
        match tokio::time::timeout(LOOK_INTERVAL, &mut copying).await {
            Ok(copied) => return copied,
            Err(_) => {
                let done = copy.metadata().map_or(0, |found| found.len());
                progress.show(done.min(total), total);
            }
        }
    }
}

/// Suggests another place for the file, if the process runs as another user than the one who typed
/// the command.
fn elsewhere(failure: Failure, global: &Global) -> Failure {
    match (failure, global.early.owner) {
        (Failure::Usage(message), Some(owner)) => Failure::Usage(format!(
            "{message}; this works as the user {owner}: write the backup to {}, and move it from there",
            global.data.display()
        )),
        (failure, _) => failure,
    }
}

fn taken(file: &Path) -> Failure {
    usage(format!(
        "{} exists already; take another name, or move it away",
        file.display()
    ))
}

fn text(made: &Made) -> String {
    let mut lines = vec![format!(
        "wrote {} ({} bytes); it opens with the keys below, and none of them is in it",
        visible(&made.file.display().to_string()),
        made.bytes
    )];
    match &made.contents {
        Some(contents) => {
            lines.extend(
                contents
                    .audit
                    .findings
                    .iter()
                    .map(|finding| format!("FOUND: {finding}")),
            );
            lines.push(String::new());
            lines.push(contents.text());
        }
        None => lines.push(
            "it is an older program's data, copied as it is; `restore` migrates it".to_owned(),
        ),
    }
    lines.join("\n")
}
