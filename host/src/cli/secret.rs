//! `tavora-host secret …`: values are read from a prompt without echo, a file or stdin, never from
//! an argument, and never printed.

use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::os::fd::AsFd;

use clap::Subcommand;
use vault_core::{RedactedSecret, SECRET_VALUE_MAX_BYTES, SecretName, SecretValue, oddities};
use zeroize::Zeroizing;

use super::chosen_app::AppOption;
use super::global::Global;
use super::input_file::InputFile;
use super::outcome::{Failure, Outcome, usage};
use super::output::{Output, confirm, print_error_line, table};
use super::session::{Session, operator};

/// The longest input, in bytes: the longest value and a line ending.
const MAX_INPUT_BYTES: u64 = SECRET_VALUE_MAX_BYTES as u64 + 2;

#[derive(Subcommand)]
pub(crate) enum SecretCommand {
    /// Store a secret, or replace it. One line ending at the end of the value is left out. What is
    /// odd about the value is told, and stored all the same.
    Put {
        /// Its name: what tools resolve.
        name: String,
        #[command(flatten)]
        app: AppOption,
        /// The vault [default: the designated one].
        #[arg(long)]
        vault: Option<String>,
        /// Read the value from a file instead of the prompt or stdin.
        #[arg(long, value_name = "FILE")]
        from_file: Option<InputFile>,
    },
    /// List secrets: names, versions and times.
    List {
        #[command(flatten)]
        app: AppOption,
        /// The vault [default: the designated one].
        #[arg(long)]
        vault: Option<String>,
    },
    /// Delete a secret.
    Delete {
        /// Its name.
        name: String,
        #[command(flatten)]
        app: AppOption,
        /// The vault [default: the designated one].
        #[arg(long)]
        vault: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

impl SecretCommand {
    /// Returns the file that holds the value.
    pub(super) fn input_file(&mut self) -> Option<&mut InputFile> {
        match self {
            Self::Put { from_file, .. } => from_file.as_mut(),
            Self::List { .. } | Self::Delete { .. } => None,
        }
    }

    pub(crate) async fn execute(self, global: &Global, output: &Output) -> Outcome {
        Session::with(global, async |session| {
            self.execute_on(session, output).await
        })
        .await
    }

    async fn execute_on(self, session: &Session, output: &Output) -> Outcome {
        let vaults = &session.vaults;
        match self {
            Self::Put {
                name,
                app,
                vault,
                from_file,
            } => {
                let name = SecretName::try_from(name).map_err(usage)?;
                let app = session.app(app.name()).await?;
                let vault = session.vault(&app, vault.as_deref()).await?;
                let value = read_value(&name, from_file.as_ref())?;
                for oddity in oddities(value.expose()) {
                    print_error_line(&format!("warning: the value {oddity}"));
                }
                let secret = vaults
                    .put_secret(&operator(), app.id, vault.id, &name, &value)
                    .await?;
                output.show(&secret, |secret| {
                    let did = match secret.version {
                        1 => "stored",
                        _ => "replaced",
                    };
                    format!(
                        "{did} {} in the vault {} (version {})",
                        secret.name, vault.name, secret.version
                    )
                })?;
            }
            Self::List { app, vault } => {
                let app = session.app(app.name()).await?;
                let vault = session.vault(&app, vault.as_deref()).await?;
                let secrets = vaults.secrets(app.id, vault.id).await?;
                output.show(&secrets, |secrets| list(secrets))?;
            }
            Self::Delete {
                name,
                app,
                vault,
                yes,
            } => {
                let name = SecretName::try_from(name).map_err(usage)?;
                let app = session.app(app.name()).await?;
                let vault = session.vault(&app, vault.as_deref()).await?;
                let secrets = vaults.secrets(app.id, vault.id).await?;
                if secrets.iter().any(|secret| secret.name == name) {
                    let what = format!("delete the secret {name} from the vault {}", vault.name);
                    confirm(yes, &what)?;
                }
                let existed = vaults
                    .delete_secret(&operator(), app.id, vault.id, &name)
                    .await?;
                let shown = serde_json::json!({ "name": name, "existed": existed });
                output.show(&shown, |_| match existed {
                    true => format!("deleted {name} from the vault {}", vault.name),
                    false => format!("{name} was not in the vault {}", vault.name),
                })?;
            }
        }
        Ok(())
    }
}

fn read_value(name: &SecretName, file: Option<&InputFile>) -> Result<SecretValue, Failure> {
    let mut bytes = match file {
        Some(file) => {
            let unreadable =
                |error| usage(format!("cannot read {}: {error}", file.path().display()));
            read_bounded(file.open().map_err(unreadable)?).map_err(unreadable)?
        }
        None if stdin().is_terminal() => {
            rpassword::prompt_password(format!("Value of {name}: "))?.into_bytes()
        }
        // Not read through the standard library's buffer, which is never cleared.
        None => read_bounded(File::from(stdin().as_fd().try_clone_to_owned()?))?,
    };
    for ending in [b'\n', b'\r'] {
        if bytes.last() == Some(&ending) {
            bytes.pop();
        }
    }
    SecretValue::from_bytes(bytes).map_err(usage)
}

fn read_bounded(source: impl Read) -> std::io::Result<Vec<u8>> {
    // The whole capacity is allocated at once: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_INPUT_BYTES as usize + 1));
    source.take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(std::mem::take(&mut *bytes))
}

fn list(secrets: &[RedactedSecret]) -> String {
    let rows: Vec<_> = secrets
        .iter()
        .map(|secret| {
            [
                secret.name.to_string(),
                secret.version.to_string(),
                secret.kek_id.to_string(),
                secret.updated_at.to_string(),
            ]
        })
        .collect();
    table(
        ["NAME", "VERSION", "KEK", "UPDATED"],
        &rows,
        "no secrets; `tavora-host secret put NAME` stores one",
    )
}
