//! Converts Brave's answer to the tool's: what an agent needs of each page, and whether there is a
//! next page. Everything else is left out.

use crate::query::Query;
use crate::upstream::UPSTREAM;
use serde_json::{Map, Value, json};
use trusted_tool::answer::Answer;
use trusted_tool::{ToolError, json, tool_error, words};

/// Limits the part of an answer that an error repeats if the answer is no JSON, in characters.
const MAX_SAID_CHARS: usize = 300;

/// The result of `search`:
/// `{query, offset, results: [{title, url, description, age?}…], more_results_available}`.
///
/// # Errors
/// `upstream_error` when the body is not what Brave documents.
pub fn from_answer(query: &Query, answer: &Answer) -> Result<String, ToolError> {
    let content_type = answer.header("content-type").unwrap_or_default();
    from_body(query, &answer.body).map_err(|what| {
        let said = words::read(content_type, &answer.body);
        let said = said.message.filter(|_| said.json.is_null());
        let said: String = said
            .unwrap_or_default()
            .chars()
            .take(MAX_SAID_CHARS)
            .collect();
        let said = match said.as_str() {
            "" => said,
            said => format!(" ({said:?})"),
        };
        tool_error(
            "upstream_error",
            format!("the answer of {UPSTREAM} {what}{said}; try again later"),
        )
    })
}

/// The result, or what makes the body unreadable.
fn from_body(query: &Query, body: &[u8]) -> Result<String, &'static str> {
    let answer: Value = json::read(body).map_err(|_| "is no JSON")?;
    // Brave leaves `web` out when it finds no page.
    let pages = match answer.as_object().map(|fields| fields.get("web")) {
        None => return Err("is no JSON object"),
        Some(None | Some(Value::Null)) => &[][..],
        Some(Some(web)) => web["results"].as_array().ok_or("has no list of results")?,
    };
    let results: Vec<Value> = pages.iter().filter_map(result).collect();
    let more = answer["query"]["more_results_available"] == Value::Bool(true)
        && query.offset() < Query::max_offset();
    Ok(json!({
        "query": query.text(),
        "offset": query.offset(),
        "results": results,
        "more_results_available": more,
    })
    .to_string())
}

/// One page. A page without a URL is useless and left out.
fn result(page: &Value) -> Option<Value> {
    let text = |name: &str| page[name].as_str();
    let url = text("url").filter(|url| !url.is_empty())?;
    let mut result = Map::new();
    result.insert("title".to_owned(), text("title").unwrap_or(url).into());
    result.insert("url".to_owned(), url.into());
    result.insert(
        "description".to_owned(),
        text("description").unwrap_or_default().into(),
    );
    if let Some(age) = text("age") {
        result.insert("age".to_owned(), age.into());
    }
    Some(Value::Object(result))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(input: &str, body: &Value) -> Value {
        let query = Query::parse(input).expect("fits");
        let result = from_body(&query, body.to_string().as_bytes()).expect("readable");
        serde_json::from_str(&result).expect("JSON")
    }

    #[test]
    fn pages_become_results_and_the_rest_is_left_out() {
        let body = json!({
            "type": "search",
            "query": {"original": "x", "more_results_available": true},
            "web": {"type": "search", "results": [
                {"title": "T", "url": "https://a.example/", "description": "D", "age": "2 days ago", "profile": {}},
                {"url": "https://b.example/"},
                {"title": "no address"},
            ]},
        });
        assert_eq!(
            from(r#"{"query":"x","offset":2}"#, &body),
            json!({
                "query": "x",
                "offset": 2,
                "results": [
                    {"title": "T", "url": "https://a.example/", "description": "D", "age": "2 days ago"},
                    {"title": "https://b.example/", "url": "https://b.example/", "description": ""},
                ],
                "more_results_available": true,
            })
        );
    }

    #[test]
    fn one_odd_character_does_not_cost_the_answer() {
        let query = Query::parse(r#"{"query":"x"}"#).expect("fits");
        for (title, read) in [
            ("cut \\ud83d", "cut \u{fffd}"),
            ("\\udc00", "\u{fffd}"),
            ("a\tb", "a\tb"),
            ("whole \\ud83d\\ude00", "whole \u{1f600}"),
        ] {
            for mark in ["", "\u{feff}"] {
                let body = format!(
                    r#"{mark}{{"web":{{"results":[{{"title":"{title}","url":"https://a.example/"}}]}}}}"#
                );
                let result = from_body(&query, body.as_bytes()).expect(title);
                let result: Value = serde_json::from_str(&result).expect("JSON");
                assert_eq!(result["results"][0]["title"], read, "{body}");
            }
        }
    }

    #[test]
    fn nothing_found_is_an_empty_list() {
        let result = from(r#"{"query":"x"}"#, &json!({"query": {}}));
        assert_eq!(result["results"], json!([]));
        assert_eq!(result["more_results_available"], json!(false));
    }

    #[test]
    fn after_the_last_page_there_is_no_more() {
        let body = json!({"query": {"more_results_available": true}});
        let result = from(r#"{"query":"x","offset":9}"#, &body);
        assert_eq!(result["more_results_available"], json!(false));
    }

    #[test]
    fn what_brave_does_not_document_is_an_error() {
        let query = Query::parse(r#"{"query":"x"}"#).expect("fits");
        for body in [
            "",
            "<html>",
            "[]",
            "7",
            r#"{"web":{}}"#,
            r#"{"web":{"results":{}}}"#,
            "{\"web\":\"\u{0}",
        ] {
            let answer = Answer::new(200, Vec::new(), body.into());
            let error = from_answer(&query, &answer).expect_err(body);
            assert_eq!(error.code, "upstream_error", "{body}");
        }
        let answer = Answer::new(200, Vec::new(), "<html>welcome</html>".into());
        let error = from_answer(&query, &answer).expect_err("a page");
        assert_eq!(
            error.message,
            "the answer of Brave Search is no JSON (\"welcome\"); try again later"
        );
    }
}
