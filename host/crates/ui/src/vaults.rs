//! The vaults of an app, its designated vault, and the page of one vault with its secrets' names.
//!
//! `secrets` stores values. No page shows one.

use axum::response::Response;
use maud::{Markup, html};
use vault_core::{App, AppId, Condition, Metadata, RedactedSecret, VaultError, VaultId, VaultView};

use super::apps::{self, Tab};
use super::fields::Fields;
use super::form::{Area, Draft, Input, Mistake};
use super::layout::{Section, code, count, named, time, trail};
use super::problem::Problem;
use super::secret_value::{unless_in_trouble, value_fields};
use super::table::{facts, table};
use super::visit::{At, Change, Visit};
use tavora_api::json::UniqueKeys;

/// An app and one of its vaults.
pub(super) struct Place {
    pub(super) app: App,
    pub(super) vault: VaultView,
}

impl Place {
    pub(super) async fn find(visit: &Visit, app: AppId, vault: VaultId) -> Result<Self, Problem> {
        Ok(Self {
            app: visit.vaults().app(app).await?,
            vault: visit.vaults().vault(app, vault).await?,
        })
    }

    pub(super) fn path(&self) -> String {
        format!("{}/vaults/{}", apps::path(&self.app), self.vault.id)
    }

    pub(super) fn steps(&self) -> Vec<(String, Markup)> {
        let mut steps = apps::steps(&self.app);
        steps.push((self.path(), named(self.vault.name.as_str())));
        steps
    }

    fn is_designated(&self) -> bool {
        self.app.vault_id == Some(self.vault.id)
    }
}

pub(super) async fn list(visit: Visit, At(app): At<AppId>) -> Result<Response, Problem> {
    let app = visit.vaults().app(app).await?;
    let content = list_content(&visit, &app, &Draft::default()).await?;
    Ok(visit.page(Section::Apps, &list_title(&app), content))
}

pub(super) async fn create(
    At(app): At<AppId>,
    Change { visit, fields, .. }: Change,
) -> Result<Response, Problem> {
    let app = visit.vaults().app(app).await?;
    let mistake = match fields.text("name").trim().parse() {
        Err(error) => Mistake::invalid("name", error),
        Ok(name) => {
            let created =
                visit
                    .vaults()
                    .create_vault(&visit.caller, app.id, name, Metadata::default());
            match created.await {
                Ok(vault) => {
                    let notice = format!("The vault “{}” was created.", vault.name);
                    return Ok(visit.done(&Place { app, vault }.path(), notice));
                }
                Err(error @ VaultError::VaultNameTaken { .. }) => Mistake::conflict("name", error),
                Err(error) => return Err(error.into()),
            }
        }
    };
    let draft = Draft::mistaken(fields, mistake);
    let content = list_content(&visit, &app, &draft).await?;
    let title = draft.title(&list_title(&app));
    Ok(visit.page_again(draft.status(), Section::Apps, &title, content))
}

pub(super) async fn designate(
    At(app): At<AppId>,
    Change { visit, fields, .. }: Change,
) -> Result<Response, Problem> {
    let app = visit.vaults().app(app).await?;
    let vault = match fields.given("vault_id") {
        None => None,
        Some(id) => {
            let id: VaultId = id.parse().map_err(|_| Problem::not_found())?;
            Some(visit.vaults().vault(app.id, id).await?)
        }
    };
    let id = vault.as_ref().map(|vault| vault.id);
    visit.vaults().designate(&visit.caller, app.id, id).await?;
    let notice = match vault {
        Some(vault) => format!(
            "The vault “{}” is designated: tools of this app get their secrets from it.",
            vault.name
        ),
        None => "No vault is designated: tools of this app get no secret.".to_owned(),
    };
    Ok(visit.done(&apps::path(&app), notice))
}

pub(super) async fn show(
    visit: Visit,
    At((app, vault)): At<(AppId, VaultId)>,
) -> Result<Response, Problem> {
    let place = Place::find(&visit, app, vault).await?;
    page(&visit, &place, Draft::default()).await
}

