//! Clients that ask without a pause while something happens, each on a thread of its own. They
//! record what they were told and how long it took.
//!
//! Refusals must be clear. The test decides how long they may take.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use tavora_tests::eventually::{PATIENCE, wait_until};

use super::record::{Lap, Record, What};
use super::site::{Doors, Site};

/// The time for which clients send requests before the fault begins.
const BEFORE: Duration = Duration::from_millis(300);

/// The pause of a client after a refusal.
const PAUSE: Duration = Duration::from_millis(20);

/// The requests of the clients of each host.
const CLIENTS: [What; 4] = [What::Put, What::Put, What::Release, What::Ready];

const SEARCH: &str = "return search('anything').map(result => result.title)";

/// The clients of all hosts.
pub struct Crowd {
    over: Arc<AtomicBool>,
    records: Vec<Arc<Mutex<Record>>>,
    threads: Vec<JoinHandle<()>>,
}

/// The answers that the clients received.
#[derive(Debug)]
pub struct Seen {
    pub acknowledged: u64,
    pub failed: u64,
    /// The number of times that `/readyz` reported not ready.
    pub not_ready: u64,
    /// The number of requests without an answer.
    pub gone: u64,
    /// The longest time of a request.
    pub longest: Duration,
    /// The longest time of a request, by host.
    pub longest_at: Vec<Duration>,
    /// The longest time that a client had no success.
    pub outage: Duration,
    /// The time from the end of the fault until every client had a success.
    pub recovered: Duration,
}

impl Crowd {
    /// Lets clients ask for a while before anything happens.
    pub fn start(site: &Site) -> Self {
        static CROWDS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let crowd = CROWDS.fetch_add(1, Ordering::Relaxed);
        let over = Arc::new(AtomicBool::new(false));
        let (mut records, mut threads) = (Vec::new(), Vec::new());
        for host in 0..site.hosts.len() {
            for (number, what) in CLIENTS.into_iter().enumerate() {
                let record = Arc::new(Mutex::new(Record {
                    name: format!("secret_{crowd}_{host}_{number}"),
                    what,
                    host,
                    acknowledged: 0,
                    failed: 0,
                    gone: 0,
                    version: 0,
                    laps: Vec::new(),
                }));
                records.push(Arc::clone(&record));
                let (doors, over) = (Arc::clone(&site.doors), Arc::clone(&over));
                threads.push(std::thread::spawn(move || {
                    let name = record.lock().unwrap().name.clone();
                    // The number of failures since the last success.
                    let mut failed = 0;
                    while !over.load(Ordering::Relaxed) {
                        let is_acknowledged = lap(&doors, host, what, &name, &record, failed);
                        failed = if is_acknowledged { 0 } else { failed + 1 };
                        if !is_acknowledged {
                            std::thread::sleep(PAUSE);
                        }
                    }
                }));
            }
        }
        std::thread::sleep(BEFORE);
        Self {
            over,
            records,
            threads,
        }
    }

    /// Waits until each host has said that it is not ready.
    pub fn is_refused_everywhere(&self) {
        wait_until("says that it is not ready", || {
            self.records.iter().all(|record| {
                let record = record.lock().unwrap();
                record.what != What::Ready || record.failed > 0
            })
        });
    }

    /// Ends the fault: waits until every client had a success, and prints a line of the table of
    /// faults.
    pub fn end(self, site: &mut Site, fault: &str) -> Seen {
        let healed = Instant::now();
        let mut recovered = Duration::ZERO;
        for record in &self.records {
            let success = loop {
                let first = record.lock().unwrap().success_after(healed);
                match first {
                    Some(success) => break success,
                    None => std::thread::sleep(Duration::from_millis(5)),
                }
                let name = &record.lock().unwrap().name;
                assert!(
                    healed.elapsed() < PATIENCE,
                    "{fault}: {name} never recovers"
                );
                let has_ended = self.threads.iter().any(JoinHandle::is_finished);
                assert!(
                    !has_ended,
                    "{fault}: a client was told something wrong, see above"
                );
            };
            recovered = recovered.max(success - healed);
        }
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client was told something wrong");
        }
        let records: Vec<Record> = self
            .records
            .into_iter()
            .map(|record| Arc::into_inner(record).unwrap().into_inner().unwrap())
            .collect();
        let seen = Seen::of(&records, recovered);
        println!(
            "{fault:<58} | done {:>5} | refused {:>4} | longest {:>5} ms | outage {:>5} ms | recovered after {:>5} ms",
            seen.acknowledged,
            seen.failed,
            seen.longest.as_millis(),
            seen.outage.as_millis(),
            seen.recovered.as_millis(),
        );
        site.records
            .extend(records.into_iter().filter(|it| it.what != What::Ready));
        seen
    }
}

