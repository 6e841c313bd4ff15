//! Hosts on one PostgreSQL, each behind a relay of its own, and what their clients know at the end.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tavora_tests::eventually::wait_until;
use tavora_tests::postgres::{Database, Postgres};
use tavora_tests::relay::Relay;
use tavora_tests::serving::Serving;
use tavora_tests::upstream::{Upstream, search_results};
use tavora_tests::wire::{Answer, Request};
use tokio::runtime::Runtime;

use super::record::Record;

/// The limits of the hosts. They are smaller than the defaults, so that tests are quicker, but in
/// the same proportion.
pub const OPERATION: Duration = Duration::from_millis(2_000);
pub const IDLE_TRANSACTION: Duration = Duration::from_millis(800);

/// The time that a busy machine may add to any other. Measured times are printed.
pub const SLACK: Duration = Duration::from_secs(60);

pub struct Site {
    pub hosts: Vec<Serving>,
    pub relays: Vec<Relay>,
    /// The database of the hosts.
    pub database: Database,
    pub doors: Arc<Doors>,
    /// The answers that the crowds got.
    pub records: Vec<Record>,
    /// The number of further puts, and the number of those with an unknown outcome.
    pub lone_puts: u64,
    pub unclear_puts: u64,
    _upstream: Upstream,
    _runtime: Runtime,
}

/// The addresses and credentials of clients.
pub struct Doors {
    addresses: Vec<Mutex<SocketAddr>>,
    key: String,
    vault: String,
}

impl Doors {
    /// Sends a request to a host.
    pub fn ask(
        &self,
        host: usize,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> std::io::Result<Answer> {
        let request = Request::new(method, path).header("x-api-key", &self.key);
        let address = *self.addresses[host].lock().unwrap();
        match body {
            Some(body) => request.json(body).send(address),
            None => request.send(address),
        }
    }

    /// Stores a secret.
    pub fn put(&self, host: usize, name: &str, value: &str) -> std::io::Result<Answer> {
        let path = format!("/api/sdk/secret-vaults/{}/secrets/{name}", self.vault);
        self.ask(host, "PUT", &path, Some(&json!({ "value": value })))
    }
}

impl Site {
    /// Starts hosts on a database of their own, with a secret that a tool uses.
    pub fn start(postgres: &Postgres, hosts: usize) -> Self {
        Self::start_with(postgres, hosts, OPERATION)
    }

    /// Starts hosts with another limit for operations.
    pub fn start_with(postgres: &Postgres, hosts: usize, operation: Duration) -> Self {
        let runtime = Runtime::new().unwrap();
        let upstream = runtime.block_on(Upstream::start(|_| search_results(&["found"])));
        let database = postgres.database();
        let relays: Vec<_> = (0..hosts).map(|_| Relay::start(postgres.address)).collect();
        let mut serving: Vec<Serving> = Vec::new();
        for (number, relay) in relays.iter().enumerate() {
            let config = config(
                number,
                operation,
                &database.url_at(relay.address),
                upstream.url(),
            );
            // All hosts use the first one's KEK.
            let kek = serving.first().map(|host| host.folder.path().join("kek"));
            let host = Serving::start_with(&config, |command: &mut Command| {
                if let Some(kek) = kek {
                    command.env("TAVORA_SECRET_KEK", format!("file://{}", kek.display()));
                }
            });
            serving.push(host);
        }
        let app = serving[0].make_app("shop");
        let mut doors = Doors {
            addresses: serving
                .iter()
                .map(|host| Mutex::new(host.address))
                .collect(),
            key: app.key,
            vault: String::new(),
        };
        let body = json!({ "name": "main" });
        let made = doors.ask(0, "POST", "/api/sdk/secret-vaults", Some(&body));
        let made = made.unwrap();
        assert_eq!(made.status, 201, "{}", made.text());
        doors.vault = made.json()["id"].as_str().unwrap().to_owned();
        let body = json!({ "vault_id": doors.vault });
        let designated = doors.ask(0, "PUT", "/api/sdk/app/vault", Some(&body));
        assert_eq!(designated.unwrap().status, 200);
        let site = Self {
            hosts: serving,
            relays,
            database,
            doors: Arc::new(doors),
            records: Vec::new(),
            lone_puts: 1,
            unclear_puts: 0,
            _upstream: upstream,
            _runtime: runtime,
        };
        let put = site.doors.put(0, "brave_api_key", "the key").unwrap();
        assert_eq!(put.status, 200, "{}", put.text());
        site
    }

    /// Stores a secret. Returns the answer and the time. A put that fails may have been done all
    /// the same.
    pub fn put(&mut self, host: usize, name: &str, value: &str) -> (Answer, Duration) {
        let begun = Instant::now();
        let answer = self.doors.put(host, name, value).unwrap();
        let took = begun.elapsed();
        match answer.status {
            200 => self.lone_puts += 1,
            _ => self.unclear_puts += 1,
        }
        (answer, took)
    }

