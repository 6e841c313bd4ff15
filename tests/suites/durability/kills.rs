//! kill -9 while clients write over HTTP. Whatever was acknowledged is there. Everything else is as
//! before or as after.
//!
//! This process is the recorder. It keeps what it asked for and what was acknowledged. It kills the
//! real binary at a random moment or at a named one, starts it again, and compares. A kill shows
//! nothing about a power cut, because what the system has accepted survives a kill.

mod chance;
mod ledger;
mod moment;
mod pace;
mod site;

use std::process::Stdio;
use std::time::{Duration, Instant};

use self::chance::Chance;
use self::moment::Moment;
use self::pace::Pace;
use self::site::Site;
use crate::folder::{BOTH, NEW};
use crate::strace;

/// The number of kills at random moments, and the number at each named one.
const RANDOM_KILLS: usize = 220;
const KILLS_AT_EACH: usize = 14;

/// The number of rewraps that are killed, and of secrets for them that nobody writes meanwhile.
const REWRAP_KILLS: usize = 60;
const IDLE_SECRETS: usize = 100;

/// The number of platforms that are attacked in parallel.
const SITES: usize = 4;

/// Multiplies the kills; `cargo xtask test --long` sets it.
const FACTOR: &str = "TAVORA_TEST_LONG";
/// Repeats the random choices of a run. A failure prints the value to set.
const SEED: &str = "TAVORA_TEST_SEED";

/// Time limit until a host reaches a named moment.
const PATIENCE: Duration = Duration::from_secs(120);

/// The latest moment of a random kill after the first request. The log can be emptied once by then.
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
            // Most kills come soon after the first writes, some after the log was emptied.
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
    if !strace::is_there() {
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
                assert!(has_come, "the host never reached the moment {moment}");
                site.ended(host);
            }
        }
        site.finish()
    });
}

#[test]
fn nothing_acknowledged_is_lost_by_kills_of_a_rewrap() {
    if !strace::is_there() {
        return;
    }
    side_by_side(|share, chance| {
        let mut site = Site::with_idle_secrets(IDLE_SECRETS);
        let (kills, mut cut_short) = (share.of(REWRAP_KILLS), 0);
        for number in 0..kills {
            let host = site.start(None).expect("nothing ends it");
            // Move there and back again, so that there is always something to move.
            let keks = [BOTH, ("old", "new")][number % 2];
            let reencrypt = ["--reencrypt", "--verify"][number / 2 % 2];
            let command = site.command(keks, &["kek", "rewrap", "--batch", "2", reencrypt]);
            // Kill at a named moment, or at a random one.
            let moment = chance.one_of(&[
                None,
                Some(Moment::PageIsLogged),
                Some(Moment::CommitIsDurable),
            ]);
            let mut command = match moment {
                Some(moment) => moment.at(chance).under(&command),
                None => command,
            };
            let pause = Duration::from_millis(chance.below(150));
            site.work(&host, Pace::Steady, chance, |_| {
                let rewrap = command.stdout(Stdio::null()).stderr(Stdio::null());
                let mut rewrap = rewrap.spawn().expect("it starts");
                if moment.is_none() {
                    std::thread::sleep(pause);
                    rewrap.kill().expect("it is ours");
                }
                let ended = rewrap.wait().expect("it ends");
                cut_short += usize::from(ended.code().is_none());
            });
            site.ended(host);
        }
        assert!(
            cut_short >= kills / 2,
            "{cut_short} of {kills} rewraps were killed"
        );
        moves_everything(&mut site);
        site.finish()
    });
}

/// Two rewraps to the same key and eight clients at once. The clients win, and in the end
/// everything has moved.
#[test]
fn two_rewraps_and_eight_writers_lose_nothing() {
    let mut site = Site::with_idle_secrets(IDLE_SECRETS * 4);
    let host = site.start(None).expect("nothing ends it");
    let mut rewraps = [(); 2].map(|()| site.command(BOTH, &["kek", "rewrap", "--batch", "5"]));
    let mut chance = Chance::new(chance::seed(), 0);
    site.work(&host, Pace::Steady, &mut chance, |_| {
        let rewraps = rewraps.each_mut().map(|rewrap| {
            let rewrap = rewrap.stdout(Stdio::piped()).stderr(Stdio::piped());
            rewrap.spawn().expect("it starts")
        });
        for rewrap in rewraps {
            let ended = rewrap.wait_with_output().expect("it ends");
            assert!(ended.status.success(), "{ended:?}");
        }
    });
    site.ended(host);
    moves_everything(&mut site);
    assert!(site.finish() > 0);
}

/// Checks that a rewrap still completes after many interrupted ones: nothing is left under the old
/// key.
fn moves_everything(site: &mut Site) {
    for arguments in [&["kek", "rewrap"][..], &["kek", "verify"]] {
        let ended = site.command(BOTH, arguments).output().expect("it starts");
        assert!(ended.status.success(), "{arguments:?}: {ended:?}");
    }
    let ended = site.command(NEW, &["kek", "verify"]).output();
    let ended = ended.expect("it starts");
    assert!(ended.status.success(), "{ended:?}");
}

/// A share of the kills.
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

/// Does `attack` on several platforms at once. Returns the number of acknowledged writes in all.
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
