//! The platform's KEKs: which one is primary, which ones the data needs, whether they fit, and
//! moving secrets between them.
//!
//! Only a KEK's id is known here. KEKs are made and set outside, where the host is started.

mod walk;

use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use vault_core::{KekId, KekState, KekStatus, KekUse};

pub(super) use self::walk::{rewrap, verify};
use super::layout::{Section, code, count};
use super::paths;
use super::problem::Problem;
use super::table::{facts, table};
use super::visit::{At, Change, Visit};

pub(super) async fn show(visit: Visit) -> Result<Response, Problem> {
    let status = visit.vaults().kek_status().await?;
    let walk = visit.ui.api().rotation().view();
    let content = html! {
        h1 { "Platform key" }
        p.lead { "Each secret is sealed with a key of its own, which a key encryption key (KEK) of the platform wraps. A kek id tells keys apart and reveals nothing of them." }
        (state(&status.state))
        @if status.keks.is_empty() {
            p.empty { "No KEK is known yet: none is set, and no secret was stored." }
        } @else {
            (table("KEKs", ["KEK id", "Provider", "Role", "Secrets", "Wraps", "Canary", ""], status.keks.iter().map(|kek| [
                code(kek.kek_id),
                html! { @if let Some(kind) = kek.kind { (kind) } },
                role(kek, &status),
                html! { (kek.rows) },
                html! { (kek.wraps) @if kek.worn { " " span.tag.warn { "Replace it soon" } } },
                canary(kek),
                html! {
                    @if can_be_retired(kek, &status) {
                        a.button href={ (paths::KEK) "/" (kek.kek_id) "/retire" } { "Retire" span.unseen { " " (kek.kek_id) } }
                    }
                },
            ])))
        }
        (walk::section(&visit, &walk).await?)
        (walk::forms(&visit, &status, &walk))
        section aria-labelledby="how" {
            h2 id="how" { "How keys are set" }
            p {
                (code("TAVORA_SECRET_KEK")) " is the key that wraps, " (code("TAVORA_SECRET_KEK_PREVIOUS"))
                " a list of older ones that may still open what they wrapped. Keys elsewhere are in " (code("[kek]")) " of " (code("tavora.toml"))
                ". All are read when the host starts. "
                (code("tavora-host kek generate --out FILE")) " makes one."
            }
        }
    };
    Ok(walk::refreshing(
        &walk,
        visit.page(Section::Kek, "Platform key", content),
    ))
}

pub(super) async fn confirm_retire(
    visit: Visit,
    At(kek_id): At<KekId>,
) -> Result<Response, Problem> {
    let status = visit.vaults().kek_status().await?;
    let Some(kek) = status.keks.iter().find(|it| it.kek_id == kek_id) else {
        return Err(Problem::not_found());
    };
    let content = html! {
        h1 { "Retire this KEK?" }
        p { "The database forgets it: its canary, and how much it has wrapped. Keep the key itself as long as there are backups that need it." }
        (facts([("KEK id", code(kek_id)), ("Secrets", html! { (kek.rows) }), ("Wraps", html! { (kek.wraps) })]))
        form.actions method="post" action={ (paths::KEK) "/" (kek_id) "/retire" } {
            (visit.form_token())
            button.danger type="submit" { "Retire the KEK" }
            a.button href=(paths::KEK) { "Keep it" }
        }
    };
    Ok(visit.page(Section::Kek, "Retire a KEK", content))
}

pub(super) async fn retire(
    At(kek_id): At<KekId>,
    Change { visit, .. }: Change,
) -> Result<Response, Problem> {
    visit.vaults().retire_kek(&visit.caller, kek_id).await?;
    let notice = format!("The KEK {kek_id} is retired. Take it out of the keyring.");
    Ok(visit.done(paths::KEK, notice).into_response())
}

/// Whether the database knows the KEK and nothing needs it.
fn can_be_retired(kek: &KekUse, status: &KekStatus) -> bool {
    let is_known = kek.canary_ok.is_some() || !kek.in_keyring;
    is_known && kek.rows == 0 && status.primary != Some(kek.kek_id)
}

/// Renders a sentence on whether secrets can be stored and used, and what to do if not.
pub(super) fn state(state: &KekState) -> Markup {
    html! {
        @match state {
            KekState::Ready => { p.state.good { strong { "Ready. " } "Secrets can be stored and used." } }
            KekState::Unset => {
                p.state.bad { strong { "No key is set. " } "Set " (code("TAVORA_SECRET_KEK")) " and start the host again." }
            }
            KekState::Mismatch { wanted, rows } => {
                p.state.bad {
                    strong { "The key does not fit the data. " }
                    (count(*rows, "secret")) " need the KEK " (code(wanted)) ", which this host does not have. Add it to "
                    (code("TAVORA_SECRET_KEK_PREVIOUS")) ", or set it as " (code("TAVORA_SECRET_KEK")) ", and start the host again."
                }
            }
            KekState::CanaryFailed { kek_id } => {
                p.state.bad {
                    strong { "The key does not open its canary. " }
                    "The key behind the id " (code(kek_id)) " changed, or the database is damaged. Run "
                    (code("tavora-host audit verify")) " and compare with a backup."
                }
            }
            KekState::Unavailable { kek_id, kind, trouble } => {
                p.state.bad {
                    strong { "The key's provider does not work. " }
                    "The KEK " (code(kek_id)) " of " (code(kind)) " cannot be used: " (trouble) "."
                }
            }
        }
    }
}

fn role(kek: &KekUse, status: &KekStatus) -> Markup {
    let is_wanted =
        matches!(status.state, KekState::Mismatch { wanted, .. } if wanted == kek.kek_id);
    html! {
        @if status.primary == Some(kek.kek_id) {
            span.tag.good { "Primary" }
        } @else if kek.in_keyring {
            span.tag { "Opens older secrets" }
        } @else if is_wanted {
            span.tag.bad { "Missing, and needed" }
        } @else {
            span.tag { "Not set here" }
        }
    }
}

fn canary(kek: &KekUse) -> Markup {
    html! {
        @match kek.canary_ok {
            Some(true) => { span.tag.good { "Opens" } }
            Some(false) => { span.tag.bad { "Does not open" } }
            None => { "Not tried" }
        }
    }
}
