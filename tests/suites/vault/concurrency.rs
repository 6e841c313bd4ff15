//! Many writers, several handles and processes, locks and full queues. Everything counts, nothing
//! hangs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tavora_tests::eventually::{PATIENCE, report, until};
use vault_core::{ReleaseError, SqliteOptions, StoreError, Unavailability, VaultError};

use crate::fixture::{Platform, delete, keyring, operator, put, release, try_put};

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_share_commits() {
    const WRITERS: usize = 64;
    let platform = Arc::new(Platform::new().await);
    platform.put("FIRST", "v").await;
    let before = platform.vaults.store_stats().commits;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let platform = Arc::clone(&platform);
            tokio::spawn(async move { platform.put(&format!("S{writer}"), "v").await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let commits = platform.vaults.store_stats().commits - before;
    assert!(
        commits <= WRITERS as u64 / 4,
        "{WRITERS} writes took {commits} commits"
    );
    let listed = platform
        .vaults
        .secrets(platform.app.id, platform.vault.id)
        .await
        .unwrap();
    assert_eq!(listed.len(), WRITERS + 1);
    assert!(platform.vaults.audit_verify(None).await.unwrap().is_clean());
}

/// A write that fails takes none of its group with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_write_leaves_its_group_alone() {
    let platform = Arc::new(Platform::new().await);
    let writers: Vec<_> = (0..40)
        .map(|writer| {
            let platform = Arc::clone(&platform);
            tokio::spawn(async move {
                let vault = "same name for all".parse().unwrap();
                let created = platform
                    .vaults
                    .create_vault(&operator(), platform.app.id, vault, Default::default())
                    .await;
                platform.put(&format!("S{writer}"), "v").await;
                created.is_ok()
            })
        })
        .collect();
    let mut created = 0;
    for writer in writers {
        created += usize::from(writer.await.unwrap());
    }
    assert_eq!(created, 1);
    assert_eq!(
        platform
            .vaults
            .secrets(platform.app.id, platform.vault.id)
            .await
            .unwrap()
            .len(),
        40
    );
    assert!(platform.vaults.audit_verify(None).await.unwrap().is_clean());
}

/// A process that commits batch after batch frees the lock only for moments. SQLite's own waiting,
/// with growing pauses, would miss nearly all of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_writes_all_the_time_keeps_nobody_out() {
    const PUTS: usize = 5;
    let platform = Platform::new().await;
    platform.put("A", "v").await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (raw, stop) = (platform.raw(), Arc::clone(&is_over));
    let busy = std::thread::spawn(move || {
        raw.busy_timeout(Duration::from_secs(10)).unwrap();
        while !stop.load(Ordering::Relaxed) {
            raw.execute_batch("BEGIN IMMEDIATE").unwrap();
            std::thread::sleep(Duration::from_millis(30));
            raw.execute_batch("COMMIT").unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let begun = Instant::now();
    for _ in 0..PUTS {
        platform.put("A", "w").await;
    }
    let took = begun.elapsed();
    is_over.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    // A writer that is kept out for long gets an error, which a put does not tolerate.
    report("5 puts beside a process that writes all the time", took);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_handles_on_one_file_extend_one_chain() {
    let platform = Arc::new(Platform::new().await);
    platform.put("A", "v").await;
    let second = platform.beside(keyring(&platform.kek)).await;
    let writers = [platform.vaults.clone(), second.clone()].map(|vaults| {
        let platform = Arc::clone(&platform);
        tokio::spawn(async move {
            for _ in 0..50 {
                put(&vaults, &platform.app, &platform.vault, "A", "w").await;
                release(&vaults, &platform.app, "A").await.unwrap();
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let report = second.audit_verify(None).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(
        platform
            .vaults
            .secrets(platform.app.id, platform.vault.id)
            .await
            .unwrap()[0]
            .version,
        101
    );
    // A secret that one handle deletes is no longer released by the other.
    delete(&second, &platform.app, &platform.vault, "A")
        .await
        .unwrap();
    assert!(matches!(
        platform.release("A").await,
        Err(ReleaseError::NotFound { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_gives_an_error_and_recovers() {
    let options = SqliteOptions {
        busy_timeout: Duration::from_millis(150),
        ..SqliteOptions::default()
    };
    let platform = Platform::with(options).await;
    platform.put("A", "v").await;
    let lock = platform.raw();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (vaults, app, vault) = (&platform.vaults, platform.app.id, platform.vault.id);
    let refused = try_put(vaults, &platform.app, &platform.vault, "A", "w").await;
    assert!(
        matches!(refused, Err(VaultError::Store(StoreError::Busy))),
        "{:?}",
        refused.err()
    );
    let released = platform.release("A").await.unwrap_err();
    assert!(matches!(
        released,
        ReleaseError::Unavailable {
            cause: Unavailability::Store(StoreError::Busy)
        }
    ));
    assert!(matches!(
        vaults.probe().await,
        Err(VaultError::Store(StoreError::Busy))
    ));
    assert_eq!(vaults.secrets(app, vault).await.unwrap().len(), 1);
    lock.execute_batch("ROLLBACK").unwrap();
    assert_eq!(platform.release("A").await.unwrap(), "v");
    vaults.probe().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_store_gives_an_error_in_bounded_time() {
    let options = SqliteOptions {
        busy_timeout: Duration::from_secs(600),
        operation_timeout: Duration::from_secs(2),
        ..SqliteOptions::default()
    };
    let platform = Platform::with(options).await;
    platform.put("A", "v").await;
    let lock = platform.raw();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    let released = platform.release("A").await.unwrap_err();
    assert!(matches!(
        released,
        ReleaseError::Unavailable {
            cause: Unavailability::Store(StoreError::TimedOut { limit_ms: 2_000 })
        }
    ));
    assert!(begun.elapsed() < PATIENCE);
    let entries = |raw: &rusqlite::Connection| -> i64 {
        raw.query_row(
            "SELECT count(*) FROM audit WHERE action = 'secret.released'",
            [],
            |row| row.get(0),
        )
        .unwrap()
    };
    let withdrawn = tokio::spawn({
        let (vaults, app) = (platform.vaults.clone(), platform.app.clone());
        async move { release(&vaults, &app, "A").await }
    });
    assert!(withdrawn.await.unwrap().is_err());
    lock.execute_batch("ROLLBACK").unwrap();
    // The first write was under way when its caller gave up. The second was withdrawn before it
    // began.
    platform.vaults.probe().await.unwrap();
    assert!(entries(&lock) <= 1);
    assert_eq!(platform.release("A").await.unwrap(), "v");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once() {
    let options = SqliteOptions {
        queue_max_jobs: 4,
        operation_timeout: PATIENCE,
        ..SqliteOptions::default()
    };
    let platform = Arc::new(Platform::with(options).await);
    platform.put("A", "v").await;
    let lock = platform.raw();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let platform = Arc::clone(&platform);
            tokio::spawn(async move { platform.release("A").await })
        })
        .collect();
    let mut refused = 0;
    until(
        "refuses most of them while nothing can be written",
        async || waiting.iter().filter(|it| it.is_finished()).count() >= 10,
    )
    .await;
    lock.execute_batch("ROLLBACK").unwrap();
    for release in waiting {
        match release.await.unwrap() {
            Err(ReleaseError::Unavailable {
                cause: Unavailability::Store(StoreError::Overloaded { queue_max_jobs }),
            }) => {
                assert_eq!(queue_max_jobs, 4);
                refused += 1;
            }
            other => assert_eq!(other.unwrap(), "v"),
        }
    }
    assert!((10..20).contains(&refused), "{refused}");
    assert_eq!(platform.release("A").await.unwrap(), "v");
}

/// The figures for an operator: how many writes wait, and how long the last ones took to be
/// committed.
#[tokio::test(flavor = "multi_thread")]
async fn the_store_says_how_it_keeps_up() {
    const RELEASES: u64 = 8;
    const HELD: Duration = Duration::from_millis(300);
    let platform = Arc::new(Platform::new().await);
    platform.put("A", "v").await;
    let before = platform.vaults.store_stats();
    assert_eq!(before.waiting, 0);
    assert!(before.writes >= before.commits && before.commits > 0);
    let lock = platform.raw();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting: Vec<_> = (0..RELEASES)
        .map(|_| {
            let platform = Arc::clone(&platform);
            tokio::spawn(async move { platform.release("A").await })
        })
        .collect();
    until("has them waiting", async || {
        platform.vaults.store_stats().waiting == RELEASES
    })
    .await;
    tokio::time::sleep(HELD).await;
    lock.execute_batch("ROLLBACK").unwrap();
    for release in waiting {
        assert_eq!(release.await.unwrap().unwrap(), "v");
    }
    let after = platform.vaults.store_stats();
    assert_eq!((after.waiting, after.writes - before.writes), (0, RELEASES));
    assert!(after.commits > before.commits && after.commits - before.commits <= RELEASES);
    assert!(after.last_write_time >= HELD, "{after:?}");
    assert!(after.write_time - before.write_time >= HELD * RELEASES as u32);

    // A write that nobody waits for no longer counts as waiting.
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let given_up = platform.release("A");
    assert!(
        tokio::time::timeout(Duration::from_millis(50), given_up)
            .await
            .is_err()
    );
    lock.execute_batch("ROLLBACK").unwrap();
    platform.vaults.probe().await.unwrap();
    assert_eq!(platform.vaults.store_stats().waiting, 0);
}

/// A check of the whole audit sees one snapshot while others write.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_verifies_while_it_grows() {
    let platform = Arc::new(Platform::new().await);
    platform.put("A", "v").await;
    let writer = tokio::spawn({
        let platform = Arc::clone(&platform);
        async move {
            for _ in 0..200 {
                platform.put("A", "w").await;
            }
        }
    });
    while !writer.is_finished() {
        let report = platform.vaults.audit_verify(None).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
    }
    writer.await.unwrap();
}
