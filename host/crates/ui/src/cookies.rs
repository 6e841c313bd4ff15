//! The page's two cookies: one for the session, and one that ties a sign-in form to the browser
//! that loaded it.
//!
//! Scripts cannot read them, and requests from other sites do not carry them. Their path limits
//! them to the page. If browsers use HTTPS, the cookies are sent over HTTPS only. The prefix
//! `__Host-` would require the path `/`, so it is not used: the limited path is worth more here.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use cookie::{Cookie, SameSite};

use super::paths::ROOT;
use super::session::Token;

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Session,
    SignIn,
}

/// The names and attributes of the cookies.
#[derive(Clone, Copy)]
pub(super) struct Cookies {
    is_https: bool,
}

impl Cookies {
    pub(super) fn new(is_https: bool) -> Self {
        Self { is_https }
    }

    /// Returns the tokens that a request carries in this cookie. More than one means that somebody
    /// else set a cookie of the same name.
    pub(super) fn tokens(self, headers: &HeaderMap, kind: Kind) -> impl Iterator<Item = Token> {
        let name = self.name(kind);
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(Cookie::split_parse)
            .filter_map(Result::ok)
            .filter(move |cookie| cookie.name() == name)
            .filter_map(|cookie| Token::parse(cookie.value()))
    }

    /// Returns `Set-Cookie` with the token, valid until the browser is closed.
    pub(super) fn set(self, kind: Kind, token: &Token) -> HeaderValue {
        self.header(kind, token.as_str(), false)
    }

    /// Returns `Set-Cookie` that deletes the cookie.
    pub(super) fn clear(self, kind: Kind) -> HeaderValue {
        self.header(kind, "", true)
    }

    fn header(self, kind: Kind, value: &str, removal: bool) -> HeaderValue {
        let path = match kind {
            Kind::Session => ROOT.to_owned(),
            Kind::SignIn => format!("{ROOT}/sign-in"),
        };
        let mut cookie = Cookie::build((self.name(kind), value))
            .path(path)
            .http_only(true)
            .same_site(SameSite::Strict)
            .secure(self.is_https)
            .build();
        if removal {
            cookie.make_removal();
        }
        let header = cookie.to_string();
        HeaderValue::try_from(header).expect("names, paths and tokens are visible ASCII")
    }

    fn name(self, kind: Kind) -> &'static str {
        match (kind, self.is_https) {
            (Kind::Session, true) => "__Secure-tavora-admin",
            (Kind::Session, false) => "tavora-admin",
            (Kind::SignIn, true) => "__Secure-tavora-sign-in",
            (Kind::SignIn, false) => "tavora-sign-in",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_out_of_reach_of_scripts_other_sites_and_plain_http() {
        let token = Token::make().expect("the system has randomness");
        let set = Cookies::new(true).set(Kind::Session, &token);
        let expected = format!(
            "__Secure-tavora-admin={}; HttpOnly; SameSite=Strict; Secure; Path=/admin",
            token.as_str()
        );
        assert_eq!(set, expected);
        let set = Cookies::new(false).set(Kind::SignIn, &token);
        let expected = format!(
            "tavora-sign-in={}; HttpOnly; SameSite=Strict; Path=/admin/sign-in",
            token.as_str()
        );
        assert_eq!(set, expected);
        let cleared = Cookies::new(false).clear(Kind::Session);
        let cleared = cleared.to_str().expect("visible");
        assert!(cleared.starts_with("tavora-admin=; "), "{cleared}");
        assert!(cleared.contains("Max-Age=0"), "{cleared}");
    }

    #[test]
    fn tokens_are_found_among_other_cookies_in_one_header_or_several() {
        let token = Token::make().expect("the system has randomness");
        let mut headers = HeaderMap::new();
        headers.append(
            COOKIE,
            HeaderValue::from_static("theme=dark; tavora-admin=x"),
        );
        let ours = format!("a=b; tavora-admin={}", token.as_str());
        headers.append(COOKIE, HeaderValue::try_from(ours).expect("visible"));
        let found = |cookies: Cookies, kind| cookies.tokens(&headers, kind).count();
        assert_eq!(found(Cookies::new(false), Kind::Session), 1);
        assert_eq!(found(Cookies::new(false), Kind::SignIn), 0);
        assert_eq!(found(Cookies::new(true), Kind::Session), 0);
    }
}
