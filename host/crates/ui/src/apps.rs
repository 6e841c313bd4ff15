//! The list of apps: search, creation, and the heading that an app's own pages share.
//!
//! The pages of one app are `vaults`, `secrets`, `api_keys` and `audit`.

use axum::response::Response;
use maud::{Markup, html};
use vault_core::{App, VaultError};

use super::fields::Fields;
use super::form::{Draft, Input, Mistake};
use super::layout::{Section, code, named, time, trail};
use super::paging::{offset, pages};
use super::paths::ROOT;
use super::problem::Problem;
use super::table::table;
use super::visit::{Change, Query, Visit};
use tavora_api::admin::check_description;

/// The number of apps on one page of the list.
const PAGE_APPS: usize = 50;

/// The pages of one app.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Secrets,
    ApiKeys,
    Audit,
}

const TABS: [(Tab, &str, &str); 3] = [
    (Tab::Secrets, "Secrets", ""),
    (Tab::ApiKeys, "API keys", "/api-keys"),
    (Tab::Audit, "Audit", "/audit"),
];

/// Returns the path of an app's pages.
pub(super) fn path(app: &App) -> String {
    format!("{ROOT}/apps/{}", app.id)
}

/// Returns the breadcrumbs to an app's pages.
pub(super) fn steps(app: &App) -> Vec<(String, Markup)> {
    vec![
        (format!("{ROOT}/apps"), html! { "Apps" }),
        (path(app), named(app.name.as_str())),
    ]
}

/// Returns the heading and the tabs of an app's pages.
pub(super) fn heading(app: &App, tab: Tab) -> Markup {
    html! {
        (trail(&steps(app)[..1]))
        h1 { (named(app.name.as_str())) }
        @if !app.description.is_empty() { p.lead { (named(&app.description)) } }
        p.meta { "Slug " (code(&app.slug)) " · id " (code(app.id)) " · created " (time(app.created_at)) }
        nav.tabs aria-label="Pages of this app" {
            ul {
                @for (here, label, below) in TABS {
                    li { a href={ (path(app)) (below) } aria-current=[(here == tab).then_some("page")] { (label) } }
                }
            }
        }
    }
}

pub(super) async fn list(visit: Visit, Query(query): Query) -> Result<Response, Problem> {
    let content = content(&visit, &query, &Draft::default()).await?;
    Ok(visit.page(Section::Apps, "Apps and secrets", content))
}

pub(super) async fn create(Change { visit, fields, .. }: Change) -> Result<Response, Problem> {
    match try_create(&visit, &fields).await? {
        Ok(app) => {
            let notice = format!(
                "The app “{}” was created. Create a vault for its secrets next.",
                app.name
            );
            Ok(visit.done(&path(&app), notice))
        }
        Err(mistake) => {
            let draft = Draft::mistaken(fields, mistake);
            let content = content(&visit, &Fields::default(), &draft).await?;
            let title = draft.title("Apps and secrets");
            Ok(visit.page_again(draft.status(), Section::Apps, &title, content))
        }
    }
}

async fn try_create(visit: &Visit, fields: &Fields) -> Result<Result<App, Mistake>, Problem> {
    let parsed = || {
        let name = fields.text("name").trim().parse();
        let name = name.map_err(|error| Mistake::invalid("name", error))?;
        let slug = fields.given("slug").map(str::parse).transpose();
        let slug = slug.map_err(|error| Mistake::invalid("slug", error))?;
        let description = fields.given("description").map(str::to_owned);
        check_description(description.as_deref()).map_err(|error| ("description", error))?;
        Ok((name, slug, description))
    };
    let (name, slug, description) = match parsed() {
        Ok(parsed) => parsed,
        Err(mistake) => return Ok(Err(mistake)),
    };
    let created = visit
        .vaults()
        .create_app(&visit.caller, name, slug, description);
    match created.await {
        Ok(app) => Ok(Ok(app)),
        Err(error @ VaultError::AppSlugTaken { .. }) => Ok(Err(Mistake::conflict("slug", error))),
        Err(error @ VaultError::Slug(_)) => Ok(Err(Mistake::invalid("slug", error))),
        Err(error) => Err(error.into()),
    }
}

async fn content(visit: &Visit, query: &Fields, draft: &Draft) -> Result<Markup, Problem> {
    let apps = visit.vaults().apps().await?;
    let sought = query.given("q").unwrap_or_default().to_lowercase();
    let fits = |app: &&App| {
        [app.name.as_str(), app.slug.as_str()]
            .iter()
            .any(|text| text.to_lowercase().contains(&sought))
            || app.id.to_string() == sought
    };
    let found: Vec<&App> = apps.iter().filter(fits).collect();
    let from = offset(query);
    let shown = found
        .iter()
        .skip(usize::try_from(from).unwrap_or(usize::MAX))
        .take(PAGE_APPS);
    let total = found.len() as u64;
    let path_at = |offset: u64| {
        let mut query = url::form_urlencoded::Serializer::new(format!("{ROOT}/apps?"));
        query
            .append_pair("q", &sought)
            .append_pair("offset", &offset.to_string());
        query.finish()
    };
    Ok(html! {
        h1 { "Apps and secrets" }
        p.lead { "An app has vaults with secrets, and API keys for the programs that use it. Its tools get their secrets from the vault that it designates." }
        @if apps.len() > PAGE_APPS || !sought.is_empty() {
            form.search role="search" method="get" action={ (ROOT) "/apps" } {
                label for="find" { "Find an app by name, slug or id" }
                input id="find" type="search" name="q" value=(query.text("q")) autocomplete="off" spellcheck="false";
                button type="submit" { "Find" }
            }
        }
        @if total == 0 {
            p.empty { @if apps.is_empty() { "There is no app yet. Create the first one below." } @else { "No app has that in its name." } }
        } @else {
            (table("Apps", ["App", "Slug", "Designated vault", "Created"], shown.map(|app| [
                html! { a href=(path(app)) { (named(app.name.as_str())) } },
                code(&app.slug),
                html! { @if app.vault_id.is_some() { span.tag.good { "Yes" } } @else { span.tag { "None" } } },
                time(app.created_at),
            ])))
            (pages(total, from, PAGE_APPS as u64, path_at))
        }
        section aria-labelledby="new-app" {
            h2 id="new-app" { "New app" }
            form method="post" action={ (ROOT) "/apps" } {
                (visit.form_token())
                (Input { name: "name", label: "Name", ..Input::default() }.show(draft))
                (Input { name: "slug", label: "Slug", hint: "A short name of a to z, 0 to 9 and dashes, unique on this host. Without one it is made from the name.", required: false, ..Input::default() }.show(draft))
                (Input { name: "description", label: "Description", required: false, ..Input::default() }.show(draft))
                button type="submit" { "Create the app" }
            }
        }
    })
}
