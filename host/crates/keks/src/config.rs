//! `[kek]` of `tavora.toml`: which key wraps, and where the keys are that this process does not
//! hold.
//!
//! Credentials are never written here: a token, a secret id and a PIN are in a file or a variable
//! that the configuration names.

use std::collections::BTreeMap;
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use tavora_trust::credential::CredentialSource;
use tavora_trust::origin::{Origin, Scheme};

/// `[kek]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KekConfig {
    /// The key that wraps new DEKs: `local` (from the environment), `KIND.NAME`, or `KIND` if there
    /// is only one table of that kind. Every other key only unwraps.
    pub provider: ProviderName,
    /// Keys of AWS KMS, by name.
    pub aws_kms: BTreeMap<String, AwsKmsConfig>,
    /// Keys of Vault's or OpenBao's Transit engine, by name.
    pub transit: BTreeMap<String, TransitConfig>,
    /// Keys in PKCS#11 tokens, by name.
    pub pkcs11: BTreeMap<String, Pkcs11Config>,
    /// How long to wait for providers, and how long to cache unwrapped DEKs.
    pub limits: KekLimits,
}

impl KekConfig {
    /// Resolves relative paths against the folder of the configuration.
    pub fn relative_to(&mut self, folder: &Path) {
        for key in self.pkcs11.values_mut() {
            key.module = folder.join(&key.module);
        }
    }
}

/// The kind of a KEK provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProviderKind {
    /// This process.
    #[default]
    Local,
    /// AWS KMS.
    AwsKms,
    /// The Transit engine of Vault or OpenBao.
    Transit,
    /// A PKCS#11 token.
    Pkcs11,
}

impl ProviderKind {
    /// The word for this kind in `tavora.toml` and in lists of keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::AwsKms => "aws_kms",
            Self::Transit => "transit",
            Self::Pkcs11 => "pkcs11",
        }
    }
}

/// A table of `[kek]`, or all tables of one kind: `transit.main`, `transit`, `local`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ProviderName {
    pub kind: ProviderKind,
    /// The table's name. Without one, all tables of the kind are meant.
    pub name: Option<String>,
}

impl ProviderName {
    pub(super) fn of(kind: ProviderKind, name: &str) -> Self {
        let name = Some(name.to_owned());
        Self { kind, name }
    }

    /// Whether this table is one that `wanted` names.
    pub(super) fn fits(&self, wanted: &Self) -> bool {
        self.kind == wanted.kind && (wanted.name.is_none() || self.name == wanted.name)
    }
}

impl TryFrom<String> for ProviderName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        use ProviderKind::{AwsKms, Local, Pkcs11, Transit};
        let (kind, name) = match text.split_once('.') {
            Some((kind, name)) => (kind, Some(name.to_owned())),
            None => (text.as_str(), None),
        };
        [Local, AwsKms, Transit, Pkcs11]
            .into_iter()
            .find(|known| known.as_str() == kind)
            .filter(|kind| *kind != Local || name.is_none())
            .map(|kind| Self { kind, name })
            .ok_or_else(|| {
                format!("{text:?} is no KEK provider: local, or aws_kms, transit or pkcs11 with .NAME behind it")
            })
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        match &self.name {
            Some(name) => write!(f, ".{name}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `[kek.aws_kms.NAME]`: a symmetric key of AWS KMS. The credential is the one that AWS's own tools
/// would use.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsKmsConfig {
    /// The key's ARN, which includes the region. Aliases are refused, because an alias may be moved
    /// to another key.
    pub key: KeyArn,
    /// The address to use instead of AWS's own for the region.
    pub endpoint: Option<Origin>,
}

/// The ARN of a KMS key.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyArn(String);

impl KeyArn {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `arn`, partition, `kms`, region, account, `key/ID`.
    fn fields(&self) -> [&str; 6] {
        let mut fields = self.0.split(':');
        [(); 6].map(|()| fields.next().expect("an ARN of a key has six fields"))
    }

    /// The region of the key.
    pub fn region(&self) -> &str {
        self.fields()[3]
    }

    /// The part of the ARN that identifies the key. A multi-Region key has no region in it.
    #[cfg_attr(
        not(feature = "aws-kms"),
        expect(dead_code, reason = "the provider is left out")
    )]
    pub(super) fn identity(&self) -> [&str; 4] {
        let [_, partition, _, region, account, key] = self.fields();
        let region = match key.starts_with("key/mrk-") {
            true => "",
            false => region,
        };
        [partition, region, account, key]
    }
}

impl TryFrom<String> for KeyArn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fields: Vec<&str> = text.split(':').collect();
        match fields[..] {
            ["arn", partition, "kms", region, account, key]
                if ![partition, region, account].contains(&"")
                    && key.strip_prefix("key/").is_some_and(|id| !id.is_empty()) =>
            {
                Ok(Self(text))
            }
            _ => Err(
                "a KMS key is named by its ARN, arn:aws:kms:REGION:ACCOUNT:key/ID; an alias may lead to another key tomorrow. `aws kms describe-key --key-id alias/NAME --query KeyMetadata.Arn` shows the ARN".to_owned(),
            ),
        }
    }
}

