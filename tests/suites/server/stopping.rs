//! The way to stop: what is under way finishes, nothing new begins, and there is an end to it.

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use nix::sys::signal::Signal;
use tavora_tests::daemon::Daemon;
use tavora_tests::wire::{Request, connect};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::bodies::http2;
use super::serve::{OWN_TOKEN, configured, serve};
use super::served::{PATIENCE, Served, answer, rest};

fn slow(ms: u64) -> Router {
    let wait = async move || {
        sleep(Duration::from_millis(ms)).await;
        "done"
    };
    Router::new()
        .route("/", get(async || "hello"))
        .route("/slow", get(wait))
}

async fn ask(served: &Served, path: &str) -> TcpStream {
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
    let mut served = Served::start("", slow(800)).await;
    let mut idle = ask(&served, "/").await;
    answer(&mut idle).await;
    let mut silent = served.connect().await;
    let mut under_way = ask(&served, "/slow").await;
    let mut client = http2(&served).await;
    let request = axum::extract::Request::get("http://x/slow").body(Default::default());
    let multiplexed = tokio::spawn(client.send_request(request.expect("valid")));
    sleep(Duration::from_millis(200)).await;

    let begun = Instant::now();
    served.stop();
    sleep(Duration::from_millis(100)).await;
    assert!(
        TcpStream::connect(served.address).await.is_err(),
        "it still listens"
    );
    assert_eq!(rest(&mut idle).await, "");
    assert_eq!(rest(&mut silent).await, "");
    assert!(
        begun.elapsed() < Duration::from_millis(500),
        "idle ones end at once"
    );
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
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_finish_in_time_is_cut() {
    let mut served = Served::start("[server]\nshutdown_grace_ms = 300", slow(60_000)).await;
    let mut under_way = ask(&served, "/slow").await;
    sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    served.stop();
    assert_eq!(rest(&mut under_way).await, "");
    served.ended().await;
    let expected = Duration::from_millis(300)..Duration::from_secs(4);
    assert!(expected.contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_wish_cuts_at_once() {
    let mut served = Served::start("[server]\nshutdown_grace_ms = 60_000", slow(60_000)).await;
    let mut under_way = ask(&served, "/slow").await;
    sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    served.stop();
    sleep(Duration::from_millis(100)).await;
    served.cut();
    assert_eq!(rest(&mut under_way).await, "");
    served.ended().await;
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
}

/// The status of `/readyz`, asked by somebody new.
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
        assert!(begun.elapsed() < PATIENCE, "it does not leave");
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
    use std::io::Write;

    for (signals, log) in [
        (&[Signal::SIGTERM][..], "cut off"),
        (&[Signal::SIGINT, Signal::SIGTERM], "cut off"),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let grace_ms = if signals.len() == 1 { 300 } else { 60_000 };
        std::fs::write(
            folder.path().join("tavora.toml"),
            format!("[server]\nshutdown_grace_ms = {grace_ms}"),
        )
        .expect("writable");
        let daemon = serve(folder.path(), &[]);
        let mut under_way = connect(daemon.address).expect("it listens");
        let half = "POST /api/admin/apps HTTP/1.1\r\nHost: x\r\nContent-Le";
        under_way.write_all(half.as_bytes()).expect("it reads");
        std::thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        for signal in signals {
            daemon.signal(*signal);
            std::thread::sleep(Duration::from_millis(200));
        }
        let (status, said) = daemon.wait();
        assert!(status.success(), "{said}");
        assert!(said.contains(log), "{said}");
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
    }
}
