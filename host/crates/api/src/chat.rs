//! Endpoints compatible with OpenAI's: chat completions and the list of models, at `/v1` and at
//! other paths where the SDKs look for them.
//!
//! The component `llm-router` answers the requests. This module authenticates them, limits their
//! bodies, and shapes the errors that occur before the component is called. Neither body is
//! collected, and no header of the client reaches the component.

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::AppCaller;
use super::body::{self, LengthLimit, StreamedBody};
use super::error::ApiError;
use super::schema::{BadBody, BadUpstream, Error, Missing, Refused};
use super::stopping::Events;
use tavora_platform::{RunIdentity, ServeError};
use tavora_server::Stopping;

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(complete))
        .routes(routes!(complete_for_sdks))
        .routes(routes!(models))
        .routes(routes!(model))
        .route("/v1/models/{id}/{*rest}", get(models))
}

/// A chat completion; what else stands in it goes to the model's provider as it is.
#[derive(ToSchema)]
#[allow(dead_code)]
struct ChatCompletionRequest {
    /// `provider/model`, or a name whose beginning tells the provider. Without it, the operator's
    /// default.
    #[schema(example = "gemini-2.5-flash")]
    model: Option<String>,
    /// The conversation so far.
    #[schema(min_items = 1, value_type = Vec<Object>)]
    messages: Vec<Value>,
    /// Whether the answer comes as server-sent events.
    stream: Option<bool>,
}

/// Completes a chat.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "Models", operation_id = "chat_completions",
    request_body = ChatCompletionRequest,
    responses((status = 200, description = "The provider's answer, as it is.", content((Object = "application/json"), (String = "text/event-stream"))),
        (status = "default", description = "The provider's refusal, as it is.", body = Error), Refused, BadBody, BadUpstream))]
async fn complete(State(api): State<Api>, request: Request) -> Response {
    answer(&api, request).await
}

/// Completes a chat.
#[utoipa::path(post, path = "/api/sdk/chat/completions", tag = "Models", operation_id = "sdk_chat_completions",
    request_body = ChatCompletionRequest,
    responses((status = 200, description = "The provider's answer, as it is.", content((Object = "application/json"), (String = "text/event-stream"))),
        (status = "default", description = "The provider's refusal, as it is.", body = Error), Refused, BadBody, BadUpstream))]
async fn complete_for_sdks(State(api): State<Api>, request: Request) -> Response {
    answer(&api, request).await
}

/// The models of the providers that the app has a credential for, as the operator lists them.
#[utoipa::path(get, path = "/v1/models", tag = "Models", operation_id = "models",
    responses((status = 200, description = "A list, as OpenAI has it.", body = Object), Refused, BadUpstream))]
async fn models(State(api): State<Api>, request: Request) -> Response {
    answer(&api, request).await
}

/// One of these models. A slash in its id may be written as it is, or as `%2F`.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "Models", operation_id = "model",
    params(("id" = String, Path, description = "The model, as the list has it")),
    responses((status = 200, description = "The model, as OpenAI has it.", body = Object), Refused, Missing, BadUpstream))]
async fn model(State(api): State<Api>, request: Request) -> Response {
    answer(&api, request).await
}

async fn answer(api: &Api, request: Request) -> Response {
    match serve(api, request).await {
        Ok(response) => response,
        Err(error) => error.for_openai().into_response(),
    }
}

async fn serve(api: &Api, request: Request) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let caller = AppCaller::from_request_parts(&mut parts, api).await?;
    if parts.method == Method::POST {
        body::require_json(&parts.headers)?;
    }
    let (body, fault) = StreamedBody::new(&parts.headers, body, LengthLimit::of_any(api.limits()))?;
    // axum removes the body from the answer to a HEAD. The component knows only GET.
    let method = match parts.method {
        Method::HEAD => Method::GET,
        method => method,
    };
    let asked = http::Request::builder()
        .method(method)
        // The component must not learn the address of the host.
        .uri(format!("http://host.invalid{}", parts.uri.path()))
        .header(CONTENT_TYPE, "application/json")
        .body(body)
        .map_err(|_| ApiError::internal())?;
    let streams = api.app_streams();
    let place = streams.enter(caller.app).ok_or_else(|| {
        let metrics = api.platform().metrics();
        metrics.limit_hit("limits.stream.max_per_app");
        let message = format!(
            "the app has as many requests under way as limits.stream.max_per_app ({}) allows; wait for one to end",
            streams.max_per_app()
        );
        ApiError::too_many_requests(message, 1)
    })?;
    let identity = RunIdentity {
        app: caller.app,
        session_id: uuid::Uuid::now_v7().to_string(),
        request_id: Some(caller.request_id.as_str().to_owned()),
        api_key: Some(caller.api_key),
    };
    let served = api.platform().complete_chat(identity, asked).await;
    if let Some(fault) = fault.take() {
        return Err(fault);
    }
    let mut response = served?;
    // Scrubbing can change the length.
    response.headers_mut().remove(CONTENT_LENGTH);
    response.body_mut().keep(place);
    let kind = response.headers().get(CONTENT_TYPE);
    let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    Ok(match parts.extensions.remove::<Stopping>() {
        Some(stopping) if is_stream => response.map(|it| Body::new(Events::new(it, stopping))),
        _ => response.map(Body::new),
    })
}

impl From<ServeError> for ApiError {
    fn from(error: ServeError) -> Self {
        let message = error.to_string();
        match error {
            ServeError::Missing(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "router_missing", message).permanent()
            }
            ServeError::Busy { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).retry_after(1)
            }
            ServeError::Limit(_) => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "limit_exceeded", message)
            }
            ServeError::Failed => Self::internal(),
        }
    }
}
