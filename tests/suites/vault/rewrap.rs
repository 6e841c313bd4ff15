//! Moving secrets to another KEK. Nothing is lost, whoever writes, stops or damages anything
//! meanwhile.

mod fixture;
mod providers;
mod reencrypt;
mod retirement;

use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use vault_core::{
    Condition, KekId, Keyring, LocalKek, RewrapOptions, RewrapOutcome, RewrapProgress, StoreError,
    UnreadableCause, VaultError,
};

use self::fixture::{Rotation, between, go_on, kek_id};
use crate::fixture::{Kind, delete, keyring, on_every_kind, operator, put, release, value};

on_every_kind! {
    every_secret_moves_and_stays_what_it_was
    puts_win_whatever_a_rewrap_does
    what_comes_between_reading_and_swapping_wins
    two_rewraps_at_once_do_the_work_of_one
    a_rewrap_that_was_stopped_or_dropped_goes_on_where_it_was
    a_target_that_cannot_be_is_refused_with_what_to_do
}

async fn every_secret_moves_and_stays_what_it_was(kind: Kind) {
    let rotation = Rotation::on(kind, 40).await;
    let platform = &rotation.platform;
    let before = platform.vaults.secrets(platform.app.id, platform.vault.id);
    let before = before.await.unwrap();
    let report = rotation.rewrap(RewrapOptions::default()).await.unwrap();
    assert_eq!(report.outcome, RewrapOutcome::Complete);
    assert_eq!((report.progress.seen, report.progress.moved), (40, 40));
    assert_eq!(
        rotation.rows().await,
        HashMap::from([(rotation.new_id, 40)])
    );
    rotation.all_open().await;
    // Clients see only another kek id.
    let after = rotation.vaults.secrets(platform.app.id, platform.vault.id);
    for (before, after) in before.iter().zip(after.await.unwrap()) {
        assert_eq!(before.revision(), after.revision());
        assert_eq!(
            (before.version, before.updated_at),
            (after.version, after.updated_at)
        );
        assert_eq!(after.kek_id, rotation.new_id);
    }
    let status = rotation.vaults.kek_status().await.unwrap();
    let wraps = |kek_id| {
        let kek = status.keks.iter().find(|kek| kek.kek_id == kek_id);
        kek.unwrap().wraps
    };
    assert_eq!((wraps(rotation.old_id), wraps(rotation.new_id)), (40, 40));
    assert!(platform.vaults.audit_verify(None).await.unwrap().is_clean());
    let audited = rotation.audited("kek.rewrap_").await;
    assert_eq!(
        audited,
        ["kek.rewrap_started ok", "kek.rewrap_ended ok"].map(str::to_owned)
    );

    // A second rewrap has nothing to do and nothing to record.
    let again = rotation.rewrap(RewrapOptions::default()).await.unwrap();
    assert!(again.had_nothing_to_do(), "{again:?}");
    assert_eq!(rotation.audited("kek.rewrap_").await.len(), 2);
}

/// A put on a condition wins too, even if its value was read before the rewrap began.
async fn puts_win_whatever_a_rewrap_does(kind: Kind) {
    const WRITERS: usize = 8;
    let rotation = Arc::new(Rotation::on(kind, 200).await);
    let laggard = rotation.laggard().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let writers = (0..WRITERS).map(|writer| {
        let (rotation, is_over) = (Arc::clone(&rotation), Arc::clone(&is_over));
        // Half of them still write with the old KEK, like hosts that were not restarted yet.
        let vaults = match writer % 2 {
            0 => rotation.vaults.clone(),
            _ => laggard.clone(),
        };
        tokio::spawn(async move {
            let (app, vault) = (rotation.platform.app.id, rotation.platform.vault.id);
            let name = Rotation::name(writer * 20);
            let mut last = None;
            for round in 0.. {
                let text = format!("writer {writer} round {round}");
                let condition = match last {
                    None => Condition::Exists,
                    Some(revision) => Condition::from(revision),
                };
                let written = vaults
                    .put_secret_if(&operator(), app, vault, &name, &value(&text), condition)
                    .await
                    .unwrap();
                last = Some(written.revision());
                if is_over.load(Ordering::Acquire) {
                    return (name, text);
                }
            }
            unreachable!("rounds do not end")
        })
    });
    let writers: Vec<_> = writers.collect();
    for _ in 0..5 {
        let options = RewrapOptions {
            batch: 7.try_into().unwrap(),
            ..RewrapOptions::default()
        };
        let report = rotation.rewrap(options).await.unwrap();
        assert_eq!(report.progress.unreadable, 0);
    }
    is_over.store(true, Ordering::Release);
    let mut expected = rotation.values.clone();
    for writer in writers {
        let (name, text) = writer.await.unwrap();
        expected.insert(name, text);
    }
    // Nobody writes any more, so one more rewrap finds the rest.
    let report = rotation.rewrap(RewrapOptions::default()).await.unwrap();
    assert_eq!(report.outcome, RewrapOutcome::Complete);
    for (name, text) in &expected {
        let opened = release(&rotation.vaults, &rotation.platform.app, name.as_str()).await;
        assert_eq!(&opened.unwrap(), text);
    }
    assert_eq!(
        rotation.rows().await,
        HashMap::from([(rotation.new_id, 200)])
    );
    let verified = rotation.vaults.audit_verify(None).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.findings);
}

