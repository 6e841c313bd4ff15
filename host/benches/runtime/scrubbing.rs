//! Measures how fast clean text passes the scrubber.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::json;
use tavora_host::scrub::Scrubber;

use crate::laps::{Laps, budget, report};

/// A key of 40 characters in a vendor's format. It is not a real key.
const KEY: &str = "sk-proj-Xy7fQ2bM9vLtR4kWcZ8hJ1nPa6sDgE3u";

/// Measures a JSON text of 64 KiB, against a pass that looks up each of its bytes in a table.
pub(super) fn measure(window: Duration) {
    let scrubber = Scrubber::new([("key", KEY)]);
    let text = clean_json(64 << 10);
    let mut table = [false; 256];
    // JSON text never has this byte, so the pass reads to the end.
    table[0] = true;
    let per_byte = |elapsed: Duration| elapsed.as_nanos() as f64 / text.len() as f64;
    // In turns, so that both see the same state of the machine.
    let (mut scrubs, mut passes) = (Laps::start(window), Laps::start(window));
    while scrubs.goes_on() {
        let begun = Instant::now();
        black_box(scrubber.scrub(black_box(&text)));
        scrubs.push(per_byte(begun.elapsed()));
        let (bytes, table) = (black_box(text.as_bytes()), black_box(&table));
        let begun = Instant::now();
        black_box(bytes.iter().position(|byte| table[usize::from(*byte)]));
        passes.push(per_byte(begun.elapsed()));
    }
    report(
        "scrubbing 64 KiB of clean JSON with one key, per byte",
        scrubs.at(50),
        "ns",
    );
    budget(
        "scrubbing / looking each byte up in a table",
        scrubs.at(50) / passes.at(50),
        8.0,
        "×",
    );
}

/// The answer of a search, with at least this many bytes and the usual escapes.
fn clean_json(bytes: usize) -> String {
    const WORDS: [&str; 12] = [
        "search",
        "results",
        "about",
        "the",
        "vault",
        "of",
        "agents",
        "\"quoted\"",
        "naïve",
        "2026",
        "/a?b=c&d=%20e",
        "line\nbreak",
    ];
    let mut results = Vec::new();
    let mut len = 0;
    while len < bytes {
        let words = |count: usize| -> String {
            let words = (0..count).map(|word| WORDS[(results.len() + word * 5) % WORDS.len()]);
            words.collect::<Vec<_>>().join(" ")
        };
        let result = json!({
            "title": words(4),
            "url": format!("https://example.com/{}", results.len()),
            "description": words(24),
        });
        len += result.to_string().len();
        results.push(result);
    }
    json!({ "results": results }).to_string()
}
