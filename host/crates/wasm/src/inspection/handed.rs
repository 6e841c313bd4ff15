//! An inspection in the form in which the worker sends it to the host. It includes fields that the
//! JSON for people leaves out.

use serde::{Deserialize, Serialize};

use super::{Digest, ImportFound, ImportKind, Inspection, Place, Refusal, fit, place};

/// An inspection that can be serialised and read again.
#[derive(Serialize, Deserialize)]
pub(in super::super) struct HandedInspection {
    digest: Digest,
    size_bytes: usize,
    imports: Vec<HandedImport>,
    exports: Vec<String>,
    agent_refusal: Option<Refusal>,
    tool_refusal: Option<Refusal>,
}

#[derive(Serialize, Deserialize)]
struct HandedImport {
    name: String,
    kind: ImportKind,
    #[serde(with = "place::path")]
    place: Place,
    type_fault: Option<String>,
}

impl From<Inspection> for HandedInspection {
    fn from(inspection: Inspection) -> Self {
        let imports = inspection.imports.into_iter();
        let imports = imports.map(|import| HandedImport {
            name: import.name,
            kind: import.kind,
            place: import.place,
            type_fault: import.type_fault,
        });
        Self {
            digest: inspection.digest,
            size_bytes: inspection.size_bytes,
            imports: imports.collect(),
            exports: inspection.exports,
            agent_refusal: inspection.agent_refusal,
            tool_refusal: inspection.tool_refusal,
        }
    }
}

impl From<HandedInspection> for Inspection {
    fn from(handed: HandedInspection) -> Self {
        let imports = handed.imports.into_iter();
        let imports: Vec<ImportFound> = imports
            .map(|import| ImportFound {
                name: import.name,
                kind: import.kind,
                place: import.place,
                type_fault: import.type_fault,
            })
            .collect();
        let (agent, tool) = (handed.agent_refusal.as_ref(), handed.tool_refusal.as_ref());
        Self {
            digest: handed.digest,
            size_bytes: handed.size_bytes,
            class: fit(&imports, agent, tool),
            imports,
            exports: handed.exports,
            agent_refusal: handed.agent_refusal,
            tool_refusal: handed.tool_refusal,
        }
    }
}
