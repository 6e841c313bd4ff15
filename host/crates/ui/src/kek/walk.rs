//! The current rewrap or verification, and the forms that start one.
//!
//! During a walk the page reloads itself by a header, without a script.

use axum::http::header::REFRESH;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use vault_core::{KekId, KekStatus, RewrapOptions, UnreadableSecret};

use crate::apps;
use crate::fields::Fields;
use crate::layout::{code, count, named, time, worded};
use crate::paths;
use crate::problem::{Problem, sentence};
use crate::table::table;
use crate::visit::{Change, Visit};
use tavora_api::ApiError;
use tavora_platform::rotation::{NotStarted, WalkState, WalkView, Work};

/// Seconds until the page reloads.
const REFRESH_SECS: &str = "2";

pub(crate) async fn rewrap(Change { visit, fields, .. }: Change) -> Result<Response, Problem> {
    let options = RewrapOptions {
        to: target(&fields)?,
        verify: fields.has("verify"),
        reencrypt: fields.has("reencrypt"),
        ..RewrapOptions::default()
    };
    start(visit, Work::Rewrap(options), "The rewrap has begun.").await
}

pub(crate) async fn verify(Change { visit, .. }: Change) -> Result<Response, Problem> {
    start(visit, Work::Verify, "The verification has begun.").await
}

async fn start(visit: Visit, work: Work, notice: &str) -> Result<Response, Problem> {
    let rotation = visit.ui.api().rotation();
    let started = rotation.start(visit.vaults(), visit.caller.clone(), work);
    match started.await {
        Ok(_) => Ok(visit.done(paths::KEK, notice).into_response()),
        Err(NotStarted::Refused(error)) => Err(error.into()),
        Err(running @ NotStarted::Running) => {
            let conflict = StatusCode::CONFLICT;
            Err(ApiError::new(conflict, "walk_running", running.to_string()).into())
        }
    }
}

fn target(fields: &Fields) -> Result<Option<KekId>, Problem> {
    let to = fields.given("to").map(str::parse).transpose();
    to.map_err(|error| Problem::from(ApiError::invalid_field("to", error)))
}

/// Makes the page reload while the walk is running.
pub(super) fn refreshing(walk: &WalkView, mut page: Response) -> Response {
    if walk.state == WalkState::Running {
        let again = HeaderValue::from_static(REFRESH_SECS);
        page.headers_mut().insert(REFRESH, again);
    }
    page
}

/// Renders the state of the last walk, or nothing if there was none.
pub(super) async fn section(visit: &Visit, walk: &WalkView) -> Result<Markup, Problem> {
    let what = match walk.work {
        Some("rewrap") => "Rewrap",
        Some(_) => "Verification",
        None => return Ok(html! {}),
    };
    let progress = &walk.progress;
    let unreadable = unreadable(visit, &walk.unreadable_secrets).await?;
    let tone = match walk.state {
        WalkState::Idle | WalkState::Running | WalkState::Complete => "state good",
        WalkState::Incomplete | WalkState::Stopped | WalkState::Failed => "state bad",
    };
    Ok(html! {
        section aria-labelledby="walk" {
            h2 id="walk" { (what) }
            p class=(tone) {
                strong { (word(walk.state)) " " }
                @match walk.to {
                    Some(to) if walk.state == WalkState::Complete && progress.total == 0 => {
                        "There was nothing to do: every secret is wrapped with " (code(to)) " already."
                    }
                    to => {
                        (progress.seen) " of " (count(progress.total, "secret")) " looked at"
                        @if let Some(to) = to { ", " (progress.moved) " moved to " (code(to)) }
                        @if progress.unreadable > 0 { ", " (progress.unreadable) " do not open" }
                        "."
                    }
                }
            }
            @if walk.state == WalkState::Running {
                progress max=(progress.total) value=(progress.seen) aria-labelledby="walk" {}
                p { "This page comes again by itself. The rewrap goes on without it." }
            }
            @if let Some(error) = &walk.error { p { (worded(&sentence(error))) } }
            @if let Some(at) = walk.ended_at { p { "Ended " (time(at)) "." } }
            (unreadable)
        }
    })
}

fn word(state: WalkState) -> &'static str {
    match state {
        WalkState::Idle => "",
        WalkState::Running => "Running.",
        WalkState::Complete => "Complete.",
        WalkState::Incomplete => "Incomplete.",
        WalkState::Stopped => "Stopped.",
        WalkState::Failed => "Failed.",
    }
}

/// Renders the secrets that do not open, with names and links as far as they exist.
async fn unreadable(visit: &Visit, secrets: &[UnreadableSecret]) -> Result<Markup, Problem> {
    if secrets.is_empty() {
        return Ok(html! {});
    }
    let apps = visit.vaults().apps().await?;
    let rows = secrets.iter().map(|secret| {
        let app = apps.iter().find(|app| Some(app.id) == secret.app_id);
        [
            code(&secret.name),
            html! {
                @if let Some(app) = app {
                    @if let Some(vault) = secret.vault_id {
                        a href={ (apps::path(app)) "/vaults/" (vault) } { (named(app.name.as_str())) }
                    }
                } @else { "–" }
            },
            html! { @if let Some(kek_id) = secret.kek_id { (code(kek_id)) } @else { "–" } },
            html! { (secret.cause) },
        ]
    });
    Ok(html! {
        p { "These were left as they are. Restore them from a backup, store them anew, or delete them." }
        (table("Secrets that do not open", ["Secret", "App", "KEK id", "Why"], rows))
    })
}

/// Renders the forms that start a walk. There are none while a walk is running.
pub(super) fn forms(visit: &Visit, status: &KekStatus, walk: &WalkView) -> Markup {
    let Some(primary) = status.primary else {
        return html! {};
    };
    let keks = status.keks.iter();
    let others = keks.filter(|kek| kek.in_keyring && kek.kek_id != primary);
    html! {
        section aria-labelledby="move" {
            h2 id="move" { "Move secrets to a KEK" }
            p { "Each secret's own key is wrapped anew, while everything else goes on. Values and versions stay." }
            form method="post" action={ (paths::KEK) "/rewrap" } {
                (visit.form_token())
                fieldset disabled[walk.state == WalkState::Running] {
                    div.field {
                        label for="field-to" { "KEK" }
                        select id="field-to" name="to" {
                            option value=(primary) selected { (primary) " (primary)" }
                            @for kek in others { option value=(kek.kek_id) { (kek.kek_id) } }
                        }
                    }
                    (choice("verify", "Open every value on the way too."))
                    (choice("reencrypt", "Make new data keys and ciphertext for every secret, because a KEK leaked."))
                    button type="submit" { "Move the secrets" }
                }
            }
        }
        section aria-labelledby="verify" {
            h2 id="verify" { "Verify secrets" }
            p { "Opens every secret, shows none, and names those that do not open." }
            form method="post" action={ (paths::KEK) "/verify" } {
                (visit.form_token())
                fieldset disabled[walk.state == WalkState::Running] {
                    button type="submit" { "Open every secret" }
                }
            }
        }
    }
}

fn choice(name: &str, label: &str) -> Markup {
    html! {
        div.choice {
            input id={ "field-" (name) } name=(name) type="checkbox" value="yes";
            label for={ "field-" (name) } { (label) }
        }
    }
}
