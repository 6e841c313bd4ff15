//! The input of `search`: the published schema, and the type of input that fits it. Every field
//! means what it means to Brave.

use form_urlencoded::Serializer;
use serde_json::{Map, Value, json};
use trusted_tool::{ToolError, tool_error};

/// Limits of Brave's API.
const MAX_QUERY_CHARS: usize = 400;
const MAX_COUNT: u64 = 20;
const MAX_OFFSET: u64 = 9;
const SAFESEARCH: [&str; 3] = ["off", "moderate", "strict"];
const FRESHNESS: [&str; 4] = ["pd", "pw", "pm", "py"];

/// A search that fits the schema.
#[derive(Debug, PartialEq, Eq)]
pub struct Query {
    text: String,
    count: Option<u64>,
    offset: Option<u64>,
    country: Option<String>,
    search_lang: Option<String>,
    freshness: Option<String>,
    safesearch: Option<String>,
}

/// The JSON Schema (draft 2020-12) of the input.
pub fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "query": {
                "type": "string",
                "description": "What to search for; Brave's search operators work.",
                "minLength": 1,
                "maxLength": MAX_QUERY_CHARS,
                "pattern": "\\S"
            },
            "count": {
                "type": "integer",
                "description": "How many results a page has.",
                "minimum": 1,
                "maximum": MAX_COUNT,
                "default": MAX_COUNT
            },
            "offset": {
                "type": "integer",
                "description": "Which page of results, from 0.",
                "minimum": 0,
                "maximum": MAX_OFFSET,
                "default": 0
            },
            "country": {
                "type": "string",
                "description": "Where results should come from: a country code of two letters, or ALL.",
                "pattern": "^([A-Za-z]{2}|ALL)$"
            },
            "search_lang": {
                "type": "string",
                "description": "The language of the results, such as en or pt-br.",
                "pattern": "^[A-Za-z]{2,3}(-[A-Za-z]{2,4})?$"
            },
            "freshness": {
                "type": "string",
                "description": "How old results may be: pd (a day), pw (a week), pm (a month), py (a year), or YYYY-MM-DDtoYYYY-MM-DD.",
                "pattern": "^(pd|pw|pm|py|[0-9]{4}-[0-9]{2}-[0-9]{2}to[0-9]{4}-[0-9]{2}-[0-9]{2})$"
            },
            "safesearch": {
                "type": "string",
                "description": "How strictly adult content is left out.",
                "enum": SAFESEARCH,
                "default": "moderate"
            }
        },
        "required": ["query"],
        "additionalProperties": false
    })
}

impl Query {
    /// Parses the input that the agent wrote.
    ///
    /// # Errors
    /// `invalid_input`, naming the field.
    pub fn parse(input: &str) -> Result<Self, ToolError> {
        let Ok(Value::Object(fields)) = serde_json::from_str(input) else {
            return Err(invalid("the input of search is not a JSON object"));
        };
        let mut fields = Fields(fields);
        let query = Self {
            text: fields
                .string(
                    "query",
                    "1 to 400 characters that are not all blank",
                    |text| !text.trim().is_empty() && text.chars().count() <= MAX_QUERY_CHARS,
                )?
                .ok_or_else(|| invalid("the field \"query\" of search is missing"))?,
            count: fields.integer("count", 1, MAX_COUNT)?,
            offset: fields.integer("offset", 0, MAX_OFFSET)?,
            country: fields.string("country", "a country code of two letters, or ALL", |text| {
                text == "ALL" || is_letters(text, 2, 2)
            })?,
            search_lang: fields.string(
                "search_lang",
                "a language such as en or pt-br",
                is_language,
            )?,
            freshness: fields.string(
                "freshness",
                "one of pd, pw, pm, py, or YYYY-MM-DDtoYYYY-MM-DD",
                |text| FRESHNESS.contains(&text) || is_date_range(text),
            )?,
            safesearch: fields.string("safesearch", "one of off, moderate, strict", |text| {
                SAFESEARCH.contains(&text)
            })?,
        };
        fields.refuse_the_rest()?;
        Ok(query)
    }

    /// The query part of the URL, percent-encoded.
    pub fn to_url_query(&self) -> String {
        let mut pairs = Serializer::new(String::new());
        pairs.append_pair("q", &self.text);
        for (name, number) in [("count", self.count), ("offset", self.offset)] {
            if let Some(number) = number {
                pairs.append_pair(name, &number.to_string());
            }
        }
        for (name, text) in [
            ("country", &self.country),
            ("search_lang", &self.search_lang),
            ("freshness", &self.freshness),
            ("safesearch", &self.safesearch),
        ] {
            if let Some(text) = text {
                pairs.append_pair(name, text);
            }
        }
        // Ask for no mark-up around the words that were found.
        pairs.append_pair("text_decorations", "false");
        pairs.finish()
    }

    /// The search text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The page, from 0.
    pub fn offset(&self) -> u64 {
        self.offset.unwrap_or(0)
    }

