//! The two operations: listing a server's tools and calling one, with what their results
//! mean. How messages travel is `session`'s business.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};
use trusted_tool::{ToolError, tool_error};

use crate::exchange::Extra;
use crate::message;
use crate::mirror::{self, Mirrored};
use crate::session::{Session, is_header_mismatch};

/// What a tool's definition is passed on with.
const SHOWN_KEYS: [&str; 6] = [
    "name",
    "title",
    "description",
    "inputSchema",
    "outputSchema",
    "annotations",
];

/// The server's tools, in one session.
pub struct Tools {
    session: Session,
    /// The parameters that go into headers, by tool, as the server last listed them.
    mirrored: HashMap<String, Vec<Mirrored>>,
}

/// A call that an agent wants.
#[derive(Debug, PartialEq)]
pub struct Call {
    name: String,
    arguments: Map<String, Value>,
}

impl Call {
    /// Parses the input of the operation.
    ///
    /// # Errors
    /// `invalid_input`, naming what does not fit the schema.
    pub fn parse(input: &str) -> Result<Self, ToolError> {
        let wrong = |what: &str| tool_error("invalid_input", format!("call_tool: {what}"));
        let Ok(Value::Object(mut input)) = serde_json::from_str(input) else {
            return Err(wrong("the input must be a JSON object"));
        };
        let Some(Value::String(name)) = input.remove("name") else {
            return Err(wrong("`name` must be the name of a tool of the server"));
        };
        let arguments = match input.remove("arguments") {
            None => Map::new(),
            Some(Value::Object(arguments)) => arguments,
            Some(_) => return Err(wrong("`arguments` must be an object")),
        };
        match input.keys().next() {
            None => Ok(Self { name, arguments }),
            Some(key) => Err(wrong(&format!(
                "there is no `{}`; it takes `name` and `arguments`",
                message::shown(key)
            ))),
        }
    }
}

impl Tools {
    /// Of the server of this session.
    pub fn new(session: Session) -> Self {
        Self {
            session,
            mirrored: HashMap::new(),
        }
    }

    /// Lists every tool, page by page.
    ///
    /// # Errors
    /// The server does not answer as the protocol says, or lists too many.
    pub fn list(&mut self) -> Result<String, ToolError> {
        let is_modern = self.session.is_modern()?;
        let mut listed = Vec::new();
        let mut cursors = HashSet::new();
        let mut params = Map::new();
        self.mirrored.clear();
        loop {
            let page = self.session.request("tools/list", &params, &Extra::new())?;
            let server = &self.session.server;
            let mut page = page.map_err(|error| error.to_tool_error(&server.called))?;
            check_complete(&page).map_err(|what| server.failed(what))?;
            let Some(Value::Array(tools)) = page.remove("tools") else {
                return Err(server.failed("listed its tools in a way that is not the protocol's"));
            };
            if (listed.len() + tools.len()) as u64 > server.max_tools {
                return Err(server.failed(format!(
                    "lists more tools than max_tools ({}) allows",
                    server.max_tools
                )));
            }
            for tool in tools {
                match definition(tool, is_modern) {
                    Ok((name, mirrored, tool)) => {
                        self.mirrored.insert(name, mirrored);
                        listed.push(tool);
                    }
                    Err(why) => println!("{} lists a tool that is left out: {why}", server.called),
                }
            }
            match page.remove("nextCursor") {
                None | Some(Value::Null) => break,
                // A server that turns in a circle would never end.
                Some(Value::String(cursor))
                    if cursors.len() as u64 <= server.max_tools
                        && cursors.insert(cursor.clone()) =>
                {
                    params.insert("cursor".to_owned(), Value::String(cursor));
                }
                Some(_) => return Err(server.failed("lists its tools without an end")),
            }
        }
        Ok(json!({ "tools": listed }).to_string())
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// The server does not answer as the protocol says, refuses the call, or says that
    /// the tool failed (`mcp_tool_error`, with the tool's own words).
    pub fn call(&mut self, call: &Call) -> Result<String, ToolError> {
        let mut params = Map::new();
        params.insert("name".to_owned(), Value::String(call.name.clone()));
        params.insert(
            "arguments".to_owned(),
            Value::Object(call.arguments.clone()),
        );
        let mut reply = self
            .session
            .request("tools/call", &params, &self.headers(call))?;
        // The server wants parameters in headers that it has not been seen to want.
        if reply.as_ref().is_err_and(is_header_mismatch) {
            self.list()?;
            reply = self
                .session
                .request("tools/call", &params, &self.headers(call))?;
        }
        let server = &self.session.server;
        let result = reply.map_err(|error| error.to_tool_error(&server.called))?;
        check_complete(&result).map_err(|what| server.failed(what))?;
        outcome(result).map_err(|failure| match failure {
            Failure::OfTheTool(words) => tool_error(
                "mcp_tool_error",
                format!(
                    "{}, tool \"{}\": {words}",
                    server.called,
                    message::shown(&call.name)
                ),
            ),
            Failure::OfTheServer(what) => server.failed(what),
        })
    }

    fn headers(&self, call: &Call) -> Extra {
        let mirrored = self.mirrored.get(&call.name).into_iter().flatten();
        let header = |it: &Mirrored| Some((it.header.clone(), it.value(&call.arguments)?));
        mirrored.filter_map(header).collect()
    }
}

/// A tool's name, its mirrored parameters, and its definition as it is passed on.
fn definition(
    tool: Value,
    is_modern: bool,
) -> Result<(String, Vec<Mirrored>, Value), &'static str> {
    let Value::Object(mut tool) = tool else {
        return Err("it is no object");
    };
    let name = tool.get("name").and_then(Value::as_str);
    let name = name
        .filter(|name| !name.is_empty())
        .ok_or("it has no name")?;
    let name = name.to_owned();
    let schema = tool.get("inputSchema").filter(|schema| schema.is_object());
    let schema = schema.ok_or("it has no input schema")?;
    let mirrored = match is_modern {
        true => mirror::mirrored(schema)?,
        false => Vec::new(),
    };
    tool.retain(|key, _| SHOWN_KEYS.contains(&key.as_str()));
    Ok((name, mirrored, Value::Object(tool)))
}

