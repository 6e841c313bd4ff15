//! A browser without a display. It keeps cookies, sends forms with the token from the page, and
//! remembers every answer.

use std::cell::RefCell;

use tavora_tests::serving::Serving;
use tavora_tests::wire::{Answer, Request};

/// The origin that requests name as theirs. `wire` sends the same host.
const ORIGIN: &str = "http://localhost";

/// A value that is planted and then searched for.
pub const CANARY: &str = "canary-7f3d1c9ab2e84655";

pub struct Visitor<'a> {
    send: Box<dyn Fn(&Request) -> Answer + 'a>,
    cookies: RefCell<Vec<(String, String)>>,
    answers: RefCell<Vec<String>>,
}

impl<'a> Visitor<'a> {
    /// A visitor who has not signed in.
    pub fn new(serving: &Serving) -> Self {
        let address = serving.address;
        Self::through(move |request| request.send(address).expect("the host answers"))
    }

    /// A visitor whose requests `send` sends.
    pub fn through(send: impl Fn(&Request) -> Answer + 'a) -> Self {
        Self {
            send: Box::new(send),
            cookies: RefCell::default(),
            answers: RefCell::default(),
        }
    }

    /// A visitor who has signed in.
    #[track_caller]
    pub fn signed_in(serving: &Serving) -> Self {
        let visitor = Self::new(serving);
        let answer = visitor.sign_in(&serving.admin_token);
        assert_eq!(leads_to(&answer), "/admin", "{}", answer.text());
        visitor
    }

    /// Asks for the sign-in form and sends it with this token.
    #[track_caller]
    pub fn sign_in(&self, token: &str) -> Answer {
        self.send_form(
            "/admin/sign-in",
            "/admin/sign-in",
            &[("admin_token", token)],
        )
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send(Request::new("GET", path))
    }

    /// The text of a page that must exist.
    #[track_caller]
    pub fn page(&self, path: &str) -> String {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }

    /// Sends these fields to `action`, with the form token from the page at `page`.
    #[track_caller]
    pub fn send_form(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let token = form_token(&self.page(page));
        let mut fields = fields.to_vec();
        fields.push(("form_token", &token));
        self.post(action, &fields, &[("origin", ORIGIN)])
    }

    /// Sends a form that must be accepted. Returns the path of the page that it leads to.
    #[track_caller]
    pub fn change(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> String {
        leads_to(&self.send_form(page, action, fields))
    }

    /// Sends exactly these fields and headers, with the cookies.
    #[track_caller]
    pub fn post(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        let mut request = Request::new("POST", path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        self.send(request)
    }

    /// Sends a request with the cookies, and keeps those that come back.
    #[track_caller]
    pub fn send(&self, request: Request) -> Answer {
        let cookies: Vec<String> = self
            .cookies
            .borrow()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = match cookies.is_empty() {
            true => request,
            false => request.header("cookie", cookies.join("; ")),
        };
        let answer = (self.send)(&request);
        for (name, value) in &answer.headers {
            if name == "set-cookie" {
                self.keep(value);
            }
        }
        let told = format!("{:?}\n{}", answer.headers, answer.text());
        self.answers.borrow_mut().push(told);
        answer
    }

    /// The names and values of the cookies.
    pub fn cookies(&self) -> Vec<(String, String)> {
        self.cookies.borrow().clone()
    }

    pub fn set_cookies(&self, cookies: Vec<(String, String)>) {
        self.cookies.replace(cookies);
    }

    /// All answers so far.
    pub fn answers(&self) -> String {
        self.answers.borrow().join("\n")
    }

    fn keep(&self, set_cookie: &str) {
        let (name, rest) = set_cookie.split_once('=').expect("a cookie has a name");
        let value = rest.split(';').next().expect("a split has a first part");
        let mut cookies = self.cookies.borrow_mut();
        cookies.retain(|(known, _)| known != name);
        if !value.is_empty() {
            cookies.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// The path that an answer redirects to.
#[track_caller]
pub fn leads_to(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer
        .header("location")
        .expect("it leads somewhere")
        .to_owned()
}

/// The token in the first form of a page.
#[track_caller]
pub fn form_token(page: &str) -> String {
    attribute(page, "name=\"form_token\" value=\"")
}

/// The text between `before` and the next quotation mark.
#[track_caller]
pub fn attribute(page: &str, before: &str) -> String {
    let (_, rest) = page
        .split_once(before)
        .unwrap_or_else(|| panic!("{before} is not in {page}"));
    rest.split('"')
        .next()
        .expect("a split has a first part")
        .to_owned()
}

/// The id at the end of the first path that begins with `start`.
#[track_caller]
pub fn id_after(page: &str, start: &str) -> String {
    let (_, rest) = page
        .split_once(start)
        .unwrap_or_else(|| panic!("no {start} in {page}"));
    rest.chars().take(36).collect()
}

/// Percent-encodes every byte but letters and digits.
pub fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// An app with a vault and a secret in it, made through the page.
pub struct Shop {
    pub app: String,
    pub vault: String,
}

impl Shop {
    #[track_caller]
    pub fn open(visitor: &Visitor) -> Self {
        let app = visitor.change("/admin/apps", "/admin/apps", &[("name", "Shop")]);
        let vault = visitor.change(&app, &format!("{app}/vaults"), &[("name", "main")]);
        let secret = [("name", "brave_api_key"), ("value", CANARY)];
        let stored = visitor.change(&vault, &format!("{vault}/secrets"), &secret);
        assert_eq!(stored, vault);
        Self { app, vault }
    }

    /// The path of the secret's page.
    pub fn secret(&self) -> String {
        format!("{}/secrets/brave_api_key", self.vault)
    }
}
