//! The source of a credential of the host's own (for a KEK provider or the database): a file, or an
//! environment variable. The credential is read each time it is needed and never kept, so that it
//! can be replaced without a restart.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use vault_core::{Credential, CredentialError, file_of};
use zeroize::Zeroizing;

/// `file:///absolute/path`, or `env:VARIABLE`.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub enum CredentialSource {
    /// A file with nothing but the credential.
    File(PathBuf),
    /// The name of an environment variable.
    Variable(String),
}

/// Why a source gives no credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialSourceError {
    /// The file gives no credential.
    #[error(transparent)]
    File(CredentialError),
    /// The variable gives no credential.
    #[error("the variable {name}")]
    Variable {
        name: String,
        source: CredentialError,
    },
}

impl CredentialSource {
    /// Reads the current credential. A variable may in turn name a file.
    pub fn read(&self) -> Result<Zeroizing<String>, CredentialSourceError> {
        let read = match self {
            Self::File(path) => Credential::read_file(path).map_err(CredentialSourceError::File),
            Self::Variable(name) => {
                let text = Zeroizing::new(std::env::var(name).unwrap_or_default());
                Credential::read(&text).map_err(|source| CredentialSourceError::Variable {
                    name: name.clone(),
                    source,
                })
            }
        };
        Ok(read?.text)
    }
}

impl TryFrom<String> for CredentialSource {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim();
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        match (file_of(text), text.strip_prefix("env:")) {
            (Ok(Some(path)), _) => Ok(Self::File(path)),
            (_, Some(name)) if is_name(name) => Ok(Self::Variable(name.to_owned())),
            // The text is not repeated: it may be the credential.
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
        let refused = source.read().expect_err("it is not there").to_string();
        assert!(refused.contains("cannot be read"), "{refused}");
        for (content, credential) in [
            ("first\n", "first"),
            (" second ", "second"),
            ("\u{feff}third\r\n", "third"),
        ] {
            std::fs::write(&path, content).expect("writable");
            assert_eq!(*source.read().expect("there"), credential);
        }
        std::fs::write(&path, "\n").expect("writable");
        let refused = source.read().expect_err("it is empty").to_string();
        assert!(refused.contains("there is no credential in /"), "{refused}");
    }

    #[test]
    fn every_way_to_name_a_file_is_the_same_source() {
        let expected = CredentialSource::File("/run/token".into());
        for text in [
            "file:///run/token",
            "file:/run/token",
            "file://localhost/run/token",
        ] {
            assert_eq!(parse(text), Ok(expected.clone()), "{text}");
        }
    }

    #[test]
    fn a_credential_itself_is_refused_and_not_repeated() {
        for text in ["hvs.CAESIJ", "file://token", "env:", "env:A B", ""] {
            let refusal = parse(text).expect_err(text);
            assert!(text.len() < 6 || !refusal.contains(text));
        }
    }
}
