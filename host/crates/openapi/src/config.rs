//! The configuration of one HTTP API: its address, its credential's name and slot, and what is
//! allowed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use tavora_trust::slot::Slot;
use vault_core::SecretName;

use crate::base_url::BaseUrl;
use crate::header::{AgentHeader, FixedHeaders};
use crate::pattern::Pattern;

/// Limits the fixed `user` or `password` beside a credential, in characters.
const MAX_BESIDE_CHARS: usize = 256;

/// `[tools.NAME.http]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where the API is: an origin, and the start of the path of every request.
    #[schemars(with = "String", example = &"https://api.github.com")]
    pub base_url: BaseUrl,
    /// The secret that the API wants, and its slot: the place of a request in which it stands. A
    /// slot is `"bearer"`, `"basic"` with `user` or `password`, `{ header = "NAME" }`, with
    /// `prefix` if need be, or `{ query = "NAME" }`. A public API has no credential.
    #[schemars(
        with = "Option<BTreeMap<String, serde_json::Value>>",
        example = serde_json::json!({ "secret": "github_token", "slot": "bearer" })
    )]
    pub credential: Option<CredentialConfig>,
    /// The OpenAPI document, relative to the file of the entry. Without one there is one operation,
    /// `request`.
    #[schemars(example = &"github.json")]
    pub openapi: Option<PathBuf>,
    /// The requests that may be made: a method and a path below `base_url`. `*` is one segment
    /// or a part of one, and a last `**` any number of segments.
    #[schemars(with = "Vec<String>", example = ["GET /repos/*/*/issues"])]
    pub allow: Vec<Pattern>,
    /// Headers of every request.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub headers: FixedHeaders,
    /// Headers that an agent may set.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub agent_headers: Vec<AgentHeader>,
}

/// The name of a secret and the slot in which a request carries its value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenCredential")]
pub struct CredentialConfig {
    pub(crate) secret: SecretName,
    pub(crate) slot: Slot,
    pub(crate) beside: Beside,
}

/// The fixed text beside the credential in `Authorization: Basic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    Nothing,
    User(String),
    Password(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCredential {
    secret: SecretName,
    slot: Slot,
    user: Option<String>,
    password: Option<String>,
}

/// The reason why a credential's declaration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// `user` or `password` is given for a slot that is not `basic`.
    #[error("`user` and `password` stand beside a credential in the slot \"basic\" alone")]
    NotBasic,
    /// `user` and `password` are given at once.
    #[error(
        "the secret is the user or the password: give `user` where it is the password, `password` where it is the user, and not both"
    )]
    Both,
    /// The text is too long, or has a character that cannot stand in `Authorization: Basic`.
    #[error(
        "`user` has no colon, and `user` and `password` are up to {MAX_BESIDE_CHARS} visible ASCII characters"
    )]
    Text,
}

impl CredentialConfig {
    /// Returns a credential in a slot. In the slot `basic`, a fixed user or password stands beside
    /// it.
    ///
    /// # Errors
    /// Fails if the user or the password cannot stand beside the credential.
    pub fn new(
        secret: SecretName,
        slot: Slot,
        user: Option<String>,
        password: Option<String>,
    ) -> Result<Self, CredentialError> {
        let is_text = |text: &str| {
            text.chars().count() <= MAX_BESIDE_CHARS
                && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let beside = match (user, password) {
            (None, None) => Beside::Nothing,
            (Some(_), Some(_)) => return Err(CredentialError::Both),
            _ if slot != Slot::Basic => return Err(CredentialError::NotBasic),
            (Some(user), None) if is_text(&user) && !user.contains(':') => Beside::User(user),
            (None, Some(password)) if is_text(&password) => Beside::Password(password),
            _ => return Err(CredentialError::Text),
        };
        Ok(Self {
            secret,
            slot,
            beside,
        })
    }

    pub fn secret(&self) -> &SecretName {
        &self.secret
    }

    /// Returns the place of the credential in a request.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }
}

impl TryFrom<WrittenCredential> for CredentialConfig {
    type Error = CredentialError;

    fn try_from(written: WrittenCredential) -> Result<Self, CredentialError> {
        let WrittenCredential {
            secret,
            slot,
            user,
            password,
        } = written;
        Self::new(secret, slot, user, password)
    }
}
