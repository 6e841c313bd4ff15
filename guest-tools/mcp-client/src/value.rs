//! The meaning of a call's result: content and structured content, or the tool's own failure.

use serde_json::{Map, Value, json};

use crate::words;

/// Why a call has no result.
#[derive(Debug, PartialEq)]
pub enum Failure {
    /// The tool failed, in its own words.
    OfTheTool(String),
    /// The server's result is wrong in this way.
    OfTheServer(&'static str),
}

/// `content` and, if present, `structuredContent`, unchanged. Null counts as missing.
///
/// # Errors
/// The tool failed, or the result holds neither.
pub fn outcome(mut result: Map<String, Value>) -> Result<String, Failure> {
    result.retain(|_, value| !value.is_null());
    // A result without a type is final, because earlier revisions have no types.
    if result
        .get("resultType")
        .is_some_and(|kind| kind != "complete")
    {
        let what = "gave a result of a kind that this client does not know";
        return Err(Failure::OfTheServer(what));
    }
    let structured = result.remove("structuredContent");
    let content = match result.remove("content") {
        Some(Value::Array(content)) => content,
        Some(Value::String(text)) => vec![json!({ "type": "text", "text": text })],
        Some(Value::Object(one)) if one.contains_key("type") => vec![Value::Object(one)],
        None if structured.is_some() => Vec::new(),
        _ => return Err(Failure::OfTheServer("gave a result without content")),
    };
    if result.get("isError") == Some(&Value::Bool(true)) {
        let words: Vec<&str> = content.iter().filter_map(text).collect();
        let words = match (words.is_empty(), &structured) {
            (true, Some(structured)) => words::shown(&structured.to_string()),
            (true, None) => "it failed and said nothing".to_owned(),
            (false, _) => words::shown(&words.join(" ")),
        };
        return Err(Failure::OfTheTool(words));
    }
    let mut passed = Map::new();
    passed.insert("content".to_owned(), Value::Array(content));
    if let Some(structured) = structured {
        passed.insert("structuredContent".to_owned(), structured);
    }
    Ok(Value::Object(passed).to_string())
}

fn text(content: &Value) -> Option<&str> {
    (content.get("type")? == "text").then(|| content.get("text")?.as_str())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
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
        let read = trusted_tool::json::read(result.as_bytes()).expect("JSON");
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
