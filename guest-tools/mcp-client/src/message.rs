//! JSON-RPC 2.0 messages as MCP uses them: the requests that go out, and what comes
//! back, sorted. It knows no transport and no method's meaning.

use serde_json::{Map, Value, json};
use trusted_tool::{ToolError, tool_error};

/// How much of a server's own words is passed on.
const MAX_SHOWN_CHARS: usize = 2_000;

/// What a server answered to a request.
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
    /// The number of its kind.
    pub code: i64,
    /// What the server says of it.
    pub message: String,
    /// What else it says.
    pub data: Value,
}

/// A message of a server.
#[derive(Debug, PartialEq)]
pub enum Message {
    /// The reply to the request of this client that was asked about.
    Reply(Reply),
    /// A request of the server's own, with its id.
    Request {
        /// Its id, to be repeated.
        id: Value,
        /// What it asks.
        method: String,
    },
    /// A notification, or the reply to something else.
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

/// The answer to a server's own request: this client is there, and does nothing else.
pub fn answer_to(id: &Value, method: &str) -> Value {
    match method {
        "ping" => json!({ "jsonrpc": "2.0", "id": id, "result": {} }),
        _ => json!({ "jsonrpc": "2.0", "id": id, "error": {
            "code": -32601,
            "message": "this client offers no sampling, no elicitation and no roots",
        }}),
    }
}

/// The messages in `text`: one, or, in the revision 2025-03-26, a list of them. `None`
/// where it holds something else.
pub fn parse(text: &[u8], awaited: u64) -> Option<Vec<Message>> {
    match serde_json::from_slice(text).ok()? {
        Value::Array(list) => list.into_iter().map(|one| sort(one, awaited)).collect(),
        one => Some(vec![sort(one, awaited)?]),
    }
}

fn sort(message: Value, awaited: u64) -> Option<Message> {
    let Value::Object(mut message) = message else {
        return None;
    };
    if message.get("jsonrpc") != Some(&Value::from("2.0")) {
        return None;
    }
    let id = message.remove("id").unwrap_or(Value::Null);
    if let Some(method) = message.get("method") {
        let method = method.as_str()?.to_owned();
        return Some(match id {
            Value::Null => Message::Other,
            id => Message::Request { id, method },
        });
    }
    let is_awaited = id == awaited;
    match (message.remove("result"), message.remove("error")) {
        (Some(Value::Object(result)), None) if is_awaited => {
            Some(Message::Reply(Reply::Result(result)))
        }
        // An error about a request that could not be read has no id to repeat.
        (None, Some(error)) if is_awaited || id.is_null() => {
            Some(Message::Reply(Reply::Error(RpcError {
                code: error.get("code")?.as_i64()?,
                message: error.get("message")?.as_str()?.to_owned(),
                data: error.get("data").cloned().unwrap_or_default(),
            })))
        }
        (Some(_), None) | (None, Some(_)) if !is_awaited => Some(Message::Other),
        _ => None,
    }
}

impl RpcError {
    /// The error as the agent sees it. What the server says is passed on: the host
    /// takes out of it what it released.
    pub fn to_tool_error(&self, server: &str) -> ToolError {
        let said = shown(&self.message);
        let code = self.code;
        match code {
            // Invalid params; in earlier revisions also a tool that is not there.
            -32602 => tool_error(
                "invalid_input",
                format!("{server} does not accept this call ({code}): {said}"),
            ),
            _ => tool_error(
                "upstream_error",
                format!("{server} answered with an error ({code}): {said}"),
            ),
        }
    }
}

/// A server's words, on one line and no longer than a message may be.
pub fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_SHOWN_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(MAX_SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Option<Message> {
        parse(text.as_bytes(), 7)?.pop()
    }

    #[test]
    fn only_the_reply_to_the_request_is_the_reply() {
        assert!(matches!(
            one(r#"{"jsonrpc":"2.0","id":7,"result":{"a":1}}"#),
            Some(Message::Reply(Reply::Result(_)))
        ));
        for other in [
            r#"{"jsonrpc":"2.0","id":8,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"7","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7.5,"result":{}}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":8,"error":{"code":-1,"message":"x"}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#,
        ] {
            assert_eq!(one(other), Some(Message::Other), "{other}");
        }
    }

    #[test]
    fn an_error_is_the_reply_also_without_an_id() {
        for id in [r#""id":7,"#, r#""id":null,"#, ""] {
            let text =
                format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":-32022,"message":"no"}}}}"#);
            let Some(Message::Reply(Reply::Error(error))) = one(&text) else {
                panic!("{text}")
            };
            assert_eq!((error.code, &*error.message), (-32022, "no"));
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
            r#"{"id":7,"result":{}}"#,
            r#"{"jsonrpc":"1.0","id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":[]}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1,"message":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":"x"}"#,
            r#"{"jsonrpc":"2.0","id":7,"method":1}"#,
            r#"[{"jsonrpc":"2.0","id":7,"result":{}},7]"#,
        ] {
            assert_eq!(one(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_list_is_its_messages() {
        let list = r#"[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","id":7,"result":{}}]"#;
        let messages = parse(list.as_bytes(), 7).expect("messages");
        assert_eq!(messages[1], Message::Reply(Reply::Result(Map::new())));
    }

    #[test]
    fn a_servers_words_are_one_bounded_line() {
        assert_eq!(shown("a\nb\u{1b}[2J"), "a b [2J");
        let long = shown(&"é".repeat(3_000));
        assert_eq!(long.chars().count(), MAX_SHOWN_CHARS + 1);
    }
}
