//! `/api/sdk/audit-log`: the app's own audit, a page at a time or exported as a file.
//!
//! Entries about other apps, or about no app, are not shown. The formats of the file are in
//! `audit_export`.

// utoipa's `params(…)` expands to paths that are longer than necessary.
#![allow(unused_qualifications)]

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use vault_core::{AppId, AuditPage, AuditQuery};

use super::Api;
use super::audit_export::{self, ExportFormat};
use super::auth::AppCaller;
use super::error::ApiError;
use super::query::Query;
use super::schema::{self, Refused};

pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(page))
        .routes(routes!(export))
}

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only this action, for example `secret.put`.
    action: Option<String>,
    /// Only about this kind of subject, for example `secret`.
    subject_type: Option<String>,
    /// Only from this time on (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Only before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
}

impl Filter {
    /// Returns the query for one app's entries.
    pub fn of(self, app: AppId) -> AuditQuery {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        AuditQuery {
            app_id: Some(app),
            action: given(self.action),
            subject_kind: given(self.subject_type),
            from: self.from,
            to: self.to,
            ..AuditQuery::default()
        }
    }
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Page {
    /// Only what this user did. No entry has a user: API keys and the operator act here.
    actor_user_id: Option<String>,
    /// How many entries; 50 when absent, 1,000 at the most.
    #[param(minimum = 1, maximum = 4_294_967_295_i64, format = Int64)]
    limit: Option<u32>,
    /// After how many.
    #[param(minimum = 0)]
    offset: Option<u64>,
}

/// A page of the app's audit, newest entry first.
#[utoipa::path(get, path = "/api/sdk/audit-log", tag = "Audit", operation_id = "audit_log",
    params(Filter, Page),
    responses((status = 200, body = schema::AuditPage), Refused))]
async fn page(
    State(api): State<Api>,
    caller: AppCaller,
    Query(filter): Query<Filter>,
    Query(page): Query<Page>,
) -> Result<Json<AuditPage>, ApiError> {
    if page.limit == Some(0) {
        return Err(ApiError::bad_request(
            "invalid_query",
            "limit must be 1 or more; leave it out for 50",
        ));
    }
    // The database's numbers are signed.
    let offset = page.offset.unwrap_or(0);
    if i64::try_from(offset).is_err() {
        return Err(ApiError::bad_request(
            "invalid_query",
            "offset is out of range; page from 0",
        ));
    }
    let query = AuditQuery {
        limit: page.limit,
        offset,
        ..filter.of(caller.app)
    };
    if page.actor_user_id.is_some_and(|user| !user.is_empty()) {
        return Ok(Json(AuditPage {
            limit: query.page_size(),
            offset: query.offset,
            entries: Vec::new(),
            total: 0,
        }));
    }
    Ok(Json(api.vaults().audit_entries(query).await?))
}

/// How to export.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Export {
    /// `json` (an array of entries) when absent, or `csv`.
    #[param(inline)]
    format: Option<ExportFormat>,
}

/// The app's audit as a file, newest entry first.
#[utoipa::path(get, path = "/api/sdk/audit-log/export", tag = "Audit", operation_id = "export_audit_log",
    params(Filter, Export),
    responses((status = 200, description = "An array of entries, or CSV with a header line.",
        content((Vec<schema::AuditEntry> = "application/json"), (String = "text/csv"))), Refused))]
async fn export(
    State(api): State<Api>,
    caller: AppCaller,
    Query(filter): Query<Filter>,
    Query(export): Query<Export>,
) -> ([(HeaderName, HeaderValue); 2], Body) {
    let format = export.format.unwrap_or_default();
    audit_export::file(api.vaults(), filter.of(caller.app), format)
}
