//! Secrets: storing, replacing and deleting. A value goes in and cannot be seen again.
//!
//! A form that is shown again keeps everything but the value.

use axum::response::Response;
use maud::{Markup, html};
use vault_core::{AppId, Condition, RedactedSecret, SecretName, VaultId};

use super::form::{Draft, Mistake};
use super::layout::{Section, code, time, trail};
use super::problem::Problem;
use super::secret_value::{take_value, unless_in_trouble, value_fields};
use super::table::facts;
use super::vaults::{self, Place};
use super::visit::{At, Change, Visit};

pub(super) async fn store(
    At((app, vault)): At<(AppId, VaultId)>,
    Change {
        visit, mut fields, ..
    }: Change,
) -> Result<Response, Problem> {
    let value = take_value(&mut fields);
    let place = Place::find(&visit, app, vault).await?;
    let name = fields.text("name").trim().parse::<SecretName>();
    let parsed = name.map_err(|error| Mistake::invalid("name", error));
    let parsed = parsed.and_then(|name| Ok((name, value?)));
    let (name, value) = match parsed {
        Ok(parsed) => parsed,
        Err(mistake) => {
            return vaults::page(&visit, &place, Draft::mistaken(fields, mistake)).await;
        }
    };
    if let Some(there) = find(&visit, app, vault, &name).await? {
        let taken = format!(
            "there is a secret of this name already, at version {}; choose another name, or replace that one by its button above",
            there.version
        );
        let mistake = Mistake::conflict("name", taken);
        return vaults::page(&visit, &place, Draft::mistaken(fields, mistake)).await;
    }
    let stored = visit
        .vaults()
        .put_secret(&visit.caller, app, vault, &name, &value)
        .await?;
    Ok(visit.done(
        &place.path(),
        format!(
            "The secret {} was stored as version {}.",
            stored.name, stored.version
        ),
    ))
}

pub(super) async fn show(
    visit: Visit,
    At((app, vault, name)): At<(AppId, VaultId, SecretName)>,
) -> Result<Response, Problem> {
    page(&visit, app, vault, &name, Draft::default()).await
}

pub(super) async fn replace(
    At((app, vault, name)): At<(AppId, VaultId, SecretName)>,
    Change {
        visit, mut fields, ..
    }: Change,
) -> Result<Response, Problem> {
    let value = match take_value(&mut fields) {
        Ok(value) => value,
        Err(mistake) => {
            return page(&visit, app, vault, &name, Draft::mistaken(fields, mistake)).await;
        }
    };
    let place = Place::find(&visit, app, vault).await?;
    let seen = fields.text("revision").parse();
    let seen = seen.map_err(|_| Problem::bad_form("it does not say what it replaces"))?;
    let condition = Condition::AnyOf(vec![seen]);
    let stored = visit
        .vaults()
        .put_secret_if(&visit.caller, app, vault, &name, &value, condition)
        .await?;
    Ok(visit.done(
        &place.path(),
        format!(
            "The secret {} was replaced; it is at version {} now.",
            stored.name, stored.version
        ),
    ))
}

pub(super) async fn confirm_delete(
    visit: Visit,
    At((app, vault, name)): At<(AppId, VaultId, SecretName)>,
) -> Result<Response, Problem> {
    let place = Place::find(&visit, app, vault).await?;
    let Some(secret) = find(&visit, app, vault, &name).await? else {
        return Err(Problem::not_found());
    };
    let content = html! {
        (trail(&place.steps()))
        h1 { "Delete the secret " (code(&name)) "?" }
        p { "Tools that need it will say that it is missing. This cannot be undone." }
        (summary(&secret))
        form.actions method="post" action={ (path(&place, &name)) "/delete" } {
            (visit.form_token())
            button.danger type="submit" { "Delete the secret" }
            a.button href=(place.path()) { "Keep it" }
        }
    };
    Ok(visit.page(Section::Apps, &format!("Delete {name}"), content))
}

pub(super) async fn delete(
    At((app, vault, name)): At<(AppId, VaultId, SecretName)>,
    Change { visit, .. }: Change,
) -> Result<Response, Problem> {
    let place = Place::find(&visit, app, vault).await?;
    let was_there = visit
        .vaults()
        .delete_secret(&visit.caller, app, vault, &name)
        .await?;
    let notice = match was_there {
        true => format!("The secret {name} was deleted."),
        false => format!("The secret {name} was gone already."),
    };
    Ok(visit.done(&place.path(), notice))
}

async fn page(
    visit: &Visit,
    app: AppId,
    vault: VaultId,
    name: &SecretName,
    draft: Draft,
) -> Result<Response, Problem> {
    let place = Place::find(visit, app, vault).await?;
    let Some(secret) = find(visit, app, vault, name).await? else {
        return Err(Problem::not_found());
    };
    let content = html! {
        (trail(&place.steps()))
        h1 { "Secret " (code(name)) }
        (summary(&secret))
        section aria-labelledby="replace" {
            h2 id="replace" { "Replace the value" }
            p { "The new value replaces version " (secret.version) ", which is gone for good. Tools get the new one from their next call on." }
            form method="post" action=(path(&place, name)) {
                (visit.form_token())
                input type="hidden" name="revision" value=(secret.revision());
                (unless_in_trouble(visit, html! {
                    (value_fields(&draft))
                    button type="submit" { "Replace version " (secret.version) }
                }))
            }
        }
        section.ending aria-labelledby="ending" {
            h2 id="ending" { "Delete this secret" }
            a.button.danger href={ (path(&place, name)) "/delete" } { "Delete the secret…" }
        }
    };
    let title = draft.title(&format!("Secret {name}"));
    Ok(visit.page_again(draft.status(), Section::Apps, &title, content))
}

/// Renders a secret's redacted view.
fn summary(secret: &RedactedSecret) -> Markup {
    facts([
        ("Version", html! { (secret.version) }),
        ("KEK id", code(secret.kek_id)),
        ("Created", time(secret.created_at)),
        ("Updated", time(secret.updated_at)),
        ("Value", html! { "never shown" }),
    ])
}

async fn find(
    visit: &Visit,
    app: AppId,
    vault: VaultId,
    name: &SecretName,
) -> Result<Option<RedactedSecret>, Problem> {
    let secrets = visit.vaults().secrets(app, vault).await?;
    Ok(secrets.into_iter().find(|secret| secret.name == *name))
}

fn path(place: &Place, name: &SecretName) -> String {
    format!("{}/secrets/{name}", place.path())
}
