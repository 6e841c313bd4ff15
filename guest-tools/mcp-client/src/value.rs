//! The meaning of a call's result: content and structured content, or the tool's own failure.

use serde_json::{Map, Value, json};
use trusted_tool::json;

use crate::words;

/// Why a call has no result.
#[derive(Debug, PartialEq)]
pub enum Failure {
    /// The tool failed, in its own words.
    OfTheTool(String),
    /// The server's result is wrong in this way.
    OfTheServer(&'static str),
}

/// The value of a call.
#[derive(Debug, PartialEq)]
pub struct Given {
    content: Vec<Value>,
    structured: Option<Value>,
}

/// Reads a result. Null counts as missing. Content in an unusual wrapping counts as content.
///
/// # Errors
/// The tool failed, or the result holds neither content nor structured content.
pub fn read(mut result: Map<String, Value>) -> Result<Given, Failure> {
    result.retain(|_, value| !value.is_null());
    // A result without a type is final, because earlier revisions have no types.
    let kind = result.remove("resultType");
    if kind.is_some_and(|kind| kind != "complete") {
        let what = "gave a result of a kind that this client does not know";
        return Err(Failure::OfTheServer(what));
    }
    let is_error = result.remove("isError").is_some_and(|it| is_true(&it));
    let content = match result.remove("content") {
        Some(Value::Array(content)) => Some(content),
        Some(text @ Value::String(_)) => Some(vec![text]),
        Some(Value::Object(one)) if one.contains_key("type") => Some(vec![Value::Object(one)]),
        None => None,
        Some(_) => return Err(Failure::OfTheServer("gave a result without content")),
    };
    let structured = result.remove("structuredContent");
    // The first revision of the protocol has only this member.
    let structured = match (structured, &content) {
        (None, None) => result.remove("toolResult"),
        (structured, _) => structured,
    };
    if content.is_none() && structured.is_none() && !is_error {
        return Err(Failure::OfTheServer("gave a result without content"));
    }
    let content = content.into_iter().flatten().filter_map(piece);
    let given = Given {
        content: content.collect(),
        structured,
    };
    match is_error {
        true => Err(Failure::OfTheTool(given.words_of_failure(result))),
        false => Ok(given),
    }
}

impl Given {
    /// `content` and, if present, `structuredContent`, as JSON.
    pub fn into_json(self) -> String {
        let mut passed = Map::new();
        passed.insert("content".to_owned(), Value::Array(self.content));
        if let Some(structured) = self.structured {
            passed.insert("structuredContent".to_owned(), structured);
        }
        Value::Object(passed).to_string()
    }

    /// The text beside an empty structured content, if the two differ. A program that gets the
    /// structured content as the value of a call would miss that text.
    pub fn hidden_text(&self) -> Option<String> {
        let structured = self.structured.as_ref().filter(|it| is_empty(it))?;
        let texts: Vec<String> = self.content.iter().filter_map(text).collect();
        let text = texts.join("\n");
        let said = text.trim();
        let is_the_same = said.eq_ignore_ascii_case(&structured.to_string())
            || json::read::<Value>(said.as_bytes()).is_ok_and(|said| said == *structured);
        (!said.is_empty() && !is_the_same).then_some(text)
    }

    /// Keeps only the content.
    pub fn without_structure(self) -> Self {
        Self {
            structured: None,
            ..self
        }
    }

