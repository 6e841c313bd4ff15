//! Sends a planned request with the credential in its slot. Repeats a failed request where that is
//! safe.

use trusted_tool::ToolError;
use trusted_tool::request::{self, Ask, Header};
use trusted_tool::wait;
use zeroize::Zeroizing;

use crate::entry::{Carried, Entry};
use crate::outcome;
use crate::plan::Plan;

/// The header `Accept` of a request that sets none.
const ACCEPT: &str = "application/json, text/*;q=0.5, */*;q=0.1";

/// Sends a request and returns the result as JSON.
///
/// # Errors
/// The error says why there is no result.
pub fn send(entry: &Entry, plan: &Plan) -> Result<String, ToolError> {
    let mut retries = entry.retries()?;
    let (credential, carried) = entry.credential()?.unzip();
    let mut target = Zeroizing::new(plan.path.written());
    let mut separator = '?';
    if !plan.query.written().is_empty() {
        target.push(separator);
        target.push_str(plan.query.written());
        separator = '&';
    }
    if let Some(Carried::Query(parameter)) = &carried {
        target.push(separator);
        target.push_str(parameter);
    }
    let body = plan.body.as_ref().map(|body| body.bytes.as_slice());
    let usually_has_body = ["POST", "PUT", "PATCH"].contains(&plan.method.as_str());
    let ask = Ask::Other {
        method: &plan.method,
        // Some servers want a length where a body is usual, even a length of 0.
        body: body.or_else(|| usually_has_body.then_some(&[])),
    };
    let answer = loop {
        let headers = headers(entry, plan, carried.as_ref());
        let opened = request::open(
            &entry.called,
            &entry.base,
            &target,
            ask,
            &headers,
            &entry.bounds,
        );
        let incoming = match opened {
            Ok(incoming) => incoming,
            Err(failure) if retries.after_failure(failure.stage) => continue,
            Err(failure) => return Err(failure.error),
        };
        let answer = incoming.whole(entry.bounds.max_response_bytes)?;
        // A 429 says that nothing was done, so any request may be repeated. After another status,
        // only a request without effects may be repeated.
        let is_safe = answer.status == 429 || ["GET", "HEAD"].contains(&plan.method.as_str());
        let wait_ms = wait::from_headers(answer.headers());
        if !(is_safe && retries.after_answer(answer.status, wait_ms)) {
            break answer;
        }
    };
    outcome::of(entry, plan, &answer, credential.as_ref())
}

fn headers<'a>(entry: &'a Entry, plan: &'a Plan, carried: Option<&'a Carried>) -> Vec<Header<'a>> {
    let plain = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
    let mut headers: Vec<Header<'_>> = vec![("accept-encoding", plain("identity"))];
    let declared = entry.headers.iter();
    let declared = declared.chain(plan.headers.iter().map(|(name, value)| (name, value)));
    let has = |name: &str| {
        declared
            .clone()
            .any(|(it, _)| it.eq_ignore_ascii_case(name))
    };
    if !has("accept") {
        headers.push(("accept", plain(ACCEPT)));
    }
    headers.extend(
        declared
            .clone()
            .map(|(name, value)| (name.as_str(), plain(value))),
    );
    if let Some(body) = &plan.body
        && !has("content-type")
    {
        headers.push(("content-type", plain(&body.content_type)));
    }
    if let Some(Carried::Header(name, value)) = carried {
        headers.push((name.as_str(), value.clone()));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;
    use crate::entry::tests::entry;
    use crate::path::Path;
    use crate::query::Query;
    use serde_json::json;

    #[test]
    fn what_is_declared_stands_in_place_of_what_is_usual() {
        let mut plan = Plan {
            method: "POST".to_owned(),
            path: Path::parse("/").expect("valid"),
            query: Query::new(None),
            headers: Vec::new(),
            body: Some(Body::json("application/json", &json!({})).expect("valid")),
            wants_meta: false,
        };
        let entry = entry();
        let sent = |plan: &Plan| -> Vec<(String, String)> {
            let carried = Carried::Header("x-key".to_owned(), Zeroizing::new(b"k".to_vec()));
            let headers = headers(&entry, plan, Some(&carried));
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let headers = headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), text(value)));
            headers.collect()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            sent(&plan),
            [
                pair("accept-encoding", "identity"),
                pair("accept", ACCEPT),
                pair("content-type", "application/json"),
                pair("x-key", "k"),
            ]
        );
        plan.headers = vec![
            pair("Accept", "text/csv"),
            pair("content-type", "application/merge-patch+json"),
        ];
        assert_eq!(
            sent(&plan),
            [
                pair("accept-encoding", "identity"),
                pair("Accept", "text/csv"),
                pair("content-type", "application/merge-patch+json"),
                pair("x-key", "k"),
            ]
        );
    }
}
