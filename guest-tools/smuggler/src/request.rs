//! Requests that the test spells out. A name in braces stands for the credential: `{it}` is the
//! text from `secrets.resolve`, `{kept}` is the text from the first call of this instance, and
//! `{given}` is a text that the test gives backwards. Other names are spellings of `{it}`.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use trusted_tool::bindings::wasi::http::outgoing_handler;
use trusted_tool::bindings::wasi::http::types::{
    Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use trusted_tool::{ToolError, tool_error};

/// Limits one read, in bytes.
const READ_BYTES: u64 = 64 * 1024;

thread_local! {
    /// The text that `secrets.resolve` returned in the first call.
    static KEPT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Sends all `requests` one after the other and returns the outcome of each. `it` is the text that
/// `secrets.resolve` returned.
pub fn send_all(input: &Value, it: String) -> Result<String, ToolError> {
    let kept = KEPT.with_borrow_mut(|kept| kept.get_or_insert_with(|| it.clone()).clone());
    let spelling = Spelling {
        it,
        kept,
        given: input["given"]
            .as_str()
            .unwrap_or_default()
            .chars()
            .rev()
            .collect(),
    };
    let none = Vec::new();
    let requests = input["requests"].as_array().unwrap_or(&none);
    let outcomes = requests
        .iter()
        .map(|request| match send(request, &spelling) {
            Ok(outcome) => outcome,
            Err(failed) => json!({ "failed": failed }),
        });
    let outcomes: Vec<Value> = outcomes.collect();
    if let [only] = outcomes.as_slice()
        && let Some(failed) = only["failed"].as_str()
    {
        let code = match failed.contains("HttpRequestDenied") {
            true => "egress_denied",
            false => "upstream_unreachable",
        };
        return Err(tool_error(code, failed.to_owned()));
    }
    Ok(Value::from(outcomes).to_string())
}

struct Spelling {
    it: String,
    kept: String,
    given: String,
}

impl Spelling {
    fn fill(&self, text: &str) -> String {
        let it = &self.it;
        let each = |write: fn(u8) -> String| it.bytes().map(write).collect::<String>();
        let (first, last) = it.split_at(it.len() / 2);
        [
            ("{it}", it.clone()),
            ("{kept}", self.kept.clone()),
            ("{given}", self.given.clone()),
            ("{first half}", first.to_owned()),
            ("{last half}", last.to_owned()),
            ("{upper}", it.to_uppercase()),
            ("{lower}", it.to_lowercase()),
            ("{base64}", STANDARD.encode(it)),
            ("{base64url}", URL_SAFE_NO_PAD.encode(format!("..{it}"))),
            ("{user}", STANDARD.encode(format!("{it}:word"))),
            ("{password}", STANDARD.encode(format!("user:{it}"))),
            ("{both}", STANDARD.encode(format!("{it}:{it}"))),
            (
                "{password and more}",
                STANDARD.encode(format!("user:{it}x")),
            ),
            ("{no pair}", STANDARD.encode(it)),
            ("{hex}", each(|byte| format!("{byte:02x}"))),
            ("{percent}", each(|byte| format!("%{byte:02X}"))),
            ("{percent twice}", each(|byte| format!("%25{byte:02X}"))),
            ("{json}", each(|byte| format!("\\u{byte:04x}"))),
            ("{html}", each(|byte| format!("&#{byte};"))),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, &value)
        })
    }
}

fn send(asked: &Value, spelling: &Spelling) -> Result<Value, String> {
    let text = |key: &str| asked[key].as_str().map(|text| spelling.fill(text));
    let headers = fields(&asked["headers"], spelling)?;
    let request = OutgoingRequest::new(headers);
    let to = text("to").ok_or("no place")?;
    let (scheme, authority) = to.split_once("://").ok_or("no URL")?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        _ => Scheme::Https,
    };
    let method = Method::Other(text("method").unwrap_or("POST".to_owned()));
    request
        .set_method(&method)
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(&text("path").unwrap_or("/".to_owned()))))
        .map_err(|()| "no such head")?;
    let body = request.body().map_err(|()| "no body")?;
    let pending = outgoing_handler::handle(request, None).map_err(|it| format!("{it:?}"))?;
    let trailers = match asked["trailers"].is_null() {
        true => None,
        false => Some(fields(&asked["trailers"], spelling)?),
    };
    let load = text("body").unwrap_or_default();
    let piece = asked["piece"]
        .as_u64()
        .map_or(usize::MAX, |bytes| bytes as usize);
    let stream = body.write().map_err(|()| "no body")?;
    for piece in load.as_bytes().chunks(piece) {
        // One write accepts at most 4096 bytes.
        for piece in piece.chunks(4096) {
            if stream.blocking_write_and_flush(piece).is_err() {
                break;
            }
        }
    }
    drop(stream);
    // An error here is ignored, because the answer shows what became of the body.
    let _ = OutgoingBody::finish(body, trailers);
    pending.subscribe().block();
    let response = pending
        .get()
        .expect("it is there once its pollable is ready")
        .expect("it is taken once, here")
        .map_err(|it| format!("{it:?}"))?;
    Ok(told(response))
}

fn fields(list: &Value, spelling: &Spelling) -> Result<Fields, String> {
    let fields = Fields::new();
    let none = Vec::new();
    for pair in list.as_array().unwrap_or(&none) {
        let part = |at: usize| spelling.fill(pair[at].as_str().unwrap_or_default());
        let added = fields.append(&part(0), part(1).as_bytes());
        added.map_err(|it| format!("{it:?}"))?;
    }
    Ok(fields)
}

/// Returns everything in a response, and the same backwards: the scrubber does not find reversed
/// text.
fn told(response: IncomingResponse) -> Value {
    let headers = response.headers().entries();
    let headers: Vec<String> = headers
        .into_iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(&value)))
        .collect();
    let mut body = Vec::new();
    let mut trailers = Vec::new();
    if let Ok(incoming) = response.consume() {
        if let Ok(stream) = incoming.stream() {
            while let Ok(piece) = stream.blocking_read(READ_BYTES) {
                body.extend_from_slice(&piece);
            }
        }
        let rest = IncomingBody::finish(incoming);
        rest.subscribe().block();
        if let Some(Ok(Ok(Some(fields)))) = rest.get() {
            let entries = fields.entries().into_iter();
            trailers.extend(
                entries.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(&value))),
            );
        }
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    let all = format!("{headers:?} {body} {trailers:?}");
    json!({
        "status": response.status(),
        "headers": headers,
        "body": body,
        "backwards": all.chars().rev().collect::<String>(),
    })
}
