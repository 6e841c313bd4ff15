//! One platform under attack: its host, its clients, and what they know.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tavora_tests::daemon::Daemon;
use tavora_tests::wire::Request;
use vault_core::{AppId, Caller, ReleaseError, SecretValue, SecretVaults, VaultId};

use super::chance::Chance;
use super::ledger::Known;
use super::moment::Deadly;
use super::pace::Pace;
use crate::folder::{BOTH, Folder, Keks, OLD, release};

/// The number of clients that write secrets, and the number of secrets of each.
const CLIENTS: usize = 8;
const SECRETS: usize = 2;

/// A platform, and its clients' knowledge of its state.
pub struct Site {
    folder: Folder,
    /// The app whose vault the clients write to.
    keeper: Client,
    /// The app that designates its vaults in turn.
    mover: Client,
    vaults: [VaultId; 2],
    secrets: Vec<Known<Option<u64>>>,
    /// The number of further secrets that nobody writes.
    idle: usize,
    designated: Known<Option<VaultId>>,
    step: AtomicU64,
    acknowledged: AtomicU64,
    rounds: u64,
}

/// An app and its API key.
struct Client {
    app: AppId,
    key: String,
    vault: VaultId,
}

impl Site {
    pub fn new() -> Self {
        Self::with_idle_secrets(0)
    }

    /// A platform with secrets that nobody writes, as work for a rewrap.
    pub fn with_idle_secrets(idle: usize) -> Self {
        let folder = Folder::empty();
        let [keeper, mover] = ["keeper", "mover"].map(|app| Client::make(&folder, app));
        let spare = folder.json(OLD, &["vault", "create", "spare", "--app", "mover"]);
        let vaults = [mover.vault, id(&spare["id"])];
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let vaults = folder.open(OLD).await;
            let put = async |number: usize| {
                let (operator, name) = (Caller::operator(), idle_name(number).parse());
                let value = SecretValue::new(number.to_string()).expect("valid");
                let name = name.expect("valid");
                let put = vaults.put_secret(&operator, keeper.app, keeper.vault, &name, &value);
                put.await.expect("it works");
            };
            futures::future::join_all((0..idle).map(put)).await;
            vaults.close().await.expect("it works");
        });
        Self {
            idle,
            secrets: vec![Known::new(None); CLIENTS * SECRETS],
            designated: Known::new(Some(mover.vault)),
            folder,
            keeper,
            mover,
            vaults,
            step: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            rounds: 0,
        }
    }

    /// Starts the host on the data that the last one left, and compares them with the known state.
    /// Returns `None` when a deadly moment came before the host served anyone.
    pub fn start(&mut self, deadly: Option<Deadly>) -> Option<Daemon> {
        let command = self
            .folder
            .command(BOTH, &["serve", "--listen", "127.0.0.1:0"]);
        let mut command = match deadly {
            Some(deadly) => deadly.under(&command),
            None => command,
        };
        let host = Daemon::try_spawn(&mut command);
        self.check();
        match (&host, deadly) {
            (None, None) => panic!("the host does not start after {} kills", self.rounds),
            (None, Some(_)) => self.rounds += 1,
            (Some(_), _) => {}
        }
        host
    }

    /// Lets all clients write until `end` returns, and then kills the host if it still runs.
    pub fn work(
        &mut self,
        host: &Daemon,
        pace: Pace,
        chance: &mut Chance,
        end: impl FnOnce(&Daemon),
    ) {
        let (step, acknowledged) = (&self.step, &self.acknowledged);
        let (keeper, mover, vaults) = (&self.keeper, &self.mover, self.vaults);
        std::thread::scope(|scope| {
            for (client, secrets) in self.secrets.chunks_mut(SECRETS).enumerate() {
                let mut chance = chance.fork();
                scope.spawn(move || {
                    pace.repeat(|| {
                        let number = chance.below(SECRETS as u64) as usize;
                        let path = keeper.secret(client * SECRETS + number);
                        let step = step.fetch_add(1, Ordering::Relaxed) + 1;
                        let (state, request) = match chance.below(5) {
                            0 => (None, keeper.request("DELETE", &path)),
                            _ => {
                                let value = json!({ "value": step.to_string() });
                                (Some(step), keeper.request("PUT", &path).json(&value))
                            }
                        };
                        ask(host, &mut secrets[number], state, &request, acknowledged)
                    });
                });
            }
            let (designated, mut chance) = (&mut self.designated, chance.fork());
            scope.spawn(move || {
                pace.repeat(|| {
                    let choices = [None, Some(vaults[0]), Some(vaults[1])];
                    let vault = chance.one_of(&choices);
                    let body = json!({ "vault_id": vault.map(|id| id.to_string()) });
                    let request = mover.request("PUT", "/api/sdk/app/vault").json(&body);
                    ask(host, designated, vault, &request, acknowledged)
                });
            });
            end(host);
            host.signal(Signal::SIGKILL);
        });
    }

    /// Records the end of a host that was killed.
    pub fn ended(&mut self, host: Daemon) {
        let (status, log) = host.wait();
        assert!(
            status.code().is_none(),
            "the host was not killed: {status}\n{log}"
        );
        assert!(!log.contains("panicked"), "{log}");
        self.rounds += 1;
    }

    /// A command on the data, beside the host.
    pub fn command(&self, keks: Keks, arguments: &[&str]) -> Command {
        self.folder.command(keks, arguments)
    }

    /// Checks a last time, and returns the number of acknowledged writes.
    pub fn finish(mut self) -> u64 {
        drop(self.start(None));
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Checks that each value is the acknowledged one, or the one that was requested when the host
    /// was killed.
    fn check(&mut self) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let faults = runtime.block_on(async {
            let vaults = self.folder.open(BOTH).await;
            let faults = self.faults(&vaults).await;
            vaults.close().await.expect("it works");
            faults
        });
        let rounds = self.rounds;
        assert!(faults.is_empty(), "after {rounds} kills: {faults:#?}");
    }

    async fn faults(&mut self, vaults: &SecretVaults) -> Vec<String> {
        let mut faults = Vec::new();
        let app = self.keeper.app;
        let names: Vec<String> = (0..self.secrets.len()).map(name).collect();
        let found = names.iter().map(|name| release(vaults, app, name));
        let found = futures::future::join_all(found).await;
        let idle = (0..self.idle).map(async |number| {
            let value = release(vaults, app, &idle_name(number)).await;
            let is_there = matches!(&value, Ok(value) if *value == number.to_string());
            (!is_there).then(|| format!("{}: {:?}", idle_name(number), value.err()))
        });
        let idle = futures::future::join_all(idle).await;
        faults.extend(idle.into_iter().flatten());
        let mut rows = self.idle as u64;
        for ((known, name), found) in self.secrets.iter_mut().zip(&names).zip(found) {
            let found = match found {
                Ok(value) => Some(value.parse().expect("a step")),
                Err(ReleaseError::NotFound { .. }) => None,
                Err(error) => {
                    faults.push(format!("{name}: {error:?}"));
                    continue;
                }
            };
            rows += u64::from(found.is_some());
            faults.extend(
                known
                    .check(found)
                    .err()
                    .map(|fault| format!("{name}: {fault}")),
            );
        }
        let designated = vaults.designated(self.mover.app).await.expect("readable");
        faults.extend(self.designated.check(designated).err());
        let listed = vaults.secrets(app, self.keeper.vault).await;
        let listed = listed.expect("readable").len() as u64;
        let status = vaults.kek_status().await.expect("readable");
        let census: u64 = status.keks.iter().map(|kek| kek.rows).sum();
        if (listed, census) != (rows, rows) {
            faults.push(format!(
                "{rows} open, {listed} are listed, {census} have a KEK"
            ));
        }
        let report = vaults.audit_verify(None).await.expect("it works");
        faults.extend(report.findings.iter().map(ToString::to_string));
        faults
    }
}

