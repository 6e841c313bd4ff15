//! The page for every error that has no page of its own. It says what went wrong and what to do.
//!
//! Mistakes in a form are shown beside their fields instead.

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::html;
use vault_core::VaultError;

use super::layout::{bare_page, count, worded};
use super::paths::ROOT;
use tavora_api::ApiError;
use tavora_server::throttle::TooManyRequests;

pub(super) struct Problem {
    status: StatusCode,
    title: &'static str,
    message: String,
    /// Boxed, so that a `Result` stays small.
    headers: Box<HeaderMap>,
}

impl Problem {
    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "Not found",
            "There is no such page, or what it was about is gone.",
        )
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Nothing to do here",
            "This address does not take this kind of request; go back and use the form.",
        )
    }

    /// The form was made for somebody else, or was sent from another site.
    pub(super) fn forged() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "The form was refused",
            "It was not sent from a page of this session, so nothing was changed. Open the page again and repeat it there.",
        )
    }

    /// The browser and the request use different names for this host.
    pub(super) fn other_name(origin: &str, host: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "The form was refused",
            format!(
                "The browser says that it comes from {origin}, and the request is for {host}, so nothing was changed. \
                 Where a proxy stands in front, it must pass on the name that the browser uses (nginx: \
                 `proxy_set_header Host $http_host;`), or the operator lists that name in `[server] hosts`. \
                 Where none does, another site sent the form."
            ),
        )
    }

    pub(super) fn bad_form(why: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "The form was refused",
            format!("It cannot be read: {why}. Open the page again and repeat it there."),
        )
    }

    /// Too many attempts to sign in.
    pub(super) fn throttled(refusal: TooManyRequests) -> Self {
        let secs = refusal.retry_after_secs;
        Self {
            headers: Box::new(HeaderMap::from_iter([(
                RETRY_AFTER,
                HeaderValue::from(secs),
            )])),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many attempts",
                format!(
                    "Too many attempts to sign in have failed. Try again in {}.",
                    count(secs, "second")
                ),
            )
        }
    }

    pub(super) fn internal() -> Self {
        ApiError::internal().into()
    }

    fn new(status: StatusCode, title: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            title,
            message: message.into(),
            headers: Box::default(),
        }
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let title = match error.status() {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::PRECONDITION_FAILED => "It has changed since",
            StatusCode::SERVICE_UNAVAILABLE => "Not available",
            status if status.is_server_error() => "The host failed",
            _ => "That was refused",
        };
        Self {
            headers: Box::new(error.headers()),
            ..Self::new(error.status(), title, sentence(error.message()))
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        ApiError::from(error).into()
    }
}

impl From<getrandom::Error> for Problem {
    fn from(error: getrandom::Error) -> Self {
        tracing::error!(%error, "the operating system gives no random numbers");
        Self::internal()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let page = bare_page(
            self.title,
            html! {
                h1 { (self.title) }
                p role="alert" { (worded(&self.message)) }
                p { a.button href=(ROOT) { "Go to the overview" } }
            },
        );
        (self.status, *self.headers, page).into_response()
    }
}

/// Turns an error's message, which begins in lower case without a full stop, into a sentence.
pub(super) fn sentence(words: &str) -> String {
    let mut chars = words.chars();
    let Some(first) = chars.next() else {
        return String::new();
    };
    let stop = if words.ends_with(['.', '…', '?']) {
        ""
    } else {
        "."
    };
    // Names of variables and the like keep their case.
    let is_word = chars.clone().next().is_none_or(|c| !c.is_uppercase());
    let first = if is_word {
        first.to_uppercase().to_string()
    } else {
        first.to_string()
    };
    format!("{first}{}{stop}", chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_sentences() {
        assert_eq!(
            sentence("no KEK is configured; set it"),
            "No KEK is configured; set it."
        );
        assert_eq!(
            sentence("a vault name; shorten it."),
            "A vault name; shorten it."
        );
        assert_eq!(sentence(""), "");
    }
}
