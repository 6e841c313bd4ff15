//! kill -9 while clients write over HTTP: whatever was acknowledged is there, everything else is as before or as after.
//!
//! The recorder is this process: it keeps what it asked for and what was acknowledged, kills the real binary at a random
//! moment or at a named one, starts it again, and compares. A kill shows nothing about a power cut: what the system took
//! over is not lost by it.

mod chance;
mod ledger;
mod moment;
mod site;

use std::time::{Duration, Instant};

use tavora_tests::requirement;

use self::chance::Chance;
use self::moment::Moment;
use self::site::{Pace, Site};

/// How many kills there are at random moments, and how many at each named one.
const RANDOM_KILLS: usize = 220;
const KILLS_AT_EACH: usize = 14;

/// How many platforms are attacked side by side.
const SITES: usize = 4;

/// Multiplies the kills; `cargo xtask test --long` sets it.
const FACTOR: &str = "TAVORA_TEST_LONG";
/// Repeats a run's choices, as far as they are chance's: a failure says which to set.
const SEED: &str = "TAVORA_TEST_SEED";

/// How long a host may take to come to a named moment.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long after the first request a random kill comes at the latest: long enough for the log to be emptied once.
const LATEST_KILL_MS: u64 = 350;

#[test]
fn nothing_acknowledged_is_lost_by_kills_at_random_moments() {
    let acknowledged = side_by_side(|share, chance| {
        let mut site = Site::new();
        let kills = share.of(RANDOM_KILLS);
        for _ in 0..kills {
            let Some(host) = site.start(None) else {
                continue;
            };
            // Most kills come soon after the first writes; some after the log was emptied.
            let latest = LATEST_KILL_MS >> chance.below(4);
            let pause = Duration::from_millis(chance.below(latest));
            let pace = chance.one_of(&[Pace::Steady, Pace::Bursts]);
            site.work(&host, pace, chance, |_| std::thread::sleep(pause));
            site.ended(host);
        }
        site.finish()
    });
    assert!(acknowledged > RANDOM_KILLS as u64, "{acknowledged}");
}

#[test]
fn nothing_acknowledged_is_lost_by_kills_at_named_moments() {
    let strace = requirement::answers("strace", &["-f", "-o", "/dev/null", "true"]);
    if !requirement::are_there(&[("strace, and the right to trace", strace)]) {
        return;
    }
    side_by_side(|share, chance| {
        let mut site = Site::new();
        for moment in Moment::ALL {
            for _ in 0..share.of(KILLS_AT_EACH) {
                let Some(host) = site.start(Some(moment.at(chance))) else {
                    continue;
                };
                let asked = Instant::now();
                let mut has_come = false;
                site.work(&host, moment.pace(), chance, |host| {
                    while !has_come && asked.elapsed() < PATIENCE {
                        std::thread::sleep(Duration::from_millis(2));
                        has_come = !host.is_running();
                    }
                });
                assert!(has_come, "it never came to the moment {moment}");
                site.ended(host);
            }
        }
        site.finish()
    });
}

/// A part of the kills.
struct Share {
    number: usize,
}

impl Share {
    fn of(&self, kills: usize) -> usize {
        let factor = std::env::var(FACTOR).ok();
        let factor = factor.map_or(1, |text| text.parse().expect("a number"));
        let kills = kills * factor;
        kills / SITES + usize::from(self.number < kills % SITES)
    }
}

/// Does `attack` on several platforms at once; how many writes were acknowledged in all.
fn side_by_side(attack: impl Fn(Share, &mut Chance) -> u64 + Sync) -> u64 {
    let seed = std::env::var(SEED)
        .ok()
        .map_or_else(chance::seed, |text| text.parse().expect("a number"));
    eprintln!("{SEED}={seed}");
    std::thread::scope(|scope| {
        let sites: Vec<_> = (0..SITES)
            .map(|number| {
                let attack = &attack;
                scope.spawn(move || attack(Share { number }, &mut Chance::new(seed, number)))
            })
            .collect();
        let ended = sites.into_iter().map(|site| site.join());
        ended
            .map(|site| site.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .sum()
    })
}
