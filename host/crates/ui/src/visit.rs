//! Checks the sender of each request: nothing is shown or changed before these extractors accept
//! it.
//!
//! A form must come from a page of the same session (checked by its token) and from this host
//! (checked by `origin`). Each check alone would be enough. If a browser defeats one of them, the
//! other still holds. `sign_in` has the sign-in.

use std::net::IpAddr;
use std::time::Instant;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};
use serde::de::DeserializeOwned;
use vault_core::{Caller, SecretVaults};

use super::cookies::Kind;
use super::fields::Fields;
use super::layout::{self, Frame, Section};
use super::origin::{self, Stranger};
use super::paths::ROOT;
use super::problem::{Problem, sentence};
use super::session::{FormToken, Notice, SessionKey};
use super::state::Ui;
use tavora_api::auth::{admit, client, request_id};
use tavora_api::body::{self, LengthLimit};

/// The form field that proves where a form comes from.
pub(super) const FORM_TOKEN_FIELD: &str = "form_token";

/// A request of a signed-in operator for a page.
pub(super) struct Visit {
    pub(super) ui: Ui,
    /// The operator, in the audit's terms.
    pub(super) caller: Caller,
    pub(super) session: SessionKey,
    form_token: FormToken,
    /// Why no secret can be stored or released, if none can.
    pub(super) kek_trouble: Option<String>,
}

impl Visit {
    pub(super) fn vaults(&self) -> &SecretVaults {
        self.ui.api().vaults()
    }

    /// The hidden field that every form needs.
    pub(super) fn form_token(&self) -> Markup {
        form_token_field(&self.form_token)
    }

    /// Renders a page in its frame.
    pub(super) fn page(&self, section: Section, title: &str, content: Markup) -> Response {
        let frame = Frame {
            form_token: self.form_token(),
            kek_trouble: self.kek_trouble.as_deref(),
            notice: self.ui.sessions().take_notice(self.session),
        };
        Html(layout::page(&frame, section, title, &content).into_string()).into_response()
    }

    /// Renders a page again after a mistake in its form.
    pub(super) fn page_again(
        &self,
        status: StatusCode,
        section: Section,
        title: &str,
        content: Markup,
    ) -> Response {
        let mut response = self.page(section, title, content);
        *response.status_mut() = status;
        response
    }

    /// Redirects to the page at `path`, which then shows the notice.
    pub(super) fn done(&self, path: &str, notice: impl Into<String>) -> Response {
        self.ui
            .sessions()
            .leave_notice(self.session, Notice(notice.into()));
        see_other(path)
    }
}

impl FromRequestParts<Ui> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, ui: &Ui) -> Result<Self, Response> {
        let now = Instant::now();
        let token = ui
            .cookies()
            .tokens(&parts.headers, Kind::Session)
            .find(|token| ui.sessions().touch(token.key(), now));
        let Some(token) = token else {
            return Err(see_other(&format!("{ROOT}/sign-in")));
        };
        admit(parts);
        let kek = ui.api().vaults().require_kek().await;
        Ok(Self {
            caller: Caller::operator().in_request(request_id(parts).as_str()),
            session: token.key(),
            form_token: token.derive_form_token(),
            kek_trouble: kek.err().map(|error| sentence(&error.to_string())),
            ui: ui.clone(),
        })
    }
}

/// A form that a signed-in operator sent from a page of this host.
pub(super) struct Change {
    pub(super) visit: Visit,
    pub(super) fields: Fields,
    pub(super) client: IpAddr,
}

impl FromRequest<Ui> for Change {
    type Rejection = Response;

    async fn from_request(request: Request, ui: &Ui) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, ui).await?;
        let limit = LengthLimit::of_any(ui.api().limits());
        let fields = read_form(&parts, body, limit, ui)
            .await
            .map_err(IntoResponse::into_response)?;
        if !visit.form_token.matches(fields.text(FORM_TOKEN_FIELD)) {
            return Err(Problem::forged().into_response());
        }
        Ok(Self {
            visit,
            fields,
            client: client(&parts),
        })
    }
}

/// Extractor for the parameters of a path. A value that does not parse is answered like an unknown
/// one.
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Ui> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, ui: &Ui) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, ui).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(_) => Err(Problem::not_found()),
        }
    }
}

pub(super) struct Query(pub(super) Fields);

impl FromRequestParts<Ui> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Ui) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        Fields::parse(query.as_bytes()).map(Self)
    }
}

/// Reads the fields of a form, if a page of this host sent it. The head is checked before any of
/// the body is read.
pub(super) async fn read_form(
    parts: &Parts,
    body: axum::body::Body,
    limit: LengthLimit,
    ui: &Ui,
) -> Result<Fields, Problem> {
    match origin::check(parts, ui.api().host_names()) {
        Ok(()) => {}
        Err(Stranger::Elsewhere) => return Err(Problem::forged()),
        Err(Stranger::OtherName { origin, host }) => {
            tracing::warn!(
                ?origin,
                ?host,
                "a form was refused: it came from another site, or a proxy in front does not pass on the name that browsers use"
            );
            return Err(Problem::other_name(&origin, &host));
        }
    }
    let content_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !content_type.is_some_and(|it| it.starts_with(b"application/x-www-form-urlencoded")) {
        return Err(Problem::bad_form("it is not encoded as a form"));
    }
    let bytes = body::collect(parts, body, limit, ui.api()).await?;
    Fields::parse(&bytes)
}

pub(super) fn form_token_field(token: &FormToken) -> Markup {
    html! { input type="hidden" name=(FORM_TOKEN_FIELD) value=(token.as_str()); }
}

/// Returns a 303 to `path`.
pub(super) fn see_other(path: &str) -> Response {
    let location = HeaderValue::try_from(path).expect("paths of pages are visible ASCII");
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}