impl fmt::Debug for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// `[kek.transit.NAME]`: one version of a key of the Transit engine. The credential is a token, or
/// an AppRole.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransitConfig {
    /// The server's address: https, or http on this machine.
    pub address: TransitAddress,
    /// The namespace, if the server has namespaces.
    pub namespace: Option<PathName>,
    /// The path at which the engine is mounted.
    #[serde(default = "PathName::transit")]
    pub mount: PathName,
    /// The key's name.
    pub key: PathName,
    /// The version of the key that wraps. A later version is a KEK of its own.
    #[serde(default = "first_version")]
    pub key_version: NonZeroU32,
    /// The place of the token.
    pub token: Option<CredentialSource>,
    /// The role id of an AppRole, used instead of a token.
    pub role_id: Option<String>,
    /// The place of the AppRole's secret id.
    pub secret_id: Option<CredentialSource>,
    /// The path at which AppRole is mounted.
    #[serde(default = "PathName::approle")]
    pub approle_mount: PathName,
}

fn first_version() -> NonZeroU32 {
    NonZeroU32::MIN
}

/// The address of a Transit server.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Origin")]
pub struct TransitAddress(Origin);

impl TransitAddress {
    pub(super) fn origin(&self) -> &Origin {
        &self.0
    }
}

impl TryFrom<Origin> for TransitAddress {
    type Error = &'static str;

    fn try_from(origin: Origin) -> Result<Self, Self::Error> {
        let is_here = origin.host() == "localhost"
            || origin
                .address()
                .is_some_and(|address| address.is_loopback());
        match origin.scheme() {
            Scheme::Https => Ok(Self(origin)),
            Scheme::Http if is_here => Ok(Self(origin)),
            Scheme::Http => Err(
                "keys and tokens would cross the network in the clear; write https:// (http:// is for this machine)",
            ),
        }
    }
}

impl fmt::Debug for TransitAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.to_string())
    }
}

/// A path on a Transit server: segments of letters, digits, `-`, `_` and `.`, separated by slashes.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PathName(String);

impl PathName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn transit() -> Self {
        Self("transit".to_owned())
    }

    fn approle() -> Self {
        Self("approle".to_owned())
    }
}

impl TryFrom<String> for PathName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let is_segment =
            |segment: &str| !["", ".", ".."].contains(&segment) && segment.chars().all(plain);
        match text.split('/').all(is_segment) {
            true => Ok(Self(text)),
            false => Err(format!(
                "{text:?} is not a name or path of Transit: letters, digits, - _ and ., with / between segments"
            )),
        }
    }
}

impl fmt::Debug for PathName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[kek.pkcs11.NAME]`: an AES-256 key in a PKCS#11 token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11Config {
    /// The library of the token's vendor, relative to this file.
    pub module: PathBuf,
    /// The token's label.
    pub token_label: String,
    /// The key's id in the token (`CKA_ID`), in hex.
    pub key_id: HexId,
    /// The place of the PIN.
    pub pin: CredentialSource,
    /// The most sessions with the token at once.
    #[serde(default = "default_sessions")]
    pub max_sessions: NonZeroUsize,
}

fn default_sessions() -> NonZeroUsize {
    NonZeroUsize::new(4).expect("it is above zero")
}

/// Bytes that the configuration writes in hex.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HexId(Vec<u8>);

impl HexId {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<String> for HexId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match hex::decode(&text) {
            Ok(bytes) if !bytes.is_empty() => Ok(Self(bytes)),
            _ => Err(
                "a key's id is written in hex, two digits a byte, as `pkcs11-tool --list-objects` shows it",
            ),
        }
    }
}

impl fmt::Display for HexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for HexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// `[kek.limits]`: limits of every provider that is not local.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KekLimits {
    /// Time to connect, in milliseconds.
    pub connect_timeout_ms: NonZeroU64,
    /// Time for one attempt, including the connection, in milliseconds.
    pub request_timeout_ms: NonZeroU64,
    /// How many times an attempt is repeated after a failure that may pass.
    pub max_retries: u32,
    /// The longest wait before the first retry, in milliseconds. It doubles with each further
    /// retry.
    pub retry_backoff_ms: u64,
    /// How long a provider is paused after the last failed attempt, in milliseconds. Meanwhile,
    /// calls that need it fail at once.
    pub pause_after_failure_ms: u64,
    /// The most requests to one provider at once.
    pub max_concurrent_requests: NonZeroUsize,
    /// How long an unwrapped DEK is cached, in milliseconds. During this time its secret can be
    /// used without the provider. Zero disables the cache.
    pub dek_lifetime_ms: u64,
    /// The most cached DEKs of one key.
    pub max_deks: NonZeroUsize,
}

impl Default for KekLimits {
    fn default() -> Self {
        Self {
            connect_timeout_ms: NonZeroU64::new(1_000).expect("it is above zero"),
            request_timeout_ms: NonZeroU64::new(2_000).expect("it is above zero"),
            max_retries: 2,
            retry_backoff_ms: 100,
            pause_after_failure_ms: 1_000,
            max_concurrent_requests: NonZeroUsize::new(32).expect("it is above zero"),
            dek_lifetime_ms: 300_000,
            max_deks: NonZeroUsize::new(10_000).expect("it is above zero"),
        }
    }
}

impl KekLimits {
    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.get())
    }

    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms.get())
    }

    pub(super) fn pause_after_failure(&self) -> Duration {
        Duration::from_millis(self.pause_after_failure_ms)
    }

    pub(super) fn dek_lifetime(&self) -> Duration {
        Duration::from_millis(self.dek_lifetime_ms)
    }
}
