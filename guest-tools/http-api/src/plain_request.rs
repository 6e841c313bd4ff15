//! The operation `request` of an API without a document: any request that `allow` admits.

use serde_json::Value;
use trusted_tool::ToolError;

use crate::body::Body;
use crate::entry::Entry;
use crate::header;
use crate::input::{Fields, invalid, scalar};
use crate::path::Path;
use crate::plan::Plan;
use crate::query::Query;

const OPERATION: &str = "request";

/// Makes a request from the fields that an agent gives.
///
/// # Errors
/// `invalid_input` naming the field.
pub fn plan(entry: &Entry, input: &str) -> Result<Plan, ToolError> {
    let mut fields = Fields::parse(OPERATION, input)?;
    let Value::String(method) = fields.required("method")? else {
        return Err(fields.misfit("method", "a text"));
    };
    let Value::String(path) = fields.required("path")? else {
        return Err(fields.misfit("path", "a text"));
    };
    let path = Path::parse(&path)
        .map_err(|fault| invalid(format!("the field \"path\" of {OPERATION} {fault}")))?;
    let mut query = Query::new(entry.query_slot());
    if let Some(parameters) = fields.object("query")? {
        query.add_all(&parameters)?;
    }
    let mut headers = Vec::new();
    for (name, value) in fields.object("headers")?.unwrap_or_default() {
        let declared = entry.agent_header(&name)?;
        let Some(value) = scalar(&value) else {
            return Err(invalid(format!("the header {declared:?} is no text")));
        };
        headers.push((declared.to_owned(), header::checked(declared, value)?));
    }
    let (body, form) = (fields.take("body"), fields.object("form")?);
    let body = match (body, form) {
        (Some(_), Some(_)) => {
            return Err(invalid(
                "request has either \"body\", which is sent as JSON, or \"form\"",
            ));
        }
        (Some(value), None) => Some(Body::json("application/json", &value)?),
        (None, Some(form)) => Some(Body::form(&form)?),
        (None, None) => None,
    };
    if body.is_some() && ["GET", "HEAD"].contains(&method.as_str()) {
        return Err(invalid(format!("a {method} request has no body")));
    }
    let wants_meta = fields.flag("meta")?;
    fields.end()?;
    Ok(Plan {
        method,
        path,
        query,
        headers,
        body,
        wants_meta,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::entry;
    use serde_json::json;

    #[test]
    fn a_request_is_made_of_the_fields() {
        let input = json!({
            "method": "POST", "path": "/a b", "query": {"q": ["x", 2]},
            "headers": {"if-match": "\"v1\""}, "body": {"n": 1}, "meta": true,
        });
        let plan = plan(&entry(), &input.to_string()).expect("fits");
        assert_eq!(plan.method, "POST");
        assert_eq!(plan.path.written(), "/a%20b");
        assert_eq!(plan.query.written(), "q=x&q=2");
        let headers = [("If-Match".to_owned(), "\"v1\"".to_owned())];
        assert_eq!(plan.headers, headers);
        let body = plan.body.expect("a body");
        assert_eq!(body.bytes, br#"{"n":1}"#);
        assert!(plan.wants_meta);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_its_name() {
        for (input, named) in [
            (json!({}), "\"method\" of request is missing"),
            (json!({"method": "GET"}), "\"path\" of request is missing"),
            (json!({"method": 7, "path": "/"}), "\"method\""),
            (json!({"method": "GET", "path": 7}), "\"path\""),
            (json!({"method": "GET", "path": "/../a"}), "\"..\""),
            (json!({"method": "GET", "path": "//h/a"}), "empty segment"),
            (
                json!({"method": "GET", "path": "/", "query": "a=b"}),
                "\"query\"",
            ),
            (
                json!({"method": "GET", "path": "/", "body": {}}),
                "has no body",
            ),
            (
                json!({"method": "POST", "path": "/", "body": {}, "form": {}}),
                "either",
            ),
            (
                json!({"method": "GET", "path": "/", "host": "h"}),
                "no field \"host\"",
            ),
            (
                json!({"method": "GET", "path": "/", "base_url": "h"}),
                "no field \"base_url\"",
            ),
            (
                json!({"method": "GET", "path": "/", "paht": "h"}),
                "did you mean \"path\"?",
            ),
            (json!({"method": "GET", "path": "/", "meta": 1}), "\"meta\""),
            (
                json!({"method": "GET", "path": "/", "headers": {"If-Match": "a\r\nHost: b"}}),
                "line end",
            ),
            (
                json!({"method": "GET", "path": "/", "headers": {"If-Match": {}}}),
                "is no text",
            ),
        ] {
            let error = plan(&entry(), &input.to_string()).expect_err(named);
            assert_eq!(error.code, "invalid_input", "{input}");
            assert!(error.message.contains(named), "{input}: {}", error.message);
        }
    }

    #[test]
    fn only_a_declared_header_is_set() {
        for name in [
            "Authorization",
            "Host",
            "Cookie",
            "X-Forwarded-For",
            "X-Other",
            "if-match ",
            "content-type",
            "if-match:",
        ] {
            let input = json!({"method": "GET", "path": "/", "headers": {name: "x"}});
            let error = plan(&entry(), &input.to_string()).expect_err(name);
            assert_eq!(error.code, "invalid_input");
            assert!(
                error.message.contains("may set If-Match"),
                "{}",
                error.message
            );
        }
    }
}
