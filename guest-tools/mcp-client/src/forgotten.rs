//! Decides whether a refusal means that the server has forgotten the session. `session` then begins
//! a new one.

use crate::message::INVALID_REQUEST;
use crate::refusal::Refusal;

/// The code of the official SDKs for an unknown session.
const SESSION_NOT_FOUND: i64 = -32001;
/// Words by which a server says that it does not have a session.
const LACKS: &str = "active closed deleted ended exist exists expired find forgotten found gone \
                     inactive invalid known lost mismatch missing must need needs removed require \
                     required requires stale terminated unknown unrecognised unrecognized valid wrong";
/// The words of a status, of its page, or of a server that has not been initialised. They say
/// nothing about the requested thing.
const PLAIN: &str = "a apache bad be been cannot client code connection could error first found has \
                     http invalid is mcp must nginx no not on openresty page path post request \
                     requested route server status the this url was yet";

/// The meaning of a refusal for the session.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server does not know the session. It has done nothing.
    Forgotten,
    /// The server may not know the session.
    Doubtful,
    /// The refusal is about something else.
    Other,
}

/// Judges the answer to a request that named a session.
///
/// By the specification a server answers 404 to a session id that it does not know. Many servers
/// answer 400. Tools, proxies and firewalls use the same statuses, and the request may have been
/// executed before they did. So the answer itself must show that it is about the session:
/// - Its words name a session and say what that lacks, or they say that the server is not
///   initialised. This holds for a reply to the request too, unless its code belongs to the call.
/// - Or it is a 404 that is no reply to the request, and has no words but those of its status.
///
/// Some servers answer 400 without a body. That is doubtful: the request is sent once more, and the
/// next answer is shown as it is. `changes` says that the request may change something
/// (`tools/call`); it is sent again for no other doubt. A list is also asked for again after any
/// answer that is no reply to it.
pub fn verdict(refusal: &Refusal, changes: bool) -> Verdict {
    if !matches!(refusal.status, 400 | 404) {
        return Verdict::Other;
    }
    let code = refusal.reply.as_ref().and_then(|error| error.code);
    let is_of_the_call = match code {
        Some(-32099..=-32000 | INVALID_REQUEST | 400 | 404) => false,
        Some(_) => true,
        // A result belongs to the call. An error without a code may belong to the call or to the
        // session.
        None => refusal.is_reply && refusal.reply.is_none(),
    };
    if is_of_the_call {
        return Verdict::Other;
    }
    let words = lower_words(&refusal.words);
    if names_lost_session(&words) {
        return Verdict::Forgotten;
    }
    let is_of_the_status = words.iter().all(|word| is_plain(word));
    let is_reply = refusal.is_reply
        && !matches!(code, Some(INVALID_REQUEST | SESSION_NOT_FOUND) if refusal.status == 404);
    match (is_reply, refusal.status) {
        (true, _) => Verdict::Other,
        (false, 404) if is_of_the_status => Verdict::Forgotten,
        (false, 400) if words.is_empty() => Verdict::Doubtful,
        (false, _) if changes => Verdict::Other,
        (false, _) => Verdict::Doubtful,
    }
}

/// The words of a text in lower case. They are compared and never shown.
fn lower_words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn names_lost_session(words: &[String]) -> bool {
    if let Some(at) = words.iter().position(|word| word.contains("session")) {
        let is_denied = words[..at].iter().any(|word| word == "no");
        return is_denied || words.iter().any(|word| is_in(LACKS, word));
    }
    let is_beginning = |word: &String| word.starts_with("initiali") || word == "uninitialized";
    words.iter().any(is_beginning)
        && words
            .iter()
            .all(|word| is_beginning(word) || is_plain(word))
}

fn is_plain(word: &str) -> bool {
    is_in(PLAIN, word) || word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_in(list: &str, word: &str) -> bool {
    list.split(' ').any(|known| known == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The refusal of the request 7 with this body.
    fn refused(status: u16, body: &str) -> Refusal {
        let mut refusal = Refusal {
            status,
            ..Refusal::default()
        };
        refusal.take_body(body.as_bytes(), 7);
        refusal
    }

    fn error(id: &str, code: i64, message: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message:?}}}}}"#)
    }

    #[test]
    fn words_about_the_session_are_known_in_every_form() {
        for text in [
            "Bad Request: No valid session ID provided",
            "Invalid session",
            "Session not found",
            "No session",
            "no such session: 4f2a",
            "Could not find session",
            "Not Found: Session has been terminated",
            "Missing Mcp-Session-Id header",
            "Mcp-Session-Id header is required",
            "unknown sessionId",
            "session expired",
            "No transport found for sessionId",
            "Bad Request: Server not initialized",
        ] {
            for status in [400, 404] {
                for body in [
                    text.to_owned(),
                    format!("<html><h1>{text}</h1></html>"),
                    format!("{{\"error\":{text:?}}}"),
                    error("null", -32000, text),
                    error("\"server-error\"", -32600, text),
                    error("7", -32600, text),
                    error("7", -32001, text),
                    format!("event: message\ndata: {}\n\n", error("7", -32000, text)),
                ] {
                    let verdict = verdict(&refused(status, &body), true);
                    assert_eq!(verdict, Verdict::Forgotten, "{status} {body}");
                }
            }
        }
    }

    #[test]
    fn a_404_of_the_specification_is_about_the_session() {
        for body in [
            "",
            "Not Found",
            "404 page not found",
            "<html><title>404 Not Found</title><h1>404 Not Found</h1>nginx/1.25.3</html>",
            r#"{"detail":"Not Found"}"#,
            &error("null", -32000, "Not found"),
            &error("7", -32600, "Not found"),
        ] {
            let verdict = verdict(&refused(404, body), true);
            assert_eq!(verdict, Verdict::Forgotten, "{body}");
        }
        assert_eq!(verdict(&refused(400, ""), true), Verdict::Doubtful);
    }

    #[test]
    fn what_the_call_or_a_firewall_says_is_not_about_the_session() {
        let quota = "quota of the project is used up";
        let long = "the record is too long ".repeat(3_000);
        for (status, body) in [
            (400, error("null", -32000, quota)),
            (400, r#"{"error":"amount must be positive"}"#.to_owned()),
            (400, "amount must be positive".to_owned()),
            (400, "Bad Request".to_owned()),
            (400, "<h1>Bad Request</h1>WAF blocked".to_owned()),
            (404, r#"{"error":"no such record"}"#.to_owned()),
            (404, error("null", -32000, quota)),
            (404, error("7", -32602, "record 7 not found")),
            (404, error("7", 1, "Session not found")),
            (404, error("7", -32000, "Not found")),
            (400, error("7", -32602, "session_id is required")),
            (400, error("7", -32000, &long)),
            (400, format!("data: {}\n\n", error("7", -32000, quota))),
            (400, r#"{"id":7,"result":{"content":[]}}"#.to_owned()),
            (404, r#"{"id":7,"result":{"content":[]}}"#.to_owned()),
            (
                400,
                "Bad Request: the budget of this session is used up".to_owned(),
            ),
            (400, "the repository is not initialized".to_owned()),
            (403, "Session not found".to_owned()),
            (500, "Session not found".to_owned()),
        ] {
            let verdict = verdict(&refused(status, &body), true);
            assert_eq!(verdict, Verdict::Other, "{status} {body:.100}");
        }
        // A list of tools may be asked for again.
        assert_eq!(verdict(&refused(400, "no"), false), Verdict::Doubtful);
        let reply = error("7", -32000, quota);
        assert_eq!(verdict(&refused(400, &reply), false), Verdict::Other);
    }
}
