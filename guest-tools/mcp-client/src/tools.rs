//! The two operations: listing a server's tools and calling one. `value` interprets results, and
//! `session` transports messages.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use trusted_tool::{ToolError, tool_error};

use crate::exchange::Extra;
use crate::listing::{Listed, Listing};
use crate::mirror::Mirrored;
use crate::server::Era;
use crate::session::{Session, is_header_mismatch};
use crate::value::{self, Failure};
use crate::words;

/// The server's tools, in one session.
pub struct Tools {
    session: Session,
    /// The properties of each tool that calls depend on, from the server's last list.
    listed: HashMap<String, Listed>,
}

/// A tool call of an agent.
#[derive(Debug, PartialEq)]
pub struct Call {
    name: String,
    arguments: Map<String, Value>,
}

impl Call {
    /// Parses the input of the operation.
    ///
    /// # Errors
    /// `invalid_input`, naming the part that does not fit the schema.
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
                words::shown(key)
            ))),
        }
    }
}

impl Tools {
    /// The tools of this session's server.
    pub fn new(session: Session) -> Self {
        Self {
            session,
            listed: HashMap::new(),
        }
    }

    /// The findings for the next session, as JSON for the host.
    pub fn found(&self) -> String {
        let found = self.session.found();
        let found = found.map(|era| json!({ "era": era.map(Era::word) }));
        found.unwrap_or_default().to_string()
    }

    /// Ends the session.
    pub fn end(&mut self) {
        self.session.end();
    }

    /// Lists every tool, page by page, with notes on what is left out and why. Tools of earlier
    /// pages are kept if a further page fails.
    ///
    /// # Errors
    /// The first page cannot be fetched, breaks the protocol, or lists too many tools.
    pub fn list(&mut self) -> Result<String, ToolError> {
        let is_modern = self.session.is_modern()?;
        let mut listing = Listing::new(is_modern, self.session.server.max_tools);
        let mut params = Map::new();
        self.listed.clear();
        loop {
            let reply = self.session.request("tools/list", &params, &Extra::new());
            let server = &self.session.server;
            let reply =
                reply.and_then(|page| page.map_err(|error| error.to_tool_error(&server.called)));
            let taken = match reply {
                Err(error) if listing.is_begun() => {
                    listing.break_off(&error.message);
                    break;
                }
                Err(error) => return Err(error),
                Ok(page) if is_input_required(&page) && !listing.is_begun() => {
                    return Err(server.failed(NOT_FOR_A_LIST));
                }
                Ok(page) => listing.take(page),
            };
            match taken.map_err(|what| server.failed(what))? {
                Some(cursor) => params.insert("cursor".to_owned(), cursor),
                None => break,
            };
        }
        let (tools, listed, notes) = listing.end();
        self.listed = listed;
        Ok(self.with_notes(&tools, &notes))
    }

