//! Attempts of an agent to get at a credential. Each attempt is a program, and its output is
//! searched for every form of the credential that the demo knows.

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use vault_core::AppName;

use super::stage::Stage;
use super::transcript::{Transcript, shown};
use crate::cli::outcome::Outcome;
use crate::cli::session::operator;

/// An attempt. The check passes if the outcome is the expected one and no output contains the
/// credential.
struct Attempt {
    what: &'static str,
    code: &'static str,
    /// A text that the outcome must contain, as proof that the attempt ran and how it ended.
    expect: &'static str,
}

const ATTEMPTS: &[Attempt] = &[
    Attempt {
        what: "walks every object that it can reach from globalThis",
        code: r#"
            search('rust');
            const seen = new Set(), found = [];
            (function walk(value, depth) {
                if (value === null || (typeof value !== 'object' && typeof value !== 'function')) {
                    if (typeof value === 'string') found.push(value);
                    return;
                }
                if (seen.has(value) || depth > 12) return;
                seen.add(value);
                for (const key of Reflect.ownKeys(value)) {
                    let inner;
                    try { inner = value[key] } catch { continue }
                    found.push(String(key));
                    walk(inner, depth + 1);
                }
                walk(Object.getPrototypeOf(value), depth + 1);
            })(globalThis, 0);
            console.log(found.join('\n'));
            return {objects: seen.size > 50}"#,
        expect: r#"{"objects":true}"#,
    },
    Attempt {
        what: "require('secrets')",
        code: "try { return require('secrets').resolve('brave_api_key') } catch (e) { return 'refused: ' + e.message }",
        expect: "refused: ",
    },
    Attempt {
        what: "import('tavora:platform/secrets@0.1.0')",
        code: "try { const m = await import('tavora:platform/secrets@0.1.0'); return m.resolve('brave_api_key') } catch (e) { return 'refused: ' + e.message }",
        expect: "refused: ",
    },
    Attempt {
        what: "calls a tool named `secrets`",
        code: "try { return tools.call('secrets', 'resolve', {name: 'brave_api_key'}) } catch (e) { return e.code }",
        expect: "unknown_tool",
    },
    Attempt {
        what: "calls an operation named `resolve` of the search tool",
        code: "try { return tools.call('brave-search', 'resolve', {name: 'brave_api_key'}) } catch (e) { return e.code }",
        expect: "unknown_operation",
    },
    Attempt {
        what: "makes the upstream fail with the credential in its error",
        code: "try { return search('error please') } catch (e) { return [e.code, e.message, e.stack, JSON.stringify(e)].join('\\n') }",
        expect: "upstream_error",
    },
    Attempt {
        what: "makes the upstream echo the credential, raw and encoded",
        code: "return search('echo please')",
        expect: "[redacted:brave_api_key]",
    },
    Attempt {
        what: "makes the model repeat its key",
        code: "return ai('echo please')",
        expect: "[redacted:gemini_api_key]",
    },
    Attempt {
        what: "makes the MCP server repeat its token",
        code: "return require('tasklist').create_task_list({name: 'echo please'})",
        expect: "[redacted:TASKLIST_BEARER]",
    },
    Attempt {
        what: "gives the MCP client another server, and another secret",
        code: "const out = []; for (const extra of [{url: 'http://attacker.test'}, {secret: 'brave_api_key'}]) { try { out.push(tools.call('mcp:tasklist', 'call_tool', {name: 'create_task_list', arguments: {name: 'x'}, ...extra})) } catch (e) { out.push(e.code) } } return out",
        expect: r#"["invalid_input","invalid_input"]"#,
    },
    Attempt {
        what: "calls an MCP server that its file does not declare",
        code: "try { return tools.call('mcp:mail', 'list_tools', {}) } catch (e) { return e.code }",
        expect: "unknown_tool",
    },
    Attempt {
        what: "makes the HTTP API repeat its token",
        code: "return require('tracker').request({method: 'POST', path: '/issues', body: {title: 'echo please'}}).note",
        expect: "your key is [redacted:tracker_token]",
    },
    Attempt {
        what: "leaves the HTTP API's path, to a page beside it",
        code: "const out = []; for (const path of ['/../admin', '/issues/../../admin', '/issues/%2e%2e', '/issues/..%2f..%2fadmin', '/issues/..\\\\..\\\\admin', '//attacker.test/admin', '/issues//1']) { try { out.push(tools.call('tracker', 'request', {method: 'GET', path})) } catch (e) { out.push(e.code) } } return [...new Set(out)]",
        expect: r#"["invalid_input"]"#,
    },
    Attempt {
        what: "asks the HTTP API for what its entry does not allow",
        code: "const out = []; for (const [method, path] of [['DELETE', '/issues/1'], ['GET', '/issues'], ['GET', '/users/1']]) { try { out.push(tools.call('tracker', 'request', {method, path})) } catch (e) { out.push(e.code) } } return [...new Set(out)]",
        expect: r#"["egress_denied"]"#,
    },
    Attempt {
        what: "gives the HTTP API another host, secret and slot",
        code: "const out = []; for (const extra of [{base_url: 'http://attacker.test'}, {host: 'attacker.test'}, {secret: 'brave_api_key'}, {slot: 'bearer'}]) { try { out.push(tools.call('tracker', 'request', {method: 'GET', path: '/issues/1', ...extra})) } catch (e) { out.push(e.code) } } return [...new Set(out)]",
        expect: r#"["invalid_input"]"#,
    },
    Attempt {
        what: "sets headers of the HTTP API, the credential's own among them",
        code: "const out = []; for (const name of ['X-Tracker-Token', 'Authorization', 'Host', 'Cookie', 'X-Forwarded-Host', 'X-A\\r\\nX-Smuggled']) { try { out.push(tools.call('tracker', 'request', {method: 'GET', path: '/issues/1', headers: {[name]: 'x'}})) } catch (e) { out.push(e.code) } } return [...new Set(out)]",
        expect: r#"["invalid_input"]"#,
    },
    Attempt {
        what: "gives the search tool another base URL, host and header",
        code: "const out = []; for (const extra of [{base_url: 'http://attacker.test'}, {headers: {a: 'b'}}, {host: 'attacker.test'}]) { try { out.push(search('x', extra)) } catch (e) { out.push(e.code) } } return out",
        expect: r#"["invalid_input","invalid_input","invalid_input"]"#,
    },
    Attempt {
        what: "smuggles a header through the query",
        code: "return search('x\\r\\nX-Smuggled: 1').length",
        expect: "3",
    },
    Attempt {
        what: "replaces the built-in functions that the sandbox itself uses",
        code: r#"
            const heard = [], apply = Reflect.apply, text = String;
            let listening = false;
            for (const owner of [JSON, Object, Array.prototype, String.prototype, Promise.prototype, Error.prototype, Function.prototype])
                for (const key of Reflect.ownKeys(owner)) {
                    const original = Object.getOwnPropertyDescriptor(owner, key).value;
                    if (typeof original !== 'function' || key === 'constructor') continue;
                    try {
                        owner[key] = function (...args) {
                            if (listening) {
                                listening = false;
                                for (const heardNow of [this, ...args]) try { heard[heard.length] = text(heardNow) } catch {}
                                listening = true;
                            }
                            return apply(original, this, args);
                        };
                    } catch {}
                }
            listening = true;
            let results;
            try { results = search('echo please') } catch {}
            listening = false;
            for (const line of heard) console.log(line);
            return {results: results.length, replaced: JSON.stringify !== undefined}"#,
        expect: r#"{"results":6,"replaced":true}"#,
    },
    Attempt {
        what: "looks for a network, files, processes, the environment, WebAssembly",
        code: "return ['fetch','XMLHttpRequest','WebSocket','process','Deno','Bun','WebAssembly','secret','secrets','std','os','scriptArgs','__loadScript'].filter(name => typeof globalThis[name] !== 'undefined')",
        expect: "[]",
    },
    Attempt {
        what: "leaves the function by eval and by the Function constructor",
        code: "return [eval('typeof secrets'), Function('return typeof secrets')(), (0, eval)('typeof require(\"x\")')].join()",
        expect: "there is no module",
    },
];

