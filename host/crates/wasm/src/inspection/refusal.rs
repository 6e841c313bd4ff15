//! Decides whether a component fits a class, and says why not.
//!
//! It compares the findings of `walk` with the tables of `contract`, and does not read the binary.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::contract::{self, Verdict};
use super::interface::Interface;
use super::walk::Findings;
use super::{Class, ImportFound, ImportKind, Place, place};
use tavora_scrub::shown;

/// The most imports that a message names. The rest is only counted.
const MAX_NAMED: usize = 20;

/// Why a component may not be loaded as a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    class: Class,
    objections: Vec<Objection>,
    export_fault: Option<String>,
    /// The engine's reason against a component that the contract allows.
    engine_fault: Option<String>,
}

impl Refusal {
    /// The class that the component does not fit.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// The imports that the class may not have, with their places.
    #[must_use]
    pub fn objections(&self) -> &[Objection] {
        &self.objections
    }

    pub(super) fn by_the_engine(class: Class, reason: String) -> Self {
        Self {
            class,
            objections: Vec::new(),
            export_fault: None,
            engine_fault: Some(reason),
        }
    }
}

/// An import that a class may not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objection {
    /// The name in the binary.
    pub name: String,
    #[serde(with = "place::path")]
    pub place: Place,
    /// The fault, if it is not only the name.
    pub reason: Option<String>,
}

/// Returns why `findings` do not fit `class`, or `None` if they do.
pub(super) fn refusal(class: Class, findings: &Findings) -> Option<Refusal> {
    let objections: Vec<Objection> = findings
        .imports
        .iter()
        .filter_map(|import| {
            judge(class, import, findings)
                .err()
                .map(|reason| Objection {
                    name: import.name.clone(),
                    place: import.place.clone(),
                    reason,
                })
        })
        .collect();
    let export_fault = export_fault(class, findings);
    let is_refused = !objections.is_empty() || export_fault.is_some();
    is_refused.then_some(Refusal {
        class,
        objections,
        export_fault,
        engine_fault: None,
    })
}

/// Returns an error if the class may not have the import. The error holds the fault, if it is not
/// only the name.
fn judge(class: Class, import: &ImportFound, findings: &Findings) -> Result<(), Option<String>> {
    match import.kind {
        ImportKind::CoreImport => judge_core(class, &import.name, findings),
        ImportKind::Mention if findings.exports.contains_key(&import.name) => Ok(()),
        _ => match Interface::parse(&import.name) {
            Some(interface) => {
                judge_interface(class, interface, false, &import.place)?;
                import
                    .type_fault
                    .clone()
                    .map_or(Ok(()), |fault| Err(Some(fault)))
            }
            None => judge_plain(class, import),
        },
    }
}

/// Judges the name of a core module's import. A core module can reach only what its component
/// passes to it. Its names are judged all the same, so that a forbidden name occurs nowhere in the
/// binary.
fn judge_core(class: Class, name: &str, findings: &Findings) -> Result<(), Option<String>> {
    const PREVIEW1: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];
    const CANONICAL_PREFIX: &str = "cm32p2|";
    if PREVIEW1.contains(&name) {
        return match class {
            Class::Agent => Err(None),
            Class::Tool => Ok(()),
        };
    }
    // Intrinsics of resources that the component itself exports.
    if let Some(exported) = name.strip_prefix("[export]") {
        return if !exported.contains([':', '/']) || findings.exports.contains_key(exported) {
            Ok(())
        } else {
            Err(None)
        };
    }
    let (name, patch_left_out) = match name.strip_prefix(CANONICAL_PREFIX) {
        Some(rest) => (rest, true),
        None => (name, false),
    };
    if !name.contains([':', '/']) {
        return Ok(());
    }
    let interface = Interface::parse(name).ok_or(None)?;
    judge_interface(
        class,
        interface,
        patch_left_out,
        &Place::top().inside(place::Part::CoreModule(0)),
    )
}

fn judge_interface(
    class: Class,
    interface: Interface<'_>,
    patch_left_out: bool,
    place: &Place,
) -> Result<(), Option<String>> {
    match contract::verdict(class, interface, patch_left_out) {
        Verdict::Allowed => Ok(()),
        Verdict::OtherVersion(versions) => Err(Some(format!("the version has to be {versions}"))),
        // A trusted tool may use any names between its own parts. Only the outermost component gets
        // imports from the host, and only names of the platform and of WASI have a meaning to the
        // host.
        Verdict::Unknown if class == Class::Tool && !place.is_top() && !interface.is_reserved() => {
            Ok(())
        }
        Verdict::Unknown => Err(None),
    }
}

/// Judges a name that is no interface. Toolchains use such names between the parts of one
/// component.
fn judge_plain(class: Class, import: &ImportFound) -> Result<(), Option<String>> {
    let is_label = import
        .name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'[' | b']'));
    let may_be_internal = match import.kind {
        ImportKind::Function | ImportKind::Type => true,
        ImportKind::Instance => class == Class::Tool,
        ImportKind::Mention => true,
        ImportKind::Component
        | ImportKind::CoreModule
        | ImportKind::Value
        | ImportKind::CoreImport => false,
    };
    if is_label && may_be_internal && !import.place.is_top() {
        return Ok(());
    }
    Err(match import.kind {
        ImportKind::Component => Some("it imports a component".to_owned()),
        ImportKind::CoreModule => Some("it imports a core module".to_owned()),
        ImportKind::Function => Some("it imports a function".to_owned()),
        ImportKind::Type => Some("it imports a type".to_owned()),
        _ => None,
    })
}

fn export_fault(class: Class, findings: &Findings) -> Option<String> {
    let wanted = format!("tavora:platform/{}@0.1.x", contract::export_name(class));
    let mut found = findings
        .exports
        .iter()
        .filter(|(name, _)| contract::is_export_of(class, name));
    match found.next() {
        Some((name, Some(fault))) => Some(format!("its {} {fault}", shown::name(name))),
        Some((_, None)) if class == Class::Tool => contract::serving_fault(&findings.exports),
        Some((_, None)) => None,
        None if findings.exports.is_empty() => {
            Some(format!("it exports nothing where {wanted} is needed"))
        }
        None => Some(format!("it does not export {wanted}")),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (who, world) = match self.class {
            Class::Agent => ("an agent component", "agent-sandbox"),
            Class::Tool => ("a trusted tool", "trusted-tool"),
        };
        if let Some(fault) = &self.engine_fault {
            return write!(
                f,
                "this has the interfaces of {who}, and cannot be loaded: {fault}"
            );
        }
        if self.objections.is_empty() {
            write!(f, "this does not fit {who}")?;
        } else {
            let allowed = contract::import_words(self.class);
            write!(f, "{who} may import only {allowed}; this one imports ")?;
            for (index, objection) in self.objections.iter().take(MAX_NAMED).enumerate() {
                write!(f, "{}{objection}", if index > 0 { ", " } else { "" })?;
            }
            if let Some(more @ 1..) = self.objections.len().checked_sub(MAX_NAMED) {
                write!(f, " and {more} more")?;
            }
        }
        if let Some(fault) = &self.export_fault {
            let joint = if self.objections.is_empty() {
                ": "
            } else {
                ", and "
            };
            write!(f, "{joint}{fault}")?;
        }
        write!(f, "; build it against the world `{world}` in `wit/`")
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", shown::name(&self.name), self.place)?;
        if let Some(reason) = &self.reason {
            write!(f, "; {reason}")?;
        }
        f.write_str(")")
    }
}
