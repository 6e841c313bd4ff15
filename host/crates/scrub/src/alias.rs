//! Other forms of a value that give it away: the origin of a URL in the spellings that clients use,
//! and the value without its percent-encoding.

use percent_encoding::percent_decode_str;
use url::Url;
use zeroize::Zeroizing;

/// Returns the value without surrounding white space, followed by other values that give it away.
pub(super) fn aliases(value: &str) -> Vec<Zeroizing<String>> {
    let trimmed = value.trim();
    let value = if trimmed.is_empty() { value } else { trimmed };
    let mut all = vec![Zeroizing::new(value.to_owned())];
    let mut add = |alias: Zeroizing<String>| {
        if !alias.is_empty() && !all.contains(&alias) {
            all.push(alias);
        }
    };
    if value.contains('%') {
        let decoded = Zeroizing::new(percent_decode_str(value).collect::<Vec<u8>>());
        if let Ok(decoded) = std::str::from_utf8(&decoded) {
            add(Zeroizing::new(decoded.to_owned()));
        }
    }
    let url = value
        .contains("://")
        .then(|| Url::parse(value).ok())
        .flatten();
    if let Some(url) = url.filter(Url::has_host) {
        let (scheme, host) = (url.scheme(), url.host_str().unwrap_or_default());
        // The origin as the secret spells it. The forms below are as the host itself writes an
        // origin.
        let written = value.split_once("://").map_or("", |(_, rest)| rest);
        let written = written
            .split(['/', '?', '#', '\\'])
            .next()
            .unwrap_or_default();
        let written = written.rsplit('@').next().unwrap_or_default();
        add(Zeroizing::new(format!("{scheme}://{written}")));
        add(Zeroizing::new(format!("{scheme}://{host}")));
        if let Some(port) = url.port_or_known_default() {
            add(Zeroizing::new(format!("{scheme}://{host}:{port}")));
        }
        if let Some(password) = url.password() {
            let pair = format!("{}:{password}", url.username());
            let pair: Vec<u8> = percent_decode_str(&pair).collect();
            // The pair that `Authorization: Basic` carries.
            add(Zeroizing::new(String::from_utf8_lossy(&pair).into_owned()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_goes_by_its_origin_and_an_encoded_value_by_what_it_means() {
        let all = |value: &str| -> Vec<String> {
            aliases(value).iter().map(|it| it.to_string()).collect()
        };
        assert_eq!(all(" key\n"), ["key"]);
        assert_eq!(all("\n"), ["\n"]);
        assert_eq!(all("ab%2Fc%"), ["ab%2Fc%", "ab/c%"]);
        assert_eq!(
            all("HTTP://Ollama.Example/v1/"),
            [
                "HTTP://Ollama.Example/v1/",
                "http://Ollama.Example",
                "http://ollama.example",
                "http://ollama.example:80"
            ]
        );
        assert_eq!(
            all("https://me:p%40ss@h.example:8443")[2..],
            ["https://h.example:8443", "https://h.example", "me:p@ss"]
        );
        assert_eq!(all("mailto:a@b.example"), ["mailto:a@b.example"]);
    }
}