/// Whether a result is final. Without a word for it, it is: earlier revisions have none.
fn check_complete(result: &Map<String, Value>) -> Result<(), &'static str> {
    match result.get("resultType").map(Value::as_str) {
        None | Some(Some("complete")) => Ok(()),
        Some(Some("input_required")) => {
            Err("asks for input of a person, which an agent cannot give")
        }
        Some(_) => Err("gave a result of a kind that this client does not know"),
    }
}

/// Why a call gave nothing.
#[derive(Debug, PartialEq)]
enum Failure {
    OfTheTool(String),
    OfTheServer(&'static str),
}

/// `content` and, where there is some, `structuredContent`, as they came.
fn outcome(mut result: Map<String, Value>) -> Result<String, Failure> {
    let structured = result.remove("structuredContent");
    let content = match result.remove("content") {
        Some(Value::Array(content)) => content,
        None if structured.is_some() => Vec::new(),
        _ => return Err(Failure::OfTheServer("gave a result without content")),
    };
    if result.get("isError") == Some(&Value::Bool(true)) {
        let words: Vec<&str> = content.iter().filter_map(text).collect();
        let words = match (words.is_empty(), &structured) {
            (true, Some(structured)) => message::shown(&structured.to_string()),
            (true, None) => "it failed and said nothing".to_owned(),
            (false, _) => message::shown(&words.join(" ")),
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
    fn a_call_is_a_name_and_arguments() {
        let call = Call::parse(r#"{"name":"a b","arguments":{"x":1}}"#).expect("fits");
        assert_eq!((call.name.as_str(), call.arguments.len()), ("a b", 1));
        assert!(
            Call::parse(r#"{"name":"a"}"#)
                .expect("fits")
                .arguments
                .is_empty()
        );
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"name":1}"#,
            r#"{"name":"a","arguments":[]}"#,
            r#"{"name":"a","arguments":null}"#,
            r#"{"name":"a","url":"https://b.example"}"#,
        ] {
            let error = Call::parse(wrong).expect_err(wrong);
            assert_eq!(error.code, "invalid_input", "{wrong}");
        }
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
        let passed = outcome(object(json!({ "structuredContent": null })));
        assert_eq!(
            passed,
            Ok(r#"{"content":[],"structuredContent":null}"#.to_owned())
        );
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
            json!({ "content": "text" }),
            json!({ "content": null }),
        ] {
            assert!(matches!(
                outcome(object(wrong)),
                Err(Failure::OfTheServer(_))
            ));
        }
    }

    #[test]
    fn only_a_complete_result_is_one() {
        for kind in [json!({}), json!({ "resultType": "complete" })] {
            assert_eq!(check_complete(&object(kind)), Ok(()));
        }
        for kind in [
            json!("input_required"),
            json!("task"),
            json!(7),
            json!(null),
        ] {
            assert!(check_complete(&object(json!({ "resultType": kind }))).is_err());
        }
    }

    #[test]
    fn a_tool_that_breaks_the_rules_is_left_out() {
        let tool = json!({ "name": "a", "inputSchema": { "type": "object" }, "icons": [] });
        let (name, _, shown) = definition(tool, true).expect("valid");
        assert_eq!(name, "a");
        assert!(shown.get("icons").is_none());
        let annotated = json!({ "name": "a", "inputSchema": { "x-mcp-header": "A" } });
        assert!(definition(annotated.clone(), true).is_err());
        assert!(definition(annotated, false).is_ok());
        for wrong in [
            json!(7),
            json!({}),
            json!({ "name": "" }),
            json!({ "name": "a" }),
        ] {
            assert!(definition(wrong.clone(), true).is_err(), "{wrong}");
        }
    }
}
