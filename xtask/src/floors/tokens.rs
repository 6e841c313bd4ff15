//! Paths in unparsed tokens: inside a macro call or an attribute.
//!
//! A single word counts when it looks like an item: it starts with a capital, or is called. Other
//! words are mostly fields and local variables.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::module::{Mention, Route};

/// All paths in `tokens`, including those inside groups.
pub fn mentions(tokens: TokenStream) -> Vec<Mention> {
    let mut found = Vec::new();
    collect(tokens, &mut found);
    found
}

/// All words in `tokens`.
pub fn words(tokens: TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(word) => found.push(word.to_string()),
            TokenTree::Group(group) => found.extend(words(group.stream())),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    found
}

fn collect(tokens: TokenStream, found: &mut Vec<Mention>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if let TokenTree::Group(group) = token {
            collect(group.stream(), found);
        }
        let before = at.checked_sub(1).and_then(|it| tokens.get(it));
        let Some((route, after)) = route_at(&tokens, at) else {
            at += 1;
            continue;
        };
        at = after;
        let next = tokens.get(after);
        let is_macro = is_sign(next, '!') && !is_sign(tokens.get(after + 1), '=');
        // This is a method, a field, a lifetime, or a variable of `macro_rules!`.
        let is_other = ['.', '\''].iter().any(|sign| is_sign(before, *sign))
            || is_sign(before, '$') && route[0] != "crate";
        let is_item = route.len() > 1
            || is_macro
            || route[0].starts_with(char::is_uppercase)
            || is_call(next);
        if is_item && !is_other {
            found.push(Mention { route, is_macro });
        }
    }
}

/// The path that starts at `at`, and the place of the token after it.
fn route_at(tokens: &[TokenTree], at: usize) -> Option<(Route, usize)> {
    let mut after = at;
    let mut route = Route::new();
    if is_path_sign(tokens, at) {
        route.push(String::new());
        after += 2;
    }
    while let Some(TokenTree::Ident(word)) = tokens.get(after) {
        route.push(word.to_string());
        after += 1;
        let goes_on = is_path_sign(tokens, after)
            && matches!(tokens.get(after + 2), Some(TokenTree::Ident(_)));
        if !goes_on {
            return Some((route, after));
        }
        after += 2;
    }
    None
}

fn is_call(next: Option<&TokenTree>) -> bool {
    matches!(next, Some(TokenTree::Group(it)) if it.delimiter() == Delimiter::Parenthesis)
}

fn is_path_sign(tokens: &[TokenTree], at: usize) -> bool {
    is_sign(tokens.get(at), ':') && is_sign(tokens.get(at + 1), ':')
}

fn is_sign(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(it)) if it.as_char() == sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_wherever_it_stands() {
        let tokens = "a, Some(b.c(crate::d::E)), f(1)?, G { h: $crate::i!() }, ::j::k, 'l, $m"
            .parse()
            .expect("tokens");
        let found: Vec<String> = mentions(tokens)
            .iter()
            .map(|it| it.route.join("::") + if it.is_macro { "!" } else { "" })
            .collect();
        let expected = ["Some", "crate::d::E", "f", "G", "crate::i!", "::j::k"];
        assert_eq!(found, expected);
    }
}
