//! The first page: whether the host is ready, some counts, and the newest audit entries.

use axum::response::Response;
use maud::{Markup, html};
use vault_core::AuditQuery;

use super::audit;
use super::layout::{Section, code};
use super::paths::ROOT;
use super::problem::{Problem, sentence};
use super::visit::Visit;
use tavora_api::health;

const NEWEST_ENTRIES: u32 = 8;

pub(super) async fn show(visit: Visit) -> Result<Response, Problem> {
    let readiness = health::ready(visit.vaults()).await;
    // Without a store, the page still shows why the host is not ready.
    let figures = figures(&visit).await.unwrap_or_else(|_| html! {});
    let content = html! {
        h1 { "Overview" }
        @match &readiness {
            Ok(()) => { p.state.good { strong { "Ready. " } "The store, the audit and the platform key work." } }
            Err(error) => { p.state.bad { strong { "Not ready. " } (sentence(error.message())) } }
        }
        (figures)
    };
    Ok(visit.page(Section::Overview, "Overview", content))
}

async fn figures(visit: &Visit) -> Result<Markup, Problem> {
    let vaults = visit.vaults();
    let apps = vaults.apps().await?;
    let designating = apps.iter().filter(|app| app.vault_id.is_some()).count();
    let kek = vaults.kek_status().await?;
    let secrets: u64 = kek.keks.iter().map(|kek| kek.rows).sum();
    let tools = visit.ui.api().platform().trusted_tools().len();
    let newest = AuditQuery {
        limit: Some(NEWEST_ENTRIES),
        ..AuditQuery::default()
    };
    let newest = vaults.audit_entries(newest).await?;
    Ok(html! {
        ul.figures {
            (figure("Apps", apps.len(), html! { (designating) " with a designated vault" }, "/apps"))
            (figure("Secrets", secrets, html! { "each under a key of its own" }, "/apps"))
            (figure("Trusted tools", tools, html! { "beside the agent sandbox" }, "/tools"))
            (figure("Audit entries", newest.total, html! { "in one chain" }, "/audit"))
        }
        @if let Some(primary) = kek.primary {
            p.meta { "New secrets are wrapped with the KEK " (code(primary)) "." }
        }
        h2 { "What happened last" }
        @if newest.entries.is_empty() { p.empty { "Nothing yet." } } @else { (audit::entries(&newest.entries)) }
    })
}

fn figure(label: &str, number: impl ToString, note: Markup, path: &str) -> Markup {
    html! {
        li {
            a href={ (ROOT) (path) } { span.number { (number.to_string()) } " " span.label { (label) } }
            p { (note) }
        }
    }
}
