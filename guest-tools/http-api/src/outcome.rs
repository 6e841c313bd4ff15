//! Turns an answer into the result for the agent: JSON as JSON, text as text, anything else in
//! base64. An error has the API's own words.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use trusted_tool::answer::Answer;
use trusted_tool::credential::{Credential, ODDITY_HEADER, oddity};
use trusted_tool::{ToolError, json as lenient, tool_error, wait, words};

use crate::entry::Entry;
use crate::meta;
use crate::plan::Plan;

/// The status of an answer to an agent whose copy is still valid.
const NOT_MODIFIED: u16 = 304;
/// Limits the API's words in a message, in characters.
const MAX_SAID_CHARS: usize = 1_000;

/// Returns the result of a call, as JSON.
///
/// # Errors
/// `upstream_auth` for 401 and 403. `upstream_error` for every other status that is no success, and
/// for a body that cannot be shown.
pub fn of(
    entry: &Entry,
    plan: &Plan,
    answer: &Answer,
    credential: Option<&Credential>,
) -> Result<String, ToolError> {
    let is_success = (200..=299).contains(&answer.status) || answer.status == NOT_MODIFIED;
    if !is_success {
        return Err(refusal(entry, answer, credential));
    }
    let body = shown(entry, answer)?;
    Ok(match plan.wants_meta {
        false => body,
        true => format!(
            r#"{{"status":{},"body":{body},"meta":{}}}"#,
            answer.status,
            meta::of(answer)
        ),
    })
}

/// Returns the body as JSON.
fn shown(entry: &Entry, answer: &Answer) -> Result<String, ToolError> {
    let body = &answer.body;
    if body.is_empty() {
        return Ok("null".to_owned());
    }
    let content_type = answer.header("content-type").unwrap_or_default();
    let lower = content_type.to_ascii_lowercase();
    let kind = lower.split(';').next().unwrap_or_default().trim();
    if kind.is_empty() || kind.ends_with("/json") || kind.ends_with("+json") {
        // Numbers keep all their digits where the text is strict JSON.
        if let Ok(strict) = serde_json::from_slice::<&RawValue>(body) {
            return Ok(strict.get().to_owned());
        }
        if let Ok(mended) = lenient::read::<Value>(body) {
            return Ok(mended.to_string());
        }
    }
    if let Ok(text) = std::str::from_utf8(body)
        && (kind.is_empty() || is_text(kind))
    {
        return Ok(Value::from(text).to_string());
    }
    if is_text(kind) {
        return Ok(Value::from(String::from_utf8_lossy(body)).to_string());
    }
    if body.len() as u64 > entry.max_binary_bytes {
        return Err(tool_error(
            "upstream_error",
            format!(
                "{} answered with {} bytes of {}, which are more than the setting \
                 max_binary_bytes ({}) allows; ask for less, or for another form",
                entry.called,
                body.len(),
                named(kind),
                entry.max_binary_bytes
            ),
        ));
    }
    let encoded = BASE64_STANDARD.encode(body);
    Ok(json!({ "content_type": content_type, "base64": encoded }).to_string())
}

fn is_text(kind: &str) -> bool {
    const OTHERS: [&str; 8] = [
        "application/json",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
        "application/javascript",
        "application/x-ndjson",
        "application/x-www-form-urlencoded",
        "application/graphql",
    ];
    kind.starts_with("text/")
        || kind.ends_with("+xml")
        || kind.ends_with("+json")
        || OTHERS.contains(&kind)
}

fn named(kind: &str) -> String {
    match kind {
        "" => "no stated type".to_owned(),
        kind => format!("{:?}", kind.chars().take(64).collect::<String>()),
    }
}

/// Returns the error for a status that is no success.
fn refusal(entry: &Entry, answer: &Answer, credential: Option<&Credential>) -> ToolError {
    let content_type = answer.header("content-type").unwrap_or_default();
    let said = words::read(content_type, &answer.body).message;
    let said = said.map(|said| match credential {
        Some(credential) => credential.hidden_in(&said),
        None => said,
    });
    let mut error = refused(entry, answer, said.as_deref());
    if answer.status == 401 && credential.is_some() {
        let told = answer.header(ODDITY_HEADER);
        error.message.push_str(&oddity(told));
    }
    error
}

