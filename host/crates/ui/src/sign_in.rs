//! Signs in with the admin token, and signs out.
//!
//! The token is compared and forgotten; the browser gets a session instead. A cookie ties a sign-in
//! form to the browser that loaded it, so that another site cannot sign somebody in.

use std::time::Instant;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use maud::html;

use super::cookies::Kind;
use super::form::{Draft, Mistake, SecretInput};
use super::layout::bare_page;
use super::paths::ROOT;
use super::problem::Problem;
use super::session::Token;
use super::state::Ui;
use super::visit::{Change, FORM_TOKEN_FIELD, Visit, form_token_field, read_form, see_other};
use tavora_api::auth::{client, request_id};
use tavora_platform::trail::{self, PageVisit};

const FIELD: &str = "admin_token";

pub(super) async fn show(State(ui): State<Ui>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    if Visit::from_request_parts(&mut parts, &ui).await.is_ok() {
        return Ok(see_other(ROOT));
    }
    page(&ui, &parts.headers, Draft::default())
}

pub(super) async fn attempt(State(ui): State<Ui>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let api = ui.api();
    let (client, request_id) = (client(&parts), request_id(&parts));
    api.auth_failures()
        .check(client)
        .map_err(Problem::throttled)?;
    let cookies: Vec<_> = ui.cookies().tokens(&parts.headers, Kind::SignIn).collect();
    if cookies.is_empty() {
        return Err(Problem::forged());
    }
    let fields = read_form(&parts, body, ui.sign_in_limit(), &ui).await?;
    let presented = fields.text(FORM_TOKEN_FIELD);
    let mut form_tokens = cookies.iter().map(Token::derive_form_token);
    if !form_tokens.any(|token| token.matches(presented)) {
        return Err(Problem::forged());
    }
    if !api.admin_token().matches(fields.text(FIELD).trim()) {
        api.auth_failures()
            .failed(client)
            .map_err(Problem::throttled)?;
        api.refusals().record(client, request_id.as_str()).await;
        let mistake = Mistake::refused(FIELD, "this is not the admin token of this host");
        return page(&ui, &parts.headers, Draft::mistaken(fields, mistake));
    }
    let session = ui.sessions().open(Instant::now())?;
    let visit = PageVisit::SignedIn;
    trail::page_visit(api.vaults(), visit, client, request_id.as_str()).await;
    let mut response = see_other(ROOT);
    let headers = response.headers_mut();
    headers.append(SET_COOKIE, ui.cookies().set(Kind::Session, &session));
    headers.append(SET_COOKIE, ui.cookies().clear(Kind::SignIn));
    Ok(response)
}

pub(super) async fn sign_out(Change { visit, client, .. }: Change) -> Response {
    visit.ui.sessions().close(visit.session);
    let request_id = visit.caller.request_id.as_deref().unwrap_or_default();
    trail::page_visit(visit.vaults(), PageVisit::SignedOut, client, request_id).await;
    let mut response = see_other(&format!("{ROOT}/sign-in"));
    let cleared = visit.ui.cookies().clear(Kind::Session);
    response.headers_mut().append(SET_COOKIE, cleared);
    response
}

/// Renders the form. A browser that already has a sign-in form open keeps its cookie, so that both
/// forms work.
fn page(ui: &Ui, headers: &HeaderMap, draft: Draft) -> Result<Response, Problem> {
    let held = ui.cookies().tokens(headers, Kind::SignIn).next();
    let token = held.map_or_else(Token::make, Ok)?;
    let content = html! {
        h1 { "Sign in" }
        form method="post" action={ (ROOT) "/sign-in" } {
            (form_token_field(&token.derive_form_token()))
            // Password managers store a password under a user name, so the form names the only one.
            input type="text" name="username" value="operator" autocomplete="username" hidden;
            (SecretInput {
                name: FIELD,
                label: "Admin token",
                hint: "The value of TAVORA_ADMIN_TOKEN, or what is in the file admin-token in the host's data folder.",
                autocomplete: "current-password",
                required: true,
            }.show(&draft))
            button type="submit" { "Sign in" }
        }
    };
    let mut response =
        (draft.status(), bare_page(&draft.title("Sign in"), content)).into_response();
    let cookie = ui.cookies().set(Kind::SignIn, &token);
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}
