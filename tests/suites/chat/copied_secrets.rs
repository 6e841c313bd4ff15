//! Credentials that were stored with surrounding text. They work, or the error says what is odd
//! about them.

use axum::response::Response;
use tavora_tests::upstream::{Seen, json as json_answer};

use super::fixture::{CANARY, Chat, assert_refused, completion, hello};

/// Requires the credential, and repeats it in its answer.
fn strict(seen: &Seen) -> Response<axum::body::Body> {
    match seen.headers["authorization"].to_str() {
        Ok(value) if value == format!("Bearer {CANARY}") => json_answer(
            200,
            &completion(&format!("your key is {CANARY}")).to_string(),
        ),
        _ => json_answer(
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-cana***4655"}}"#,
        ),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_along_with_a_key_is_left_out_and_the_key_is_scrubbed_all_the_same() {
    let chat = Chat::start(strict).await;
    for value in [
        format!("\u{feff}{CANARY}"),
        format!("{CANARY}\u{200b}"),
        format!("  {CANARY}\r\n"),
        format!("\u{a0}{CANARY}\u{2060}"),
        format!("Bearer {CANARY}"),
        format!("\u{feff}bearer {CANARY}\n"),
        format!("Authorization: Bearer {CANARY}"),
    ] {
        chat.put("openai_api_key", &value);
        let answer = chat.ask(&hello("gpt-4o"));
        assert_eq!(answer.status, 200, "{value:?}: {}", answer.text());
        let said = answer.json()["choices"][0]["message"]["content"].clone();
        assert_eq!(said, "your key is [redacted:openai_api_key]", "{value:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_about_a_refused_key_is_told_and_no_part_of_it() {
    let chat = Chat::start(strict).await;
    for (value, odd) in [
        (format!("\"{CANARY}\""), "a quote"),
        (format!("OPENAI_API_KEY={CANARY}"), "NAME=value"),
        (CANARY.replace("canary", "can ary"), "white space"),
        (format!("{CANARY};"), "a semicolon"),
    ] {
        chat.put("openai_api_key", &value);
        let message = assert_refused(&chat.ask(&hello("gpt-4o")), 502, "upstream_auth");
        assert!(message.contains(odd), "{value}: {message}");
        assert!(!message.contains("4655"), "{message}");
    }
    for (value, odd) in [
        (CANARY.replace("canary", "can\nary"), "a line break"),
        (CANARY.replace("canary", "can\u{200b}ary"), "not ASCII"),
        (CANARY.replace("canary", "c\u{430}nary"), "not ASCII"),
        ("\u{feff}".to_owned(), "nothing that can be seen"),
    ] {
        chat.put("openai_api_key", &value);
        let message = assert_refused(&chat.ask(&hello("gpt-4o")), 400, "unusable_secret");
        assert!(message.contains(odd), "{value:?}: {message}");
    }
}