/// When `progress` is called for a batch, the next batch has been read and is about to be swapped.
/// Changes made then fall between the two.
async fn what_comes_between_reading_and_swapping_wins(kind: Kind) {
    for reencrypt in [false, true] {
        let rotation = Rotation::on(kind, 20).await;
        let (vaults, platform) = (&rotation.vaults, &rotation.platform);
        let laggard = rotation.laggard().await;
        let mut told = 0;
        let meanwhile = |_: &RewrapProgress| {
            told += 1;
            between(async {
                let (app, vault) = (&platform.app, &platform.vault);
                if told == 1 {
                    put(&laggard, app, vault, "S6", "put between").await;
                    delete(vaults, app, vault, "S7").await.unwrap();
                    delete(vaults, app, vault, "S8").await.unwrap();
                    put(&laggard, app, vault, "S8", "put again").await;
                }
                // A secret that was already moved returns to the old KEK.
                if told == 4 {
                    put(&laggard, app, vault, "S0", "put behind it").await;
                }
            });
            ControlFlow::Continue(())
        };
        let options = RewrapOptions {
            batch: 5.try_into().unwrap(),
            reencrypt,
            ..RewrapOptions::default()
        };
        let report = vaults
            .rewrap(&operator(), options, meanwhile)
            .await
            .unwrap();
        assert_eq!(report.outcome, RewrapOutcome::Complete, "{report:?}");
        assert_eq!(report.progress.overtaken, 3, "{report:?}");
        assert_eq!(
            rotation.rows().await,
            HashMap::from([(rotation.new_id, 19)])
        );
        let mut expected = rotation.values.clone();
        expected.remove(&Rotation::name(7));
        for (number, text) in [(6, "put between"), (8, "put again"), (0, "put behind it")] {
            expected.insert(Rotation::name(number), text.to_owned());
        }
        for (name, text) in &expected {
            let opened = release(vaults, &platform.app, name.as_str()).await;
            assert_eq!(&opened.unwrap(), text, "{name}");
        }
        let verified = vaults.audit_verify(None).await.unwrap();
        assert!(verified.is_clean(), "{:?}", verified.findings);
    }
}

async fn two_rewraps_at_once_do_the_work_of_one(kind: Kind) {
    let rotation = Rotation::on(kind, 300).await;
    let second = rotation.another_process().await;
    let options = || RewrapOptions {
        batch: 10.try_into().unwrap(),
        ..RewrapOptions::default()
    };
    let caller = operator();
    let (one, other) = tokio::join!(
        rotation.vaults.rewrap(&caller, options(), go_on),
        second.rewrap(&caller, options(), go_on)
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.progress.moved + other.progress.moved, 300);
    for report in [&one, &other] {
        assert_eq!(report.outcome, RewrapOutcome::Complete, "{report:?}");
    }
    assert_eq!(
        rotation.rows().await,
        HashMap::from([(rotation.new_id, 300)])
    );
    rotation.all_open().await;
    assert!(second.audit_verify(None).await.unwrap().is_clean());
}

