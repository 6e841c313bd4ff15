//! JSON-RPC 2.0 messages as MCP uses them: outgoing requests, and incoming messages by kind.
//! Transports and the meaning of methods are elsewhere.

use serde_json::{Map, Value, json};
use trusted_tool::{ToolError, tool_error};

use crate::words;

/// The code for a message that is no valid request. Under the status 404 it replies to nothing: the
/// session is unknown.
pub const INVALID_REQUEST: i64 = -32600;

/// The number of characters that are shown of an error's data.
const MAX_DATA_CHARS: usize = 500;

/// The server's answer to a request.
#[derive(Debug, PartialEq)]
pub enum Reply {
    /// A result, always an object.
    Result(Map<String, Value>),
    /// An error of the protocol.
    Error(RpcError),
}

/// An error of the protocol, in the server's words.
#[derive(Debug, PartialEq)]
pub struct RpcError {
    /// The number of its kind, if it has one.
    pub code: Option<i64>,
    /// The server's words.
    pub message: String,
    /// The server's other data.
    pub data: Value,
}

/// A message of a server.
#[derive(Debug, PartialEq)]
pub enum Message {
    /// The reply to the awaited request of this client.
    Reply(Reply),
    /// A reply that names no request of this client.
    Unaddressed(Reply),
    /// A request of the server, which wants an answer.
    Request {
        /// The id, which the answer repeats.
        id: Value,
        /// The method that the server asks for.
        method: String,
    },
    /// A notification, a reply to something else, or no message at all.
    Other,
}

/// A request of this client.
pub fn request(id: u64, method: &str, params: &Map<String, Value>) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// A notification of this client.
pub fn notification(method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": method })
}

/// Returns the answer to a server's own request. The client answers a ping, and refuses everything
/// else.
pub fn answer_to(id: &Value, method: &str) -> Value {
    match method {
        "ping" => json!({ "jsonrpc": "2.0", "id": id, "result": {} }),
        _ => json!({ "jsonrpc": "2.0", "id": id, "error": {
            "code": -32601,
            "message": "this client offers no sampling, no elicitation and no roots",
        }}),
    }
}

/// The messages in `text`: one, or a list of them in the revision 2025-03-26. `None` where there is
/// none.
pub fn parse(text: &[u8], awaited: u64) -> Option<Vec<Message>> {
    let list = match trusted_tool::json::read(text).ok()? {
        Value::Array(list) => list,
        one => vec![one],
    };
    let found: Vec<Option<Message>> = list.into_iter().map(|it| sort(it, awaited)).collect();
    let is_any = found.iter().any(Option::is_some);
    is_any.then(|| {
        let messages = found.into_iter();
        messages.map(|it| it.unwrap_or(Message::Other)).collect()
    })
}

/// Sorts a message by its kind. Null counts as missing. `jsonrpc` is not required, because the
/// purpose of a message is clear without it.
fn sort(message: Value, awaited: u64) -> Option<Message> {
    let Value::Object(mut message) = message else {
        return None;
    };
    message.retain(|_, value| !value.is_null());
    let id = message.remove("id");
    let is_reply = id.is_some()
        && (message.contains_key("result") || message.get("error").is_some_and(says_something));
    if let Some(method) = message.get("method").filter(|_| !is_reply) {
        let method = method.as_str()?.to_owned();
        return Some(match id {
            None => Message::Other,
            Some(id) => Message::Request { id, method },
        });
    }
    let reply = reply(&mut message, id.is_some())?;
    Some(match id.as_ref().map(number) {
        Some(Some(id)) if id == awaited => Message::Reply(reply),
        Some(Some(_)) => Message::Other,
        // This client's ids are numbers, so this id belongs to no request.
        Some(None) | None => Message::Unaddressed(reply),
    })
}

fn reply(message: &mut Map<String, Value>, has_id: bool) -> Option<Reply> {
    let error = message.remove("error").filter(says_something);
    match (message.remove("result"), error) {
        (_, Some(error))
            if has_id || message.contains_key("jsonrpc") || error.get("code").is_some() =>
        {
            Some(Reply::Error(RpcError::read(&error)))
        }
        (Some(Value::Object(result)), None) => Some(Reply::Result(result)),
        (Some(other), None) => Some(Reply::Error(RpcError {
            code: None,
            message: format!("a result that is no object: {other}"),
            data: Value::Null,
        })),
        _ => None,
    }
}

