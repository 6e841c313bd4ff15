//! Where a credential of the host's own is (a KEK provider's, the database's): a file, or a variable of the environment.
//! It is read when it is needed, so that whoever replaces it need not start the host again, and nothing keeps it.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde::Deserialize;
use zeroize::Zeroizing;

/// The longest credential that is read, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// `file:///absolute/path`, or `env:VARIABLE`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum CredentialSource {
    /// A file that holds nothing else.
    File(PathBuf),
    /// A variable of the host's environment.
    Variable(String),
}

/// Why there is no credential. It names the place and never what was found there.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("the credential's file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is empty, or not set.
    #[error("there is no credential in {place}")]
    Empty {
        /// Where.
        place: CredentialSource,
    },
    /// It is longer than any credential.
    #[error("what is in {place} is longer than {MAX_BYTES} bytes, and no credential")]
    TooLong {
        /// Where.
        place: CredentialSource,
    },
}

impl CredentialSource {
    /// The credential as it is now, without blanks and line ends around it.
    pub(crate) fn read(&self) -> Result<Zeroizing<String>, CredentialError> {
        let text = match self {
            Self::File(path) => {
                let unreadable = |source| CredentialError::Unreadable {
                    path: path.clone(),
                    source,
                };
                let file = File::open(path).map_err(unreadable)?;
                let mode = file.metadata().map_err(unreadable)?.permissions().mode();
                if mode & 0o077 != 0 {
                    tracing::warn!(path = %path.display(), mode = format!("{:03o}", mode & 0o777), "other users can read this credential; chmod 600 it");
                }
                // The whole size at once: a buffer that grew would leave a copy behind.
                let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES + 1));
                let most = MAX_BYTES as u64 + 1;
                file.take(most)
                    .read_to_string(&mut text)
                    .map_err(unreadable)?;
                text
            }
            Self::Variable(name) => Zeroizing::new(std::env::var(name).unwrap_or_default()),
        };
        let place = || self.clone();
        match text.trim() {
            "" => Err(CredentialError::Empty { place: place() }),
            long if long.len() > MAX_BYTES => Err(CredentialError::TooLong { place: place() }),
            credential => Ok(Zeroizing::new(credential.to_owned())),
        }
    }
}

impl TryFrom<String> for CredentialSource {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        match (text.strip_prefix("file://"), text.strip_prefix("env:")) {
            (Some(path), _) if path.starts_with('/') => Ok(Self::File(path.into())),
            (_, Some(name)) if is_name(name) => Ok(Self::Variable(name.to_owned())),
            // Not repeated: it may be the credential.
            _ => Err(
                "a credential is not written here; name its file as file:///absolute/path or its variable as env:NAME",
            ),
        }
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file://{}", path.display()),
            Self::Variable(name) => write!(f, "env:{name}"),
        }
    }
}

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<CredentialSource, &'static str> {
        CredentialSource::try_from(text.to_owned())
    }

    #[test]
    fn it_is_read_as_it_is_now() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("token");
        let source = parse(&format!("file://{}", path.display())).expect("valid");
        assert!(matches!(
            source.read(),
            Err(CredentialError::Unreadable { .. })
        ));
        for (content, credential) in [("first\n", "first"), (" second ", "second")] {
            std::fs::write(&path, content).expect("writable");
            assert_eq!(*source.read().expect("there"), credential);
        }
        std::fs::write(&path, "\n").expect("writable");
        assert!(matches!(source.read(), Err(CredentialError::Empty { .. })));
        std::fs::write(&path, "x".repeat(MAX_BYTES + 1)).expect("writable");
        let error = source.read().expect_err("too long");
        assert!(matches!(error, CredentialError::TooLong { .. }));
        assert!(!format!("{error} {error:?}").contains("xxx"));
    }

    #[test]
    fn a_credential_itself_is_refused_and_not_repeated() {
        for text in ["hvs.CAESIJ", "file://token", "env:", "env:A B", ""] {
            let refusal = parse(text).expect_err(text);
            assert!(text.len() < 6 || !refusal.contains(text));
        }
    }
}
