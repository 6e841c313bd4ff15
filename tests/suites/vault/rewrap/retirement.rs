//! Forgetting a KEK: it is refused while the KEK is needed, and does not harm hosts that still have
//! it.

use vault_core::{ReleaseContext, RewrapOptions, VaultError};

use super::fixture::{Rotation, go_on};
use crate::fixture::{Kind, on_every_kind, operator, put, try_put};

on_every_kind! {
    a_kek_is_retired_once_nothing_needs_it
}

async fn a_kek_is_retired_once_nothing_needs_it(kind: Kind) {
    let rotation = Rotation::on(kind, 5).await;
    let vaults = &rotation.vaults;
    let caller = operator();
    let in_use = vaults.retire_kek(&caller, rotation.old_id).await;
    assert!(
        matches!(in_use, Err(VaultError::KekInUse { kek_id, rows: 5 }) if kek_id == rotation.old_id)
    );
    // A secret that a tool got within a call can be opened again afterwards.
    let context = ReleaseContext::new(rotation.platform.app.id, "tool", "sha256:00");
    let held = vaults.release(&context, &Rotation::name(0)).await.unwrap();
    rotation.rewrap(RewrapOptions::default()).await.unwrap();
    let primary = vaults.retire_kek(&caller, rotation.new_id).await;
    assert!(matches!(primary, Err(VaultError::KekPrimary { .. })));
    vaults.retire_kek(&caller, rotation.old_id).await.unwrap();
    let twice = vaults.retire_kek(&caller, rotation.old_id).await;
    assert!(matches!(twice, Err(VaultError::KekUnknown { .. })));
    assert_eq!(rotation.audited("kek.retired").await, ["kek.retired ok"]);
    let again = vaults.reopen(&held.sealed).await.unwrap();
    assert_eq!(again.expose(), held.value.expose());

    // A host that only ever had the old key is told which one it needs, and stores nothing.
    let platform = &rotation.platform;
    let refused = try_put(
        &platform.vaults,
        &platform.app,
        &platform.vault,
        "S0",
        "too late",
    );
    let refused = refused.await.unwrap_err();
    assert!(
        matches!(refused, VaultError::KekMismatch { wanted, rows: 5 } if wanted == rotation.new_id),
        "{refused:?}"
    );
    // A host that can read the new key and still writes with the old one registers the old one
    // again.
    let laggard = rotation.laggard().await;
    put(&laggard, &platform.app, &platform.vault, "LATE", "v").await;
    vaults
        .rewrap(&caller, RewrapOptions::default(), go_on)
        .await
        .unwrap();
    vaults.retire_kek(&caller, rotation.old_id).await.unwrap();
    put(&laggard, &platform.app, &platform.vault, "LATER", "v").await;
    assert_eq!(rotation.rows().await[&rotation.old_id], 1);
    assert!(vaults.audit_verify(None).await.unwrap().is_clean());
}
