//! The audit of one app or of the whole platform: filtered, a page at a time, or exported as a
//! file.
//!
//! `api::audit_export` makes the file, as for the API. The page does not verify the chain:
//! `tavora-host audit verify` does, and reads all of it.

use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use vault_core::audit::{AUDIT_PAGE_DEFAULT, action};
use vault_core::{Actor, App, AppId, AuditEntry, AuditQuery, Subject};

use super::apps::{self, Tab};
use super::fields::{Fields, utc_time};
use super::form::{Draft, Input, Mistake};
use super::layout::{Section, code, named, time};
use super::paging::{offset, pages};
use super::paths::ROOT;
use super::problem::Problem;
use super::table::table;
use super::visit::{At, Query, Visit};
use tavora_api::audit_export::{self, ExportFormat};
use tavora_platform::trail;

/// The kinds of subjects in the filter.
const SUBJECTS: [&str; 6] = ["app", "api_key", "vault", "secret", "kek", "origin"];

pub(super) async fn platform(visit: Visit, Query(query): Query) -> Result<Response, Problem> {
    page(&visit, None, query).await
}

pub(super) async fn app(
    visit: Visit,
    At(app): At<AppId>,
    Query(query): Query,
) -> Result<Response, Problem> {
    let app = visit.vaults().app(app).await?;
    page(&visit, Some(&app), query).await
}

pub(super) async fn export_platform(
    visit: Visit,
    Query(query): Query,
) -> Result<Response, Problem> {
    export(&visit, None, &query)
}

pub(super) async fn export_app(
    visit: Visit,
    At(app): At<AppId>,
    Query(query): Query,
) -> Result<Response, Problem> {
    let app = visit.vaults().app(app).await?;
    export(&visit, Some(&app), &query)
}

fn export(visit: &Visit, app: Option<&App>, query: &Fields) -> Result<Response, Problem> {
    let format = match query.text("format") {
        "json" => ExportFormat::Json,
        "csv" => ExportFormat::Csv,
        _ => return Err(Problem::not_found()),
    };
    let query = filter(app, query).map_err(|_| Problem::bad_form("its times are no times"))?;
    Ok(audit_export::file(visit.vaults(), query, format).into_response())
}

async fn page(visit: &Visit, app: Option<&App>, fields: Fields) -> Result<Response, Problem> {
    let (query, mistake) = match filter(app, &fields) {
        Ok(query) => (query, None),
        Err(mistake) => (
            AuditQuery {
                app_id: app.map(|app| app.id),
                ..AuditQuery::default()
            },
            Some(mistake),
        ),
    };
    let offset = query.offset;
    let found = visit.vaults().audit_entries(query).await?;
    let path = app.map_or_else(|| ROOT.to_owned(), apps::path) + "/audit";
    let path_at = |offset: u64| with_filter(&path, &fields, &[("offset", &offset.to_string())]);
    let export_as =
        |format: &str| with_filter(&format!("{path}/export"), &fields, &[("format", format)]);
    let (listing, exports) = (
        html! {
            @if found.entries.is_empty() {
                p.empty { "No entry fits." }
            } @else {
                (entries(&found.entries))
            }
            (pages(found.total, offset, found.limit.into(), path_at))
        },
        html! {
            p.exports {
                "All " (found.total) " as a file: "
                a href=(export_as("json")) download { "JSON" } ", "
                a href=(export_as("csv")) download { "CSV" }
            }
        },
    );
    let draft = Draft::of_query(fields, mistake);
    let content = html! {
        @match app {
            Some(app) => { (apps::heading(app, Tab::Audit)) h2 { "Audit" } }
            None => {
                h1 { "Audit" }
                p.lead { "Every change and every release of a secret on this host, newest first. An entry is written before a secret is released." }
            }
        }
        (filter_form(&path, &draft))
        (exports)
        (listing)
    };
    let (section, title) = match app {
        Some(app) => (Section::Apps, format!("Audit of {}", app.name)),
        None => (Section::Audit, "Audit".to_owned()),
    };
    Ok(visit.page_again(draft.status(), section, &draft.title(&title), content))
}

