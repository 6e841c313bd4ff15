//! Converts Brave's answer to the tool's: what an agent needs of each page, and whether there is a
//! next page. Everything else is left out.

use crate::query::Query;
use crate::upstream::UPSTREAM;
use serde_json::{Map, Value, json};
use trusted_tool::{ToolError, tool_error};

/// The result of `search`:
/// `{query, offset, results: [{title, url, description, age?}…], more_results_available}`.
///
/// # Errors
/// `upstream_error` when the body is not what Brave documents.
pub fn from_body(query: &Query, body: &[u8]) -> Result<String, ToolError> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| unreadable("is no JSON"))?;
    // Brave leaves `web` out when it finds no page.
    let pages = match answer.as_object().map(|fields| fields.get("web")) {
        None => return Err(unreadable("is no JSON object")),
        Some(None | Some(Value::Null)) => &[][..],
        Some(Some(web)) => web["results"]
            .as_array()
            .ok_or_else(|| unreadable("has no list of results"))?,
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

fn unreadable(what: &str) -> ToolError {
    tool_error(
        "upstream_error",
        format!("the answer of {UPSTREAM} {what}; try again later"),
    )
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
            let error = from_body(&query, body.as_bytes()).expect_err(body);
            assert_eq!(error.code, "upstream_error", "{body}");
        }
    }
}
