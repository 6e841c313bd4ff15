//! Views of loaded components and tools, for the command line, the operator's API and the page.
//!
//! The imports of a component are those that inspection found in its bytes. Names of secrets appear
//! here, values never.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use vault_core::SecretName;

use tavora_egress::Origin;
use tavora_openapi::{HttpApi, LeftOut};
use tavora_trust::slot::Slot;
use tavora_wasm::inspection::{Digest, Fit, Inspection};
pub use tavora_wasm::tool::GrantedBy;
use tavora_wasm::tool::ToolComponent;

/// A loaded component, as inspection saw it.
#[derive(Clone, Debug, Serialize)]
pub struct ComponentView {
    pub digest: Digest,
    pub size_bytes: usize,
    /// The class of the component, and for a trusted one its authority.
    pub class: Fit,
    /// The interfaces that the component imports at any depth, each once.
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

/// A loaded tool with its grants.
#[derive(Clone, Debug, Serialize)]
pub struct ToolView {
    /// The name under which agents call it.
    pub name: String,
    #[serde(flatten)]
    pub component: ComponentView,
    /// The file that decides the grants.
    pub granted_by: GrantedBy,
    /// The secrets that the tool may resolve.
    pub secrets: Vec<String>,
    /// The secrets that are lent to the tool: it uses them but does not see their values.
    pub lent: Vec<CredentialView>,
    /// The secrets whose values the tool sees.
    pub revealed: Vec<String>,
    /// The origins that the tool may reach.
    pub origins: Vec<Origin>,
    /// The origins to which single secrets are bound.
    pub bind: BTreeMap<SecretName, Vec<Origin>>,
    pub operations: Vec<OperationView>,
    /// The HTTP API behind the tool, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpApiView>,
}

/// An HTTP API that is a tool.
#[derive(Clone, Debug, Serialize)]
pub struct HttpApiView {
    pub base_url: String,
    /// The slot of the API's credential, or `None` for a public API.
    pub slot: Option<Slot>,
    /// The lines of `allow`.
    pub allow: Vec<String>,
    /// The operations that `allow` admits but that cannot be called, with the reasons.
    pub left_out: Vec<LeftOut>,
}

/// A secret that is lent to a tool.
#[derive(Clone, Debug, Serialize)]
pub struct CredentialView {
    pub secret: String,
    /// The places of a request in which the secret may stand.
    pub slots: Vec<Slot>,
}

/// One operation of a tool.
#[derive(Clone, Debug, Serialize)]
pub struct OperationView {
    pub name: String,
    /// A description that helps people and models to decide whether to call it.
    pub description: String,
    /// The JSON Schema of the input.
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

impl From<&HttpApi> for HttpApiView {
    fn from(api: &HttpApi) -> Self {
        Self {
            base_url: api.base_url().to_string(),
            slot: api.credential().map(|it| it.slot().clone()),
            allow: api.allow().iter().map(ToString::to_string).collect(),
            left_out: api.left_out().to_vec(),
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
            http: tool.api.as_deref().map(Into::into),
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