/// Renders entries as a table. The overview uses it too.
pub(super) fn entries(entries: &[AuditEntry]) -> Markup {
    table(
        "Audit entries",
        ["Time", "Action", "Subject", "By", "Outcome", "Details"],
        entries.iter().map(|entry| {
            [
                time(entry.created_at),
                html! { code.word { (entry.action) } },
                html! {
                    @if let Some(subject) = &entry.subject { (about(subject)) } @else { "–" }
                },
                actor(entry),
                outcome(&entry.outcome),
                details(entry),
            ]
        }),
    )
}

/// Renders a subject. A secret is shown by its name: its id begins with its vault's.
fn about(subject: &Subject) -> Markup {
    html! {
        (subject.kind) " "
        @match subject.id.split_once('/') {
            Some((vault, name)) if subject.kind == "secret" => {
                bdi { (code(name)) } div.meta { "in the vault " (code(vault)) }
            }
            _ => { bdi { (code(&subject.id)) } }
        }
    }
}

fn actor(entry: &AuditEntry) -> Markup {
    html! {
        @match &entry.actor {
            Actor::Operator => { "Operator" }
            Actor::Host => { "Host" }
            Actor::Tool { name, .. } => { "Tool " (named(name)) }
            Actor::ApiKey(id) => { "API key " (code(id)) }
        }
    }
}

fn outcome(outcome: &str) -> Markup {
    let kind = match outcome {
        "ok" | "authorised" => "tag good",
        _ => "tag bad",
    };
    html! { span class=(kind) { (outcome) } }
}

fn details(entry: &AuditEntry) -> Markup {
    let metadata = serde_json::to_string_pretty(&entry.metadata()).expect("metadata is JSON");
    html! {
        details {
            summary {
                "Entry " (entry.seq)
                @if !entry.chain.is_local() { " of chain " (entry.chain) }
            }
            @if let Some(app) = entry.app_id { p { "App " (code(app)) } }
            pre tabindex="0" { (metadata) }
        }
    }
}

fn filter(app: Option<&App>, fields: &Fields) -> Result<AuditQuery, Mistake> {
    let given = |name| fields.given(name).map(str::to_owned);
    let at = |name: &'static str| {
        let time = fields.given(name).map(utc_time).transpose();
        time.map_err(|error| Mistake::invalid(name, error))
    };
    Ok(AuditQuery {
        app_id: app.map(|app| app.id),
        action: given("action"),
        subject_kind: given("subject_type"),
        from: at("from")?,
        to: at("to")?,
        limit: Some(AUDIT_PAGE_DEFAULT),
        offset: offset(fields),
    })
}

fn with_filter(path: &str, fields: &Fields, more: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(format!("{path}?"));
    for name in ["action", "subject_type", "from", "to"] {
        if let Some(value) = fields.given(name) {
            query.append_pair(name, value);
        }
    }
    query.extend_pairs(more);
    query.finish()
}

fn filter_form(path: &str, draft: &Draft) -> Markup {
    let actions = action::ALL.iter().copied().chain(trail::ACTIONS);
    html! {
        form.filter method="get" action=(path) aria-label="Filter" {
            (choice("action", "Action", actions, draft))
            (choice("subject_type", "Subject", SUBJECTS, draft))
            (Input { name: "from", label: "From, in UTC", kind: "datetime-local", required: false, ..Input::default() }.show(draft))
            (Input { name: "to", label: "Before, in UTC", kind: "datetime-local", required: false, ..Input::default() }.show(draft))
            div.actions {
                button type="submit" { "Filter" }
                a.button href=(path) { "Show all" }
            }
        }
    }
}

/// Renders a choice of one value or any. The current value is an option even if it is unknown.
fn choice<'a>(
    name: &'static str,
    label: &str,
    known: impl IntoIterator<Item = &'a str>,
    draft: &'a Draft,
) -> Markup {
    let chosen = draft.text(name);
    let mut options: Vec<&str> = known.into_iter().collect();
    if !chosen.is_empty() && !options.contains(&chosen) {
        options.push(chosen);
    }
    html! {
        div.field {
            label for={ "field-" (name) } { (label) }
            select id={ "field-" (name) } name=(name) {
                option value="" { "Any" }
                @for option in options {
                    option value=(option) selected[option == chosen] { (option) }
                }
            }
        }
    }
}
