//! `tavora-host audit …`

use clap::Subcommand;
use vault_core::audit::AUDIT_PAGE_MAX;
use vault_core::{Actor, AuditEntry, AuditQuery, ChainHash, VerifyReport};

use super::global::Global;
use super::outcome::{Failure, Outcome};
use super::output::{Output, table};
use super::session::Session;

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Show the newest entries, oldest first.
    Tail {
        /// How many.
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(AUDIT_PAGE_MAX)))]
        lines: u32,
        /// Only of this app.
        #[arg(long)]
        app: Option<String>,
    },
    /// Check the chain of entries, and the secrets against it. Exit status 1 when something was
    /// found.
    Verify {
        /// A head that an earlier `verify` printed: also finds a tail that was cut off or a file
        /// put back. Can be given several times.
        #[arg(long, value_name = "HASH")]
        expect_head: Vec<ChainHash>,
    },
}

impl AuditCommand {
    pub(crate) async fn execute(self, global: &Global, output: &Output) -> Outcome {
        Session::with(global, async |session| {
            self.execute_on(session, output).await
        })
        .await
    }

    async fn execute_on(self, session: &Session, output: &Output) -> Outcome {
        match self {
            Self::Tail { lines, app } => {
                let app = match app {
                    Some(name) => Some(session.app(Some(&name)).await?.id),
                    None => None,
                };
                let query = AuditQuery {
                    app_id: app,
                    limit: Some(lines),
                    ..AuditQuery::default()
                };
                let mut entries = session.vaults.audit_entries(query).await?.entries;
                entries.reverse();
                output.show(&entries, |entries| list(entries))?;
            }
            Self::Verify { expect_head } => {
                let report = session.vaults.audit_verify(expect_head).await?;
                output.show(&report, text)?;
                if !report.is_clean() {
                    return Err(Failure::Status(1));
                }
            }
        }
        Ok(())
    }
}

fn list(entries: &[AuditEntry]) -> String {
    let rows: Vec<_> = entries
        .iter()
        .map(|entry| {
            [
                entry.created_at.to_string(),
                entry.action.clone(),
                entry.subject.as_ref().map_or("-".to_owned(), |subject| {
                    format!("{} {}", subject.kind, subject.id)
                }),
                actor(&entry.actor),
                entry.outcome.clone(),
            ]
        })
        .collect();
    table(
        ["TIME", "ACTION", "SUBJECT", "BY", "OUTCOME"],
        &rows,
        "no entries",
    )
}

fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Operator => "operator".to_owned(),
        Actor::ApiKey(id) => format!("API key {id}"),
        Actor::Tool { name, .. } => format!("tool {name}"),
        Actor::Host => "host".to_owned(),
    }
}

fn text(report: &VerifyReport) -> String {
    let mut lines: Vec<String> = report
        .findings
        .iter()
        .map(|finding| format!("FOUND: {finding}"))
        .collect();
    lines.push(format!(
        "{} entries, {} secrets checked, {} findings",
        report.entries, report.secrets, report.findings_total
    ));
    lines.extend(heads(report));
    lines.join("\n")
}

/// Returns the head of each chain, one per line.
pub(super) fn heads(report: &VerifyReport) -> impl Iterator<Item = String> {
    let local = report.head().map(|head| format!("head: {head}"));
    let named = report
        .named()
        .map(|chain| format!("head of {}: {}", chain.name, chain.head));
    local.into_iter().chain(named)
}

#[cfg(test)]
mod tests {
    use vault_core::{ChainName, ChainReport};

    use super::*;

    #[test]
    fn every_chain_has_a_line_and_that_of_a_file_no_name() {
        let chain = |name: &str, byte: u8| ChainReport {
            name: ChainName::from_stored(name).expect("valid"),
            entries: 2,
            head: ChainHash::try_from([byte; 32].as_slice()).expect("32 bytes"),
        };
        let mut report = VerifyReport {
            entries: 4,
            secrets: 0,
            chains: vec![chain("", 1)],
            findings: Vec::new(),
            findings_total: 0,
        };
        let (one, two) = ("01".repeat(32), "02".repeat(32));
        let counts = "4 entries, 0 secrets checked, 0 findings";
        assert_eq!(text(&report), format!("{counts}\nhead: {one}"));
        report.chains.push(chain("host-a", 2));
        assert_eq!(
            text(&report),
            format!("{counts}\nhead: {one}\nhead of host-a: {two}")
        );
    }
}
