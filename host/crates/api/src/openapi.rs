//! `/openapi.json`: the OpenAPI 3.1 document, generated from the handlers.
//!
//! Each handler describes its own operation. Common parts are described here.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde_json::Value;
use utoipa::OpenApi as _;
use utoipa::openapi::path::{Parameter, PathItem};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi, RefOr, Schema, SecurityRequirement};
use utoipa_axum::router::OpenApiRouter;

use super::Api;
use super::schema;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Tavora host",
        description = "Secret vaults for AI agents: agents get tools that use credentials, and never a credential. \
            No answer of this API holds a secret's value.",
    ),
    components(schemas(schema::Error)),
    tags(
        (name = "App", description = "The app that the API key belongs to, also under its newer name, project."),
        (name = "Secret vaults", description = "Buckets of named credentials."),
        (name = "Secrets", description = "Values go in; redacted views come out."),
        (name = "Audit", description = "What happened in the app."),
        (name = "Tools", description = "What the app's agents can call, and running them."),
        (name = "Operator", description = "Apps and their API keys, by the admin token."),
        (name = "Models", description = "Chat completions as OpenAI has them, of the providers that the app has credentials for."),
        (name = "Health", description = "Whether the host works."),
    )
)]
struct Document;

/// Splits the routes into the router and its document.
pub fn describe(routes: OpenApiRouter<Api>) -> (Router<Api>, OpenApi) {
    let (router, described) = routes.split_for_parts();
    let mut document = Document::openapi();
    document.merge(described);
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.info.license = None;
    let components = document.components.get_or_insert_with(Components::new);
    for (name, scheme) in schemes() {
        components.add_security_scheme(name, scheme);
    }
    for (path, item) in &mut document.paths.paths {
        finish(path, item);
    }
    (router, document)
}

/// The route of the document.
pub fn route(document: OpenApi) -> Router<Api> {
    let mut document = serde_json::to_value(&document).expect("a document is JSON");
    join_lines(&mut document);
    let text: &'static str = format!("{document:#}").leak();
    let answer = async move || ([(CONTENT_TYPE, "application/json")], text);
    Router::new().route("/openapi.json", get(answer))
}

/// Joins the lines of each paragraph: line breaks in a doc comment only fit the source's width.
fn join_lines(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if matches!(&**name, "description" | "summary") => {
                        let paragraphs = text.split("\n\n").map(|text| text.replace('\n', " "));
                        *text = paragraphs.collect::<Vec<_>>().join("\n\n");
                    }
                    _ => join_lines(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(join_lines),
        _ => {}
    }
}

fn schemes() -> [(&'static str, SecurityScheme); 3] {
    let bearer = |description: &str| {
        let mut bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        bearer = bearer.description(Some(description));
        SecurityScheme::Http(bearer.build())
    };
    let header = ApiKeyValue::with_description("X-API-Key", "An app's API key: `tvr_…`.");
    [
        ("api_key", SecurityScheme::ApiKey(ApiKey::Header(header))),
        (
            "bearer",
            bearer("An app's API key, as OpenAI's clients send it."),
        ),
        ("admin_token", bearer("The operator's token.")),
    ]
}

/// Sets the credentials of a path's operations. Operations under `/api/sdk/project` get ids of
/// their own, because they also exist under another path.
fn finish(path: &str, item: &mut PathItem) {
    let needs = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    let security = match path {
        _ if path.starts_with("/api/admin/") => Some(vec![needs("admin_token")]),
        _ if path.starts_with("/api/sdk/") || path.starts_with("/v1/") => {
            Some(vec![needs("api_key"), needs("bearer")])
        }
        _ => None,
    };
    let operations = [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.patch,
        &mut item.delete,
    ];
    for operation in operations.into_iter().flatten() {
        operation.security.clone_from(&security);
        let parameters = operation.parameters.iter_mut().flatten();
        parameters.for_each(never_null);
        if path.starts_with("/api/sdk/project") {
            let id = operation.operation_id.take().unwrap_or_default();
            operation.operation_id = Some(format!("project_{id}"));
        }
    }
}

/// Removes `null` from a parameter's types: a parameter is present or absent, and never null.
fn never_null(parameter: &mut RefOr<Parameter>) {
    if let RefOr::T(parameter) = parameter
        && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
        && let SchemaType::Array(types) = &mut schema.schema_type
    {
        types.retain(|it| *it != Type::Null);
        if let [only] = types.as_slice() {
            schema.schema_type = SchemaType::Type(only.clone());
        }
    }
}