    /// The last page that Brave answers.
    pub const fn max_offset() -> u64 {
        MAX_OFFSET
    }
}

/// The fields that are not parsed yet.
struct Fields(Map<String, Value>);

impl Fields {
    fn string(
        &mut self,
        name: &str,
        expected: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, ToolError> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) if fits(&text) => Ok(Some(text)),
            Some(_) => Err(misfit(name, expected)),
        }
    }

    fn integer(&mut self, name: &str, min: u64, max: u64) -> Result<Option<u64>, ToolError> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(value) => whole(&value)
                .filter(|number| (min..=max).contains(number))
                .map(Some)
                .ok_or_else(|| misfit(name, &format!("a whole number from {min} to {max}"))),
        }
    }

    fn refuse_the_rest(self) -> Result<(), ToolError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(invalid(format!(
                "search has no field \"{}\"; it has query, count, offset, country, search_lang, \
                 freshness and safesearch",
                name.chars().take(64).collect::<String>()
            ))),
        }
    }
}

/// A whole number. JSON Schema counts `3.0` as an integer, so this does too.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && (0.0..=1e9).contains(&number)).then_some(number as u64)
    })
}

fn is_letters(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn is_language(text: &str) -> bool {
    match text.split_once('-') {
        Some((language, region)) => is_letters(language, 2, 3) && is_letters(region, 2, 4),
        None => is_letters(text, 2, 3),
    }
}

fn is_date_range(text: &str) -> bool {
    let is_date = |text: &str| {
        text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            })
    };
    text.split_once("to")
        .is_some_and(|(from, until)| is_date(from) && is_date(until))
}

fn misfit(name: &str, expected: &str) -> ToolError {
    invalid(format!("the field \"{name}\" of search is not {expected}"))
}

fn invalid(message: impl Into<String>) -> ToolError {
    tool_error("invalid_input", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_becomes_a_url_query() {
        let query = Query::parse(
            r#"{"query":"a b&c=d","count":3.0,"offset":9,"country":"de","search_lang":"pt-br",
                "freshness":"2025-01-01to2025-12-31","safesearch":"off"}"#,
        )
        .expect("fits");
        assert_eq!(
            query.to_url_query(),
            "q=a+b%26c%3Dd&count=3&offset=9&country=de&search_lang=pt-br\
             &freshness=2025-01-01to2025-12-31&safesearch=off&text_decorations=false"
        );
        let query = Query::parse(r#"{"query":"x"}"#).expect("fits");
        assert_eq!(query.to_url_query(), "q=x&text_decorations=false");
    }

    #[test]
    fn what_does_not_fit_is_refused_by_the_name_of_the_field() {
        let long = format!(r#"{{"query":"{}"}}"#, "x".repeat(401));
        for (input, named) in [
            ("", "JSON object"),
            ("[]", "JSON object"),
            ("{}", "\"query\""),
            (r#"{"query":""}"#, "\"query\""),
            (r#"{"query":"  "}"#, "\"query\""),
            (r#"{"query":7}"#, "\"query\""),
            (long.as_str(), "\"query\""),
            (r#"{"query":"x","count":0}"#, "\"count\""),
            (r#"{"query":"x","count":21}"#, "\"count\""),
            (r#"{"query":"x","count":"5"}"#, "\"count\""),
            (r#"{"query":"x","count":1.5}"#, "\"count\""),
            (r#"{"query":"x","count":null}"#, "\"count\""),
            (r#"{"query":"x","offset":-1}"#, "\"offset\""),
            (r#"{"query":"x","offset":10}"#, "\"offset\""),
            (r#"{"query":"x","country":"DEU"}"#, "\"country\""),
            (
                r#"{"query":"x","search_lang":"english"}"#,
                "\"search_lang\"",
            ),
            (r#"{"query":"x","freshness":"1d"}"#, "\"freshness\""),
            (
                r#"{"query":"x","freshness":"2025-1-1to2025-12-31"}"#,
                "\"freshness\"",
            ),
            (r#"{"query":"x","safesearch":"Off"}"#, "\"safesearch\""),
            (r#"{"query":"x","base_url":"http://evil"}"#, "\"base_url\""),
        ] {
            let error = Query::parse(input).expect_err(input);
            assert_eq!(error.code, "invalid_input", "{input}");
            assert!(error.message.contains(named), "{input}: {}", error.message);
        }
    }

    #[test]
    fn the_schema_names_the_fields_that_are_parsed_and_no_others() {
        let published = schema();
        let names: Vec<_> = published["properties"]
            .as_object()
            .expect("an object")
            .keys()
            .collect();
        assert_eq!(names.len(), 7);
        for name in names {
            // An array fits no field. So a field that is not parsed gives the error "no field"
            // instead.
            let error = Query::parse(&json!({"query": "x", name: []}).to_string())
                .expect_err("an array fits no field");
            assert!(
                error.message.contains(" is not "),
                "{name}: {}",
                error.message
            );
        }
    }
}
