//! What this host found out about MCP servers, for as long as it runs: which era of the protocol
//! each speaks, so that the next run need not find out again. It holds two words, and nothing that
//! a server says.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use tavora_wasm::tool::ToolGrants;

/// The setting of the client that says where its server is.
pub(crate) const URL: &str = "url";

/// How many servers are remembered.
const MAX_SERVERS: usize = 10_000;

/// The eras of servers, by their URL.
#[derive(Default)]
pub(crate) struct KnownServers(Mutex<HashMap<String, Era>>);

/// What a server speaks, in the words of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Era {
    Modern,
    Legacy,
}

/// What a client found out.
#[derive(Deserialize)]
struct Found {
    /// None where the server does not speak what it spoke before.
    era: Option<Era>,
}

impl KnownServers {
    /// The client's word for what this server speaks, when it is known.
    pub(crate) fn era(&self, url: &str) -> Option<&'static str> {
        self.eras().get(url).map(|era| match era {
            Era::Modern => "modern",
            Era::Legacy => "legacy",
        })
    }

    /// Remembers what a client found out about the server of these grants.
    pub(super) fn remember(&self, grants: &ToolGrants, found: &str) {
        let url = grants.config.iter().find(|(key, _)| key == URL);
        let found = serde_json::from_str::<Option<Found>>(found);
        let (Some((_, url)), Ok(Some(Found { era }))) = (url, found) else {
            return;
        };
        let mut eras = self.eras();
        if eras.len() >= MAX_SERVERS && !eras.contains_key(url) {
            eras.clear();
        }
        match era {
            Some(era) => eras.insert(url.clone(), era),
            None => eras.remove(url),
        };
    }

    fn eras(&self) -> MutexGuard<'_, HashMap<String, Era>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
