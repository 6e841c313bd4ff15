//! What a platform shows of what it has loaded: for the command line, the operator's API and the
//! page.
//!
//! What a component imports is what inspection found in its bytes. Names of secrets are here, never
//! values.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use vault_core::SecretName;

use tavora_egress::Origin;
use tavora_trust::slot::Slot;
use tavora_wasm::inspection::{Digest, Fit, Inspection};
pub use tavora_wasm::tool::GrantedBy;
use tavora_wasm::tool::ToolComponent;

/// A loaded component, as inspection saw it.
#[derive(Clone, Debug, Serialize)]
pub struct ComponentView {
    /// The digest of its binary.
    pub digest: Digest,
    /// The size of its binary.
    pub size_bytes: usize,
    /// The class that it fits, and what one that needs trust could do.
    pub class: Fit,
    /// The interfaces that it imports, wherever in the component that is, each once.
    pub imports: Vec<String>,
    /// The names that it exports.
    pub exports: Vec<String>,
}

/// A loaded tool with what it is granted.
#[derive(Clone, Debug, Serialize)]
pub struct ToolView {
    /// The name that agents call it by.
    pub name: String,
    /// Its component.
    #[serde(flatten)]
    pub component: ComponentView,
    /// Who decides what it may have.
    pub granted_by: GrantedBy,
    /// The secrets that it may resolve.
    pub secrets: Vec<String>,
    /// Those of them that are lent: it uses them and does not see them.
    pub lent: Vec<CredentialView>,
    /// Those of them whose values it gets to see.
    pub revealed: Vec<String>,
    /// The origins that it may reach.
    pub origins: Vec<Origin>,
    /// Secrets that may be sent to these of its origins only.
    pub bind: BTreeMap<SecretName, Vec<Origin>>,
    /// What it can do.
    pub operations: Vec<OperationView>,
}

/// A secret that a tool uses and does not see.
#[derive(Clone, Debug, Serialize)]
pub struct CredentialView {
    /// Its name.
    pub secret: String,
    /// The places of a request in which it may stand.
    pub slots: Vec<Slot>,
}

/// One operation of a tool.
#[derive(Clone, Debug, Serialize)]
pub struct OperationView {
    /// Its name.
    pub name: String,
    /// For whom decides whether to call it.
    pub description: String,
    /// A JSON Schema.
    pub input_schema: Box<RawValue>,
}

impl From<&Inspection> for ComponentView {
    fn from(inspection: &Inspection) -> Self {
        Self {
            digest: inspection.digest,
            size_bytes: inspection.size_bytes,
            class: inspection.class.clone(),
            imports: inspection
                .interfaces()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            exports: inspection.exports.clone(),
        }
    }
}

impl From<&ToolComponent> for ToolView {
    fn from(tool: &ToolComponent) -> Self {
        let grants = &tool.grants;
        let names = grants.secrets.names.iter();
        let (revealed, lent): (Vec<_>, Vec<_>) =
            names.partition(|name| grants.secrets.is_revealed(name));
        let lent = lent.into_iter().map(|name| CredentialView {
            secret: name.to_string(),
            slots: grants.secrets.slots_of(name),
        });
        Self {
            name: tool.name.to_string(),
            component: (&tool.inspection).into(),
            granted_by: grants.by,
            secrets: grants
                .secrets
                .names
                .iter()
                .map(ToString::to_string)
                .collect(),
            lent: lent.collect(),
            revealed: revealed.into_iter().map(ToString::to_string).collect(),
            origins: grants.origins.to_vec(),
            bind: (*grants.secrets.bind).clone(),
            operations: tool
                .operations
                .iter()
                .map(|operation| OperationView {
                    name: operation.name.clone(),
                    description: operation.description.clone(),
                    input_schema: RawValue::from_string(operation.input_schema.clone())
                        .expect("the schema was checked when the tool was loaded"),
                })
                .collect(),
        }
    }
}
