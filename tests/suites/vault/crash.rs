//! `kill -9` at random moments: what was acknowledged is there, and everything else is as before or
//! as after.
//!
//! The writing process is this test binary, started again with an environment variable. It sends
//! the acknowledgements through a pipe, and this process keeps them.

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write, stdout},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use vault_core::{AppSlug, ReleaseError, SecretVaults, SqliteOptions, SqliteStore};

use crate::fixture::{Platform, keyring, name, operator, put, release};

const ROUNDS: u64 = 12;
const WRITERS: u64 = 8;
const DATABASE: &str = "TAVORA_TEST_DATABASE";
const KEK: &str = "TAVORA_TEST_KEK";
const START: &str = "TAVORA_TEST_START";
const STEPS: &str = "TAVORA_TEST_STEPS";

/// The outside view of one secret.
#[derive(Default, Clone, Copy)]
struct Known {
    begun: u64,
    acknowledged: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_by_a_kill() {
    let platform = Platform::new().await;
    platform.vaults.close().await.unwrap();
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut child = writer(&platform.path(), &platform.kek, round * 1_000_000, u64::MAX);
        let output = child.stdout.take().unwrap();
        let pause = Duration::from_millis(30 + u64::from(random_byte()) * 2);
        let killer = thread::spawn(move || {
            thread::sleep(pause);
            child.kill().unwrap();
            child.wait().unwrap()
        });
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let Some((event, rest)) = line.split_once(' ') else {
                continue;
            };
            let Some((secret, step)) = rest.split_once(' ') else {
                continue;
            };
            let Ok(step) = step.parse() else { continue };
            let known = known.entry(secret.to_owned()).or_default();
            match event {
                "begin" => known.begun = step,
                "done" => known.acknowledged = step,
                _ => {}
            }
        }
        killer.join().unwrap();

        let (vaults, app) = open(&platform.path(), &platform.kek).await;
        let report = vaults.audit_verify(None).await.unwrap();
        assert!(report.is_clean(), "round {round}: {:?}", report.findings);
        for (secret, known) in &mut known {
            let found = match release(&vaults, &app, secret).await {
                Ok(value) => Some(value.parse::<u64>().unwrap()),
                Err(ReleaseError::NotFound { .. }) => None,
                Err(error) => panic!("round {round}, {secret}: {error}"),
            };
            let (before, after) = (state_after(known.acknowledged), state_after(known.begun));
            assert!(
                found == before || found == after,
                "round {round}, {secret}: {before:?} or {after:?}, not {found:?}"
            );
            // From here on, the found state counts as acknowledged.
            known.acknowledged = if found == after {
                known.begun
            } else {
                known.acknowledged
            };
            known.begun = known.acknowledged;
        }
        vaults.close().await.unwrap();
    }
    assert_eq!(known.len() as u64, WRITERS, "every writer got to write");
    assert!(known.values().map(|known| known.acknowledged).max() > Some((ROUNDS - 2) * 1_000_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_extend_one_chain() {
    let platform = Platform::new().await;
    let before = platform.vaults.audit_verify(None).await.unwrap().entries;
    let children = [(); 2].map(|()| writer(&platform.path(), &platform.kek, 0, 20));
    // Meanwhile this process writes too.
    for _ in 0..20 {
        platform.put("HERE", "v").await;
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let report = platform.vaults.audit_verify(None).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    // The KEK is registered once, by whichever process comes first.
    assert_eq!(report.entries, before + 1 + 20 + 2 * WRITERS * 20);
}

/// This is not a test, but the work of the processes that the tests above start.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the writing process of the tests in this file"]
async fn child() {
    let variable = |name: &str| env::var(name).unwrap();
    let (start, steps): (u64, u64) = (
        variable(START).parse().unwrap(),
        variable(STEPS).parse().unwrap(),
    );
    let (vaults, app) = open(Path::new(&variable(DATABASE)), &variable(KEK)).await;
    let vault = vaults.vault(app.id, app.vault_id.unwrap()).await.unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (vaults, app, vault) = (vaults.clone(), app.clone(), vault.clone());
            tokio::spawn(async move {
                let secret = format!("S{writer}");
                for step in (start + 1..).take(usize::try_from(steps).unwrap_or(usize::MAX)) {
                    say(&format!("begin {secret} {step}"));
                    match state_after(step) {
                        Some(step) => {
                            drop(put(&vaults, &app, &vault, &secret, &step.to_string()).await)
                        }
                        None => {
                            vaults
                                .delete_secret(&operator(), app.id, vault.id, &name(&secret))
                                .await
                                .unwrap();
                        }
                    }
                    say(&format!("done {secret} {step}"));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    vaults.close().await.unwrap();
}

/// The state of a secret after this step. Every fifth step deletes it, and before the first one
/// there is none.
fn state_after(step: u64) -> Option<u64> {
    (!step.is_multiple_of(5)).then_some(step)
}

fn writer(database: &Path, kek: &str, start: u64, steps: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--ignored", "--nocapture"])
        .env(DATABASE, database)
        .env(KEK, kek)
        .env(START, start.to_string())
        .env(STEPS, steps.to_string())
        .stdout(if steps == u64::MAX {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .spawn()
        .unwrap()
}

async fn open(database: &Path, kek: &str) -> (SecretVaults, vault_core::App) {
    let store = Arc::new(SqliteStore::open(database, SqliteOptions::default()).unwrap());
    let vaults = SecretVaults::open(store, Some(keyring(kek))).await.unwrap();
    let slug: AppSlug = "shop".parse().unwrap();
    let app = vaults.app_by_slug(&slug).await.unwrap();
    (vaults, app)
}

fn say(line: &str) {
    // Write once, so that lines of different writers do not mix.
    stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn random_byte() -> u8 {
    vault_core::VaultId::make().as_bytes()[15]
}
