//! Remembers which era of the protocol each MCP server speaks, as long as the host runs, so that
//! later runs need not find out again. Only these two words are kept, and nothing else that a
//! server says.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use tavora_wasm::tool::ToolGrants;

/// The client's setting for the URL of its server.
pub(crate) const URL: &str = "url";

/// The most servers that are remembered.
const MAX_SERVERS: usize = 10_000;

/// The eras of servers, by their URL.
#[derive(Default)]
pub(crate) struct KnownServers(Mutex<HashMap<String, Era>>);

/// The protocol era of a server, in the client's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Era {
    Modern,
    Legacy,
}

/// The findings of a client.
#[derive(Deserialize)]
struct Found {
    /// `None` if the server no longer speaks the era that it spoke before.
    era: Option<Era>,
}

impl KnownServers {
    /// Returns the client's word for the server's era, if it is known.
    pub(crate) fn era(&self, url: &str) -> Option<&'static str> {
        self.eras().get(url).map(|era| match era {
            Era::Modern => "modern",
            Era::Legacy => "legacy",
        })
    }

    /// Remembers a client's findings about the server in these grants.
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
