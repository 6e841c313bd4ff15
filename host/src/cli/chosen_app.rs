//! Selects the app of a command: by the option, the variable, or the app that `app use` remembers.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use vault_core::AppSlug;

use super::outcome::{Outcome, usage};

/// The file in the data folder with the slug of the remembered app.
const FILE: &str = "app";

/// `--app`, of every command that works on one app.
#[derive(Args)]
pub(crate) struct AppOption {
    /// The app [default: what `app use` remembers, or the only one].
    #[arg(long, value_name = "APP", env = "TAVORA_APP")]
    app: Option<String>,
}

impl AppOption {
    /// Returns the given name. An empty variable counts as not set.
    pub(crate) fn name(&self) -> Option<&str> {
        self.app.as_deref().filter(|name| !name.is_empty())
    }
}

/// Returns the app that this data folder remembers.
pub(crate) fn remembered(data: &Path) -> Option<String> {
    let text = std::fs::read_to_string(place(data)).ok()?;
    Some(text.trim().to_owned()).filter(|slug| !slug.is_empty())
}

/// Remembers an app in this data folder, or forgets it.
pub(crate) fn remember(data: &Path, app: Option<&AppSlug>) -> Outcome {
    let place = place(data);
    let done = match app {
        Some(slug) => write_whole(&place, slug.as_str()),
        None => match std::fs::remove_file(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        },
    };
    done.map_err(|error| usage(format!("cannot change {}: {error}", place.display())))
}

fn place(data: &Path) -> PathBuf {
    data.join(FILE)
}

fn write_whole(place: &Path, slug: &str) -> io::Result<()> {
    let folder = place.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, format!("{slug}\n").as_bytes())?;
    file.persist(place).map_err(|error| error.error)?;
    Ok(())
}
