//! New DEKs and payloads, for a leaked KEK: what was copied before opens nothing that is stored
//! afterwards.

use std::collections::{HashMap, HashSet};

use vault_core::{Finding, RewrapOptions, RewrapOutcome};

use super::fixture::{Rotation, go_on};
use crate::fixture::{operator, put};

#[tokio::test(flavor = "multi_thread")]
async fn every_secret_gets_a_fresh_dek_and_the_audit_knows() {
    let rotation = Rotation::new(12).await;
    // A plain rewrap before this does not change the DEKs, so all secrets are still to be done.
    rotation.rewrap(RewrapOptions::default()).await.unwrap();
    let before = ciphertexts(&rotation);
    let raw = rotation.platform.raw();
    raw.execute_batch("CREATE TEMP TABLE kept AS SELECT * FROM secrets")
        .unwrap();
    let report = rotation.rewrap(reencrypt()).await.unwrap();
    assert_eq!(
        (report.outcome, report.progress.moved),
        (RewrapOutcome::Complete, 12)
    );
    let after = ciphertexts(&rotation);
    for (before, after) in before.iter().zip(&after) {
        assert!(before.0 != after.0 && before.1 != after.1);
        assert_eq!(before.2, after.2, "the version stays");
    }
    assert_eq!(after.iter().collect::<HashSet<_>>().len(), 12);
    rotation.all_open().await;
    let verified = rotation.vaults.audit_verify(None).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.findings);
    let entries = rotation.audited("secret.reencrypted").await;
    assert_eq!(entries, ["secret.reencrypted ok"; 12]);

    // A row that is restored to its old state opens, and the audit reports it.
    raw.execute_batch(
        "UPDATE secrets SET (kek_id, wrapped, payload) = (SELECT kek_id, wrapped, payload FROM kept
         WHERE kept.name = secrets.name) WHERE name = 'S3'",
    )
    .unwrap();
    let verified = rotation.vaults.audit_verify(None).await.unwrap();
    assert!(
        matches!(&verified.findings[..], [Finding::SecretEdited { secret, version: 1 }] if secret.ends_with("/S3")),
        "{:?}",
        verified.findings
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_win_over_a_reencryption_too() {
    let rotation = Rotation::new(60).await;
    let (vaults, platform) = (rotation.vaults.clone(), &rotation.platform);
    let laggard = rotation.laggard().await;
    let running = tokio::spawn(async move {
        let options = RewrapOptions {
            batch: 3.try_into().unwrap(),
            ..reencrypt()
        };
        vaults.rewrap(&operator(), options, go_on).await
    });
    let mut expected = HashMap::new();
    let mut round = 0;
    while !running.is_finished() {
        let name = format!("S{}", round % 60);
        let text = format!("round {round}");
        // Write through a host that still uses the old key.
        let written = put(&laggard, &platform.app, &platform.vault, &name, &text).await;
        assert!(written.version >= 2);
        expected.insert(name.parse().unwrap(), text);
        round += 1;
    }
    let report = running.await.unwrap().unwrap();
    assert_eq!(report.progress.unreadable, 0);
    let mut rotation = rotation;
    rotation.values.extend(expected);
    rotation.all_open().await;
    let verified = rotation.vaults.audit_verify(None).await.unwrap();
    assert!(verified.is_clean(), "{:?}", verified.findings);
}

fn reencrypt() -> RewrapOptions {
    RewrapOptions {
        reencrypt: true,
        ..RewrapOptions::default()
    }
}

/// The wraps, payloads and versions in the order of names.
fn ciphertexts(rotation: &Rotation) -> Vec<(Vec<u8>, Vec<u8>, i64)> {
    let raw = rotation.platform.raw();
    let mut statement = raw
        .prepare("SELECT wrapped, payload, version FROM secrets ORDER BY name")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}
