//! The form fields for a secret's value. The value is never shown again: a form that is shown again
//! has none.

use maud::{Markup, html};
use vault_core::SecretValue;
use zeroize::Zeroizing;

use super::fields::Fields;
use super::form::{Draft, Mistake, SecretInput};
use super::visit::Visit;

/// Renders the fields. While no secret can be stored, they are disabled and the reason is shown.
pub(super) fn unless_in_trouble(visit: &Visit, fields: Markup) -> Markup {
    html! {
        @match &visit.kek_trouble {
            None => { (fields) }
            Some(trouble) => {
                p.mistake id="trouble" { strong { "Not possible now: " } (trouble) }
                fieldset disabled aria-describedby="trouble" { (fields) }
            }
        }
    }
}

pub(super) fn value_fields(draft: &Draft) -> Markup {
    html! {
        (SecretInput {
            name: "value",
            label: "Value",
            hint: "It is encrypted at once and never shown again.",
            autocomplete: "new-password",
            required: false,
        }.show(draft))
        details open[draft.is_about("value_lines")] {
            summary { "The value has several lines" }
            (SecretInput {
                name: "value_lines",
                label: "Value of several lines",
                hint: "For example a private key in PEM. Leave the field above empty.",
                autocomplete: "off",
                required: true,
            }.show_lines(draft))
        }
    }
}

/// Takes the value out of a form. It comes from one of two fields.
pub(super) fn take_value(fields: &mut Fields) -> Result<SecretValue, Mistake> {
    let (line, lines) = (fields.take("value"), fields.take("value_lines"));
    let (field, value) = match (line.is_empty(), lines.is_empty()) {
        (_, true) => ("value", line),
        // Browsers send every line break as CRLF.
        (true, false) => ("value_lines", Zeroizing::new(lines.replace("\r\n", "\n"))),
        (false, false) => {
            return Err(Mistake::invalid(
                "value_lines",
                "the value is given twice; fill in one of the two fields",
            ));
        }
    };
    let mut value = value;
    SecretValue::new(std::mem::take(&mut *value)).map_err(|error| Mistake::invalid(field, error))
}