async fn a_rewrap_that_was_stopped_or_dropped_goes_on_where_it_was(kind: Kind) {
    let rotation = Rotation::on(kind, 100).await;
    let options = || RewrapOptions {
        batch: 10.try_into().unwrap(),
        ..RewrapOptions::default()
    };
    let caller = operator();
    let stop_at_30 = |progress: &RewrapProgress| match progress.moved >= 30 {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let report = rotation.vaults.rewrap(&caller, options(), stop_at_30);
    let report = report.await.unwrap();
    assert_eq!(
        (report.outcome, report.progress.moved),
        (RewrapOutcome::Stopped, 30)
    );
    assert_eq!(rotation.rows().await[&rotation.new_id], 30);
    rotation.all_open().await;
    assert_eq!(
        rotation.audited("kek.rewrap_ended").await,
        ["kek.rewrap_ended stopped"]
    );

    // The rewrap is dropped in the middle.
    let (reached, seen) = tokio::sync::oneshot::channel();
    let mut reached = Some(reached);
    let vaults = rotation.vaults.clone();
    let dropped = tokio::spawn(async move {
        let tell = move |progress: &RewrapProgress| {
            if progress.moved >= 20
                && let Some(reached) = reached.take()
            {
                reached.send(()).unwrap();
            }
            go_on(progress)
        };
        vaults.rewrap(&operator(), options(), tell).await
    });
    seen.await.unwrap();
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    rotation.all_open().await;
    let left = 100 - rotation.rows().await[&rotation.new_id];
    assert!((1..=50).contains(&left), "{left}");
    let report = rotation.rewrap(options()).await.unwrap();
    assert_eq!(report.outcome, RewrapOutcome::Complete);
    assert!(report.progress.moved <= left, "{report:?} {left}");
    assert_eq!(
        rotation.rows().await,
        HashMap::from([(rotation.new_id, 100)])
    );
    rotation.all_open().await;
    assert!(rotation.vaults.audit_verify(None).await.unwrap().is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_touches_nothing() {
    let rotation = Rotation::new(20).await;
    let before = rotation.everything();
    for reencrypt in [false, true] {
        let options = RewrapOptions {
            dry_run: true,
            verify: true,
            reencrypt,
            ..RewrapOptions::default()
        };
        let report = rotation.rewrap(options).await.unwrap();
        assert_eq!(
            (report.outcome, report.progress.moved),
            (RewrapOutcome::Complete, 20)
        );
        assert_eq!(report.before, report.after);
        assert_eq!(rotation.everything(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_open_is_named_skipped_and_counted() {
    let rotation = Rotation::new(10).await;
    let platform = &rotation.platform;
    let raw = crate::tampering::cell::tampering(platform);
    // One row for each kind of damage, and one under a key that nobody has.
    let lost = Rotation::kek();
    let both = Keyring::local(&lost, Some(&platform.kek)).unwrap();
    let elsewhere = platform.beside(both).await;
    put(&elsewhere, &platform.app, &platform.vault, "LOST", "x").await;
    raw.execute_batch(
        "UPDATE secrets SET wrapped = zeroblob(62) WHERE name = 'S1';
         UPDATE secrets SET payload = CAST(x'0101' || zeroblob(length(payload) - 2) AS BLOB) WHERE name = 'S2';
         UPDATE secrets SET version = -1 WHERE name = 'S3';
         UPDATE secrets SET vault_id = randomblob(16) WHERE name = 'S4';
         UPDATE secrets SET payload = CAST(substr(payload, 1, length(payload) - 1) || x'00' AS BLOB) WHERE name = 'S5';",
    )
    .unwrap();
    let named = |report: &[vault_core::UnreadableSecret]| -> HashMap<String, UnreadableCause> {
        let named = report.iter().map(|it| (it.name.clone(), it.cause));
        named.collect()
    };
    let mut expected = HashMap::from([
        ("S1".to_owned(), UnreadableCause::Wrap),
        ("S2".to_owned(), UnreadableCause::Payload),
        ("S3".to_owned(), UnreadableCause::Row),
        ("S4".to_owned(), UnreadableCause::Row),
        ("LOST".to_owned(), UnreadableCause::KekMissing),
    ]);
    // Only those who open payloads notice their last byte.
    let tried = rotation.vaults.open_all(go_on).await.unwrap();
    assert_eq!(tried.outcome, RewrapOutcome::Incomplete);
    assert_eq!((tried.seen, tried.unreadable), (11, 6));
    let mut all = expected.clone();
    all.insert("S5".to_owned(), UnreadableCause::Payload);
    assert_eq!(named(&tried.unreadable_secrets), all);

    let options = RewrapOptions {
        verify: true,
        ..RewrapOptions::default()
    };
    let report = rotation.rewrap(options).await.unwrap();
    assert_eq!(report.outcome, RewrapOutcome::Incomplete);
    assert_eq!((report.progress.moved, report.progress.unreadable), (5, 6));
    assert_eq!(named(&report.unreadable_secrets), all);
    let missing = report.after.iter().find(|kek| kek.kek_id == kek_id(&lost));
    assert!(matches!(missing, Some(kek) if kek.rows == 1 && !kek.in_keyring));

    // Without opening payloads fewer secrets stay behind, and the damaged ones are unchanged.
    let report = rotation.rewrap(RewrapOptions::default()).await.unwrap();
    assert_eq!((report.progress.moved, report.progress.unreadable), (1, 5));
    expected.remove("S5");
    assert_eq!(named(&report.unreadable_secrets), expected);
    assert_eq!(
        rotation.audited("kek.rewrap_ended").await,
        ["kek.rewrap_ended incomplete", "kek.rewrap_ended incomplete"]
    );
    for name in ["S0", "S6", "S9"] {
        let opened = release(&rotation.vaults, &platform.app, name).await;
        assert_eq!(opened.unwrap(), rotation.values[&name.parse().unwrap()]);
    }
}

async fn a_target_that_cannot_be_is_refused_with_what_to_do(kind: Kind) {
    let rotation = Rotation::on(kind, 3).await;
    let unknown = KekId::from_bytes([7; 16]);
    let to = |to| RewrapOptions {
        to: Some(to),
        ..RewrapOptions::default()
    };
    let refused = rotation.rewrap(to(unknown)).await.unwrap_err();
    assert!(
        matches!(refused, VaultError::KekNotHeld { kek_id, rows: 0 } if kek_id == unknown),
        "{refused:?}"
    );
    // This KEK wraps everything already.
    let report = rotation.rewrap(to(rotation.old_id)).await.unwrap();
    assert!(report.had_nothing_to_do(), "{report:?}");
    // A keyring that does not fit gives an error that says so.
    let stranger = rotation.platform.beside(keyring(&Rotation::kek())).await;
    let refused = stranger
        .rewrap(&operator(), RewrapOptions::default(), go_on)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, VaultError::KekMismatch { wanted, rows: 3 } if wanted == rotation.old_id),
        "{refused:?}"
    );
    // Move to a KEK that is not the primary one, and back.
    let third = Rotation::kek();
    let previous = format!("{},{third}", rotation.platform.kek);
    let three = Keyring::local(&rotation.new, Some(&previous)).unwrap();
    let vaults = rotation.platform.beside(three).await;
    for target in [kek_id(&third), rotation.old_id] {
        let report = vaults.rewrap(&operator(), to(target), go_on).await.unwrap();
        assert_eq!((report.to, report.progress.moved), (target, 3));
        assert_eq!(rotation.rows().await, HashMap::from([(target, 3)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_keyring_nothing_is_moved_or_tried() {
    let (empty, caller) = (crate::fixture::sqlite().await.unwrap(), operator());
    let vaults = vault_core::SecretVaults::open(empty.store.clone(), None)
        .await
        .unwrap();
    let refused = vaults.rewrap(&caller, RewrapOptions::default(), go_on);
    assert!(matches!(refused.await, Err(VaultError::KekUnset)));
    assert!(matches!(
        vaults.open_all(go_on).await,
        Err(VaultError::KekUnset)
    ));
    // A closed store gives an error that says so.
    let keyring = keyring(&LocalKek::make_text());
    let vaults = vault_core::SecretVaults::open(empty.store.clone(), Some(keyring))
        .await
        .unwrap();
    vaults.close().await.unwrap();
    let refused = vaults.rewrap(&caller, RewrapOptions::default(), go_on);
    assert!(matches!(
        refused.await,
        Err(VaultError::Store(StoreError::Closed))
    ));
}
