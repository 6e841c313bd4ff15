//! After one host takes a value or a key away, no other host gives it any more. This holds after
//! the acknowledgement, under any load, and both while and after the other host is cut off from the
//! database.
//!
//! Each value, and each API key, has a number. A change at host `a` ends one. Requests to host `b`
//! that begin after the acknowledgement must not use it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tavora_tests::eventually::{PATIENCE, report, until};
use tavora_tests::fixture::operator;
use tavora_tests::measure::{milliseconds, percentile};
use tavora_tests::postgres::{Database, Postgres};
use tavora_tests::relay::Relay;
use tavora_tests::upstream::{Upstream, search_results};
use tavora_tests::wire::Request;
use tokio_postgres::NoTls;
use vault_core::{
    Keyring, LocalKek, Metadata, ReleaseContext, ReleaseError, SecretName, SecretValue,
    SecretVaults,
};

use crate::pair::{Pair, secret};

/// The number of concurrent askers.
const ASKERS: usize = 6;

/// The pause before the next change, after host `b` was seen to give the new value.
const SETTLE: Duration = Duration::from_millis(5);

/// The values that the upstream received, by the number of the request.
type Shown = Arc<Mutex<HashMap<usize, usize>>>;

/// A fault of the relay.
type Mood = fn(&Relay);

/// A request at host `b`.
#[derive(Clone, Copy, Debug)]
struct Asked {
    number: usize,
    key: usize,
    began: Instant,
    ended: Instant,
    status: u16,
}

/// The current values and keys, and the times at which earlier ones ended.
#[derive(Default)]
struct Truth {
    keys: RwLock<Vec<String>>,
    values: AtomicUsize,
    values_ended: Mutex<HashMap<usize, Instant>>,
    keys_ended: Mutex<HashMap<usize, Instant>>,
}

/// Two hosts, and askers that keep asking one of them.
struct Trial {
    pair: Pair,
    truth: Truth,
    shown: Shown,
    asked: Mutex<Vec<Asked>>,
    is_over: AtomicBool,
    vault: Mutex<String>,
}

impl Trial {
    async fn start(database: &Database, relay: Option<&Relay>) -> Self {
        let shown = Shown::default();
        let upstream = {
            let shown = Arc::clone(&shown);
            Upstream::start(move |seen| {
                let query = seen.uri.query().unwrap_or_default();
                let number = query.split('&').find_map(|pair| pair.strip_prefix("q="));
                let value = seen.headers.get("x-subscription-token").unwrap();
                let value = value.to_str().unwrap().rsplit('-').next().unwrap();
                let number: usize = number.unwrap().parse().unwrap();
                let mut shown = shown.lock().unwrap();
                shown.insert(number, value.parse().unwrap());
                search_results(&["found"])
            })
            .await
        };
        let url = upstream.url().to_owned();
        let pair = tokio::task::block_in_place(|| Pair::start(database, relay, &url));
        let truth = Truth::default();
        truth.keys.write().unwrap().push(pair.app.key.clone());
        let trial = Self {
            pair,
            truth,
            shown,
            asked: Mutex::default(),
            is_over: AtomicBool::new(false),
            vault: Mutex::default(),
        };
        trial.begin_vault();
        trial
    }

    fn key(&self) -> String {
        self.truth.keys.read().unwrap().last().unwrap().clone()
    }

    fn vault(&self) -> String {
        self.vault.lock().unwrap().clone()
    }

    /// Stores the next value under the same name.
    fn put(&self) -> usize {
        let number = self.truth.values.fetch_add(1, Ordering::Relaxed) + 1;
        let value = format!("credential-of-the-tests-{number}");
        self.pair.put(&self.key(), &self.vault(), &value);
        number
    }

    fn designate(&self) {
        self.pair.designate(&self.key(), Some(&self.vault()));
    }

    fn begin_vault(&self) {
        let number = self.truth.values.load(Ordering::Relaxed);
        let vault = self
            .pair
            .make_vault(&self.key(), &format!("vault-{number}"));
        *self.vault.lock().unwrap() = vault;
        self.put();
        self.designate();
    }