    fn with_notes(&self, tools: &[Value], notes: &[String]) -> String {
        let called = &self.session.server.called;
        let notes: Vec<String> = notes.iter().map(|it| format!("{called}: {it}")).collect();
        for note in &notes {
            println!("{note}");
        }
        match notes.is_empty() {
            true => json!({ "tools": tools }).to_string(),
            false => json!({ "tools": tools, "notes": notes }).to_string(),
        }
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// The server breaks the protocol or refuses the call, or the tool failed (`mcp_tool_error`,
    /// with the tool's own words).
    pub fn call(&mut self, call: &Call) -> Result<String, ToolError> {
        let mut params = Map::new();
        params.insert("name".to_owned(), Value::String(call.name.clone()));
        params.insert(
            "arguments".to_owned(),
            Value::Object(call.arguments.clone()),
        );
        let mut rounds = 0;
        let result = loop {
            let result = self.call_once(call, &params)?;
            if !is_input_required(&result) {
                break result;
            }
            let server = &self.session.server;
            if rounds >= server.max_input_rounds {
                return Err(server.failed(
                    "asks for input of a person, which an agent cannot give, and asks again \
                     when that is declined (max_input_rounds)",
                ));
            }
            rounds += 1;
            decline(&result, &mut params).map_err(|what| server.failed(what))?;
        };
        let server = &self.session.server;
        let called = format!("{}, tool \"{}\"", server.called, words::shown(&call.name));
        let given = value::read(result).map_err(|failure| match failure {
            Failure::OfTheTool(words) => tool_error("mcp_tool_error", format!("{called}: {words}")),
            Failure::OfTheServer(what) => server.failed(what),
        })?;
        let is_structured = self.listed.get(&call.name).map(|it| it.is_structured);
        let given = match (given.hidden_text(), is_structured) {
            // A program gets the value of the structure. The tool promised none, so its text is
            // the value.
            (Some(_), Some(false)) => given.without_structure(),
            // The program reads the structure that the tool promised.
            (Some(text), Some(true)) => {
                let text = words::shown(&text);
                println!("{called}: its structured content is empty; its text says: {text}");
                given
            }
            _ => given,
        };
        Ok(given.into_json())
    }

    fn call_once(
        &mut self,
        call: &Call,
        params: &Map<String, Value>,
    ) -> Result<Map<String, Value>, ToolError> {
        let headers = self.headers(call);
        let mut reply = self.session.request("tools/call", params, &headers)?;
        // The server wants parameters in headers that its last list did not ask for.
        if reply.as_ref().is_err_and(is_header_mismatch) {
            self.list()?;
            let headers = self.headers(call);
            reply = self.session.request("tools/call", params, &headers)?;
        }
        reply.map_err(|error| error.to_tool_error(&self.session.server.called))
    }

    fn headers(&self, call: &Call) -> Extra {
        let listed = self.listed.get(&call.name);
        let mirrored = listed.into_iter().flat_map(|it| &it.mirrored);
        let header = |it: &Mirrored| Some((it.header.clone(), it.value(&call.arguments)?));
        mirrored.filter_map(header).collect()
    }
}

const NOT_FOR_A_LIST: &str = "asks for input of a person before it lists its tools";

fn is_input_required(result: &Map<String, Value>) -> bool {
    result
        .get("resultType")
        .is_some_and(|kind| kind == "input_required")
}

/// Declines a server's requests for more input. The parameters get the server's state, and an
/// answer to each of its requests that nobody is there for.
fn decline(
    result: &Map<String, Value>,
    params: &mut Map<String, Value>,
) -> Result<(), &'static str> {
    let requests = result.get("inputRequests").and_then(Value::as_object);
    let state = result.get("requestState").filter(|state| !state.is_null());
    let mut responses = Map::new();
    for (key, request) in requests.into_iter().flatten() {
        let response = match request.get("method").and_then(Value::as_str) {
            Some("sampling/createMessage") => {
                return Err("asks for a model's answer, which this client does not offer");
            }
            Some("roots/list") => json!({ "roots": [] }),
            _ => json!({ "action": "decline" }),
        };
        responses.insert(key.clone(), response);
    }
    for (key, value) in [
        ("requestState", state.cloned()),
        (
            "inputResponses",
            (!responses.is_empty()).then_some(Value::Object(responses)),
        ),
    ] {
        match value {
            Some(value) => params.insert(key.to_owned(), value),
            None => params.remove(key),
        };
    }
    Ok(())
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
    fn a_server_that_wants_input_gets_its_state_and_a_word_for_each_request() {
        let mut params = object(json!({ "name": "a" }));
        let asked = object(json!({ "requestState": "s1", "inputRequests": {
            "q": { "method": "elicitation/create", "params": {} },
            "r": { "method": "roots/list" },
        }}));
        assert_eq!(decline(&asked, &mut params), Ok(()));
        assert_eq!(
            Value::Object(params.clone()),
            json!({ "name": "a", "requestState": "s1", "inputResponses": {
                "q": { "action": "decline" }, "r": { "roots": [] },
            }})
        );
        // Answers of one round are not repeated in the next.
        let asked = object(json!({ "requestState": "s2" }));
        assert_eq!(decline(&asked, &mut params), Ok(()));
        assert_eq!(
            Value::Object(params.clone()),
            json!({ "name": "a", "requestState": "s2" })
        );
        let asked = json!({ "inputRequests": { "q": { "method": "sampling/createMessage" } } });
        assert!(decline(&object(asked), &mut params).is_err());
    }
}
