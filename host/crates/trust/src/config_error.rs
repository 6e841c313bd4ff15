//! Errors of the configuration and of the files that it names.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The content of the file is not valid.
    #[error("{}: {message}", path.display())]
    Invalid {
        path: PathBuf,
        /// The line, the column and the fault.
        message: String,
    },
}
