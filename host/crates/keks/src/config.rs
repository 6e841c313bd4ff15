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

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use tavora_trust::credential::CredentialSource;
use tavora_trust::origin::{Origin, Scheme};

/// `[kek]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KekConfig {
    /// The key that wraps new DEKs: `local` is the key of `TAVORA_SECRET_KEK`, any other is one of
    /// the tables below by kind and name, as `transit.main`. The kind alone is enough where it has
    /// one table. Every other key, those of the environment too, opens what it has wrapped.
    pub provider: ProviderName,
    /// A key of AWS KMS, found with the credential that AWS's own tools would find.
    #[schemars(example = json!({
        "main": {
            "key": "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "endpoint": "https://vpce-0123.kms.eu-central-1.vpce.amazonaws.com",
        },
    }))]
    pub aws_kms: BTreeMap<String, AwsKmsConfig>,
    /// One version of a key in the Transit engine of Vault or OpenBao. The credential is a token,
    /// or an AppRole, as in the example for the same key's second version.
    #[schemars(example = json!({
        "main": {
            "address": "https://bao.example.com:8200",
            "namespace": "team",
            "mount": "transit",
            "key": "tavora-production",
            "key_version": 1,
            "token": "file:///run/secrets/bao-token",
        },
        "next": {
            "address": "https://bao.example.com:8200",
            "key": "tavora-production",
            "key_version": 2,
            "role_id": "0f6a7a7c-0000-0000-0000-000000000000",
            "secret_id": "file:///run/secrets/bao-secret-id",
            "approle_mount": "approle",
        },
    }))]
    pub transit: BTreeMap<String, TransitConfig>,
    /// An AES-256 key in a PKCS#11 token.
    #[schemars(example = json!({
        "main": {
            "module": "/usr/lib/softhsm/libsofthsm2.so",
            "token_label": "tavora",
            "key_id": "8f14e45fceea167a5a36dedd4bea2543",
            "pin": "file:///run/secrets/hsm-pin",
            "max_sessions": 4,
        },
    }))]
    pub pkcs11: BTreeMap<String, Pkcs11Config>,
    /// How long to wait for providers other than `local`, and how long to remember what they said.
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

/// A table of `[kek]`, or all of one kind: `transit.main`, `transit`, `local`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
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

impl Serialize for ProviderName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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

/// `[kek.aws_kms.NAME]`: a symmetric key of AWS KMS.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsKmsConfig {
    /// The key's ARN, which also says the region. An alias is refused: it may lead to another key
    /// tomorrow.
    pub key: KeyArn,
    /// The origin to ask instead of AWS's own address for the region.
    pub endpoint: Option<Origin>,
}

/// The ARN of a KMS key.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
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
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransitConfig {
    /// The origin of the server: `https://`, or `http://` on this machine only. Its certificate's
    /// authority may be in `extra_ca_file` of `[egress]`.
    pub address: TransitAddress,
    /// The namespace, if the server has namespaces.
    pub namespace: Option<PathName>,
    /// The path where the engine is mounted.
    #[serde(default = "PathName::transit")]
    pub mount: PathName,
    /// The key's name. No other server may give it to another key.
    pub key: PathName,
    /// The version that wraps. A later version is another KEK, with a table of its own.
    #[serde(default = "first_version")]
    pub key_version: NonZeroU32,
    /// The place of the token: `file:///path` or `env:VARIABLE`. It is read each time that it is
    /// used.
    pub token: Option<CredentialSource>,
    /// The id of the AppRole, instead of a token.
    pub role_id: Option<String>,
    /// The place of the AppRole's secret id: `file:///path` or `env:VARIABLE`.
    pub secret_id: Option<CredentialSource>,
    /// The path where AppRole is mounted.
    #[serde(default = "PathName::approle")]
    pub approle_mount: PathName,
}

fn first_version() -> NonZeroU32 {
    NonZeroU32::MIN
}

/// Where a Transit server is.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Origin")]
#[schemars(with = "String")]
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
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
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

impl From<PathName> for String {
    fn from(name: PathName) -> Self {
        name.0
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
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11Config {
    /// The library of the token's maker, relative to `tavora.toml`.
    pub module: PathBuf,
    /// The token's label.
    pub token_label: String,
    /// The key's id in the token (`CKA_ID`), in hex. A random id is this key's alone.
    pub key_id: HexId,
    /// The place of the PIN: `file:///path` or `env:VARIABLE`.
    pub pin: CredentialSource,
    /// The most sessions with the token at once.
    #[serde(default = "default_sessions")]
    pub max_sessions: NonZeroUsize,
}

fn default_sessions() -> NonZeroUsize {
    NonZeroUsize::new(4).expect("it is above zero")
}

/// Bytes that are written in hex.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
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

/// `[kek.limits]`: of every provider that is not local.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KekLimits {
    /// The time that connecting to a provider may take.
    pub connect_timeout_ms: NonZeroU64,
    /// The time that one attempt may take, connecting included.
    pub request_timeout_ms: NonZeroU64,
    /// Repetitions of an attempt that failed for a reason that may pass.
    pub max_retries: u32,
    /// The longest wait before the first repetition; each further one may wait twice as long.
    pub retry_backoff_ms: u64,
    /// The time that a provider is left alone after its last attempt failed. Meanwhile, what needs
    /// it fails at once.
    pub pause_after_failure_ms: u64,
    /// The most requests to one provider at once.
    pub max_concurrent_requests: NonZeroUsize,
    /// The time that an unwrapped DEK is remembered: for so long its secret can be used without the
    /// provider. 0 asks each time.
    pub dek_lifetime_ms: u64,
    /// DEKs of one key that are remembered.
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