    /// The words of a failed call: those of its content, or else whatever there is beside it.
    fn words_of_failure(&self, mut rest: Map<String, Value>) -> String {
        rest.remove("_meta");
        let texts: Vec<String> = self.content.iter().filter_map(text).collect();
        let said = texts.join(" ");
        match &self.structured {
            _ if !said.trim().is_empty() => words::shown(&said),
            Some(Value::String(structured)) => words::shown(structured),
            Some(structured) => words::shown(&structured.to_string()),
            None if !rest.is_empty() => words::shown(&words::in_json(&Value::Object(rest))),
            None => "it failed and said nothing".to_owned(),
        }
    }
}

/// A piece of content in the form of the protocol, or nothing for null.
fn piece(content: Value) -> Option<Value> {
    match content {
        Value::Null => None,
        Value::String(text) => Some(json!({ "type": "text", "text": text })),
        Value::Object(mut object) => {
            let kind = object.get("type").and_then(Value::as_str);
            if kind == Some("text") || (kind.is_none() && object.contains_key("text")) {
                let text = match object.remove("text") {
                    None | Some(Value::Null) => String::new(),
                    Some(Value::String(text)) => text,
                    Some(other) => other.to_string(),
                };
                object.insert("type".to_owned(), json!("text"));
                object.insert("text".to_owned(), Value::String(text));
            }
            Some(Value::Object(object))
        }
        other => Some(other),
    }
}

/// The text of a piece of content, in any of the places where it may stand.
fn text(content: &Value) -> Option<String> {
    const PLACES: [&str; 7] = [
        "/text",
        "/resource/text",
        "/message",
        "/description",
        "/title",
        "/name",
        "/uri",
    ];
    let text = PLACES
        .iter()
        .find_map(|place| content.pointer(place)?.as_str())?;
    Some(text.to_owned())
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(is_so) => *is_so,
        Value::String(text) => text.trim().eq_ignore_ascii_case("true"),
        Value::Number(number) => number.as_u64() == Some(1),
        _ => false,
    }
}

