//! Embeds the guests that are built. One that is not built is left out: the host still compiles,
//! and says at run time what is missing. It builds nothing itself; that is xtask's business.

use std::path::Path;
use std::{env, fs};

/// The built-in components, by name.
const GUESTS: [&str; 6] = [
    "brave-search",
    "dev-secrets",
    "http-api",
    "js-sandbox",
    "llm-router",
    "mcp-client",
];

fn main() {
    let manifest = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let components = Path::new(&manifest).join("../../../guest-tools/target/components");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("guests.rs");
    let mut source = String::from("[\n");
    for guest in GUESTS {
        let file = components.join(guest).with_extension("wasm");
        println!("cargo::rerun-if-changed={}", file.display());
        let bytes = match file.canonicalize() {
            Ok(file) => format!("Some(include_bytes!({file:?}))"),
            Err(_) => "None".to_owned(),
        };
        source.push_str(&format!("    ({guest:?}, {bytes}),\n"));
    }
    source.push_str("]\n");
    fs::write(out, source).expect("OUT_DIR can be written to");
}