pub(super) async fn update(
    At((app, vault)): At<(AppId, VaultId)>,
    Change { visit, fields, .. }: Change,
) -> Result<Response, Problem> {
    let place = Place::find(&visit, app, vault).await?;
    let metadata = match parse_metadata(&fields) {
        Ok(metadata) => metadata,
        Err(mistake) => return page(&visit, &place, Draft::mistaken(fields, mistake)).await,
    };
    let seen = fields.text("revision").parse();
    let seen = seen.map_err(|_| Problem::bad_form("it does not say what it changes"))?;
    let condition = Condition::AnyOf(vec![seen]);
    visit
        .vaults()
        .update_vault_metadata_if(&visit.caller, app, vault, metadata, condition)
        .await?;
    Ok(visit.done(&place.path(), "The metadata was replaced."))
}

pub(super) async fn confirm_delete(
    visit: Visit,
    At((app, vault)): At<(AppId, VaultId)>,
) -> Result<Response, Problem> {
    let place = Place::find(&visit, app, vault).await?;
    let secrets = visit.vaults().secrets(app, vault).await?;
    let name = place.vault.name.as_str();
    let content = html! {
        (trail(&place.steps()))
        h1 { "Delete the vault “" (named(name)) "”?" }
        p { strong { (count(secrets.len() as u64, "secret")) } " in it will be deleted with it. This cannot be undone." }
        @if place.is_designated() {
            p { "It is the designated vault of this app: its tools get no secret until another one is designated." }
        }
        @if !secrets.is_empty() {
            ul.names { @for secret in &secrets { li { (code(&secret.name)) } } }
        }
        form.actions method="post" action={ (place.path()) "/delete" } {
            (visit.form_token())
            button.danger type="submit" { "Delete the vault" }
            a.button href=(place.path()) { "Keep it" }
        }
    };
    Ok(visit.page(Section::Apps, &format!("Delete {name}"), content))
}

pub(super) async fn delete(
    At((app, vault)): At<(AppId, VaultId)>,
    Change { visit, .. }: Change,
) -> Result<Response, Problem> {
    let place = Place::find(&visit, app, vault).await?;
    let gone = visit
        .vaults()
        .delete_vault(&visit.caller, app, vault)
        .await?;
    let notice = format!(
        "The vault “{}” was deleted, and {} with it.",
        place.vault.name,
        count(gone, "secret")
    );
    Ok(visit.done(&apps::path(&place.app), notice))
}

/// Renders the page of one vault, with the current input of its forms.
pub(super) async fn page(visit: &Visit, place: &Place, draft: Draft) -> Result<Response, Problem> {
    let held = visit.vaults().secrets(place.app.id, place.vault.id).await?;
    let vault = &place.vault;
    let metadata = serde_json::to_string_pretty(&vault.metadata).expect("metadata is JSON");
    let content = html! {
        (trail(&place.steps()[..2]))
        h1 { "Vault “" (named(vault.name.as_str())) "”" @if place.is_designated() { " " span.tag.good { "Designated" } } }
        (facts([
            ("Id", code(vault.id)),
            ("Created", time(vault.created_at)),
            ("Metadata changed", time(vault.updated_at)),
        ]))
        h2 { "Secrets" }
        (secrets_table(place, &held))
        (store_form(visit, place, &draft))
        section aria-labelledby="metadata" {
            h2 id="metadata" { "Metadata" }
            form method="post" action={ (place.path()) "/metadata" } {
                (visit.form_token())
                input type="hidden" name="revision" value=(vault.revision());
                (Area {
                    name: "metadata",
                    label: "A JSON object",
                    hint: r#"Free, but for one member: {"origins": {"NAME": ["https://api.example.com"]}} lets the secret NAME be sent to these origins only."#,
                    rows: 6,
                    text: &metadata,
                }.show(&draft))
                button type="submit" { "Replace the metadata" }
            }
        }
        section.ending aria-labelledby="ending" {
            h2 id="ending" { "Delete this vault" }
            p { "Its secrets go with it." }
            a.button.danger href={ (place.path()) "/delete" } { "Delete the vault…" }
        }
    };
    let title = draft.title(&format!("Vault {}", vault.name));
    Ok(visit.page_again(draft.status(), Section::Apps, &title, content))
}

