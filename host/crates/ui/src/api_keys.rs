//! The API keys of an app: create one (shown once), list them without their secret part, revoke
//! one.
//!
//! A new key appears in one answer and nowhere else: not in a URL, not in the session, not in a
//! log.

use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use maud::{Markup, html};
use vault_core::{ApiKeyId, ApiKeyView, App, AppId, VaultError};
use zeroize::Zeroizing;

use super::apps::{self, Tab};
use super::fields::{Fields, utc_time};
use super::form::{Draft, Input, Mistake};
use super::layout::{Section, code, named, time, trail};
use super::problem::Problem;
use super::table::{facts, table};
use super::visit::{At, Change, Visit};

/// A new key with its token.
type Created = (ApiKeyView, Zeroizing<String>);

pub(super) async fn list(visit: Visit, At(app): At<AppId>) -> Result<Response, Problem> {
    let app = visit.vaults().app(app).await?;
    let content = content(&visit, &app, None, &Draft::default()).await?;
    Ok(visit.page(Section::Apps, &title(&app), content))
}

pub(super) async fn create(
    At(app): At<AppId>,
    Change { visit, fields, .. }: Change,
) -> Result<Response, Problem> {
    let app = visit.vaults().app(app).await?;
    match try_create(&visit, &app, &fields).await? {
        Ok(created) => {
            let content = content(&visit, &app, Some(&created), &Draft::default()).await?;
            Ok(visit.page(Section::Apps, &title(&app), content))
        }
        Err(mistake) => {
            let draft = Draft::mistaken(fields, mistake);
            let content = content(&visit, &app, None, &draft).await?;
            let title = draft.title(&title(&app));
            Ok(visit.page_again(draft.status(), Section::Apps, &title, content))
        }
    }
}

pub(super) async fn confirm_revoke(
    visit: Visit,
    At((app, key)): At<(AppId, ApiKeyId)>,
) -> Result<Response, Problem> {
    let app = visit.vaults().app(app).await?;
    let keys = visit.vaults().api_keys(app.id).await?;
    let Some(key) = keys.into_iter().find(|it| it.id == key) else {
        return Err(Problem::not_found());
    };
    let name = key.name.as_str();
    let back = format!("{}/api-keys", apps::path(&app));
    let content = html! {
        (trail(&apps::steps(&app)))
        h1 { "Revoke the API key “" (named(name)) "”?" }
        p { "Programs that use it are refused from the next request on. A revoked key never works again." }
        (facts([("Key", html! { (code(&key.prefix)) "…" }), ("Created", time(key.created_at))]))
        form.actions method="post" action={ (back) "/" (key.id) "/revoke" } {
            (visit.form_token())
            button.danger type="submit" { "Revoke the key" }
            a.button href=(back) { "Keep it" }
        }
    };
    Ok(visit.page(Section::Apps, &format!("Revoke {name}"), content))
}

pub(super) async fn revoke(
    At((app, key)): At<(AppId, ApiKeyId)>,
    Change { visit, .. }: Change,
) -> Result<Response, Problem> {
    let revoked = visit
        .vaults()
        .revoke_api_key(&visit.caller, app, key)
        .await?;
    let app = visit.vaults().app(app).await?;
    let notice = format!("The API key “{}” is revoked.", revoked.name);
    Ok(visit
        .done(&format!("{}/api-keys", apps::path(&app)), notice)
        .into_response())
}

async fn try_create(
    visit: &Visit,
    app: &App,
    fields: &Fields,
) -> Result<Result<Created, Mistake>, Problem> {
    let parsed = || {
        let name = fields.text("name").trim().parse();
        let name = name.map_err(|error| Mistake::invalid("name", error))?;
        let expires_at = fields.given("expires_at").map(utc_time).transpose();
        let expires_at = expires_at.map_err(|error| Mistake::invalid("expires_at", error))?;
        Ok((name, expires_at))
    };
    let (name, expires_at) = match parsed() {
        Ok(parsed) => parsed,
        Err(mistake) => return Ok(Err(mistake)),
    };
    let created = visit
        .vaults()
        .create_api_key(&visit.caller, app.id, name, expires_at);
    match created.await {
        Ok(created) => Ok(Ok(created)),
        Err(error @ VaultError::ExpiryPast { .. }) => {
            Ok(Err(Mistake::invalid("expires_at", error)))
        }
        Err(error) => Err(error.into()),
    }
}

async fn content(
    visit: &Visit,
    app: &App,
    created: Option<&Created>,
    draft: &Draft,
) -> Result<Markup, Problem> {
    let keys = visit.vaults().api_keys(app.id).await?;
    let path = format!("{}/api-keys", apps::path(app));
    Ok(html! {
        (apps::heading(app, Tab::ApiKeys))
        @if let Some((key, token)) = created {
            section.once aria-labelledby="new-key-made" {
                h2 id="new-key-made" { "The new key “" (named(key.name.as_str())) "”" }
                p { "Copy it now. It is shown this once and is stored nowhere; whoever has it acts as this app." }
                p { output id="new-api-key" data-once { (token.as_str()) } }
                p { button type="button" data-copies="new-api-key" hidden { "Copy the key" } }
            }
        }
        h2 { "API keys" }
        @if keys.is_empty() {
            p.empty { "This app has no API key yet." }
        } @else {
            (table("API keys", ["Name", "Key", "State", "Created", "Expires", ""], keys.iter().map(|key| [
                named(key.name.as_str()),
                html! { (code(&key.prefix)) "…" },
                state(key),
                time(key.created_at),
                html! { @if let Some(at) = key.expires_at { (time(at)) } @else { "Never" } },
                html! {
                    @if key.revoked_at.is_none() {
                        a.button href={ (path) "/" (key.id) "/revoke" } { "Revoke" span.unseen { " " (key.name.as_str()) } }
                    }
                },
            ])))
        }
        section aria-labelledby="new-key" {
            h2 id="new-key" { "New API key" }
            form method="post" action=(path) {
                (visit.form_token())
                (Input { name: "name", label: "Name", hint: "Which program it is for.", ..Input::default() }.show(draft))
                (Input { name: "expires_at", label: "Expires", hint: "Date and time in UTC. Without one it works until it is revoked.", kind: "datetime-local", required: false }.show(draft))
                button type="submit" { "Create the key" }
            }
        }
    })
}

fn state(key: &ApiKeyView) -> Markup {
    let has_expired = key.expires_at.is_some_and(|at| at <= Timestamp::now());
    html! {
        @if let Some(at) = key.revoked_at {
            span.tag.bad { "Revoked" } " " (time(at))
        } @else if has_expired {
            span.tag.bad { "Expired" }
        } @else {
            span.tag.good { "Works" }
        }
    }
}

fn title(app: &App) -> String {
    format!("API keys of {}", app.name)
}
