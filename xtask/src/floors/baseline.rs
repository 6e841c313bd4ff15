//! How many files of a crate may stand in circles today. The numbers only fall.
//!
//! When none is left, this file goes, and with it `Plan::circles` and its two callers.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `[circles]` of `xtask/floors.toml`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    allowed: BTreeMap<String, usize>,
}

impl Baseline {
    /// Findings about a crate with `count` files in circles, each of which `circles` describes.
    pub fn judge(&self, name: &str, count: usize, circles: Vec<String>) -> Vec<String> {
        let allowed = self.allowed.get(name).copied().unwrap_or(0);
        match count {
            _ if count > allowed && allowed == 0 => circles,
            _ if count > allowed => {
                let sum = format!(
                    "{name} has {count} files in circles, and xtask/floors.toml allows {allowed}"
                );
                circles.into_iter().chain([sum]).collect()
            }
            _ if count < allowed => vec![format!(
                "{name} has {count} files in circles: lower the baseline of {allowed} in \
                 xtask/floors.toml"
            )],
            _ => Vec::new(),
        }
    }

    /// Findings about names that are no crate.
    pub fn unknown(&self, is_crate: impl Fn(&str) -> bool) -> Vec<String> {
        let names = self.allowed.keys().filter(|name| !is_crate(name));
        names
            .map(|name| format!("xtask/floors.toml allows circles in {name}, which is no crate"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_baseline_only_shrinks() {
        let baseline: Baseline = toml::from_str("allowed = { a = 4 }").expect("a baseline");
        let judge = |name, count| baseline.judge(name, count, vec!["a circle".to_owned()]);
        assert!(judge("a", 4).is_empty());
        assert_eq!(
            judge("a", 5),
            [
                "a circle",
                "a has 5 files in circles, and xtask/floors.toml allows 4"
            ]
        );
        assert_eq!(
            judge("a", 3),
            ["a has 3 files in circles: lower the baseline of 4 in xtask/floors.toml"]
        );
        assert_eq!(judge("b", 2), ["a circle"]);
        assert!(judge("b", 0).is_empty());
        assert_eq!(baseline.unknown(|name| name == "b").len(), 1);
    }
}
