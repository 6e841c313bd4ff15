//! `/api/sdk/tools`: the tools that the app's agents can call, and whether their credentials exist.
//!
//! Shows names of secrets, never values. No secret is opened for this.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vault_core::SecretName;

use super::Api;
use super::auth::AppCaller;
use super::error::ApiError;
use super::query::Query;
use super::schema::{Missing, Refused};
use tavora_agents::{Agent, AgentError};
use tavora_platform::{OperationView, ToolView};

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Whose tools are asked for.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Whose {
    /// An agent: the tools that its file grants, its MCP servers included. Without one, every tool
    /// of the platform.
    agent: Option<String>,
}

/// The tools that the app's agents can call.
#[derive(Serialize, ToSchema)]
struct Tools {
    tools: Vec<Tool>,
}

/// One of them.
#[derive(Serialize, ToSchema)]
struct Tool {
    name: String,
    #[schema(value_type = Vec<OperationSchema>)]
    operations: Vec<OperationView>,
    /// The secrets that it may resolve from the app's designated vault.
    credentials: Vec<Credential>,
}

/// A secret that a tool may resolve.
#[derive(Serialize, ToSchema)]
struct Credential {
    name: SecretNameText,
    /// Whether the designated vault holds it.
    present: bool,
}

/// For the OpenAPI document: a secret's name.
type SecretNameText = String;

/// What a tool can do.
#[derive(ToSchema)]
#[schema(as = Operation)]
#[allow(dead_code)]
struct OperationSchema {
    name: String,
    description: String,
    /// A JSON Schema.
    #[schema(value_type = Value)]
    input_schema: serde_json::Value,
}

/// What the app's agents can call.
#[utoipa::path(get, path = "/api/sdk/tools", tag = "Tools", operation_id = "tools",
    params(Whose),
    responses((status = 200, body = Tools), Refused, Missing))]
async fn list(
    State(api): State<Api>,
    caller: AppCaller,
    Query(whose): Query<Whose>,
) -> Result<Json<Tools>, ApiError> {
    let platform = api.platform();
    let granted: Vec<ToolView> = match &whose.agent {
        None => platform.tools().collect(),
        Some(id) => platform.tools_of(&*agent(&api, id).await?),
    };
    let vaults = api.vaults();
    let held: HashSet<SecretName> = match vaults.designated(caller.app).await? {
        Some(vault) => {
            let secrets = vaults.secrets(caller.app, vault).await?;
            secrets.into_iter().map(|secret| secret.name).collect()
        }
        None => HashSet::new(),
    };
    let credential = |name: String| Credential {
        present: name.parse().is_ok_and(|name| held.contains(&name)),
        name,
    };
    let tools = granted
        .into_iter()
        .map(|tool| Tool {
            name: tool.name,
            operations: tool.operations,
            credentials: tool.secrets.into_iter().map(credential).collect(),
        })
        .collect();
    Ok(Json(Tools { tools }))
}

/// Returns the agent with this id. Faults in its file are for the operator, so they go to the log.
pub(super) async fn agent(api: &Api, id: &str) -> Result<Arc<Agent>, ApiError> {
    api.platform().agent(id).await.map_err(|error| match error {
        AgentError::Unknown(_) | AgentError::NoFolder(_) => ApiError::not_found(format!(
            "{error}; leave `agent` out for every tool of the platform"
        )),
        AgentError::Broken(id, _) => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "agent_broken",
            format!("the agent \"{id}\" cannot be used until the operator corrects its file"),
        ),
    })
}
