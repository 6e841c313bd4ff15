//! Reads an error out of a provider's answer.

use super::answer::ProviderError;
use super::client::passes;
use super::success::status_inside;
use crate::provider::Provider;
use trusted_tool::answer::Incoming;
use trusted_tool::credential::{Credential, ODDITY_HEADER};
use trusted_tool::words;

/// The number of bytes of an error's body that are looked at.
const MAX_ERROR_BYTES: usize = 1024 * 1024;
/// The length in bytes from which only the words of an error pass, and not its other fields.
pub(super) const MAX_FIELDS_BYTES: usize = 64 * 1024;

impl ProviderError {
    /// Reads an answer whose status is no success.
    pub fn read(
        provider: &'static Provider,
        credential: &Credential,
        mut response: Incoming,
    ) -> Self {
        let mut body = Vec::new();
        while body.len() < MAX_ERROR_BYTES {
            match response.next_piece() {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                _ => break,
            }
        }
        body.truncate(MAX_ERROR_BYTES);
        Self::new(
            provider,
            credential,
            response.status,
            response.headers(),
            &body,
        )
    }

    /// The error in a body, whatever its status.
    pub fn new(
        provider: &'static Provider,
        credential: &Credential,
        status: u16,
        headers: &[(String, Vec<u8>)],
        body: &[u8],
    ) -> Self {
        let mut error = Self::parsed(provider, status, headers, body);
        if error.blames_the_key() {
            error.auth = Some(error.refused(credential));
        }
        error
    }

    fn parsed(
        provider: &'static Provider,
        status: u16,
        headers: &[(String, Vec<u8>)],
        body: &[u8],
    ) -> Self {
        let content_type = text_of(headers, "content-type").unwrap_or_default();
        let words = words::read(&content_type, body);
        let status = match status {
            200..=299 => status_inside(&words.json),
            status => status,
        };
        let mut error = Self {
            provider,
            status,
            content_type,
            is_long: body.len() > MAX_FIELDS_BYTES,
            wait_ms: None,
            passed: headers
                .iter()
                .filter(|(name, _)| passes(name))
                .cloned()
                .collect(),
            oddity: text_of(headers, ODDITY_HEADER),
            auth: None,
            words,
        };
        error.wait_ms = error.wait_of(headers);
        error
    }
}

fn text_of(headers: &[(String, Vec<u8>)], wanted: &str) -> Option<String> {
    let mut headers = headers.iter();
    let (_, value) = headers.find(|(name, _)| name == wanted)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// The error of a JSON answer of OpenAI, for tests.
#[cfg(test)]
pub(super) fn sample(status: u16, headers: &[(&str, &str)], body: &str) -> ProviderError {
    sample_of(&crate::provider::PROVIDERS[1], status, headers, body)
}

/// The error of an answer of Ollama, for tests.
#[cfg(test)]
pub(super) fn sample_of_ollama(status: u16, body: &str) -> ProviderError {
    sample_of(&crate::provider::PROVIDERS[4], status, &[], body)
}

#[cfg(test)]
fn sample_of(
    provider: &'static Provider,
    status: u16,
    headers: &[(&str, &str)],
    body: &str,
) -> ProviderError {
    let owned = |(name, value): &(&str, &str)| (name.to_string(), value.as_bytes().to_vec());
    let mut headers: Vec<_> = headers.iter().map(owned).collect();
    headers.push(("content-type".to_owned(), b"application/json".to_vec()));
    ProviderError::parsed(provider, status, &headers, body.as_bytes())
}
