//! A short load run. `cargo xtask bench` makes a long one.

use std::path::Path;
use std::time::Duration;

use tavora_tests::load::{self, GROWTH_MAX_BYTES, LoadPlan};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_under_load() {
    let plan = LoadPlan {
        connections: 64,
        duration: Duration::from_secs(5),
    };
    let report = load::run(plan, Path::new(env!("CARGO_TARGET_TMPDIR")))
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));
    println!("{report:#?}");
    let growth = report.growth_bytes();
    assert!(
        growth <= GROWTH_MAX_BYTES,
        "the host grew by {growth} bytes"
    );
}
