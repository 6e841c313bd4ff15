//! The frame of every page: header and navigation, and helpers to show text from outside.
//!
//! maud escapes everything that is put into a page. No page has inline styles or scripts; both are
//! files.

use axum::response::Html;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::assets::{ICON, SCRIPT, STYLE};
use super::paths::ROOT;
use super::session::Notice;

/// The entries of the navigation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Apps,
    Tools,
    Audit,
    Kek,
}

const NAVIGATION: [(Section, &str, &str); 5] = [
    (Section::Overview, "Overview", ""),
    (Section::Apps, "Apps and secrets", "/apps"),
    (Section::Tools, "Tools", "/tools"),
    (Section::Audit, "Audit", "/audit"),
    (Section::Kek, "Platform key", "/kek"),
];

pub(super) struct Frame<'a> {
    /// The hidden field that every form needs.
    pub(super) form_token: Markup,
    /// Why no secret can be stored or released, if none can.
    pub(super) kek_trouble: Option<&'a str>,
    pub(super) notice: Option<Notice>,
}

/// Renders a page for a signed-in operator.
pub(super) fn page(frame: &Frame, section: Section, title: &str, content: &Markup) -> Markup {
    document(
        title,
        html! {
            a.skip href="#main" { "Skip to the content" }
            header.top {
                a.brand href=(ROOT) { (mark()) "Tavora" }
                nav aria-label="Pages" {
                    ul {
                        @for (here, label, path) in NAVIGATION {
                            li {
                                a href={ (ROOT) (path) } aria-current=[(here == section).then_some("page")] { (label) }
                            }
                        }
                    }
                }
                form.sign-out method="post" action={ (ROOT) "/sign-out" } {
                    (frame.form_token)
                    button.quiet type="submit" { "Sign out" }
                }
            }
            main #main tabindex="-1" {
                @if let Some(trouble) = frame.kek_trouble {
                    div.banner role="region" aria-label="Secrets cannot be used" {
                        p { strong { "Secrets cannot be stored or used. " } (trouble) }
                        @if section != Section::Kek {
                            p { a href={ (ROOT) "/kek" } { "See the platform key" } }
                        }
                    }
                }
                div.notices role="status" {
                    @if let Some(Notice(text)) = &frame.notice {
                        p.notice { (text) }
                    }
                }
                (content)
            }
        },
    )
}

/// Renders a page that needs no session: signing in, and problems.
pub(super) fn bare_page(title: &str, content: Markup) -> Html<String> {
    let markup = document(
        title,
        html! {
            main.bare #main {
                p.brand { (mark()) "Tavora" }
                (content)
            }
        },
    );
    Html(markup.into_string())
}

/// Renders a text that somebody chose. Its direction of writing cannot affect the text around it.
pub(super) fn named(text: impl AsRef<str>) -> Markup {
    html! { bdi { (text.as_ref()) } }
}

/// Renders a time to the second.
pub(super) fn time(at: Timestamp) -> Markup {
    let (day, second) = (at.strftime("%Y-%m-%d"), at.strftime("%H:%M:%S UTC"));
    html! { time datetime=(at) { span { (day.to_string()) } " " span { (second.to_string()) } } }
}

/// Renders a text that people compare or copy character by character.
pub(super) fn code(text: impl ToString) -> Markup {
    html! { code { (text.to_string()) } }
}

/// Renders an error's sentence, with code between backticks.
pub(super) fn worded(sentence: &str) -> Markup {
    html! {
        @for (index, part) in sentence.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// Renders breadcrumbs, beginning with the outermost page.
pub(super) fn trail(steps: &[(String, Markup)]) -> Markup {
    html! {
        nav.trail aria-label="Where this is" {
            ol {
                @for (path, label) in steps {
                    li { a href=(path) { (label) } }
                }
            }
        }
    }
}

/// Returns `1 secret`, `2 secrets`.
pub(super) fn count(number: u64, singular: &str) -> String {
    match number {
        1 => format!("1 {singular}"),
        _ => format!("{number} {singular}s"),
    }
}

fn document(title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Tavora" }
                link rel="stylesheet" href=(STYLE.path());
                link rel="icon" type="image/svg+xml" href=(ICON.path());
                script src=(SCRIPT.path()) defer {}
            }
            body { (body) }
        }
    }
}

/// The logo beside the name. Screen readers skip it, because the name says the same.
fn mark() -> Markup {
    html! { img.mark src=(ICON.path()) alt="" width="24" height="24"; }
}