impl Client {
    fn make(folder: &Folder, app: &str) -> Self {
        let made = folder.json(OLD, &["app", "create", app]);
        let vault = folder.json(OLD, &["vault", "create", "main", "--app", app]);
        folder.ok(OLD, &["vault", "designate", "main", "--app", app]);
        let key = folder.json(OLD, &["key", "create", "tests", "--app", app]);
        Self {
            app: id(&made["id"]),
            vault: id(&vault["id"]),
            key: key["key"].as_str().expect("text").to_owned(),
        }
    }

    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(method, path).header("x-api-key", &self.key)
    }

    fn secret(&self, number: usize) -> String {
        let name = name(number);
        format!("/api/sdk/secret-vaults/{}/secrets/{name}", self.vault)
    }
}

/// Asks for a change; `false` when the host is gone. The host refuses nothing, because each thing
/// has one client.
fn ask<T: Clone + PartialEq + std::fmt::Debug>(
    host: &Daemon,
    known: &mut Known<T>,
    state: T,
    request: &Request,
    acknowledged: &AtomicU64,
) -> bool {
    known.ask(state);
    let Ok(answer) = request.send(host.address) else {
        return false;
    };
    assert!(matches!(answer.status, 200 | 204), "{}", answer.text());
    known.acknowledge();
    acknowledged.fetch_add(1, Ordering::Relaxed);
    true
}

fn name(number: usize) -> String {
    format!("secret_{number}")
}

fn idle_name(number: usize) -> String {
    format!("idle_{number}")
}

fn id<T: std::str::FromStr>(value: &Value) -> T {
    let parsed = value.as_str().and_then(|text| text.parse().ok());
    parsed.expect("an id")
}