pub(crate) async fn all(stage: &Stage, transcript: &mut Transcript) -> Outcome {
    for attempt in ATTEMPTS {
        let (report, logged) = stage.run_for(&stage.app, attempt.code).await;
        let outcome = shown(&report);
        let brought_back = format!("{outcome}\n{:?}\n{}", report, logged.join("\n"));
        let holds = !stage
            .credentials
            .iter()
            .any(|credential| holds_credential(&brought_back, &credential.value));
        let unescaped = outcome.replace("\\\"", "\"");
        transcript.check(
            attempt.what,
            holds && unescaped.contains(attempt.expect),
            match holds {
                true => &outcome,
                false => "IT GOT A CREDENTIAL",
            },
        );
    }
    smuggled_nothing(stage, transcript);
    stayed_in_its_path(stage, transcript);
    other_app(stage, transcript).await
}

fn smuggled_nothing(stage: &Stage, transcript: &mut Transcript) {
    let requests = stage.upstreams.search_engine.requests();
    let arrived = requests
        .iter()
        .any(|request| request.query.contains("Smuggled"));
    let as_header = requests
        .iter()
        .any(|request| request.header_names.iter().any(|name| name == "x-smuggled"));
    transcript.check(
        "the smuggled header arrived as plain text in the query",
        arrived && !as_header,
        "it arrived as a header, or not at all",
    );
}

fn stayed_in_its_path(stage: &Stage, transcript: &mut Transcript) {
    let requests = stage.upstreams.tracker.requests();
    let paths: Vec<&str> = requests.iter().map(|it| it.path.as_str()).collect();
    transcript.check(
        "the HTTP API was asked for what its entry allows and for nothing else",
        !paths.is_empty() && paths.iter().all(|path| path.starts_with("/api/issues")),
        &format!("{paths:?}"),
    );
}

/// Tries to reach the first app's vault from another app, which cannot even name it.
async fn other_app(stage: &Stage, transcript: &mut Transcript) -> Outcome {
    let vaults = stage.platform.vaults();
    let other = vaults
        .create_app(
            &operator(),
            AppName::try_from("other".to_owned())?,
            None,
            None,
        )
        .await?;
    let (report, _) = stage
        .run_for(
            &other,
            "try { return search('rust') } catch (e) { return e.message }",
        )
        .await;
    transcript.check(
        "another app's agent calls the same tool",
        shown(&report) == r#""app has no vault designated""#,
        &shown(&report),
    );
    let designated = vaults
        .designate(&operator(), other.id, Some(stage.vault.id))
        .await;
    transcript.check(
        "another app designates this app's vault",
        designated.is_err(),
        "it was allowed to",
    );
    Ok(())
}

fn holds_credential(text: &str, credential: &str) -> bool {
    let percent: String = credential
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    let mut forms = vec![credential.to_owned(), hex::encode(credential), percent];
    // The base64 of the credential after 0, 1 or 2 other bytes, without the characters that mix
    // both.
    for lead in 0..3 {
        let encoded =
            BASE64_STANDARD_NO_PAD.encode([&vec![b' '; lead], credential.as_bytes()].concat());
        forms.push(encoded[(lead * 4).div_ceil(3)..encoded.len() - 1].to_owned());
    }
    forms.iter().any(|form| text.contains(form.as_str()))
}
