//! `xtask/floors.toml`: the floor of each crate, and the findings that break the order.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::crates::Crate;

/// The text of the file, which is built into this program.
const TEXT: &str = include_str!("../../floors.toml");

/// The content of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The floors from the ground up.
    floors: Vec<Vec<String>>,
}

impl Plan {
    /// The plan of this repository.
    pub fn of_the_repository() -> Result<Self> {
        toml::from_str(TEXT).context("xtask/floors.toml")
    }

    /// The findings: crates that are not listed exactly once, and dependencies that do not go down.
    pub fn findings(&self, crates: &[Crate]) -> Vec<String> {
        let mut findings = Vec::new();
        let mut floor_of: BTreeMap<&str, usize> = BTreeMap::new();
        for (floor, names) in self.floors.iter().enumerate() {
            for name in names {
                if floor_of.insert(name, floor).is_some() {
                    findings.push(format!("xtask/floors.toml lists {name} twice"));
                }
                if !crates.iter().any(|it| it.name == *name) {
                    findings.push(format!("xtask/floors.toml lists {name}, which is no crate"));
                }
            }
        }
        for it in crates {
            let Some(floor) = floor_of.get(it.name.as_str()) else {
                findings.push(format!("{} is on no floor of xtask/floors.toml", it.name));
                continue;
            };
            for need in &it.needs {
                // A crate on no floor has a finding of its own.
                if let Some(other) = floor_of.get(need.as_str())
                    && other >= floor
                {
                    findings.push(format!(
                        "{} on floor {floor} depends on {need} on floor {other}, not lower",
                        it.name
                    ));
                }
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(plan: &str, crates: &[(&str, &[&str])]) -> Vec<String> {
        let plan: Plan = toml::from_str(plan).expect("a plan");
        let crates: Vec<Crate> = crates
            .iter()
            .map(|(name, needs)| Crate {
                name: (*name).to_owned(),
                roots: Vec::new(),
                needs: needs.iter().map(|it| (*it).to_owned()).collect(),
            })
            .collect();
        plan.findings(&crates)
    }

    #[test]
    fn a_dependency_goes_down() {
        let plan = "floors = [['a', 'b'], ['c']]";
        assert!(findings(plan, &[("a", &[]), ("b", &[]), ("c", &["a", "b"])]).is_empty());
        assert_eq!(
            findings(plan, &[("a", &["b", "c"]), ("b", &[]), ("c", &[])]),
            [
                "a on floor 0 depends on b on floor 0, not lower",
                "a on floor 0 depends on c on floor 1, not lower",
            ]
        );
    }

    #[test]
    fn every_crate_is_listed_once() {
        assert_eq!(
            findings(
                "floors = [['a', 'ghost'], ['a']]",
                &[("a", &[]), ("b", &[])]
            ),
            [
                "xtask/floors.toml lists ghost, which is no crate",
                "xtask/floors.toml lists a twice",
                "b is on no floor of xtask/floors.toml",
            ]
        );
    }
}
