//! One HTTP API as it is declared: where it is, its credential's name and slot, what is allowed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use tavora_trust::slot::Slot;
use vault_core::SecretName;

use crate::base_url::BaseUrl;
use crate::header::{AgentHeader, FixedHeaders};
use crate::pattern::Pattern;

/// The longest `user` and `password` beside a credential, in characters.
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

/// A secret and its slot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenCredential")]
pub struct CredentialConfig {
    pub(crate) secret: SecretName,
    pub(crate) slot: Slot,
    pub(crate) beside: Beside,
}

/// What stands beside the credential in `Authorization: Basic`.
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

/// Why a credential cannot be declared in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// `user` or `password` in another slot.
    #[error("`user` and `password` stand beside a credential in the slot \"basic\" alone")]
    NotBasic,
    /// Both of them.
    #[error(
        "the secret is the user or the password: give `user` where it is the password, `password` where it is the user, and not both"
    )]
    Both,
    /// A text that cannot stand there.
    #[error(
        "`user` has no colon, and `user` and `password` are up to {MAX_BESIDE_CHARS} visible ASCII characters"
    )]
    Text,
}

impl CredentialConfig {
    /// A credential in a slot; beside it, in the slot `basic`, a fixed user or password.
    ///
    /// # Errors
    /// What stands beside it cannot stand there.
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

    /// The name of the secret.
    pub fn secret(&self) -> &SecretName {
        &self.secret
    }

    /// Where it stands in a request.
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
