//! Tables that become a stack of cards on narrow screens.
//!
//! The ARIA roles repeat the meaning of the elements, because browsers forget it when the style
//! shows them as blocks.

use maud::{Markup, html};

/// Renders a table. The first cell names its row. A column without a heading has the actions.
pub(super) fn table<const N: usize>(
    caption: &str,
    columns: [&str; N],
    rows: impl IntoIterator<Item = [Markup; N]>,
) -> Markup {
    html! {
        table role="table" {
            caption.unseen { (caption) }
            thead role="rowgroup" {
                tr role="row" {
                    @for column in columns {
                        th role="columnheader" scope="col" {
                            @if column.is_empty() { span.unseen { "What can be done" } } @else { (column) }
                        }
                    }
                }
            }
            tbody role="rowgroup" {
                @for row in rows {
                    tr role="row" {
                        @for (index, cell) in row.into_iter().enumerate() {
                            @if index == 0 {
                                th role="rowheader" scope="row" { (cell) }
                            } @else {
                                td role="cell" data-column=(columns[index]) { div { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Renders a list of facts about one thing.
pub(super) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, Markup)>) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in facts {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}
