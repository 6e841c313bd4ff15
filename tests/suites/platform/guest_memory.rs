//! Tests that no guest's linear memory contains a credential, while the guest waits for an upstream
//! and after it got the answer. The memories are those parts of this process that the engine's pool
//! made accessible within its reserved address space. The host's own heap is elsewhere.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tavora_tests::fixture::{CANARY, Fixture};
use tavora_tests::upstream::{Upstream, json as json_answer, search_results};

/// The minimum size of the inaccessible space around the engine's memories, in bytes.
const RESERVED_BYTES: u64 = 1 << 30;

/// One line of `/proc/self/maps`.
struct Mapping {
    start: u64,
    end: u64,
    is_accessible: bool,
}

/// Counts how often the text is in guests' memories.
fn count_in_guests(text: &[u8]) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux tells it");
    let mappings: Vec<Mapping> = maps.lines().filter_map(mapping).collect();
    let memory = File::open("/proc/self/mem").expect("it is this process's own");
    let is_reserved =
        |mapping: &Mapping| !mapping.is_accessible && mapping.end - mapping.start >= RESERVED_BYTES;
    // One memory can consist of several mappings.
    let mut count = 0;
    for (at, mapping) in mappings.iter().enumerate() {
        if !mapping.is_accessible {
            continue;
        }
        let mut end = mapping.end;
        let mut after = mappings[at + 1..].iter();
        let reserved = after.find(|next| {
            let follows = next.start == end;
            end = next.end;
            !follows || !next.is_accessible
        });
        if !reserved.is_some_and(is_reserved) {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(mapping.end - mapping.start).expect("it fits")];
        if memory.read_exact_at(&mut bytes, mapping.start).is_ok() {
            count += memchr::memmem::find_iter(&bytes, text).count();
        }
    }
    count
}

fn mapping(line: &str) -> Option<Mapping> {
    let mut parts = line.split_whitespace();
    let (start, end) = parts.next()?.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    Some(Mapping {
        start: address(start)?,
        end: address(end)?,
        is_accessible: parts.next()?.starts_with("rw"),
    })
}

/// Runs a program against an upstream that repeats the credential. The upstream searches guests'
/// memories at each request, before it answers. Returns the number of searches, and how often the
/// credential was found.
async fn found(manifest: &str, secret: &str, code: &str) -> (usize, usize) {
    let looks = Arc::new(AtomicUsize::new(0));
    let finds = Arc::new(Mutex::new(0));
    let (count, total) = (Arc::clone(&looks), Arc::clone(&finds));
    let upstream = Upstream::start(move |seen| {
        count.fetch_add(1, Ordering::SeqCst);
        *total.lock().expect("no holder panics") += count_in_guests(CANARY.as_bytes());
        match seen.uri.path() {
            "/v1/chat/completions" => json_answer(
                200,
                &json!({ "choices": [{ "message": { "role": "assistant", "content": CANARY } }] })
                    .to_string(),
            ),
            _ => search_results(&[&format!("echo {CANARY}")]),
        }
    })
    .await;
    let url = upstream.url();
    let config = format!(
        "[egress]\nallow_private_origins = [{url:?}]\n\
         limits = {{ first_byte_timeout_ms = 600_000 }}\n[limits.tool]\nwall_clock_ms = 600_000\n[limits.agent]\nwall_clock_ms = 600_000\n{}",
        manifest.replace("URL", url)
    );
    let host = Fixture::without_secret(&config).await;
    host.put(secret, CANARY).await;
    host.result(code).await;
    let finds = *finds.lock().expect("no holder panics");
    (looks.load(Ordering::SeqCst), finds)
}

const SEARCH: &str =
    "[tools.brave-search]\nconfig = { base_url = \"URL\", first_byte_timeout_ms = \"600000\" }\n";
const ROUTER: &str = "[tools.llm-router]\nconfig = { openai_base_url = \"URL/v1\" }\n";
const ASK: &str = "const ask = () => tools.call('llm-router', 'chat', \
    {model: 'gpt-4o', messages: [{role: 'user', content: 'hello'}]}); ask(); ask(); return 1";

// This is one test, because tests of one process would see one another's memories.
#[tokio::test(flavor = "multi_thread")]
async fn no_guest_of_a_built_in_tool_ever_holds_a_credential() {
    let search = "search('a'); search('b'); return 1";
    // The search finds the credential where the operator reveals it.
    let revealed = format!("{SEARCH}reveal = [\"brave_api_key\"]\n");
    let (looks, finds) = found(&revealed, "brave_api_key", search).await;
    assert!(looks == 2 && finds > 0, "{looks} looks, {finds} finds");
    for (manifest, secret, code) in [
        (SEARCH, "brave_api_key", search),
        (ROUTER, "openai_api_key", ASK),
    ] {
        let (looks, finds) = found(manifest, secret, code).await;
        assert_eq!((looks, finds), (2, 0), "{secret}");
    }
}