/// Makes one request. Returns whether it succeeded.
fn lap(
    doors: &Doors,
    host: usize,
    what: What,
    name: &str,
    record: &Mutex<Record>,
    failed: u64,
) -> bool {
    let begun = Instant::now();
    let answer = match what {
        What::Put => doors.put(host, name, "a value"),
        What::Release => {
            let body = json!({ "code": SEARCH, "input": {} });
            doors.ask(host, "POST", "/api/sdk/sandbox/execute", Some(&body))
        }
        What::Ready => doors.ask(host, "GET", "/readyz", None),
    };
    let ended = Instant::now();
    let mut record = record.lock().unwrap();
    let is_acknowledged = match &answer {
        Err(_) => {
            record.gone += 1;
            false
        }
        Ok(answer) if answer.status == 200 => match what {
            What::Put => {
                let version = answer.json()["version"].as_u64().unwrap();
                let most = record.version + failed + 1;
                // Since the last success nothing acknowledged was lost, and nothing was done twice.
                assert!(version > record.version, "{version}: {record:?}");
                assert!(version <= most, "{version}, at most {most}: {record:?}");
                record.version = version;
                true
            }
            What::Release => {
                let told = answer.json();
                let is_found = told["result"] == json!(["found"]);
                assert!(
                    is_found || told["error"]["code"] == "vault_unavailable",
                    "{told}"
                );
                is_found
            }
            What::Ready => true,
        },
        Ok(answer) => {
            assert_eq!(answer.status, 503, "{what:?}: {}", answer.text());
            let code = &answer.json()["code"];
            assert_eq!(code, "vault_unavailable", "{what:?}: {}", answer.text());
            false
        }
    };
    match is_acknowledged {
        true => record.acknowledged += 1,
        false => record.failed += 1,
    }
    record.laps.push(Lap {
        begun,
        ended,
        is_acknowledged,
    });
    is_acknowledged
}

impl Seen {
    fn of(records: &[Record], recovered: Duration) -> Self {
        let sum = |count: fn(&Record) -> u64| records.iter().map(count).sum();
        let hosts = 1 + records.iter().map(|record| record.host).max().unwrap();
        let longest_at: Vec<_> = (0..hosts)
            .map(|host| {
                let laps = records.iter().filter(|it| it.host == host);
                let laps = laps.flat_map(|record| &record.laps);
                laps.map(|lap| lap.ended - lap.begun).max().unwrap()
            })
            .collect();
        let not_ready = records.iter().filter(|it| it.what == What::Ready);
        Self {
            acknowledged: sum(|record| record.acknowledged),
            failed: sum(|record| record.failed),
            not_ready: not_ready.map(|record| record.failed).sum(),
            gone: sum(|record| record.gone),
            longest: longest_at.iter().copied().max().unwrap(),
            longest_at,
            outage: records.iter().map(Record::outage).max().unwrap(),
            recovered,
        }
    }

    /// Checks that no request took longer than `longest`, that each was answered, and that
    /// everything worked again within `recovered`.
    #[track_caller]
    pub fn is_bounded(&self, longest: Duration, recovered: Duration) {
        assert!(self.longest <= longest, "at most {longest:?}: {self:?}");
        assert!(
            self.recovered <= recovered,
            "at most {recovered:?}: {self:?}"
        );
        assert_eq!(self.gone, 0, "{self:?}");
    }
}
