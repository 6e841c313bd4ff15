//! What may happen to PostgreSQL while several hosts use it: whoever asks is refused clearly and soon, all is well again
//! without a restart of any host, and nothing acknowledged is lost.
//!
//! Each test prints what clients saw.

mod crowd;
mod site;

use std::time::Duration;

use tavora_tests::postgres::{Postgres, Shutdown};

use self::crowd::Crowd;
use self::site::{OPERATION, Site};

/// What a machine that does something else may add to any time.
const SLACK: Duration = Duration::from_millis(1_500);

#[test]
fn a_restart_is_an_interruption() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let mut site = Site::start(&postgres, 2);
    for how in [Shutdown::Fast, Shutdown::Immediate] {
        let crowd = Crowd::start(&site);
        postgres.stop(how);
        postgres.start_again();
        let seen = crowd.end(&mut site, &format!("restarted ({how:?})"));
        seen.is_bounded(OPERATION + SLACK, SLACK);
    }
    site.reckon();
}

#[test]
fn a_kill_is_an_interruption() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let mut site = Site::start(&postgres, 2);
    let crowd = Crowd::start(&site);
    postgres.kill();
    std::thread::sleep(Duration::from_millis(500));
    postgres.start_again();
    let seen = crowd.end(&mut site, "killed, and started again after 500 ms");
    assert!(seen.not_ready > 0, "{seen:?}");
    seen.is_bounded(OPERATION + SLACK, SLACK);
    site.reckon();
}

#[test]
fn a_pause_is_told_in_time() {
    let Some(mut postgres) = Postgres::start() else {
        return;
    };
    let mut site = Site::start(&postgres, 2);
    let crowd = Crowd::start(&site);
    postgres.pause();
    std::thread::sleep(OPERATION * 3 / 2);
    postgres.resume();
    let seen = crowd.end(&mut site, "paused for 3 s");
    assert!(seen.not_ready > 0, "{seen:?}");
    seen.is_bounded(OPERATION + SLACK, SLACK);
    site.reckon();
}
