//! The sandbox is shared: the runs of one app leave room for another's.

use std::thread;

use serde_json::json;
use tavora_tests::eventually::eventually;
use tavora_tests::serving::{AppWithKey, Serving};
use tavora_tests::wire::Answer;

use crate::fixture::{as_app, is_refusal};

fn run(serving: &Serving, app: &AppWithKey, code: &str) -> Answer {
    let body = json!({ "code": code, "timeout_ms": 3_000 });
    serving.send(&as_app(app, "POST", "/api/sdk/sandbox/execute").json(&body))
}

#[test]
fn an_app_with_all_its_runs_under_way_waits_and_another_does_not() {
    let serving = Serving::start("[limits.agent]\nmax_runs_per_app = 1");
    let (busy, other) = (serving.make_app("busy"), serving.make_app("other"));
    thread::scope(|scope| {
        let long = scope.spawn(|| {
            eventually("has its place", || {
                let answer = run(&serving, &busy, "for (;;) {}");
                (answer.status != 429).then_some(answer)
            })
        });
        // A short run may get the place before the long one does.
        let refused = eventually("is refused", || {
            let answer = run(&serving, &busy, "return 1");
            (answer.status == 429).then_some(answer)
        });
        is_refusal("a second run", &refused, 429, "too_many_requests");
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert_eq!(run(&serving, &other, "return 1").json()["result"], 1);
        let long = long.join().expect("the request was answered");
        assert_eq!(
            long.json()["error"]["code"],
            "limit_exceeded",
            "{}",
            long.text()
        );
    });
    assert_eq!(run(&serving, &busy, "return 2").json()["result"], 2);
}