/// Whether a structured content says nothing by itself.
fn is_empty(structured: &Value) -> bool {
    match structured {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    fn outcome(result: Map<String, Value>) -> Result<String, Failure> {
        read(result).map(Given::into_json)
    }

    #[test]
    fn content_and_structure_are_passed_on_as_they_came() {
        let content = json!([{ "type": "text", "text": "a" }, { "type": "image", "data": "AA==" }]);
        let passed = outcome(object(json!({ "content": content, "_meta": {} })));
        assert_eq!(passed, Ok(json!({ "content": content }).to_string()));
        let passed = outcome(object(json!({ "content": [], "structuredContent": [1] })));
        assert_eq!(
            passed,
            Ok(r#"{"content":[],"structuredContent":[1]}"#.to_owned())
        );
        let result = json!({ "content": content, "structuredContent": null, "isError": null });
        let passed = outcome(object(result));
        assert_eq!(passed, Ok(json!({ "content": content }).to_string()));
        let passed = outcome(object(json!({ "content": null, "structuredContent": [1] })));
        assert_eq!(
            passed,
            Ok(r#"{"content":[],"structuredContent":[1]}"#.to_owned())
        );
    }

    #[test]
    fn numbers_keep_their_digits() {
        let result = r#"{"content":[],"structuredContent":{"a":2047948614742839297,"b":1e+400,"c":0.10000000000000000001}}"#;
        let read = json::read(result.as_bytes()).expect("JSON");
        assert_eq!(outcome(read), Ok(result.to_owned()));
    }

    #[test]
    fn content_in_another_wrapping_is_content() {
        let text = json!({ "type": "text", "text": "a" });
        for content in [json!([text]), json!("a"), text.clone()] {
            let passed = outcome(object(json!({ "content": content })));
            assert_eq!(
                passed,
                Ok(json!({ "content": [text] }).to_string()),
                "{content}"
            );
        }
    }

    #[test]
    fn a_text_that_is_none_is_shown_as_json() {
        for (piece, text) in [
            (json!({ "type": "text", "text": { "a": 1 } }), r#"{"a":1}"#),
            (json!({ "type": "text", "text": 7 }), "7"),
            (json!({ "type": "text", "text": null }), ""),
            (json!({ "text": "a" }), "a"),
            (json!("a"), "a"),
        ] {
            let passed = outcome(object(json!({ "content": [null, piece] })));
            let passed: Value = serde_json::from_str(&passed.expect("content")).expect("JSON");
            let expected = json!({ "content": [{ "type": "text", "text": text }] });
            assert_eq!(passed, expected, "{piece}");
        }
    }

    #[test]
    fn the_result_of_the_first_revision_is_structured_content() {
        for is_error in [json!(false), json!("false"), json!(0)] {
            let passed = outcome(object(
                json!({ "toolResult": { "a": 1 }, "isError": is_error }),
            ));
            let expected = r#"{"content":[],"structuredContent":{"a":1}}"#;
            assert_eq!(passed, Ok(expected.to_owned()), "{is_error}");
        }
        let both = json!({ "content": "a", "toolResult": 7 });
        let passed = outcome(object(both)).expect("content");
        assert!(!passed.contains('7'), "{passed}");
    }

    #[test]
    fn an_empty_structured_content_may_hide_a_text() {
        let given = |text: &str, structured: &Value| {
            let result = json!({ "content": text, "structuredContent": structured });
            read(object(result)).expect("content")
        };
        for structured in [json!(""), json!([]), json!({}), json!(false), json!(0)] {
            let hiding = given("fine", &structured);
            assert_eq!(
                hiding.hidden_text().as_deref(),
                Some("fine"),
                "{structured}"
            );
            let shown = hiding.without_structure().into_json();
            assert_eq!(shown, r#"{"content":[{"type":"text","text":"fine"}]}"#);
            for text in ["", &structured.to_string(), &format!(" {structured:#}\n")] {
                assert_eq!(given(text, &structured).hidden_text(), None, "{structured}");
            }
        }
        assert_eq!(given("False", &json!(false)).hidden_text(), None);
        for structured in [
            json!("a"),
            json!([0]),
            json!({ "a": 0 }),
            json!(true),
            json!(1),
        ] {
            assert_eq!(given("fine", &structured).hidden_text(), None);
        }
    }

    #[test]
    fn an_error_of_the_tool_keeps_its_words() {
        for (result, words) in [
            (
                json!({ "isError": true, "content": [{ "type": "text", "text": "no\nroom" }, { "type": "text", "text": "left" }] }),
                "no room left",
            ),
            (
                json!({ "isError": true, "content": [], "structuredContent": { "why": 1 } }),
                "{\"why\":1}",
            ),
            (
                json!({ "isError": true, "content": [{ "type": "image" }] }),
                "it failed and said nothing",
            ),
            (json!({ "isError": true }), "it failed and said nothing"),
            (
                json!({ "isError": "true", "content": "no room" }),
                "no room",
            ),
            (
                json!({ "isError": true, "content": ["no room"] }),
                "no room",
            ),
            (json!({ "isError": true, "message": "no room" }), "no room"),
            (
                json!({ "isError": true, "toolResult": "no room" }),
                "no room",
            ),
            (
                json!({ "isError": true, "content": [{ "type": "text", "text": "" }], "structuredContent": { "why": 1 } }),
                "{\"why\":1}",
            ),
            (
                json!({ "isError": true, "content": [{ "type": "text", "text": { "a": 1 } }] }),
                "{\"a\":1}",
            ),
            (
                json!({ "isError": true, "content": [{ "type": "resource", "resource": { "uri": "a:b", "text": "no room" } }] }),
                "no room",
            ),
            (
                json!({ "isError": true, "content": [{ "type": "resource_link", "uri": "a:b", "name": "no room" }] }),
                "no room",
            ),
            (
                json!({ "isError": true, "content": [{ "type": "error", "message": "no room" }] }),
                "no room",
            ),
        ] {
            assert_eq!(
                outcome(object(result)),
                Err(Failure::OfTheTool(words.to_owned()))
            );
        }
    }

    #[test]
    fn a_result_without_content_is_none() {
        for wrong in [
            json!({}),
            json!({ "content": 7 }),
            json!({ "content": {} }),
            json!({ "content": null }),
            json!({ "content": null, "structuredContent": null }),
            json!({ "content": [], "resultType": "task" }),
            json!({ "content": [], "resultType": 7 }),
        ] {
            assert!(
                matches!(outcome(object(wrong.clone())), Err(Failure::OfTheServer(_))),
                "{wrong}"
            );
        }
    }
}
