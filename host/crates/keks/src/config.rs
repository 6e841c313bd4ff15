//! `[kek]` of `tavora.toml`: which key wraps, and where keys are that this process does not hold.
//!
//! Never a credential: a token, a secret id and a PIN are in a file or a variable that is named
//! here.

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
    /// The key that new DEKs are wrapped with: `local` (the environment's), `KIND.NAME`, or `KIND`
    /// where there is one table of that kind. Every other key here opens what it wrapped.
    pub provider: ProviderName,
    /// Keys of AWS KMS, by name.
    pub aws_kms: BTreeMap<String, AwsKmsConfig>,
    /// Keys of Vault's or OpenBao's Transit engine, by name.
    pub transit: BTreeMap<String, TransitConfig>,
    /// Keys in PKCS#11 tokens, by name.
    pub pkcs11: BTreeMap<String, Pkcs11Config>,
    /// How long to wait for providers, and how long to remember what they said.
    pub limits: KekLimits,
}

impl KekConfig {
    /// Resolves relative paths from the folder of the configuration.
    pub fn relative_to(&mut self, folder: &Path) {
        for key in self.pkcs11.values_mut() {
            key.module = folder.join(&key.module);
        }
    }
}

/// What holds a key.
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
    /// The word for it in `tavora.toml` and wherever keys are listed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::AwsKms => "aws_kms",
            Self::Transit => "transit",
            Self::Pkcs11 => "pkcs11",
        }
    }
}

/// A table of `[kek]`, or all of one kind: `transit.main`, `transit`, `local`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ProviderName {
    /// What holds the key.
    pub kind: ProviderKind,
    /// Which one of these.
    pub name: Option<String>,
}

impl ProviderName {
    pub(super) fn of(kind: ProviderKind, name: &str) -> Self {
        let name = Some(name.to_owned());
        Self { kind, name }
    }

    /// Whether this table is meant.
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
    /// The key's ARN; it says the region too. No alias: that may lead to another key tomorrow.
    pub key: KeyArn,
    /// Where to ask instead of AWS's own address for the region.
    pub endpoint: Option<Origin>,
}

/// The ARN of a KMS key.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyArn(String);

impl KeyArn {
    /// The ARN as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `arn`, partition, `kms`, region, account, `key/ID`.
    fn fields(&self) -> [&str; 6] {
        let mut fields = self.0.split(':');
        [(); 6].map(|()| fields.next().expect("an ARN of a key has six fields"))
    }

    /// The region that the key is in.
    pub fn region(&self) -> &str {
        self.fields()[3]
    }

    /// What stays the same wherever the key is: of a multi-Region key, not the region.
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

/// `[kek.transit.NAME]`: one version of a key of the Transit engine. Its credential is a token, or
/// an AppRole.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransitConfig {
    /// Where the server is: https, or http on this machine.
    pub address: TransitAddress,
    /// The namespace, where the server has any.
    pub namespace: Option<PathName>,
    /// Where the engine is mounted.
    #[serde(default = "PathName::transit")]
    pub mount: PathName,
    /// The key's name.
    pub key: PathName,
    /// The key's version that wraps; a later one is a KEK of its own.
    #[serde(default = "first_version")]
    pub key_version: NonZeroU32,
    /// Where the token is.
    pub token: Option<CredentialSource>,
    /// The AppRole, instead of a token.
    pub role_id: Option<String>,
    /// Where the AppRole's secret id is.
    pub secret_id: Option<CredentialSource>,
    /// Where AppRole is mounted.
    #[serde(default = "PathName::approle")]
    pub approle_mount: PathName,
}

fn first_version() -> NonZeroU32 {
    NonZeroU32::MIN
}

/// Where a Transit server is.
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

/// A part of a path on a Transit server: letters, digits, `-`, `_` and `.`, in segments between
/// slashes.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PathName(String);

impl PathName {
    /// The path as text.
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
    /// The library of the token's maker, relative to this file.
    pub module: PathBuf,
    /// The token's label.
    pub token_label: String,
    /// The key's id in the token (`CKA_ID`), in hex.
    pub key_id: HexId,
    /// Where the PIN is.
    pub pin: CredentialSource,
    /// Sessions with the token at once.
    #[serde(default = "default_sessions")]
    pub max_sessions: NonZeroUsize,
}

fn default_sessions() -> NonZeroUsize {
    NonZeroUsize::new(4).expect("it is above zero")
}

/// Bytes that are written in hex.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct HexId(Vec<u8>);

impl HexId {
    /// The bytes.
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

/// `[kek.limits]`: of every provider that is not local.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KekLimits {
    /// How long connecting may take, in milliseconds.
    pub connect_timeout_ms: NonZeroU64,
    /// How long one attempt may take, connecting included, in milliseconds.
    pub request_timeout_ms: NonZeroU64,
    /// How often an attempt is repeated that failed for a reason that may pass.
    pub max_retries: u32,
    /// The longest wait before the first repetition, in milliseconds; each further one may wait
    /// twice as long.
    pub retry_backoff_ms: u64,
    /// How long a provider is left alone after its last attempt failed, in milliseconds. Meanwhile,
    /// what needs it fails at once.
    pub pause_after_failure_ms: u64,
    /// Requests to one provider at once.
    pub max_concurrent_requests: NonZeroUsize,
    /// How long an unwrapped DEK is remembered, in milliseconds: for so long its secret can be used
    /// without the provider. Zero to ask each time.
    pub dek_lifetime_ms: u64,
    /// How many DEKs of one key are remembered.
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
