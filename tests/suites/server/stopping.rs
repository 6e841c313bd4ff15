//! Stopping: work under way finishes, nothing new begins, and stopping ends in time.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use nix::sys::signal::Signal;
use tavora_tests::daemon::Daemon;
use tavora_tests::eventually::{PATIENCE, until, wait_until};
use tavora_tests::wire::{Request, connect};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::bodies::http2;
use super::serve::{OWN_TOKEN, configured, serve};
use super::served::{Served, answer, rest};

/// Keeps requests to `/slow` under way until they are released.
#[derive(Clone)]
pub struct Slow {
    begun: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Slow {
    pub fn new() -> Self {
        Self {
            begun: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    pub fn router(&self) -> Router {
        let slow = self.clone();
        let wait = async move || {
            slow.begun.fetch_add(1, Ordering::SeqCst);
            let _turn = slow.gate.acquire().await;
            "done"
        };
        Router::new()
            .route("/", get(async || "hello"))
            .route("/slow", get(wait))
    }

    pub async fn are_under_way(&self, count: usize) {
        until("is under way", async || {
            self.begun.load(Ordering::SeqCst) == count
        })
        .await;
    }

    pub fn let_go(&self) {
        self.gate.close();
    }
}

async fn listens_no_more(served: &Served) {
    until("stops to listen", async || {
        TcpStream::connect(served.address).await.is_err()
    })
    .await;
}

pub async fn ask(served: &Served, path: &str) -> TcpStream {
    let mut stream = served.connect().await;
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_finishes_and_nothing_new_begins() {
    let slow = Slow::new();
    let mut served = Served::start("", slow.router()).await;
    let mut idle = ask(&served, "/").await;
    answer(&mut idle).await;
    let mut silent = served.connect().await;
    let mut under_way = ask(&served, "/slow").await;
    let mut client = http2(served.address).await;
    let request = axum::extract::Request::get("http://x/slow").body(Default::default());
    let multiplexed = tokio::spawn(client.send_request(request.expect("valid")));
    slow.are_under_way(2).await;

    served.stop();
    listens_no_more(&served).await;
    // Idle connections end before those with a request under way.
    assert_eq!(rest(&mut idle).await, "");
    assert_eq!(rest(&mut silent).await, "");
    slow.let_go();
    let answered = rest(&mut under_way).await;
    assert!(answered.ends_with("done"), "{answered}");
    assert!(
        answered.to_lowercase().contains("connection: close"),
        "{answered}"
    );
    let response = multiplexed.await.expect("no panic").expect("it finishes");
    assert_eq!(response.status(), 200);
    drop((response, client));
    served.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_finish_in_time_is_cut() {
    let slow = Slow::new();
    let mut served = Served::start("[server]\nshutdown_grace_ms = 300", slow.router()).await;
    let mut under_way = ask(&served, "/slow").await;
    slow.are_under_way(1).await;
    let begun = Instant::now();
    served.stop();
    assert_eq!(rest(&mut under_way).await, "");
    served.ended().await;
    assert!(
        begun.elapsed() >= Duration::from_millis(300),
        "it was cut too soon"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_wish_cuts_at_once() {
    let slow = Slow::new();
    // Longer than the test waits.
    let settings = "[server]\nshutdown_grace_ms = 3_600_000";
    let mut served = Served::start(settings, slow.router()).await;
    let mut under_way = ask(&served, "/slow").await;
    slow.are_under_way(1).await;
    served.stop();
    listens_no_more(&served).await;
    served.cut();
    assert_eq!(rest(&mut under_way).await, "");
    served.ended().await;
}

/// The status of `/readyz`, on a new connection.
fn readiness(daemon: &Daemon) -> (u16, String) {
    let answer = daemon.send(&Request::new("GET", "/readyz"));
    let code = answer.json()["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    (answer.status, code)
}

#[test]
fn a_host_that_leaves_says_so_and_still_takes_requests() {
    let settings = "[server]\ndrain_delay_ms = 600_000\nshutdown_grace_ms = 600_000\n";
    let (_folder, daemon) = configured(settings);
    let draining = (503, "draining".to_owned());
    assert_ne!(readiness(&daemon), draining);
    daemon.signal(Signal::SIGTERM);
    let begun = Instant::now();
    while readiness(&daemon) != draining {
        assert!(
            begun.elapsed() < PATIENCE,
            "the host does not begin to stop"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(daemon.send(&Request::new("GET", "/healthz")).status, 200);
    let apps = Request::new("GET", "/api/admin/apps")
        .header("authorization", format!("Bearer {OWN_TOKEN}"));
    assert_eq!(daemon.send(&apps).status, 200);
    daemon.signal(Signal::SIGTERM);
    let (status, said) = daemon.wait();
    assert!(status.success(), "{said}");
}

#[test]
fn a_host_that_has_left_takes_nothing_more_and_ends() {
    let (_folder, daemon) = configured("[server]\ndrain_delay_ms = 300\n");
    daemon.signal(Signal::SIGTERM);
    let (status, said) = daemon.wait();
    assert!(status.success(), "{said}");
    let order = ["leaving; requests are still taken", "stopping", "stopped"];
    let places: Vec<_> = order.map(|line| said.find(line)).into_iter().collect();
    assert!(places.is_sorted() && !places.contains(&None), "{said}");
}

#[test]
fn one_signal_drains_and_two_end_it() {
    for signals in [&[Signal::SIGTERM][..], &[Signal::SIGINT, Signal::SIGTERM]] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let grace_ms = if signals.len() == 1 { 300 } else { 3_600_000 };
        std::fs::write(
            folder.path().join("tavora.toml"),
            format!("[server]\nshutdown_grace_ms = {grace_ms}"),
        )
        .expect("writable");
        let daemon = serve(folder.path(), &[("TAVORA_ADMIN_TOKEN", OWN_TOKEN)]);
        let mut under_way = connect(daemon.address).expect("it listens");
        let head = format!(
            "POST /api/admin/apps HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {OWN_TOKEN}\r\n\
             Content-Type: application/json\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
        );
        under_way.write_all(head.as_bytes()).expect("it reads");
        // A server that sends this waits for the body.
        let mut said = [0; 12];
        under_way.read_exact(&mut said).expect("it answers");
        assert_eq!(&said, b"HTTP/1.1 100");
        daemon.signal(signals[0]);
        wait_until("hears the first signal", || {
            daemon.log().contains("stopping")
        });
        for signal in &signals[1..] {
            daemon.signal(*signal);
        }
        let (status, said) = daemon.wait();
        assert!(status.success(), "{said}");
        assert!(said.contains("cut off"), "{said}");
    }
}
