//! Pages of a long list.

use maud::{Markup, html};

use super::fields::Fields;

/// Reads the beginning of a page from the query's `offset`. Text that is not a number counts as 0.
pub(super) fn offset(query: &Fields) -> u64 {
    let offset = query.text("offset").parse().unwrap_or(0);
    // The database's numbers are signed.
    offset.min(i64::MAX.unsigned_abs())
}

/// Renders the range that is shown, with links to the next and the previous page.
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
