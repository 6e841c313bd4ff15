//! A credential for the length of one call. It is asked for at each call and
//! wiped when it is dropped; there is no cache, and nothing here can print it.

use crate::ToolError;
use crate::bindings::tavora::platform::secrets::{ResolveError, resolve};
use crate::request::BaseUrl;
use crate::tool_error;
use zeroize::Zeroizing;

/// The value of one secret.
pub struct Credential {
    name: String,
    value: Zeroizing<String>,
}

impl Credential {
    /// Resolves the secret `name`. Whether the tool may have it, and from which
    /// vault, is the host's to decide.
    ///
    /// # Errors
    /// One code and one sentence for each cause that `secrets.resolve` knows.
    pub fn resolve(name: &str) -> Result<Self, ToolError> {
        match resolve(name) {
            Ok(value) => Ok(Self {
                name: name.to_owned(),
                value: Zeroizing::new(value),
            }),
            Err(cause) => Err(refusal(name, cause)),
        }
    }

    /// The name of the secret, which may be shown.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A header value: `prefix` (such as `Bearer `, or nothing) and the
    /// credential, wiped when it is dropped.
    ///
    /// # Errors
    /// `unusable_secret` when the value holds a character that no HTTP header
    /// can carry (RFC 9110 section 5.5), most often a line break at its end.
    pub fn header_value(&self, prefix: &str) -> Result<Zeroizing<Vec<u8>>, ToolError> {
        header_value(&self.name, prefix, &self.value)
    }

    /// The credential as a base URL with `path` at its end; for a secret that says
    /// where something is. `None` when it is none.
    pub fn base_url(&self, path: &str) -> Option<BaseUrl> {
        let url = Zeroizing::new(format!("{}{path}", self.value.trim_end_matches('/')));
        BaseUrl::parse(&url)
    }

    /// Whether `text` is the credential or a part of it.
    pub fn holds(&self, text: &str) -> bool {
        self.value.contains(text)
    }
}

fn header_value(name: &str, prefix: &str, value: &str) -> Result<Zeroizing<Vec<u8>>, ToolError> {
    let printable = value
        .bytes()
        .all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
    if !printable || value.trim() != value {
        return Err(tool_error(
            "unusable_secret",
            format!(
                "secret \"{name}\" cannot be sent in an HTTP header: it begins or ends with a \
                 space, or holds a line break or another control character; store it again without"
            ),
        ));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(prefix.len() + value.len()));
    bytes.extend_from_slice(prefix.as_bytes());
    bytes.extend_from_slice(value.as_bytes());
    Ok(bytes)
}

/// The words that the contract gives for each cause, in `wit/secrets.wit` and
/// `wit/types.wit`.
fn refusal(name: &str, cause: ResolveError) -> ToolError {
    match cause {
        ResolveError::NoVaultDesignated => {
            tool_error("no_vault_designated", "app has no vault designated")
        }
        ResolveError::NotFound => tool_error(
            "secret_not_found",
            format!("secret \"{name}\" is not in the app's vault"),
        ),
        ResolveError::NotGranted => tool_error(
            "secret_not_granted",
            format!("secret \"{name}\" is not granted to this tool"),
        ),
        ResolveError::Unavailable => tool_error("vault_unavailable", "the vault is unavailable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_the_words_of_the_contract() {
        let contract = concat!(
            include_str!("../../../wit/secrets.wit"),
            include_str!("../../../wit/types.wit")
        );
        for cause in [
            ResolveError::NoVaultDesignated,
            ResolveError::NotFound,
            ResolveError::NotGranted,
            ResolveError::Unavailable,
        ] {
            let error = refusal("<name>", cause);
            for word in [&error.code, &error.message] {
                assert!(contract.contains(&format!("`{word}`")), "{word}");
            }
        }
    }

    #[test]
    fn a_header_value_carries_prefix_and_value() {
        let value = header_value("k", "Bearer ", "abc").expect("printable");
        assert_eq!(value.as_slice(), b"Bearer abc");
    }

    #[test]
    fn what_no_header_can_carry_is_named_and_not_shown() {
        for value in [
            "canary\n",
            "can\nary",
            " canary",
            "canary\u{7f}",
            "can\0ary",
        ] {
            let error = header_value("brave_api_key", "", value).expect_err(value);
            assert_eq!(error.code, "unusable_secret");
            assert!(error.message.contains("\"brave_api_key\""));
            assert!(!error.message.contains("canary"), "{}", error.message);
        }
    }
}
