//! A KEK in AWS KMS: a symmetric key that never leaves KMS, used through AWS's own SDK.
//!
//! The kek id is derived from the key's ARN. For a multi-Region key the region is left out, because
//! its replicas are one key. KMS rotates the material behind an ARN on its own, and recognises the
//! material of each ciphertext, so such a rotation needs no rewrap here. The associated data is the
//! encryption context, which KMS also writes to CloudTrail: it holds ids and a secret's name.
//! `cached` has the retries and time limits; those of the SDK are off.
//!
//! ```text
//! wrapped DEK   ┌─────────┬─────────────────────┐
//!               │ version │ KMS's ciphertext    │   about 180 bytes
//!               │ 1 byte  │                     │
//!               └─────────┴─────────────────────┘
//! ```

use std::error::Error as StdError;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region};
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::OnceCell;
use vault_core::aead::NotAuthentic;
use vault_core::{Dek, KekError, KekId, KekProvider, KekTrouble};
use zeroize::Zeroizing;

use super::config::{AwsKmsConfig, KekLimits, ProviderKind};
use super::wrapped::{VERSION_1, provider_part};

/// The only field of the encryption context: the wrap's associated data, in base64.
const CONTEXT: &str = "tavora";

pub(super) struct AwsKms {
    kek_id: KekId,
    config: AwsKmsConfig,
    limits: KekLimits,
    extra_ca_pem: Option<Vec<u8>>,
    /// Created at the first request, because the search for credentials may send requests.
    client: OnceCell<Client>,
}

impl AwsKms {
    pub(super) fn new(
        config: &AwsKmsConfig,
        limits: &KekLimits,
        extra_ca_pem: Option<Vec<u8>>,
    ) -> Self {
        Self {
            kek_id: KekId::derive(ProviderKind::AwsKms.as_str(), &config.key.identity()),
            config: config.clone(),
            limits: limits.clone(),
            extra_ca_pem,
            client: OnceCell::new(),
        }
    }

    async fn client(&self) -> Result<&Client, KekError> {
        self.client
            .get_or_try_init(|| self.connect())
            .await
            .map_err(|source| self.error(KekTrouble::Unreachable, Some(source)))
    }

    async fn connect(&self) -> Result<Client, BoxedError> {
        let mut trust = TrustStore::default();
        if let Some(pem) = &self.extra_ca_pem {
            trust.add_pem_certificate(pem.clone());
        }
        let tls = TlsContext::builder().with_trust_store(trust).build()?;
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(tls)
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.limits.connect_timeout())
            .operation_timeout(self.limits.request_timeout())
            .build();
        let shared = aws_config::defaults(BehaviorVersion::v2026_01_12())
            // Part of the SDK's `User-Agent`.
            .app_name(AppName::new("tavora-host")?)
            .region(Region::new(self.config.key.region().to_owned()))
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::disabled())
            .load()
            .await;
        let mut kms = aws_sdk_kms::config::Builder::from(&shared);
        if let Some(endpoint) = &self.config.endpoint {
            kms = kms.endpoint_url(endpoint.to_string());
        }
        Ok(Client::from_conf(kms.build()))
    }

    fn error(&self, trouble: KekTrouble, source: Option<BoxedError>) -> KekError {
        KekError::Provider {
            kek_id: self.kek_id,
            kind: self.kind(),
            trouble,
            source,
        }
    }

    /// Maps a failed request to an error.
    fn failed<E>(&self, error: SdkError<E>) -> KekError
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let trouble = match &error {
            SdkError::ServiceError(refused) => {
                let code = refused.err().code().unwrap_or_default();
                let status = refused.raw().status();
                match status.is_success() {
                    // The answer could not be read.
                    true => return self.error(KekTrouble::Garbled, None),
                    false if status.is_server_error() => {
                        return self.error(KekTrouble::Busy, Some(name_of(code).into()));
                    }
                    false => {}
                }
                match meaning(code) {
                    None => return NotAuthentic.into(),
                    // The message is left out: it may repeat the request.
                    Some(trouble) => return self.error(trouble, Some(name_of(code).into())),
                }
            }
            SdkError::TimeoutError(_) => KekTrouble::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => KekTrouble::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_io() => KekTrouble::Unreachable,
            SdkError::ResponseError(_) => KekTrouble::Garbled,
            _ => KekTrouble::NoCredential,
        };
        let source = causes(&error);
        self.error(trouble, Some(source.into()))
    }

    /// Checks that the answer is about the requested key.
    fn check_key(&self, key_id: Option<&str>) -> Result<(), KekError> {
        match key_id == Some(self.config.key.as_str()) {
            true => Ok(()),
            false => Err(self.error(KekTrouble::Garbled, None)),
        }
    }
}