fn refused(entry: &Entry, answer: &Answer, said: Option<&str>) -> ToolError {
    let called = &entry.called;
    let status = answer.status;
    let mut shown = format!("HTTP {status}");
    if let Some(said) = said {
        let said: String = said.chars().take(MAX_SAID_CHARS).collect();
        shown.push_str(&format!(", {said:?}"));
    }
    // Some APIs answer 403 to a client that has made too many calls.
    let is_limit = status == 429 || status == 403 && has_no_calls_left(answer);
    if is_limit {
        let again = match wait::from_headers(answer.headers()) {
            Some(ms) => format!("in {}", wait::shown(ms)),
            None => "later".to_owned(),
        };
        return tool_error(
            "upstream_error",
            format!(
                "{called} answered with an error ({shown}): it limits how often it is asked; try again {again}"
            ),
        );
    }
    match (status, entry.secret()) {
        (401, Some(secret)) => tool_error(
            "upstream_auth",
            format!(
                "{called} refused the credential in secret {secret:?} ({shown}); \
                 the app's owner must store a valid one"
            ),
        ),
        (401, None) => tool_error(
            "upstream_auth",
            format!("{called} wants a credential ({shown}); its entry must declare one"),
        ),
        (403, _) => tool_error(
            "upstream_auth",
            format!("{called} does not let this credential do this ({shown})"),
        ),
        (300..=399, _) => tool_error(
            "upstream_error",
            format!(
                "{called} answered with a redirect ({shown}) to {}, which is not followed",
                answer.header("location").map_or_else(
                    || "nowhere".to_owned(),
                    |to| format!("{:?}", to.chars().take(256).collect::<String>())
                )
            ),
        ),
        (status, _) => {
            let advice = match status {
                500..=599 => "it has a problem of its own; try again later",
                _ if said.is_some() => "its words say why",
                404 => "there is no such thing, or this credential may not see it",
                _ => "change the input, or tell the operator",
            };
            tool_error(
                "upstream_error",
                format!("{called} answered with an error ({shown}): {advice}"),
            )
        }
    }
}

fn has_no_calls_left(answer: &Answer) -> bool {
    answer.header("retry-after").is_some()
        || answer
            .header("x-ratelimit-remaining")
            .is_some_and(|left| left.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::entry;

    fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        Answer::new(status, headers.collect(), body.to_vec())
    }

    fn body(content_type: &str, body: &[u8]) -> Result<String, ToolError> {
        shown(
            &entry(),
            &answer(200, &[("content-type", content_type)], body),
        )
    }

    #[test]
    fn an_answer_is_json_text_or_base64() {
        for (content_type, bytes, expected) in [
            (
                "application/json",
                &b"{\"n\": 12345678901234567890123}"[..],
                "{\"n\": 12345678901234567890123}",
            ),
            ("application/problem+json; charset=utf-8", b"[1]", "[1]"),
            ("application/json", b"{\"a\": NaN}", "{\"a\":\"NaN\"}"),
            ("application/json", b"<html>", "\"<html>\""),
            ("", b"{\"a\":1}", "{\"a\":1}"),
            ("", b"plain", "\"plain\""),
            ("text/csv", b"a,b\n", "\"a,b\\n\""),
            ("text/plain", b"\xff", "\"\u{fffd}\""),
            (
                "image/png",
                b"\x89PNG",
                "{\"content_type\":\"image/png\",\"base64\":\"iVBORw==\"}",
            ),
            (
                "application/octet-stream",
                b"text",
                "{\"content_type\":\"application/octet-stream\",\"base64\":\"dGV4dA==\"}",
            ),
            ("application/json", b"", "null"),
        ] {
            assert_eq!(body(content_type, bytes).expect("shown"), expected);
        }
        let error = body("image/png", &[0xff; 17]).expect_err("too long");
        assert!(
            error.message.contains("max_binary_bytes (16)"),
            "{}",
            error.message
        );
    }

    #[test]
    fn an_error_has_the_words_of_the_api() {
        for (status, headers, body, code, message) in [
            (
                404,
                &[][..],
                r#"{"message":"Not Found"}"#,
                "upstream_error",
                "the API \"github\" answered with an error (HTTP 404, \"Not Found\"): its words say why",
            ),
            (
                401,
                &[],
                r#"{"message":"Bad"}"#,
                "upstream_auth",
                "the API \"github\" wants a credential (HTTP 401, \"Bad\"); its entry must declare one",
            ),
            (
                403,
                &[],
                "",
                "upstream_auth",
                "the API \"github\" does not let this credential do this (HTTP 403)",
            ),
            (
                403,
                &[("x-ratelimit-remaining", "0")],
                "",
                "upstream_error",
                "the API \"github\" answered with an error (HTTP 403): it limits how often it is asked; try again later",
            ),
            (
                429,
                &[("retry-after", "7")],
                "",
                "upstream_error",
                "the API \"github\" answered with an error (HTTP 429): it limits how often it is asked; try again in 7 s",
            ),
            (
                302,
                &[("location", "https://attacker.test/")],
                "",
                "upstream_error",
                "the API \"github\" answered with a redirect (HTTP 302) to \"https://attacker.test/\", which is not followed",
            ),
            (
                503,
                &[],
                "",
                "upstream_error",
                "the API \"github\" answered with an error (HTTP 503): it has a problem of its own; try again later",
            ),
            (
                422,
                &[],
                "",
                "upstream_error",
                "the API \"github\" answered with an error (HTTP 422): change the input, or tell the operator",
            ),
        ] {
            let error = refusal(&entry(), &answer(status, headers, body.as_bytes()), None);
            assert_eq!(
                (error.code.as_str(), error.message.as_str()),
                (code, message)
            );
        }
        let long = "x".repeat(5_000);
        let error = refusal(&entry(), &answer(400, &[], long.as_bytes()), None);
        assert!(error.message.len() < 1_200, "{}", error.message.len());
    }
}
