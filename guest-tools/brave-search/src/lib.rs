//! Trusted tool `brave-search`: one operation, `search`, which asks Brave's web search API with the
//! app's own credential.
//!
//! The tool keeps nothing between calls. It passes on Brave's own words about an error. Parts of
//! the credential are hidden in them, and the host removes the whole.
//!
//! The tool waits and asks again where Brave limits the rate of requests.
//!
//! `tool.toml` has its settings, all optional.

mod query;
mod quota;
mod results;
mod upstream;
mod verdict;

use query::Query;
use trusted_tool::credential::Credential;
use trusted_tool::request::{self, Bounds};
use trusted_tool::retry::Retries;
use trusted_tool::{Guest, Operation, ToolError, tool_error};
use upstream::UPSTREAM;
use verdict::Verdict;

/// The name of the secret that this tool resolves.
const SECRET: &str = "brave_api_key";
const WEB_SEARCH_PATH: &str = "/res/v1/web/search";
/// The bounds of [`Retries`] without settings. With a plan of one request a second, one of the
/// waiting searches gets through each second. So the last of some twenty searches at once gets
/// through within the 30 s that a call may take.
const MAX_RETRIES: u64 = 25;
const MAX_RETRY_WAIT_MS: u64 = 25_000;
/// The wait beyond what Brave asks for, because Brave's seconds are whole.
const MARGIN_MS: u64 = 100;

struct BraveSearch;

impl Guest for BraveSearch {
    fn describe() -> Vec<Operation> {
        vec![Operation {
            name: "search".to_owned(),
            description: "Searches the web with Brave Search. Gives titles, URLs and descriptions \
                          of pages; `offset` turns to the next page of results."
                .to_owned(),
            input_schema: query::schema().to_string(),
        }]
    }

    fn call(operation: String, input: String) -> Result<String, ToolError> {
        match operation.as_str() {
            "search" => search(&Query::parse(&input)?),
            other => Err(tool_error(
                "unknown_operation",
                format!("brave-search has no operation \"{other}\"; it has \"search\""),
            )),
        }
    }
}

fn search(query: &Query) -> Result<String, ToolError> {
    let base = upstream::base_url()?;
    let bounds = Bounds::from_settings()?;
    let credential = Credential::resolve(SECRET)?;
    let plain = |text: &str| text.as_bytes().to_vec().into();
    let path_and_query = format!("{WEB_SEARCH_PATH}?{}", query.to_url_query());
    let mut retries = Retries::from_settings(MAX_RETRIES, MAX_RETRY_WAIT_MS)?;
    let (answer, verdict) = loop {
        let headers = vec![
            ("accept", plain("application/json")),
            ("accept-encoding", plain("identity")),
            ("x-subscription-token", credential.header_value("")?),
        ];
        let answer = request::get(UPSTREAM, &base, &path_and_query, headers, &bounds)?;
        let verdict = Verdict::of(&answer);
        let wait_ms = verdict.quota.wait_ms;
        let wait_ms = wait_ms.map(|ms| ms.saturating_add(MARGIN_MS));
        if !retries.after_answer(verdict.status, wait_ms) {
            break (answer, verdict);
        }
    };
    verdict.check(&credential)?;
    results::from_answer(query, &answer)
}

#[allow(missing_docs, unsafe_code)]
mod component {
    trusted_tool::export!(BraveSearch with_types_in trusted_tool::bindings);
    use super::BraveSearch;
}

#[cfg(test)]
mod tests {
    use trusted_tool::manifest::{Manifest, of_bounds};

    use super::*;

    #[test]
    fn secret_and_defaults_are_those_of_tool_toml() {
        let manifest = Manifest::parse(include_str!("../tool.toml"));
        let base_url = upstream::DEFAULT_BASE_URL;
        assert_eq!(manifest.upstreams(), [(SECRET, base_url, "base_url")]);
        let numbers = of_bounds(&Bounds::default());
        let retries = [
            ("max_retries", MAX_RETRIES),
            ("max_retry_wait_ms", MAX_RETRY_WAIT_MS),
        ];
        let numbers = numbers.into_iter().chain(retries);
        let mut expected: Vec<(&str, String)> = numbers
            .map(|(key, number)| (key, number.to_string()))
            .collect();
        expected.push(("base_url", base_url.to_owned()));
        expected.sort();
        let found: Vec<(&str, String)> = manifest
            .settings()
            .into_iter()
            .map(|(key, default)| (key, default.expect("each has one").to_owned()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_operation_that_is_not_there_is_named() {
        let error = BraveSearch::call("sarch".to_owned(), "{}".to_owned()).expect_err("unknown");
        assert_eq!(error.code, "unknown_operation");
        assert!(error.message.contains("\"sarch\""), "{}", error.message);
    }

    #[test]
    fn it_describes_the_operation_that_it_has() {
        let operations = BraveSearch::describe();
        assert_eq!(operations.len(), 1);
        assert_eq!(operations[0].name, "search");
    }
}