type BoxedError = Box<dyn StdError + Send + Sync>;

#[async_trait]
impl KekProvider for AwsKms {
    fn kek_id(&self) -> KekId {
        self.kek_id
    }

    fn kind(&self) -> &'static str {
        ProviderKind::AwsKms.as_str()
    }

    async fn wrap(&self, dek: &Dek, associated_data: &[u8]) -> Result<Vec<u8>, KekError> {
        let answer = self
            .client()
            .await?
            .encrypt()
            .key_id(self.config.key.as_str())
            .plaintext(Blob::new(dek.expose()))
            .encryption_context(CONTEXT, STANDARD.encode(associated_data))
            .send()
            .await
            .map_err(|error| self.failed(error))?;
        self.check_key(answer.key_id())?;
        match answer.ciphertext_blob() {
            Some(blob) => Ok([&[VERSION_1], blob.as_ref()].concat()),
            None => Err(self.error(KekTrouble::Garbled, None)),
        }
    }

    async fn unwrap(&self, wrapped: &[u8], associated_data: &[u8]) -> Result<Dek, KekError> {
        let ciphertext = provider_part(wrapped)?;
        let mut answer = self
            .client()
            .await?
            .decrypt()
            .key_id(self.config.key.as_str())
            .ciphertext_blob(Blob::new(ciphertext))
            .encryption_context(CONTEXT, STANDARD.encode(associated_data))
            .send()
            .await
            .map_err(|error| self.failed(error))?;
        let plain = answer.plaintext.take().map(Blob::into_inner);
        let mut plain = Zeroizing::new(plain.unwrap_or_default());
        self.check_key(answer.key_id())?;
        match <&mut [u8; 32]>::try_from(plain.as_mut_slice()) {
            Ok(dek) => Ok(Dek::take(dek)),
            Err(_) => Err(self.error(KekTrouble::Garbled, None)),
        }
    }
}

/// Maps a refusal's code. Returns nothing if the ciphertext does not belong to this key and this
/// associated data.
fn meaning(code: &str) -> Option<KekTrouble> {
    Some(match code {
        "InvalidCiphertextException" | "IncorrectKeyException" => return None,
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature"
        | "OptInRequired" => KekTrouble::Denied,
        "DisabledException" | "KMSInvalidStateException" => KekTrouble::Disabled,
        "NotFoundException" | "InvalidKeyUsageException" => KekTrouble::Missing,
        "ThrottlingException"
        | "TooManyRequestsException"
        | "LimitExceededException"
        | "KMSInternalException"
        | "DependencyTimeoutException"
        | "KeyUnavailableException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "InternalFailure" => KekTrouble::Busy,
        _ => KekTrouble::Refused,
    })
}

/// Returns a code that is safe to show: a server that poses as KMS may write anything.
fn name_of(code: &str) -> &str {
    let is_name = code.len() <= 64 && code.chars().all(|c| c.is_ascii_alphanumeric());
    match is_name && !code.is_empty() {
        true => code,
        false => "a refusal without a code",
    }
}

/// Formats an error with its causes on one line.
fn causes(error: &dyn StdError) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        said = format!("{said}: {cause}");
        next = cause.source();
    }
    said
}
