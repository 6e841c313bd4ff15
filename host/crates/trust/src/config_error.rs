//! Why the configuration, or a file that it names, cannot be used.

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
        /// Line, column and what is wrong there.
        message: String,
    },
}