    /// Ends the current value in one of four ways. Returns the time, and how to have a value again.
    fn take_away(&self, how: usize) -> (Instant, fn(&Self)) {
        let (number, key, vault) = (
            self.truth.values.load(Ordering::Relaxed),
            self.key(),
            self.vault(),
        );
        let delete = |path: &str| drop(self.pair.at_a(&key, "DELETE", path, None));
        let again: fn(&Self) = match how % 4 {
            0 => {
                self.put();
                |_| ()
            }
            1 => {
                delete(&secret(&vault));
                |trial| {
                    trial.put();
                }
            }
            2 => {
                self.pair.designate(&key, None);
                |trial| {
                    trial.put();
                    trial.designate();
                }
            }
            _ => {
                delete(&format!("/api/sdk/secret-vaults/{vault}"));
                Self::begin_vault
            }
        };
        let acknowledged = Instant::now();
        let mut ended = self.truth.values_ended.lock().unwrap();
        ended.insert(number, acknowledged);
        (acknowledged, again)
    }

    /// Makes an API key, and revokes the previous one.
    fn change_key(&self) {
        let app = &self.pair.app.id;
        let number = self.truth.keys.read().unwrap().len();
        let name = json!({ "name": format!("key {number}") });
        let (id, key) = self.pair.a.make_key(app, &name);
        self.truth.keys.write().unwrap().push(key);
        let old = self.old_key_id(&id);
        let path = format!("/api/admin/apps/{app}/api-keys/{old}");
        let revoked = self.pair.a.admin("DELETE", &path, None);
        assert!((200..300).contains(&revoked.status), "{}", revoked.text());
        let mut ended = self.truth.keys_ended.lock().unwrap();
        ended.insert(number - 1, Instant::now());
    }

    /// The id of the other key of the two that are not revoked.
    fn old_key_id(&self, new: &str) -> String {
        let path = format!("/api/admin/apps/{}/api-keys", self.pair.app.id);
        let keys = self.pair.a.admin("GET", &path, None).json();
        let keys = keys["api_keys"].as_array().unwrap().clone();
        let old = keys
            .iter()
            .find(|key| key["revoked_at"].is_null() && key["id"] != new);
        old.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Keeps asking host `b`. An asker whose key is refused takes the newest one.
    fn keep_asking(&self, numbers: &AtomicUsize) {
        let mut key = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            let text = self.truth.keys.read().unwrap()[key].clone();
            let request = Request::new("POST", "/api/sdk/sandbox/execute")
                .header("x-api-key", text)
                .json(&json!({
                    "code": "return search(input.query).length",
                    "input": { "query": number.to_string() },
                }));
            let began = Instant::now();
            let status = self.pair.b.send(&request).status;
            let asked = Asked {
                number,
                key,
                began,
                ended: Instant::now(),
                status,
            };
            self.asked.lock().unwrap().push(asked);
            match status {
                401 => key = self.truth.keys.read().unwrap().len() - 1,
                503 => thread::sleep(Duration::from_millis(2)),
                _ => {}
            }
        }
    }

    /// Waits until host `b` gives the newest value.
    #[track_caller]
    fn wait_for_newest(&self) -> Duration {
        let (began, newest) = (Instant::now(), self.truth.values.load(Ordering::Relaxed));
        while !self.shown.lock().unwrap().values().any(|it| *it == newest) {
            assert!(
                began.elapsed() < PATIENCE,
                "host b does not recover: {}",
                self.pair.b.log()
            );
            thread::sleep(Duration::from_millis(1));
        }
        began.elapsed()
    }