    /// Sends a signal to a host's process.
    pub fn signal(&self, host: usize, signal: Signal) {
        let id = i32::try_from(self.hosts[host].process_id()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    /// Starts a host again that was killed.
    pub fn start_again(&mut self, host: usize) {
        self.hosts[host].start_again();
        *self.doors.addresses[host].lock().unwrap() = self.hosts[host].address;
    }

    /// The number of audit entries of this action.
    pub fn entries(&self, action: &str) -> u64 {
        self.count(&format!(
            "SELECT count(*) FROM audit WHERE action = '{action}'"
        ))
    }

    /// The number that a query returns.
    pub fn count(&self, sql: &str) -> u64 {
        self.database.query(sql).parse().unwrap()
    }

    /// Waits until the first host logs this. Its answer may arrive before the log is read.
    #[track_caller]
    pub fn is_logged(&self, said: &str) {
        wait_until("logged it", || self.hosts[0].log().contains(said));
    }

    /// Compares the stored data with the acknowledged data, and verifies the audit.
    pub fn reckon(&self) {
        let (mut done, mut failed) = (self.lone_puts, self.unclear_puts);
        let (mut released, mut unreleased) = (0, 0);
        for record in &self.records {
            if record.is_put() {
                let name = &record.name;
                let version = self.count(&format!(
                    "SELECT coalesce(max(version), 0) FROM secrets WHERE name = '{name}'"
                ));
                let possible = record.acknowledged..=record.acknowledged + record.failed;
                assert!(possible.contains(&version), "{name}: {version}, {record:?}");
                assert!(version >= record.version, "{name}: {version}, {record:?}");
                done += record.acknowledged;
                failed += record.failed;
            } else {
                released += record.acknowledged;
                unreleased += record.failed;
            }
        }
        let puts = self.entries("secret.put");
        assert!((done..=done + failed).contains(&puts), "{puts}, {done}");
        let versions = self.count("SELECT sum(version) FROM secrets");
        assert_eq!(puts, versions, "each put has one entry");
        let releases = self.entries("secret.released");
        let possible = released..=released + unreleased;
        assert!(possible.contains(&releases), "{releases}, {possible:?}");
        for host in &self.hosts {
            let log = host.log();
            assert!(!log.contains("panicked"), "{log}");
        }
        let verified = self.hosts[0].run(&["audit", "verify"]);
        assert_eq!(verified.status, 0, "{verified:?}");
        assert!(verified.stdout.contains("0 findings"), "{verified:?}");
    }
}

fn config(number: usize, operation: Duration, url: &str, upstream: &str) -> String {
    let (statement, idle) = (operation * 4 / 5, IDLE_TRANSACTION.as_millis());
    let (operation, statement) = (operation.as_millis(), statement.as_millis());
    format!(
        "[egress]\nallow_private_origins = [{upstream:?}]\n\
         [tools.brave-search.config]\nbase_url = {upstream:?}\n\
         [storage]\nurl = {url:?}\n\
         [storage.postgres]\nhost_name = \"host-{number}\"\nconnect_timeout_ms = {operation}\n\
         statement_timeout_ms = {statement}\noperation_timeout_ms = {operation}\n\
         idle_transaction_timeout_ms = {idle}\n"
    )
}

/// A locked table that makes a host wait in the middle of a transaction.
pub struct Held {
    database: Database,
    session: Option<JoinHandle<()>>,
}

impl Held {
    /// Locks a table.
    pub fn table(database: &Database, table: &str) -> Self {
        let sql = format!("LOCK TABLE {table} IN EXCLUSIVE MODE; SELECT pg_sleep(60)");
        let of_it = database.clone();
        let session = std::thread::spawn(move || drop(of_it.try_query(&sql)));
        let held = Self {
            database: database.clone(),
            session: Some(session),
        };
        wait_until("is held", || held.sessions("state = 'active'") == "1");
        held
    }

    /// Waits until a host waits for the lock.
    pub fn wait_for_a_host(&self) {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tavora' AND wait_event_type = 'Lock'";
        wait_until("waits", || self.database.query(waiting) != "0");
    }

    /// Ends the connections of hosts that wait for the lock, and keeps the lock.
    pub fn end_those_who_wait(&self) {
        self.database.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tavora' AND wait_event_type = 'Lock'",
        );
    }

    fn sessions(&self, which: &str) -> String {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database() AND {which}"
        );
        self.database.query(&sql)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.database.try_query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()",
        ));
        if let Some(session) = self.session.take() {
            let _ = session.join();
        }
    }
}
