//! Form fields, and forms that are shown again after a mistake: with the input still there, and the
//! mistake beside its field.
//!
//! A credential is never shown again: fields for credentials are made by [`SecretInput`], which has
//! no value.

use axum::http::StatusCode;
use maud::{Markup, html};

use super::fields::Fields;
use super::layout::worded;
use super::problem::sentence;
use tavora_api::ApiError;

/// The input of a page's forms. It is empty at first.
#[derive(Default)]
pub(super) struct Draft {
    fields: Fields,
    mistake: Option<Mistake>,
}

/// A mistake in a field.
pub(super) struct Mistake {
    pub(super) status: StatusCode,
    field: &'static str,
    message: String,
}

impl Mistake {
    /// The field does not parse.
    pub(super) fn invalid(field: &'static str, error: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, field, error)
    }

    /// The field is not the right credential.
    pub(super) fn refused(field: &'static str, error: impl ToString) -> Self {
        Self::new(StatusCode::FORBIDDEN, field, error)
    }

    /// The field conflicts with existing data.
    pub(super) fn conflict(field: &'static str, error: impl ToString) -> Self {
        Self::new(StatusCode::CONFLICT, field, error)
    }

    fn new(status: StatusCode, field: &'static str, error: impl ToString) -> Self {
        Self {
            status,
            field,
            message: sentence(&error.to_string()),
        }
    }
}

impl Draft {
    pub(super) fn mistaken(fields: Fields, mistake: Mistake) -> Self {
        Self::of_query(fields, Some(mistake))
    }

    /// Returns the draft of a form that keeps its input, such as a filter.
    pub(super) fn of_query(fields: Fields, mistake: Option<Mistake>) -> Self {
        Self { fields, mistake }
    }

    /// The status of the page that shows the draft.
    pub(super) fn status(&self) -> StatusCode {
        let mistake = self.mistake.as_ref();
        mistake.map_or(StatusCode::OK, |mistake| mistake.status)
    }

    /// Returns a page's title. It begins with the word for a mistake, if there is one.
    pub(super) fn title(&self, title: &str) -> String {
        match &self.mistake {
            Some(_) => format!("Mistake: {title}"),
            None => title.to_owned(),
        }
    }

    /// Whether the mistake concerns this field.
    pub(super) fn is_about(&self, field: &str) -> bool {
        self.mistake(field).is_some()
    }

    /// The input of this field.
    pub(super) fn text(&self, field: &str) -> &str {
        self.fields.text(field)
    }

    fn mistake(&self, field: &str) -> Option<&str> {
        let mistake = self.mistake.as_ref()?;
        (mistake.field == field).then_some(&mistake.message)
    }
}

/// One line of text.
pub(super) struct Input<'a> {
    pub(super) name: &'static str,
    pub(super) label: &'a str,
    pub(super) hint: &'a str,
    pub(super) kind: &'static str,
    pub(super) required: bool,
}

impl Default for Input<'_> {
    fn default() -> Self {
        Self {
            name: "",
            label: "",
            hint: "",
            kind: "text",
            required: true,
        }
    }
}

impl Input<'_> {
    pub(super) fn show(&self, draft: &Draft) -> Markup {
        let frame = Frame::of(self.name, self.label, self.hint, self.required, draft);
        frame.around(html! {
            input id=(frame.id()) name=(self.name) type=(self.kind) value=(draft.text(self.name))
                required[self.required] autocomplete="off" autofocus[frame.mistake.is_some()] spellcheck="false"
                aria-invalid=[frame.invalid()] aria-describedby=[frame.described_by()];
        })
    }
}

/// Several lines of text.
pub(super) struct Area<'a> {
    pub(super) name: &'static str,
    pub(super) label: &'a str,
    pub(super) hint: &'a str,
    pub(super) rows: u32,
    /// The initial text.
    pub(super) text: &'a str,
}

impl Area<'_> {
    pub(super) fn show(&self, draft: &Draft) -> Markup {
        let frame = Frame::of(self.name, self.label, self.hint, true, draft);
        let text = match draft.fields.has(self.name) {
            true => draft.text(self.name),
            false => self.text,
        };
        frame.around(html! {
            // HTML drops the first line break in a text area, so one is added.
            textarea id=(frame.id()) name=(self.name) rows=(self.rows) autocomplete="off" spellcheck="false"
                autofocus[frame.mistake.is_some()] aria-invalid=[frame.invalid()]
                aria-describedby=[frame.described_by()] { "\n" (text) }
        })
    }
}

/// A field for a credential. Its input is never shown again.
pub(super) struct SecretInput<'a> {
    pub(super) name: &'static str,
    pub(super) label: &'a str,
    pub(super) hint: &'a str,
    /// The hint for password managers: they may store a `current-password`, and do not fill in a
    /// `new-password`.
    pub(super) autocomplete: &'static str,
    pub(super) required: bool,
}

impl SecretInput<'_> {
    pub(super) fn show(&self, draft: &Draft) -> Markup {
        let frame = Frame::of(self.name, self.label, self.hint, true, draft);
        frame.around(html! {
            input id=(frame.id()) name=(self.name) type="password" required[self.required]
                autocomplete=(self.autocomplete) autocapitalize="off" spellcheck="false" data-secret
                autofocus[frame.mistake.is_some()]
                aria-invalid=[frame.invalid()] aria-describedby=[frame.described_by()];
        })
    }

    /// Renders the field with several lines. A single-line field would drop line breaks.
    pub(super) fn show_lines(&self, draft: &Draft) -> Markup {
        let frame = Frame::of(self.name, self.label, self.hint, true, draft);
        frame.around(html! {
            textarea.concealed id=(frame.id()) name=(self.name) rows="4" autocomplete="off" autocapitalize="off"
                spellcheck="false" data-secret aria-invalid=[frame.invalid()]
                aria-describedby=[frame.described_by()] {}
        })
    }
}

/// The label, the hint and the mistake around a field.
struct Frame<'a> {
    name: &'static str,
    label: &'a str,
    hint: &'a str,
    is_optional: bool,
    mistake: Option<&'a str>,
}

impl<'a> Frame<'a> {
    fn of(
        name: &'static str,
        label: &'a str,
        hint: &'a str,
        required: bool,
        draft: &'a Draft,
    ) -> Self {
        Self {
            name,
            label,
            hint,
            is_optional: !required,
            mistake: draft.mistake(name),
        }
    }

    fn id(&self) -> String {
        format!("field-{}", self.name)
    }

    fn invalid(&self) -> Option<&'static str> {
        self.mistake.map(|_| "true")
    }

    /// Returns the ids of the hint and the mistake, for screen readers.
    fn described_by(&self) -> Option<String> {
        let hint = (!self.hint.is_empty()).then(|| format!("hint-{}", self.name));
        let mistake = self.mistake.map(|_| format!("mistake-{}", self.name));
        let ids: Vec<String> = mistake.into_iter().chain(hint).collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    }

    fn around(&self, control: Markup) -> Markup {
        html! {
            div.field {
                label for=(self.id()) {
                    (self.label)
                    @if self.is_optional { " " span.optional { "(optional)" } }
                }
                @if !self.hint.is_empty() {
                    p.hint id={ "hint-" (self.name) } { (self.hint) }
                }
                @if let Some(mistake) = self.mistake {
                    p.mistake id={ "mistake-" (self.name) } { strong { "Mistake: " } (worded(mistake)) }
                }
                (control)
            }
        }
    }
}

impl From<(&'static str, ApiError)> for Mistake {
    fn from((field, error): (&'static str, ApiError)) -> Self {
        Self::new(error.status(), field, error.message())
    }
}
