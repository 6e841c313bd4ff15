//! `tavora-host restore`: makes a backup the database, after checking that it can be used.
//!
//! All checks run on a copy beside the database. The existing database is not touched before they
//! pass, and never deleted.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use vault_core::{ChainHash, SqliteFile, StoreError};

use super::global::Global;
use super::input_file::InputFile;
use super::outcome::{Failure, Outcome, usage};
use super::output::{Output, print_error_line, visible};
use super::session::{database_file, make_private_folder, operator};
use super::staged::{Contents, Staged};
use tavora_platform::trail;

const EXAMPLES: &str = "\
Examples:
  tavora-host restore --dry-run /backups/tavora.db    whether it could be restored with the keys at hand
  tavora-host restore /backups/tavora.db              where there is no database
  tavora-host restore --replace /backups/tavora.db    where there is one, which stays beside it under another name

Stop every host on this data first. A backup from before a rotation needs the key of then in TAVORA_SECRET_KEK_PREVIOUS.
Exit status: 0 done, 1 it cannot be used or did not work, and nothing was changed, 2 wrong usage.";

/// Check a backup with the keys at hand, and make it the database.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Restore {
    /// A file that `backup` made.
    pub(super) file: InputFile,
    /// Put it in the place of the database that is there, which is kept under another name.
    #[arg(long)]
    replace: bool,
    /// Check, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// A head that `backup` or `audit verify` printed: finds a file that was exchanged or cut
    /// since. Can be given several times.
    #[arg(long, value_name = "HASH")]
    expect_head: Vec<ChainHash>,
    /// Restore it although secrets do not open or the audit has findings. A corrupt file is never
    /// restored.
    #[arg(long)]
    anyway: bool,
}

#[derive(Serialize)]
struct Restored {
    /// The path of the database, or nothing in a dry run.
    database: Option<PathBuf>,
    /// The new path of the previous database.
    kept: Option<PathBuf>,
    /// The faults of the backup.
    problems: Vec<String>,
    #[serde(flatten)]
    contents: Contents,
}

impl Restore {
    pub(crate) async fn execute(self, global: &Global, output: &Output) -> Outcome {
        let config = global.config()?;
        let place = database_file(global, &config)?;
        make_private_folder(&global.data)?;
        if !self.dry_run && !self.replace && place.symlink_metadata().is_ok() {
            return Err(usage(format!(
                "there is a database at {}; with --replace it is kept under another name",
                place.display()
            )));
        }
        let staged = Staged::beside(&place)?;
        let copy = SqliteFile::at(staged.path());
        let (from, checked) = (self.file.clone(), copy.clone());
        tokio::task::spawn_blocking(move || -> Outcome {
            copy_file(&from, checked.path())?;
            Ok(checked.check()?)
        })
        .await??;
        let contents = staged
            .look_through(global, config, self.expect_head, async |session, found| {
                if self.dry_run || !(self.anyway || found.problems().is_empty()) {
                    return Ok(());
                }
                let entry = trail::database_restored(&operator(), &found.audit);
                session.vaults.record(entry).await?;
                Ok(())
            })
            .await?;
        let mut restored = Restored {
            database: None,
            kept: None,
            problems: contents.problems(),
            contents,
        };
        for problem in &restored.problems {
            print_error_line(&format!("FOUND: {}", visible(problem)));
        }
        let is_refused = !restored.problems.is_empty() && !self.anyway;
        if !is_refused && !self.dry_run {
            restored.kept = put_in_place(&copy, &place, self.replace)?;
            restored.database = Some(place.canonicalize()?);
        }
        output.show(&restored, |restored| text(restored, is_refused))?;
        match is_refused {
            true => Err(Failure::Status(1)),
            false => Ok(()),
        }
    }
}

/// Copies a backup unchanged. Refuses a database that is in use, because a part of it is in its
/// log.
fn copy_file(file: &InputFile, to: &Path) -> Outcome {
    let from = file.path();
    let mut log = from.as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    if log.metadata().is_ok_and(|found| found.len() > 0) {
        return Err(usage(format!(
            "{} is a database that is in use or was not closed, and no backup: part of it is in {}; make one with `tavora-host backup`",
            from.display(),
            log.display()
        )));
    }
    let unreadable = |error| usage(format!("cannot read {}: {error}", from.display()));
    let mut source = file.open_without_waiting().map_err(unreadable)?;
    if !source.metadata().map_err(unreadable)?.is_file() {
        return Err(usage(format!("{} is not a file", from.display())));
    }
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut copy = options.write(true).create_new(true).open(to)?;
    std::io::copy(&mut source, &mut copy)?;
    Ok(())
}

/// Moves the copy into place. Returns the new path of the previous database.
fn put_in_place(
    copy: &SqliteFile,
    place: &Path,
    replace: bool,
) -> Result<Option<PathBuf>, Failure> {
    if !replace || !place.exists() {
        return match copy.move_to(place) {
            Ok(()) => Ok(None),
            Err(error) => Err(error.into()),
        };
    }
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ");
    let mut kept = place.as_os_str().to_owned();
    kept.push(format!(".replaced-{now}"));
    let kept = PathBuf::from(kept);
    match copy.replace(place, &kept) {
        Ok(()) => Ok(Some(kept)),
        Err(StoreError::Busy) => Err(anyhow::anyhow!(
            "{} is open in another process, and nothing was changed; stop every host on it, then restore again",
            place.display()
        )
        .into()),
        Err(error @ (StoreError::Corrupt | StoreError::NotAVault { .. })) => Err(anyhow::anyhow!(
            "{error}. Nothing was changed; move {0}, {0}-wal and {0}-shm away, then restore without --replace",
            place.display()
        )
        .into()),
        Err(error) => Err(error.into()),
    }
}

fn text(restored: &Restored, is_refused: bool) -> String {
    let first = match (&restored.database, is_refused) {
        (Some(database), _) => format!("restored {}", visible(&database.display().to_string())),
        (None, true) => {
            "not restored, and nothing was changed; --anyway restores it all the same".to_owned()
        }
        (None, false) => "it can be restored with the keys at hand; nothing was changed".to_owned(),
    };
    let mut lines = vec![first];
    if let Some(kept) = &restored.kept {
        lines.push(format!(
            "what was there is {}; delete it when nobody needs it any more",
            visible(&kept.display().to_string())
        ));
    }
    lines.push(String::new());
    lines.push(restored.contents.text());
    lines.join("\n")
}
