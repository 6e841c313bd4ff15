//! The connection is lost exactly while a group is being committed, so that its outcome is unknown.
//! The store finds out. Nothing is done twice, and nothing acknowledged is lost.

use std::sync::Arc;
use std::time::Duration;

use tavora_tests::eventually::wait_until;
use tavora_tests::postgres::Postgres;
use tavora_tests::wire::Answer;

use super::crowd::Crowd;
use super::site::{Held, OPERATION, SLACK, Site};

/// Puts a secret on a thread of its own.
fn put(site: &Site, name: &'static str) -> std::thread::JoinHandle<Answer> {
    let doors = Arc::clone(&site.doors);
    std::thread::spawn(move || doors.put(0, name, "a value").unwrap())
}

/// Checks that a put was done once: it was acknowledged, with one entry and the first version.
#[track_caller]
fn was_done_once(site: &mut Site, name: &str, put: &Answer, entries_before: u64) {
    assert_eq!(put.status, 200, "{}", put.text());
    assert_eq!(put.json()["version"], 1, "{name}");
    assert_eq!(site.entries("secret.put"), entries_before + 1, "{name}");
    let version = format!("SELECT version FROM secrets WHERE name = '{name}'");
    assert_eq!(site.count(&version), 1, "{name}");
    site.lone_puts += 1;
}

#[test]
fn a_commit_whose_answer_is_lost_is_done_once() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let mut site = Site::start_with(&postgres, 1, OPERATION * 30);
    for (name, is_committed) in [("committed", true), ("undone", false), ("again", true)] {
        let before = site.entries("secret.put");
        let held = Held::table(&site.database, "audit");
        let put = put(&site, name);
        // Everything was sent, including the commit.
        held.wait_for_a_host();
        site.relays[0].withhold_answers();
        if !is_committed {
            held.end_those_who_wait();
        }
        drop(held);
        if is_committed {
            wait_until("is committed", || site.entries("secret.put") == before + 1);
        }
        assert!(!put.is_finished(), "the answer is withheld");
        site.relays[0].reset();
        site.relays[0].pass();
        let put = put.join().unwrap();
        was_done_once(&mut site, name, &put, before);
    }
    site.reckon();
}

/// A commit that only the primary has can still be lost. So a group that turns out to be committed
/// is not acknowledged before the standby has it. If the connection is lost again during that wait,
/// nothing is done twice.
#[test]
fn what_only_the_primary_has_is_not_acknowledged() {
    let Some(mut primary) = Postgres::start() else {
        return;
    };
    primary.set("wal_retrieve_retry_interval", "100ms");
    let mut site = Site::start_with(&primary, 1, Duration::from_secs(60));
    let mut standby = primary.standby();
    primary.set("synchronous_standby_names", "*");
    standby.pause();
    let before = site.entries("secret.put");
    let put = put(&site, "doubtful");
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    let is_waiting = |site: &Site| site.count(waits) == 1;
    wait_until("waits for the standby", || is_waiting(&site));
    // The host's session ends with the primary, but the commit stays.
    site.relays[0].keep_silent();
    primary.kill();
    site.relays[0].reset();
    primary.start_again();
    assert_eq!(
        site.entries("secret.put"),
        before + 1,
        "the put was committed"
    );
    site.relays[0].pass();
    wait_until("waits again", || put.is_finished() || is_waiting(&site));
    assert!(!put.is_finished(), "the standby does not have the commit");
    site.relays[0].reset();
    std::thread::sleep(Duration::from_millis(300));
    assert!(!put.is_finished(), "the standby does not have the commit");
    standby.resume();
    let put = put.join().unwrap();
    was_done_once(&mut site, "doubtful", &put, before);
    site.reckon();
}

#[test]
fn connections_that_are_cut_again_and_again_lose_nothing() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let mut site = Site::start(&postgres, 2);
    let crowd = Crowd::start(&site);
    for number in 0..40 {
        site.relays[number % 2].reset();
        // Each round hits another moment of the transaction.
        std::thread::sleep(Duration::from_millis(17 + number as u64 % 13));
    }
    let seen = crowd.end(&mut site, "connections reset 40 times in 1 s");
    seen.is_bounded(OPERATION + SLACK, SLACK);
    let crowd = Crowd::start(&site);
    for relay in &site.relays {
        relay.cut();
    }
    crowd.is_refused_everywhere();
    for relay in &site.relays {
        relay.pass();
    }
    let seen = crowd.end(&mut site, "network cut");
    assert!(seen.not_ready > 0, "{seen:?}");
    seen.is_bounded(SLACK, SLACK);
    let crowd = Crowd::start(&site);
    for relay in &site.relays {
        relay.keep_silent();
    }
    crowd.is_refused_everywhere();
    for relay in &site.relays {
        relay.pass();
    }
    let seen = crowd.end(&mut site, "network silent");
    assert!(seen.not_ready > 0, "{seen:?}");
    seen.is_bounded(OPERATION + SLACK, OPERATION + SLACK);
    site.reckon();
}

/// While the outcome is unknown, the host must not claim that nothing was changed.
#[test]
fn a_commit_that_stays_in_doubt_is_not_denied() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let mut site = Site::start_with(&postgres, 1, OPERATION * 5);
    for is_cut in [true, false] {
        let name = if is_cut { "cut" } else { "silent" };
        // The connection then has all statements prepared, and sends the commit without waiting for
        // anything.
        let (first, _) = site.put(0, "first", "a value");
        assert_eq!(first.status, 200, "{}", first.text());
        let before = site.entries("secret.put");
        let held = Held::table(&site.database, "audit");
        let put = put(&site, name);
        held.wait_for_a_host();
        site.relays[0].withhold_answers();
        drop(held);
        wait_until("is committed", || site.entries("secret.put") == before + 1);
        if is_cut {
            site.relays[0].cut();
        }
        let put = put.join().unwrap();
        assert_eq!(put.status, 503, "{name}: {}", put.text());
        let told = put.json()["message"].to_string();
        assert!(told.contains("look whether it was made"), "{name}: {told}");
        site.unclear_puts += 1;
        site.relays[0].pass();
    }
    site.reckon();
}
