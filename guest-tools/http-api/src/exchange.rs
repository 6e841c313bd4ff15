//! Sends a planned request with the credential in its slot, and tries again where that is safe.

use trusted_tool::ToolError;
use trusted_tool::request::{self, Ask, Header};
use trusted_tool::wait;
use zeroize::Zeroizing;

use crate::entry::{Carried, Entry};
use crate::outcome;
use crate::plan::Plan;

/// What is asked for where the entry says nothing.
const ACCEPT: &str = "application/json, text/*;q=0.5, */*;q=0.1";

/// Sends a request. Gives the result as JSON.
///
/// # Errors
/// Why there is none.
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
        // Some servers want a length where a body is usual, even if it is 0.
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
        // A 429 says that nothing was done. Another status says so of a request without effect.
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
    let has = |name: &str| entry.headers.keys().any(|it| it.eq_ignore_ascii_case(name));
    if !has("accept") {
        headers.push(("accept", plain(ACCEPT)));
    }
    let fixed = entry
        .headers
        .iter()
        .chain(plan.headers.iter().map(|(a, b)| (a, b)));
    headers.extend(fixed.map(|(name, value)| (name.as_str(), plain(value))));
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
