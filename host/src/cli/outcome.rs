//! The outcome of a command, and the message of an error.

use std::fmt;

/// Why a command fails, with its exit status.
pub(crate) enum Failure {
    /// The user asked for something impossible: exit status 2.
    Usage(String),
    /// The command did not work: exit status 1.
    Failed(anyhow::Error),
    /// The message was printed already.
    Status(u8),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => f.write_str(message),
            Self::Failed(error) => f.write_str(&sentence(&**error)),
            Self::Status(status) => write!(f, "it ended with the status {status}"),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

pub(crate) type Outcome = Result<(), Failure>;

/// Returns a failure for a mistake in the user's input.
pub(crate) fn usage(error: impl Into<Box<dyn std::error::Error>>) -> Failure {
    Failure::Usage(sentence(&*error.into()))
}

/// Returns an error with its causes on one line. A cause that the error already names is not
/// repeated.
pub(super) fn sentence(error: &dyn std::error::Error) -> String {
    let mut sentence = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !sentence.contains(&said) {
            sentence.push_str(": ");
            sentence.push_str(&said);
        }
        next = cause.source();
    }
    sentence
}
