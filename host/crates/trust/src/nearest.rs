//! Finds the known name that is most like an unknown one, for "did you mean".

/// The minimum similarity of two names, from 0 to 1.
const LIKENESS_MIN: f64 = 0.75;

/// Returns the known name that is most like the written one, if it is close enough. Case and dashes
/// do not count.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let written = plain(written);
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&written, &plain(known)), known))
        .filter(|(likeness, _)| *likeness > LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_the_name_that_was_meant() {
        let known = ["code", "agent", "input", "timeout_ms"];
        for (written, expected) in [
            ("agnt", Some("agent")),
            ("agent_id", Some("agent")),
            ("AGENT", Some("agent")),
            ("timeout-ms", Some("timeout_ms")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, known), expected, "{written}");
        }
    }
}
