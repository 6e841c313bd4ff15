//! Faults of a host in the middle of a transaction: it is killed or paused. The other host
//! continues, and the locks of the first do not hold it up for long.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tavora_tests::postgres::Postgres;

use super::crowd::Crowd;
use super::site::{Held, IDLE_TRANSACTION, OPERATION, SLACK, Site};

/// The number of kills of a host; `cargo xtask test --long` multiplies it.
const KILLS: usize = 8;
const FACTOR: &str = "TAVORA_TEST_LONG";

#[test]
fn a_host_that_is_killed_loses_nothing_and_holds_nobody_up() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let mut site = Site::start(&postgres, 2);
    let crowd = Crowd::start(&site);
    let factor = std::env::var(FACTOR).ok();
    let factor = factor.map_or(1, |text| text.parse().unwrap());
    for number in 0..KILLS * factor {
        site.signal(0, Signal::SIGKILL);
        site.start_again(0);
        // Each round hits another moment.
        std::thread::sleep(Duration::from_millis(40 + number as u64 * 37 % 100));
    }
    let seen = crowd.end(
        &mut site,
        &format!("a host killed {} times", KILLS * factor),
    );
    assert!(seen.gone > 0, "{seen:?}");
    assert!(seen.longest_at[1] <= IDLE_TRANSACTION + SLACK, "{seen:?}");
    assert!(seen.recovered <= SLACK, "{seen:?}");
    site.reckon();
}

#[test]
fn a_host_that_is_paused_in_a_transaction_holds_nobody_up() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let mut site = Site::start(&postgres, 2);
    let held = Held::table(&site.database, "secrets");
    let doors = Arc::clone(&site.doors);
    let first = std::thread::spawn(move || doors.put(0, "of_the_paused", "a value").unwrap());
    // The host holds the app's lock, and waits for the table.
    held.wait_for_a_host();
    site.signal(0, Signal::SIGSTOP);
    drop(held);
    let (second, took) = site.put(1, "of_the_other", "a value");
    println!(
        "a host paused in a transaction: a put at the other one took {} ms",
        took.as_millis()
    );
    assert_eq!(second.status, 200, "{}", second.text());
    assert!(took <= IDLE_TRANSACTION + SLACK, "{took:?}");
    assert!(
        took >= IDLE_TRANSACTION / 4,
        "the paused host held no lock: {took:?}"
    );
    site.signal(0, Signal::SIGCONT);
    let first = first.join().unwrap();
    match first.status {
        200 => site.lone_puts += 1,
        _ => site.unclear_puts += 1,
    }

    let crowd = Crowd::start(&site);
    for number in 0..4 {
        site.signal(0, Signal::SIGSTOP);
        std::thread::sleep(Duration::from_millis(400 + number * 100));
        site.signal(0, Signal::SIGCONT);
        std::thread::sleep(Duration::from_millis(30 + number * 7));
    }
    let seen = crowd.end(&mut site, "a host paused 4 times for 400 to 700 ms");
    assert!(seen.longest_at[1] <= IDLE_TRANSACTION + SLACK, "{seen:?}");
    seen.is_bounded(OPERATION + SLACK, SLACK);
    site.reckon();
}
