//! `tavora-host kek rewrap` and `kek verify`: a walk over every secret, beside a running host.

use std::ops::ControlFlow;

use clap::Args;
use vault_core::{
    BatchSize, KekId, OpenReport, RewrapOptions, RewrapOutcome, RewrapProgress, RewrapReport,
};

use super::unreadable;
use crate::cli::outcome::{Failure, Outcome};
use crate::cli::output::{Output, table};
use crate::cli::progress::{Interrupt, Progress};
use crate::cli::session::{Session, operator, refused};

/// What `kek rewrap` takes.
#[derive(Args)]
pub(crate) struct Rewrap {
    /// The KEK to move to, one of those at hand [default: the primary one].
    #[arg(long, value_name = "KEK_ID")]
    to: Option<KekId>,
    /// Say what would be moved, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Open every value on the way too.
    #[arg(long)]
    verify: bool,
    /// New data keys and new ciphertext for every secret, for when a KEK leaked.
    #[arg(long)]
    reencrypt: bool,
    /// How many secrets to move at a time, 1 to 2000.
    #[arg(long, value_name = "N", default_value_t)]
    batch: BatchSize,
}

impl Rewrap {
    pub(super) async fn execute_on(self, session: &Session, output: &Output) -> Outcome {
        let options = RewrapOptions {
            to: self.to,
            dry_run: self.dry_run,
            verify: self.verify,
            reencrypt: self.reencrypt,
            batch: self.batch,
        };
        let what = match (options.dry_run, options.reencrypt) {
            (true, _) => "looking at",
            (false, true) => "re-encrypting",
            (false, false) => "rewrapping",
        };
        let report = session
            .vaults
            .rewrap(&operator(), options, watched(what))
            .await
            .map_err(refused)?;
        let unreadable = unreadable::describe(session, &report.unreadable_secrets).await?;
        output.show(&report, |report| text(report, &unreadable))?;
        ended(report.outcome)
    }
}

/// `kek verify`.
pub(super) async fn verify(session: &Session, output: &Output) -> Outcome {
    let report = session
        .vaults
        .open_all(watched("opening"))
        .await
        .map_err(refused)?;
    let unreadable = unreadable::describe(session, &report.unreadable_secrets).await?;
    output.show(&report, |report| verified(report, &unreadable))?;
    ended(report.outcome)
}

fn ended(outcome: RewrapOutcome) -> Outcome {
    match outcome {
        RewrapOutcome::Complete => Ok(()),
        RewrapOutcome::Incomplete | RewrapOutcome::Stopped => Err(Failure::Status(1)),
    }
}

/// Shows the progress, and stops after a batch if the user interrupts.
fn watched(what: &'static str) -> impl FnMut(&RewrapProgress) -> ControlFlow<()> + Send {
    let interrupt = Interrupt::watched();
    let mut progress = Progress::new(what);
    move |now| {
        progress.show(now.seen, now.total);
        interrupt.flow()
    }
}

fn text(report: &RewrapReport, unreadable: &[String]) -> String {
    let RewrapReport { to, progress, .. } = report;
    if report.had_nothing_to_do() {
        return format!(
            "nothing to do: every secret is wrapped with {to} already\n\n{}",
            census(report)
        );
    }
    let seconds = report.elapsed.as_secs_f64();
    let did = match (report.dry_run, report.outcome) {
        (true, _) => "a rewrap would move",
        (false, RewrapOutcome::Stopped) => {
            "stopped, and the next run goes on from here; this one moved"
        }
        (false, _) => "moved",
    };
    let mut lines = vec![format!(
        "{did} {} secrets to {to} in {seconds:.1} s",
        progress.moved
    )];
    if progress.overtaken > 0 {
        lines.push(format!(
            "{} were written by others in the meantime, and looked at again",
            progress.overtaken
        ));
    }
    lines.extend([String::new(), census(report)]);
    lines.extend(unreadable::lines(progress.unreadable, unreadable));
    let after = report.after.iter();
    let missing = after.filter(|kek| kek.rows > 0 && !kek.in_keyring);
    lines.extend(missing.map(|kek| unreadable::missing(kek.kek_id, kek.rows)));
    lines.join("\n")
}

fn census(report: &RewrapReport) -> String {
    let rows: Vec<_> = report
        .after
        .iter()
        .map(|kek| {
            let before = report.before.iter().find(|it| it.kek_id == kek.kek_id);
            [
                kek.kek_id.to_string(),
                before.map_or(0, |kek| kek.rows).to_string(),
                kek.rows.to_string(),
            ]
        })
        .collect();
    table(["KEK ID", "BEFORE", "AFTER"], &rows, "there are no secrets")
}

fn verified(report: &OpenReport, unreadable: &[String]) -> String {
    let mut lines = vec![match report.outcome {
        RewrapOutcome::Complete => format!("all {} secrets open", report.seen),
        RewrapOutcome::Incomplete => format!("{} secrets were tried", report.seen),
        RewrapOutcome::Stopped => format!("stopped after {} secrets", report.seen),
    }];
    lines.extend(unreadable::lines(report.unreadable, unreadable));
    lines.join("\n")
}