    /// Does the work while askers keep asking host `b`.
    fn while_asked(&self, work: impl FnOnce()) {
        let numbers = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..ASKERS {
                scope.spawn(|| self.keep_asking(&numbers));
            }
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            self.is_over.store(true, Ordering::Relaxed);
            if let Err(panic) = done {
                std::panic::resume_unwind(panic);
            }
        });
    }

    /// Checks that no request after an acknowledgement got a value that was taken away. Prints the
    /// time until a request was refused or got a newer value.
    fn check(&self) {
        let asked = self.asked.lock().unwrap();
        let shown = self.shown.lock().unwrap();
        let values_ended = self.truth.values_ended.lock().unwrap();
        let keys_ended = self.truth.keys_ended.lock().unwrap();
        let mut released = 0;
        for it in asked.iter() {
            if let Some(value) = shown.get(&it.number) {
                released += 1;
                let ended = values_ended.get(value);
                let is_late = ended.is_some_and(|ended| it.began >= *ended);
                assert!(!is_late, "value {value}, ended {ended:?}: {it:?}");
            }
            if it.status != 401 && it.status != 503 {
                let ended = keys_ended.get(&it.key);
                let is_late = ended.is_some_and(|ended| it.began >= *ended);
                assert!(!is_late, "key {}, ended {ended:?}: {it:?}", it.key);
            }
        }
        assert!(released > 0, "something was released");
        let mut first_seen = Vec::new();
        for (value, ended) in values_ended.iter() {
            let after = asked.iter().filter(|it| it.began >= *ended);
            let seen = after.filter(|it| shown.get(&it.number).is_none_or(|now| now > value));
            let seen = seen.map(|it| it.ended - *ended).min();
            first_seen.push(seen.expect("somebody asked after it"));
        }
        let mut keys_refused = Vec::new();
        for (key, ended) in keys_ended.iter() {
            let refused = asked.iter().filter(|it| it.key == *key && it.status == 401);
            let seen = refused.filter(|it| it.began >= *ended);
            keys_refused.extend(seen.map(|it| it.ended - *ended).min());
        }
        eprintln!(
            "{} requests at b, {released} released; acknowledged at a to seen at b: {} values p50 {:.1} ms max {:.1} ms, \
             {} API keys p50 {:.1} ms max {:.1} ms",
            asked.len(),
            first_seen.len(),
            milliseconds(percentile(&mut first_seen, 50)),
            milliseconds(percentile(&mut first_seen, 100)),
            keys_refused.len(),
            milliseconds(percentile(&mut keys_refused, 50)),
            milliseconds(percentile(&mut keys_refused, 100)),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_away_at_one_host_is_not_given_by_another() {
    const ROUNDS: usize = 200;
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    let trial = Trial::start(&database, None).await;
    tokio::task::block_in_place(|| {
        trial.while_asked(|| {
            trial.wait_for_newest();
            for round in 0..ROUNDS {
                let (_, again) = trial.take_away(round);
                if round % 4 == 3 {
                    trial.change_key();
                }
                again(&trial);
                trial.wait_for_newest();
                thread::sleep(SETTLE);
            }
        });
        trial.check();
        in_order(&database);
    });
}

/// Host `b` reports an error as long as it cannot reach the database. It gives nothing old, neither
/// then nor afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_cut_off_gives_nothing_old() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    let relay = Relay::start(postgres.address);
    let trial = Trial::start(&database, Some(&relay)).await;
    // Longer than any request waits, and shorter.
    let (long, short) = (Duration::from_secs(6), Duration::from_millis(300));
    let moods: [(Mood, Duration); 5] = [
        (Relay::cut, short),
        (Relay::keep_silent, long),
        (Relay::keep_silent, short),
        (Relay::withhold_answers, short),
        (Relay::reset, short),
    ];
    tokio::task::block_in_place(|| {
        trial.while_asked(|| {
            trial.wait_for_newest();
            for (round, (mood, time)) in moods.into_iter().enumerate() {
                mood(&relay);
                let cut = Instant::now();
                let (acknowledged, again) = trial.take_away(round + 1);
                trial.change_key();
                again(&trial);
                thread::sleep(time);
                relay.pass();
                eprintln!(
                    "cut off, kind {round}: acknowledged at a after {:.0} ms, b as before {:.0} ms after it was over",
                    milliseconds(acknowledged - cut),
                    milliseconds(trial.wait_for_newest()),
                );
            }
        });
        trial.check();
        in_order(&database);
        let asked = trial.asked.lock().unwrap();
        assert!(
            asked.iter().any(|it| it.status == 503),
            "host b reported that it was cut off"
        );
        let longest = asked.iter().map(|it| it.ended - it.began).max().unwrap();
        // A host waits for the database twice, for the key and for the secret, which takes 12 s.
        report("the longest that anybody waited for an answer", longest);
        assert!(longest < PATIENCE, "{longest:?}");
    });
}

/// Checks the order of all entries of all hosts: no secret is released in a version that was
/// replaced or deleted before, nor from a vault that was not designated.
fn in_order(database: &Database) {
    let rows = database.query(
        "SELECT action, outcome, coalesce(detail::json->>'vault_id', subject_id, ''), secret_version, chain
        FROM audit ORDER BY place",
    );
    let (mut designated, mut secrets) = (String::new(), HashMap::new());
    let mut released = 0;
    for row in rows.lines() {
        let [action, outcome, subject, version, chain]: [&str; 5] =
            row.split('|').collect::<Vec<_>>().try_into().unwrap();
        match action {
            "app.vault_designated" => designated = subject.to_owned(),
            "app.vault_cleared" => designated.clear(),
            "vault.deleted" => {
                secrets.retain(|secret: &String, _| !secret.starts_with(subject));
                if designated == subject {
                    designated.clear();
                }
            }
            "secret.put" => drop(secrets.insert(subject.to_owned(), version.to_owned())),
            "secret.deleted" => drop(secrets.remove(subject)),
            "secret.released" if outcome == "authorised" => {
                released += 1;
                let known = secrets.get(subject).map(String::as_str);
                assert_eq!(known, Some(version), "{row} by {chain}");
                assert!(
                    subject.starts_with(&designated),
                    "{row} from {designated:?}"
                );
                assert!(!designated.is_empty(), "{row}");
            }
            _ => {}
        }
    }
    assert!(released > 0, "something was released");
}

/// A release that was committed while the connection was lost gives nothing. Before the store
/// learns of the commit, its secret may have been taken away.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_in_doubt_gives_nothing() {
    let Some(postgres) = Postgres::shared() else {
        return;
    };
    let database = postgres.database();
    let relay = Relay::start(postgres.address);
    let store = database.store_at(relay.address, "b").await.unwrap();
    let keyring = Keyring::local(&LocalKek::make_text(), None).unwrap();
    let vaults = SecretVaults::open(Arc::new(store), Some(keyring))
        .await
        .unwrap();
    let app = vaults
        .create_app(&operator(), "Shop".parse().unwrap(), None, None)
        .await
        .unwrap();
    let vault = vaults
        .create_vault(
            &operator(),
            app.id,
            "main".parse().unwrap(),
            Metadata::default(),
        )
        .await
        .unwrap();
    vaults
        .designate(&operator(), app.id, Some(vault.id))
        .await
        .unwrap();
    let name: SecretName = "A".parse().unwrap();
    let value = SecretValue::new("v".to_owned()).unwrap();
    vaults
        .put_secret(&operator(), app.id, vault.id, &name, &value)
        .await
        .unwrap();
    let context = ReleaseContext::new(app.id, "tool", "sha256:00");

    let (other, connection) = tokio_postgres::connect(&database.url(), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    other
        .batch_execute("BEGIN; LOCK TABLE audit IN SHARE MODE")
        .await
        .unwrap();
    let wait_until = async |sql: &str| until(sql, async || database.query(sql) != "0").await;
    let release = tokio::spawn({
        let (vaults, context, name) = (vaults.clone(), context.clone(), name.clone());
        async move { vaults.release(&context, &name).await.map(drop) }
    });
    wait_until("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'audit'::regclass")
        .await;
    relay.withhold_answers();
    other.batch_execute("COMMIT").await.unwrap();
    let released = "SELECT count(*) FROM audit WHERE action = 'secret.released'";
    wait_until(released).await;
    assert!(!release.is_finished(), "the answer is withheld");
    relay.reset();
    relay.pass();
    let outcome = release.await.unwrap();
    assert!(
        matches!(outcome, Err(ReleaseError::Unavailable { .. })),
        "{outcome:?}"
    );
    assert_eq!(database.query(released), "1");
    vaults.release(&context, &name).await.unwrap();
    assert_eq!(database.query(released), "2");
}
