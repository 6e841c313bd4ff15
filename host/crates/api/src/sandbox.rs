//! `/api/sdk/sandbox/execute`: runs an agent's program for the calling app.
//!
//! A program that throws or reaches a limit does not fail the request. The run ends when its client
//! disconnects.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::AppCaller;
use super::body::JsonBody;
use super::error::ApiError;
use super::json::MendedText;
use super::schema::{BadBody, Missing, Refused};
use tavora_platform::{AgentRun, CallRecord, RunError, RunIdentity, RunReport, RunTools};
use tavora_wasm::agent::AgentFailure;

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(execute))
}

/// A program to run.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Execute {
    /// The body of an async function in JavaScript.
    #[schema(value_type = String)]
    code: MendedText,
    /// The agent whose tools it gets. Without one it gets every tool of the platform, and
    /// nothing that an agent's file declares.
    agent: Option<String>,
    /// What the program sees as `input`: any JSON value, null without it.
    #[schema(value_type = Value, required = false)]
    input: Option<Box<RawValue>>,
    /// A shorter wall clock than the operator's, in milliseconds.
    #[schema(minimum = 1)]
    timeout_ms: Option<u64>,
}

/// What a run came to.
#[derive(Serialize, ToSchema)]
struct Executed {
    /// Whether the program gave a result.
    ok: bool,
    /// The result, null when there is none.
    #[schema(value_type = Value, required)]
    result: Option<Box<RawValue>>,
    /// Why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ScriptError>,
    /// What the program logged, line by line.
    logs: Vec<String>,
    /// The tools that it called, in the order in which the calls ended.
    #[schema(value_type = Vec<CallSchema>)]
    calls: Vec<CallRecord>,
    /// How long it took, in milliseconds.
    duration_ms: u64,
}

/// What a program threw, or the limit that ended it.
#[derive(Serialize, ToSchema)]
struct ScriptError {
    /// `ToolError`, `TypeError`, …; `LimitExceeded` when a limit ended the run.
    name: String,
    /// For programs: a tool's code, `limit_exceeded`, or null.
    #[schema(required)]
    code: Option<String>,
    /// For people and models.
    message: String,
}

/// One call of a tool.
#[derive(ToSchema)]
#[schema(as = Call)]
#[allow(dead_code)]
struct CallSchema {
    tool: String,
    operation: String,
    ok: bool,
    #[schema(required)]
    error_code: Option<String>,
    duration_ms: u64,
}

/// Runs a program in the agent sandbox.
#[utoipa::path(post, path = "/api/sdk/sandbox/execute", tag = "Tools", operation_id = "execute",
    request_body = Execute,
    responses((status = 200, body = Executed), Refused, Missing, BadBody))]
async fn execute(
    State(api): State<Api>,
    caller: AppCaller,
    JsonBody(body): JsonBody<Execute>,
) -> Result<Json<Executed>, ApiError> {
    let tools = match &body.agent {
        None => RunTools::All,
        Some(id) => RunTools::Of(super::tools::agent(&api, id).await?),
    };
    // A larger number does not fit the document's int64.
    let most = i64::MAX.unsigned_abs();
    if body.timeout_ms.is_some_and(|ms| ms == 0 || ms > most) {
        return Err(ApiError::invalid_field(
            "timeout_ms",
            format!(
                "the field timeout_ms must be 1 to {most}; leave it out for the operator's limit"
            ),
        ));
    }
    let runs = api.app_runs();
    let _place = runs.enter(caller.app).ok_or_else(|| {
        let metrics = api.platform().metrics();
        metrics.limit_hit("limits.agent.max_runs_per_app");
        let message = format!(
            "the app has as many runs under way as limits.agent.max_runs_per_app ({}) allows; wait for one to end",
            runs.max_per_app()
        );
        ApiError::too_many_requests(message, 1)
    })?;
    let logs = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&logs);
    let mut run = AgentRun::new(caller.app, body.code.0);
    run.identity = RunIdentity {
        request_id: Some(caller.request_id.as_str().to_owned()),
        api_key: Some(caller.api_key),
        ..run.identity
    };
    run.input = body
        .input
        .map_or("null".to_owned(), |input| input.get().to_owned());
    run.timeout_ms = body.timeout_ms;
    run.tools = tools;
    run.log = Box::new(move |line| {
        sink.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line.to_owned());
    });
    let RunReport {
        outcome,
        calls,
        duration,
    } = api.platform().run(run).await;
    let (result, error) = match outcome {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(script_error(error)?)),
    };
    let logs = std::mem::take(&mut *logs.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Json(Executed {
        ok: error.is_none(),
        result,
        error,
        logs,
        calls,
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
    }))
}

/// Returns the program's own error, or the limit that it reached. A failure of the host fails the
/// request.
fn script_error(error: RunError) -> Result<ScriptError, ApiError> {
    let message = error.to_string();
    match error {
        RunError::Threw {
            name,
            code,
            message,
            stack: _,
        } => Ok(ScriptError {
            name,
            code,
            message,
        }),
        RunError::Limit(_) | RunError::CodeTooLong { .. } | RunError::InputTooLong { .. } => {
            Ok(ScriptError {
                name: "LimitExceeded".to_owned(),
                code: Some("limit_exceeded".to_owned()),
                message,
            })
        }
        RunError::InvalidInput(_) => Err(ApiError::invalid_field("input", message)),
        RunError::MissingSandbox(_) => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "sandbox_missing",
            message,
        )),
        RunError::Failed(AgentFailure::Busy(_)) => {
            Err(
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "sandbox_busy", message)
                    .retry_after(1),
            )
        }
        RunError::Failed(_) | RunError::InvalidResult(_) => {
            tracing::error!(error = message, "the sandbox failed");
            Err(ApiError::internal())
        }
    }
}
