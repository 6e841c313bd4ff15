//! The body of a chat completion, as far as the router looks into it: its model, and what no
//! provider would understand. Everything else passes byte for byte, because each provider decides
//! what it takes.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The SDKs' fields for documents of the platform, which this host does not have.
const NOT_OURS: [&str; 2] = ["use_rag", "index_id"];

/// A request that may be sent to a provider.
#[derive(Debug)]
pub struct ChatRequest<'b> {
    members: Vec<(String, &'b RawValue)>,
    model: Option<String>,
    is_streamed: bool,
}

/// Why a body is no such request.
#[derive(Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The field at fault, if there is one.
    pub field: Option<&'static str>,
    /// The reason in one sentence.
    pub message: String,
}

impl<'b> ChatRequest<'b> {
    /// Reads a body.
    ///
    /// # Errors
    /// The body is no JSON object, gives a name twice, has a field of the wrong type that the
    /// router looks at, has no `messages`, or asks for something that this host does not have.
    pub fn parse(body: &'b [u8]) -> Result<Self, Invalid> {
        let Members(mut members) = serde_json::from_slice(body).map_err(|error| Invalid {
            field: None,
            message: match error.classify() {
                serde_json::error::Category::Data => {
                    format!("the body is not a JSON object with names that are given once: {error}")
                }
                _ => format!("the body is not JSON: {error}"),
            },
        })?;
        for name in NOT_OURS {
            let asked = take(&mut members, name);
            if asked.is_some_and(|value| !["null", "false"].contains(&value.get())) {
                return Err(invalid(
                    name,
                    format!("the field {name} is not supported by this host; leave it out"),
                ));
            }
        }
        let model = match take(&mut members, "model").map(RawValue::get) {
            None | Some("null") => None,
            Some(text) => match serde_json::from_str::<String>(text) {
                Ok(model) if !model.is_empty() => Some(model),
                _ => {
                    return Err(invalid(
                        "model",
                        "the field model must be a model's name".to_owned(),
                    ));
                }
            },
        };
        let messages = members.iter().find(|(name, _)| name == "messages");
        let messages =
            messages.map(|(_, value)| serde_json::from_str::<Vec<&RawValue>>(value.get()));
        match messages {
            Some(Ok(messages)) if !messages.is_empty() => {}
            Some(Ok(_)) => {
                return Err(invalid(
                    "messages",
                    "the field messages is empty; give at least one message".to_owned(),
                ));
            }
            Some(Err(_)) => {
                return Err(invalid(
                    "messages",
                    "the field messages must be an array".to_owned(),
                ));
            }
            None => {
                return Err(invalid(
                    "messages",
                    "the field messages is missing; give it".to_owned(),
                ));
            }
        }
        let stream = members.iter().find(|(name, _)| name == "stream");
        let is_streamed = match stream.map(|(_, value)| value.get()) {
            None | Some("null" | "false") => false,
            Some("true") => true,
            Some(_) => {
                return Err(invalid(
                    "stream",
                    "the field stream must be true or false".to_owned(),
                ));
            }
        };
        Ok(Self {
            members,
            model,
            is_streamed,
        })
    }

    /// The model that the request names.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whether the answer should come as server-sent events.
    pub fn is_streamed(&self) -> bool {
        self.is_streamed
    }

    /// The body for a provider that knows the model by this name.
    pub fn for_model(&self, model: &str) -> Vec<u8> {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut body = format!("{{\"model\":{}", quoted(model));
        for (name, value) in &self.members {
            body.push(',');
            body.push_str(&quoted(name));
            body.push(':');
            body.push_str(value.get());
        }
        body.push('}');
        body.into_bytes()
    }
}

fn invalid(field: &'static str, message: String) -> Invalid {
    Invalid {
        field: Some(field),
        message,
    }
}

fn take<'b>(members: &mut Vec<(String, &'b RawValue)>, name: &str) -> Option<&'b RawValue> {
    let at = members.iter().position(|(known, _)| known == name)?;
    Some(members.remove(at).1)
}

/// The members of an object in their order, each name once. Of two equal names, the router could
/// read one and the provider the other.
struct Members<'b>(Vec<(String, &'b RawValue)>);

impl<'de: 'b, 'b> Deserialize<'de> for Members<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor).map(Self)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        let mut names = std::collections::BTreeSet::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("a name is given twice"));
            }
            members.push((name, value));
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_replaced_and_the_rest_goes_on_byte_for_byte() {
        let body = br#"{"messages": [{"role":"user", "content":"\u00e9 \"x\""}], "model":"openai/gpt-4o",
            "seed": 12345678901234567890123, "temperature": 1.0, "stream": true, "use_rag": false, "index_id": null}"#;
        let request = ChatRequest::parse(body).expect("valid");
        assert_eq!(request.model(), Some("openai/gpt-4o"));
        assert!(request.is_streamed());
        let sent = String::from_utf8(request.for_model("gpt-\"4o")).expect("UTF-8");
        assert_eq!(
            sent,
            r#"{"model":"gpt-\"4o","messages":[{"role":"user", "content":"\u00e9 \"x\""}],"seed":12345678901234567890123,"temperature":1.0,"stream":true}"#
        );
    }

    #[test]
    fn without_a_model_there_is_room_for_the_default_one() {
        for body in [r#"{"messages":[1]}"#, r#"{"model":null,"messages":[1]}"#] {
            let request = ChatRequest::parse(body.as_bytes()).expect(body);
            assert_eq!(request.model(), None);
            assert!(!request.is_streamed());
            assert_eq!(request.for_model("m"), br#"{"model":"m","messages":[1]}"#);
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_by_the_name_of_the_field() {
        for (body, field, said) in [
            ("", None, "not JSON"),
            ("{", None, "not JSON"),
            ("[]", None, "not a JSON object"),
            ("\"x\"", None, "not a JSON object"),
            (r#"{"messages":[1],"messages":[2]}"#, None, "given twice"),
            (
                r#"{"model":"a","messages":[1],"m\u006fdel":"b"}"#,
                None,
                "given twice",
            ),
            ("{}", Some("messages"), "missing"),
            (r#"{"messages":[]}"#, Some("messages"), "empty"),
            (r#"{"messages":[ ]}"#, Some("messages"), "empty"),
            (r#"{"messages":{}}"#, Some("messages"), "array"),
            (r#"{"messages":null}"#, Some("messages"), "array"),
            (r#"{"messages":[1],"model":7}"#, Some("model"), "name"),
            (r#"{"messages":[1],"model":""}"#, Some("model"), "name"),
            (
                r#"{"messages":[1],"stream":"yes"}"#,
                Some("stream"),
                "true or false",
            ),
            (
                r#"{"messages":[1],"use_rag":true}"#,
                Some("use_rag"),
                "not supported",
            ),
            (
                r#"{"messages":[1],"index_id":"x"}"#,
                Some("index_id"),
                "not supported",
            ),
        ] {
            let refused = ChatRequest::parse(body.as_bytes()).expect_err(body);
            assert_eq!(refused.field, field, "{body}");
            assert!(
                refused.message.contains(said),
                "{body}: {}",
                refused.message
            );
        }
    }
}
