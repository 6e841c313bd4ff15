//! Names of operations: 1 to 64 characters of `a-z 0-9 _`, as for every tool.

/// Limits the name of an operation, in characters.
const MAX_CHARS: usize = 64;

/// Makes a name of an `operationId`: `issues/list-for-repo` becomes `issues_list_for_repo`, and
/// `chat.postMessage` becomes `chat_post_message`. Returns `None` where nothing is left of the id.
pub(crate) fn of_id(id: &str) -> Option<String> {
    let mut name = String::with_capacity(id.len());
    let mut before = ' ';
    let letters: Vec<char> = id.chars().collect();
    for (at, letter) in letters.iter().copied().enumerate() {
        let next = letters.get(at + 1).copied().unwrap_or(' ');
        let begins_word = letter.is_ascii_uppercase()
            && (before.is_ascii_lowercase()
                || before.is_ascii_digit()
                || before.is_ascii_uppercase() && next.is_ascii_lowercase());
        if begins_word || !letter.is_ascii_alphanumeric() {
            separate(&mut name);
        }
        if letter.is_ascii_alphanumeric() {
            name.push(letter.to_ascii_lowercase());
        }
        before = letter;
    }
    finished(name)
}

/// Makes the name of an operation that has no id: `GET /repos/{owner}/issues` becomes
/// `get_repos_owner_issues`.
pub(crate) fn of_request(method: &str, path: &str) -> String {
    let name = of_id(&format!("{} {path}", method.to_ascii_lowercase()));
    name.unwrap_or_else(|| method.to_ascii_lowercase())
}

fn separate(name: &mut String) {
    if !name.is_empty() && !name.ends_with('_') {
        name.push('_');
    }
}

fn finished(name: String) -> Option<String> {
    let name: String = name.chars().take(MAX_CHARS).collect();
    let name = name.trim_end_matches('_');
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_becomes_a_name_that_a_program_can_write() {
        for (id, name) in [
            ("issues/list-for-repo", Some("issues_list_for_repo")),
            ("chat.postMessage", Some("chat_post_message")),
            ("PostCustomersCustomer", Some("post_customers_customer")),
            ("listHTTPRoutes", Some("list_http_routes")),
            ("getV2Items", Some("get_v2_items")),
            ("already_fine_7", Some("already_fine_7")),
            ("__a__b__", Some("a_b")),
            ("été", Some("t")),
            ("日本", None),
            ("", None),
        ] {
            assert_eq!(of_id(id).as_deref(), name, "{id}");
        }
        let long = of_id(&"a".repeat(100)).expect("a name");
        assert_eq!(long.len(), MAX_CHARS);
        assert_eq!(
            of_request("GET", "/repos/{owner}/issues.json"),
            "get_repos_owner_issues_json"
        );
        assert_eq!(of_request("GET", "/"), "get");
    }
}