/// Renders the form that stores a new secret.
fn store_form(visit: &Visit, place: &Place, draft: &Draft) -> Markup {
    html! {
        section aria-labelledby="store" {
            h2 id="store" { "Store a secret" }
            form method="post" action={ (place.path()) "/secrets" } {
                (visit.form_token())
                (unless_in_trouble(visit, html! {
                    (Input { name: "name", label: "Name", hint: "What tools ask for, for example brave_api_key.", ..Input::default() }.show(draft))
                    (value_fields(draft))
                    button type="submit" { "Store the secret" }
                }))
            }
        }
    }
}

fn secrets_table(place: &Place, secrets: &[RedactedSecret]) -> Markup {
    html! {
        @if secrets.is_empty() {
            p.empty { "There is no secret in this vault yet." }
        } @else {
            (table("Secrets", ["Name", "Version", "KEK id", "Created", "Updated", ""], secrets.iter().map(|secret| {
                let path = format!("{}/secrets/{}", place.path(), secret.name);
                [
                    html! { a href=(path) { (code(&secret.name)) } },
                    html! { (secret.version) },
                    code(secret.kek_id),
                    time(secret.created_at),
                    time(secret.updated_at),
                    html! {
                        div.actions {
                            a.button href=(path) { "Replace" span.unseen { " " (secret.name) } }
                            a.button href={ (path) "/delete" } { "Delete" span.unseen { " " (secret.name) } }
                        }
                    },
                ]
            })))
        }
    }
}

async fn list_content(visit: &Visit, app: &App, draft: &Draft) -> Result<Markup, Problem> {
    let vaults = visit.vaults().vaults(app.id).await?;
    let designated = vaults.iter().find(|vault| Some(vault.id) == app.vault_id);
    let path_of = |vault: &VaultView| format!("{}/vaults/{}", apps::path(app), vault.id);
    let designation = format!("{}/designation", apps::path(app));
    let mut rows = Vec::new();
    for vault in &vaults {
        let secrets = visit.vaults().secrets(app.id, vault.id).await?.len();
        let is_designated = Some(vault.id) == app.vault_id;
        rows.push([
            html! { a href=(path_of(vault)) { (named(vault.name.as_str())) } },
            html! { (secrets) },
            html! { @if is_designated { span.tag.good { "Designated" } } @else { "–" } },
            time(vault.created_at),
            html! {
                form.inline method="post" action=(designation) {
                    (visit.form_token())
                    @if is_designated {
                        button type="submit" { "Clear" span.unseen { " the designation of " (vault.name.as_str()) } }
                    } @else {
                        input type="hidden" name="vault_id" value=(vault.id);
                        button type="submit" { "Designate" span.unseen { " " (vault.name.as_str()) } }
                    }
                }
            },
        ]);
    }
    Ok(html! {
        (apps::heading(app, Tab::Secrets))
        h2 { "Vaults" }
        p {
            @match designated {
                Some(vault) => { "Tools of this app get their secrets from the designated vault, “" (named(vault.name.as_str())) "”." }
                None => { "No vault is designated, so tools of this app get no secret." }
            }
        }
        @if vaults.is_empty() {
            p.empty { "This app has no vault yet." }
        } @else {
            (table("Vaults", ["Vault", "Secrets", "Designated", "Created", ""], rows))
        }
        section aria-labelledby="new-vault" {
            h2 id="new-vault" { "New vault" }
            form method="post" action={ (apps::path(app)) "/vaults" } {
                (visit.form_token())
                (Input { name: "name", label: "Name", hint: "Unique in this app.", ..Input::default() }.show(draft))
                button type="submit" { "Create the vault" }
            }
        }
    })
}

fn parse_metadata(fields: &Fields) -> Result<Metadata, Mistake> {
    let invalid = |error: &dyn std::fmt::Display| Mistake::invalid("metadata", error);
    let UniqueKeys(value): UniqueKeys = serde_json::from_str(fields.text("metadata"))
        .map_err(|error| invalid(&format_args!("this is not JSON: {error}")))?;
    Metadata::parse(value).map_err(|error| invalid(&error))
}

fn list_title(app: &App) -> String {
    format!("Secrets of {}", app.name)
}
