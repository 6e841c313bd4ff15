//! From one page of a long list to the next.

use maud::{Markup, html};

use super::fields::Fields;

/// Where in a list a page begins, from the field `offset` of its query. What is no number begins at
/// the start.
pub(super) fn offset(query: &Fields) -> u64 {
    let offset = query.text("offset").parse().unwrap_or(0);
    // Databases count in signed numbers.
    offset.min(i64::MAX.unsigned_abs())
}

/// What is shown of how much, with links to the pages around it.
pub(super) fn pages(
    total: u64,
    offset: u64,
    limit: u64,
    path_at: impl Fn(u64) -> String,
) -> Markup {
    let last = total.min(offset.saturating_add(limit));
    html! {
        @if total > limit || offset > 0 {
            nav.pages aria-label="Pages of this list" {
                p {
                    @if offset < total { (offset + 1) " to " (last) " of " (total) } @else { "Nothing here; " (total) " in all" }
                }
                ul {
                    @if offset > 0 {
                        li { a.button rel="prev" href=(path_at(offset.saturating_sub(limit))) { "Newer" } }
                    }
                    @if last < total {
                        li { a.button rel="next" href=(path_at(offset + limit)) { "Older" } }
                    }
                }
            }
        }
    }
}
