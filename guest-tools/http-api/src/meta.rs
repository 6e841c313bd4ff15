//! The facts beside the body of an answer: links to other pages, and the number of calls that are
//! left.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use trusted_tool::answer::Answer;

/// The shown headers about pages and versions.
const SHOWN: [&str; 11] = [
    "etag",
    "last-modified",
    "location",
    "retry-after",
    "x-next-page",
    "x-prev-page",
    "x-page",
    "x-per-page",
    "x-total",
    "x-total-count",
    "x-total-pages",
];
/// The beginnings of the names of headers that tell how many calls are left.
const ABOUT_RATES: [&str; 3] = ["ratelimit", "x-ratelimit", "x-rate-limit"];
/// Limits the headers and the links that are shown, and the bytes of each.
const MAX_SHOWN: usize = 32;
const MAX_VALUE_BYTES: usize = 2_048;

/// Returns the links and headers of an answer: `{links: {next: {url, query}}, headers: {…}}`.
pub fn of(answer: &Answer) -> Value {
    let is_shown = |name: &str| {
        SHOWN.contains(&name) || ABOUT_RATES.iter().any(|start| name.starts_with(start))
    };
    let mut headers = Map::new();
    for (name, value) in answer.headers() {
        let name = name.to_ascii_lowercase();
        if headers.len() < MAX_SHOWN
            && value.len() <= MAX_VALUE_BYTES
            && is_shown(&name)
            && let Ok(value) = std::str::from_utf8(value)
        {
            headers.insert(name, Value::from(value));
        }
    }
    json!({ "links": answer.header("link").map(links).unwrap_or_default(), "headers": headers })
}

/// Returns the targets of a `Link` header (RFC 8288) by their relation.
fn links(header: &str) -> Map<String, Value> {
    let mut links = Map::new();
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((url, after)) = after.split_once('>') else {
            break;
        };
        // The next link begins after a comma and `<`.
        let end = after.find(",<").or_else(|| after.find(", <"));
        let (parameters, next) = after.split_at(end.unwrap_or(after.len()));
        let relation = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let is_relation = name.trim().eq_ignore_ascii_case("rel");
            is_relation.then(|| value.trim().trim_matches('"'))
        });
        if let Some(relation) = relation
            && links.len() < MAX_SHOWN
            && url.len() <= MAX_VALUE_BYTES
        {
            let target = json!({ "url": url, "query": query_of(url) });
            links.entry(relation).or_insert(target);
        }
        rest = next;
    }
    links
}

/// Returns the parameters of a URL's query, so that they can be given to the same operation again.
fn query_of(url: &str) -> Map<String, Value> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), Value::from(decoded(value)))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_rates_are_shown_and_nothing_else() {
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let answer = Answer::new(
            200,
            vec![
                header(
                    "Link",
                    r#"<https://api.example.com/issues?page=2&q=a+b%26>; rel="next", <https://api.example.com/issues?page=5>; rel="last""#,
                ),
                header("X-RateLimit-Remaining", "59"),
                header("RateLimit", "limit=60"),
                header("Set-Cookie", "a=b"),
                header("ETag", "\"v1\""),
            ],
            Vec::new(),
        );
        assert_eq!(
            of(&answer),
            json!({
                "links": {
                    "next": {
                        "url": "https://api.example.com/issues?page=2&q=a+b%26",
                        "query": {"page": "2", "q": "a b&"},
                    },
                    "last": {
                        "url": "https://api.example.com/issues?page=5",
                        "query": {"page": "5"},
                    },
                },
                "headers": {
                    "x-ratelimit-remaining": "59", "ratelimit": "limit=60", "etag": "\"v1\"",
                },
            })
        );
        let none = Answer::new(200, vec![header("link", "<broken")], Vec::new());
        assert_eq!(of(&none), json!({"links": {}, "headers": {}}));
    }
}
