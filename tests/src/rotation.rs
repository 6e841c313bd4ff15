//! A host in the middle of a rotation: its data is wrapped with the old key, and its keyring has
//! the new one first.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::binary;
use crate::serving::Serving;

/// The longest time for a walk over a few secrets on a busy machine.
const WALK_WAIT: Duration = Duration::from_secs(30);

/// The names of the secrets in the designated vault of its only app.
pub const SECRETS: [&str; 3] = ["first", "second", "third"];

/// Starts the host.
pub fn start(config: &str) -> Serving {
    Serving::start_with(config, |command| {
        let folder = command.get_current_dir().expect("it has one").to_owned();
        let key = |name: &str| format!("file://{}", folder.join(name).display());
        let run = |arguments: &[&str]| {
            let mut host: Command = binary::host(&folder);
            host.args(arguments).args(["--data", "data"]);
            host.env("TAVORA_SECRET_KEK", key("kek"));
            let ended = binary::end(host);
            assert_eq!(ended.status, 0, "{arguments:?}: {ended:?}");
        };
        run(&["app", "create", "Shop"]);
        run(&["vault", "create", "main"]);
        run(&["vault", "designate", "main"]);
        std::fs::write(folder.join("value"), "a value").expect("the folder is writable");
        for name in SECRETS {
            run(&["secret", "put", name, "--from-file", "value"]);
        }
        run(&["kek", "generate", "--out", "new"]);
        command.env("TAVORA_SECRET_KEK", key("new"));
        command.env("TAVORA_SECRET_KEK_PREVIOUS", key("kek"));
    })
}

/// The ids of the old key and of the new one.
#[track_caller]
pub fn kek_ids(serving: &Serving) -> (String, String) {
    let status = serving.admin("GET", "/api/admin/kek", None).json();
    let keks = status["keks"].as_array().expect("a list");
    let ids = keks.iter().filter_map(|kek| kek["kek_id"].as_str());
    let primary = status["primary"].as_str().expect("a kek id");
    let old = ids
        .clone()
        .find(|id| *id != primary)
        .expect("there are two");
    (old.to_owned(), primary.to_owned())
}

/// The outcome of the last walk.
#[track_caller]
pub fn ended(serving: &Serving) -> Value {
    let deadline = Instant::now() + WALK_WAIT;
    loop {
        let walk = serving.admin("GET", "/api/admin/kek/walk", None);
        assert_eq!(walk.status, 200, "{}", walk.text());
        let walk = walk.json();
        if walk["state"] != "running" {
            return walk;
        }
        assert!(Instant::now() < deadline, "{walk}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Opens the database as another process would.
pub fn database(serving: &Serving) -> rusqlite::Connection {
    let path = serving.data().join("tavora.db");
    let raw = rusqlite::Connection::open(path).expect("it is there");
    raw.busy_timeout(Duration::from_secs(5))
        .expect("it is a time");
    raw
}
