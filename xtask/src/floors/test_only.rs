//! Attributes of code that is only for tests. Such code is on no floor.

use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

/// Whether one of `attributes` is a `#[cfg(test)]`, or a `cfg` that needs `test`.
pub fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<Meta>()
                .is_ok_and(|condition| needs_tests(&condition))
    })
}

fn needs_tests(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            let Ok(parts) = parts else { return false };
            match () {
                () if list.path.is_ident("all") => parts.iter().any(needs_tests),
                () if list.path.is_ident("any") => {
                    !parts.is_empty() && parts.iter().all(needs_tests)
                }
                () => false,
            }
        }
        Meta::NameValue(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_without_tests_is_for_tests() {
        let is = |attribute: &str| {
            let item: syn::ItemMod = syn::parse_str(&format!("{attribute} mod a;")).expect("item");
            is_for_tests(&item.attrs)
        };
        assert!(is("#[cfg(test)]"));
        assert!(is("#[cfg(all(unix, test))]"));
        assert!(!is("#[cfg(any(unix, test))]"));
        assert!(!is("#[cfg(not(test))]"));
        assert!(!is("#[cfg(unix)]"));
    }
}