/// Whether an `error` holds something. Some servers write an empty `error` beside each result.
pub fn says_something(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// The id of a request of this client, in the forms in which servers return it.
fn number(id: &Value) -> Option<u64> {
    let text = match id {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let is_whole = fraction.bytes().all(|digit| digit == b'0');
    is_whole.then(|| whole.parse().ok())?
}

impl RpcError {
    /// Reads an error as far as possible, above all its words.
    fn read(error: &Value) -> Self {
        let code = error.get("code");
        let code = code.and_then(|code| match code {
            Value::String(text) => text.trim().parse().ok(),
            #[expect(clippy::cast_possible_truncation, reason = "a code is a small number")]
            code => code.as_i64().or_else(|| code.as_f64().map(|it| it as i64)),
        });
        let data = error.get("data").cloned().unwrap_or_default();
        let message = match (error.get("message"), error) {
            (Some(Value::String(message)), _) | (None, Value::String(message))
                if !message.trim().is_empty() =>
            {
                message.clone()
            }
            (Some(message), _) if says_something(message) && !message.is_string() => {
                message.to_string()
            }
            // The data has the words.
            _ if says_something(&data) => String::new(),
            _ => error.to_string(),
        };
        Self {
            code,
            message,
            data,
        }
    }

    /// Returns the server's words: its message, and further words in its data. Some servers say in
    /// the message only that there was an error.
    pub fn words(&self) -> String {
        let message = words::shown(&self.message);
        if !says_something(&self.data) {
            return message;
        }
        let data = words::bounded(&words::in_json(&self.data), MAX_DATA_CHARS);
        match message.as_str() {
            "" => data,
            _ if self.message.contains(&data) => message,
            _ => format!("{message}: {data}"),
        }
    }

    /// Whether the error is of this kind.
    pub fn is(&self, code: i64) -> bool {
        self.code == Some(code)
    }

    /// The error as the agent sees it. The server's words are passed on; the host removes the
    /// secrets that it released.
    pub fn to_tool_error(&self, server: &str) -> ToolError {
        let said = self.words();
        let code = self
            .code
            .map(|code| format!(" ({code})"))
            .unwrap_or_default();
        match self.code {
            // This code means invalid params. In earlier revisions it also means an unknown tool.
            Some(-32602) => tool_error(
                "invalid_input",
                format!("{server} does not accept this call{code}: {said}"),
            ),
            _ => tool_error(
                "upstream_error",
                format!("{server} answered with an error{code}: {said}"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Option<Message> {
        parse(text.as_bytes(), 7)?.pop()
    }

    #[test]
    fn the_reply_is_known_by_its_id_in_any_form() {
        for id in ["7", "7.0", r#""7""#, r#"" 7 ""#, r#""7.0""#] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"a":1}}}}"#);
            let found = one(&text);
            assert!(
                matches!(found, Some(Message::Reply(Reply::Result(_)))),
                "{id}"
            );
        }
        for other in [
            r#"{"jsonrpc":"2.0","id":8,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"8","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":-7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":8,"error":{"code":-1,"message":"x"}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"notifications/progress"}"#,
        ] {
            assert!(
                matches!(one(other), Some(Message::Other | Message::Unaddressed(_))),
                "{other}"
            );
        }
    }

    #[test]
    fn an_error_that_names_no_request_of_this_client_is_told_apart() {
        for id in [
            r#""id":null,"#,
            "",
            r#""id":"server-error","#,
            r#""id":[7],"#,
        ] {
            let text =
                format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":-32022,"message":"no"}}}}"#);
            let Some(Message::Unaddressed(Reply::Error(error))) = one(&text) else {
                panic!("{text}")
            };
            assert_eq!((error.code, &*error.message), (Some(-32022), "no"));
        }
    }

    #[test]
    fn what_can_be_read_of_a_reply_is_used() {
        let result = |rest: &str| {
            let found = one(&format!(r#"{{"jsonrpc":"2.0","id":7,{rest}}}"#));
            matches!(found, Some(Message::Reply(Reply::Result(_))))
        };
        for rest in [
            r#""result":{},"error":null"#,
            r#""result":{},"error":{}"#,
            r#""result":{},"error":"""#,
            r#""result":{},"error":false"#,
            r#""result":{},"method":null"#,
        ] {
            assert!(result(rest), "{rest}");
        }
        assert!(matches!(
            one(r#"{"id":7,"result":{}}"#),
            Some(Message::Reply(Reply::Result(_)))
        ));
        let error = |rest: &str| {
            let found = one(&format!(r#"{{"jsonrpc":"2.0","id":7,{rest}}}"#));
            let Some(Message::Reply(Reply::Error(error))) = found else {
                panic!("{rest}: {found:?}")
            };
            (error.code, error.message)
        };
        let said = |code, message: &str| (code, message.to_owned());
        for (rest, expected) in [
            (
                r#""result":null,"error":{"code":5,"message":"no"}"#,
                said(Some(5), "no"),
            ),
            (
                r#""error":{"code":"-32000","message":"no"}"#,
                said(Some(-32000), "no"),
            ),
            (
                r#""error":{"code":-32000.0,"message":"no"}"#,
                said(Some(-32000), "no"),
            ),
            (r#""error":{"message":"no"}"#, said(None, "no")),
            (r#""error":"no""#, said(None, "no")),
            (
                r#""error":{"code":1,"message":{"a":"no"}}"#,
                said(Some(1), r#"{"a":"no"}"#),
            ),
            (
                r#""error":{"code":1,"detail":"no"}"#,
                said(Some(1), r#"{"code":1,"detail":"no"}"#),
            ),
            (
                r#""result":[1]"#,
                said(None, "a result that is no object: [1]"),
            ),
        ] {
            assert_eq!(error(rest), expected, "{rest}");
        }
    }

    #[test]
    fn a_reply_may_have_a_method_too() {
        for rest in [r#""result":{}"#, r#""error":{"code":1,"message":"no"}"#] {
            let text = format!(r#"{{"id":7,"method":"tools/call",{rest}}}"#);
            assert!(matches!(one(&text), Some(Message::Reply(_))), "{text}");
        }
        let request = r#"{"id":7,"method":"ping","error":{}}"#;
        assert!(matches!(one(request), Some(Message::Request { .. })));
    }

    #[test]
    fn the_words_of_an_errors_data_are_shown() {
        for (error, words) in [
            (
                r#"{"code":1,"message":"","data":{"detail":"no room"}}"#,
                "no room",
            ),
            (
                r#"{"code":1,"message":" ","data":{"message":"no room"}}"#,
                "no room",
            ),
            (
                r#"{"code":1,"data":{"error":{"message":"no room"}}}"#,
                "no room",
            ),
            (r#"{"code":1,"message":"","data":"no room"}"#, "no room"),
            (r#"{"code":1,"message":"","data":["no room"]}"#, "no room"),
            (
                r#"{"code":-32603,"message":"Internal error","data":"no room"}"#,
                "Internal error: no room",
            ),
            (
                r#"{"code":-32603,"message":"Internal error","data":{"left":0}}"#,
                r#"Internal error: {"left":0}"#,
            ),
            (r#"{"code":1,"message":"no room","data":"room"}"#, "no room"),
            (r#"{"code":1,"message":"no room","data":{}}"#, "no room"),
        ] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":7,"error":{error}}}"#);
            let Some(Message::Reply(Reply::Error(error))) = one(&text) else {
                panic!("{text}")
            };
            assert_eq!(error.words(), words, "{text}");
            assert!(error.to_tool_error("it").message.ends_with(words), "{text}");
        }
    }

    #[test]
    fn a_servers_own_request_is_told_apart_and_answered() {
        let asked = one(r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#);
        let Some(Message::Request { id, method }) = asked else {
            panic!("{asked:?}")
        };
        assert_eq!(answer_to(&id, &method)["result"], json!({}));
        assert_eq!(
            answer_to(&id, "sampling/createMessage")["error"]["code"],
            -32601
        );
    }

    #[test]
    fn what_is_no_message_is_none() {
        for wrong in [
            "",
            "<html>",
            "7",
            "{}",
            "[]",
            "[7]",
            r#"{"jsonrpc":"2.0","id":7}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":null}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":1}"#,
            r#"{"type":"heartbeat","timestamp":"2026-01-01T00:00:00Z"}"#,
            r#"{"error":"unauthorized"}"#,
        ] {
            assert_eq!(one(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_list_is_its_messages() {
        let list = r#"[{"jsonrpc":"2.0","method":"a"},7,{"jsonrpc":"2.0","id":7,"result":{}}]"#;
        let messages = parse(list.as_bytes(), 7).expect("messages");
        assert_eq!(messages[2], Message::Reply(Reply::Result(Map::new())));
    }
}
