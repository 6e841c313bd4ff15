//! The requirements of every KEK provider, whatever holds its key.

use futures::future::join_all;
use vault_core::{Dek, KekError, KekProvider, WRAPPED_MAX_BYTES};

const DATA: &[u8] = b"the place of a row";

/// Checks `kek`. `other` is another key of the same kind. Neither may remember DEKs.
pub async fn check(kek: &dyn KekProvider, other: &dyn KekProvider) {
    assert_eq!(kek.kind(), other.kind());
    assert_ne!(kek.kek_id(), other.kek_id());
    a_dek_comes_back(kek).await;
    the_place_is_bound(kek).await;
    another_key_does_not_open(kek, other).await;
    nothing_changed_opens(kek).await;
    garbage_is_refused(kek).await;
    many_at_once_do_not_mix(kek).await;
}

async fn a_dek_comes_back(kek: &dyn KekProvider) {
    let dek = Dek::make();
    let first = kek.wrap(&dek, DATA).await.unwrap();
    let second = kek.wrap(&dek, DATA).await.unwrap();
    assert_ne!(first, second, "the same DEK twice must not be seen");
    for wrapped in [first, second] {
        assert!(wrapped.len() <= WRAPPED_MAX_BYTES);
        let found = wrapped
            .windows(8)
            .any(|bytes| dek.expose().windows(8).any(|plain| plain == bytes));
        assert!(!found, "the wrapped DEK holds a part of the DEK");
        let back = kek.unwrap(&wrapped, DATA).await.unwrap();
        assert_eq!(back.expose(), dek.expose());
    }
}

async fn the_place_is_bound(kek: &dyn KekProvider) {
    let long = [7; 1_000];
    for place in [DATA, b"x", &long[..], b"\0\xff\n\""] {
        let wrapped = kek.wrap(&Dek::make(), place).await.unwrap();
        assert!(wrapped.len() <= WRAPPED_MAX_BYTES);
        kek.unwrap(&wrapped, place).await.unwrap();
        for elsewhere in [&place[..place.len() - 1], &[place, b"x"].concat(), b"else"] {
            let refused = kek.unwrap(&wrapped, elsewhere).await;
            assert!(
                matches!(refused, Err(KekError::NotAuthentic(_))),
                "{:?}",
                refused.err()
            );
        }
    }
}

async fn another_key_does_not_open(kek: &dyn KekProvider, other: &dyn KekProvider) {
    let wrapped = kek.wrap(&Dek::make(), DATA).await.unwrap();
    assert!(other.unwrap(&wrapped, DATA).await.is_err());
    let wrapped = other.wrap(&Dek::make(), DATA).await.unwrap();
    assert!(kek.unwrap(&wrapped, DATA).await.is_err());
}

async fn nothing_changed_opens(kek: &dyn KekProvider) {
    let wrapped = kek.wrap(&Dek::make(), DATA).await.unwrap();
    for index in 0..wrapped.len() {
        // Flip bits at both ends, because text formats may ignore some.
        for bit in [0x01, 0x80] {
            let mut changed = wrapped.clone();
            changed[index] ^= bit;
            let opened = kek.unwrap(&changed, DATA).await;
            assert!(opened.is_err(), "bit {bit:02x} of byte {index}");
        }
    }
    for length in [0, 1, 2, 13, 14, wrapped.len() / 2, wrapped.len() - 1] {
        let cut = kek.unwrap(&wrapped[..length], DATA).await;
        assert!(cut.is_err(), "cut to {length}");
    }
    for tail in [&b"\0"[..], b"\n", b"=", &wrapped] {
        let longer = [&wrapped[..], tail].concat();
        assert!(kek.unwrap(&longer, DATA).await.is_err(), "{tail:?} added");
    }
    kek.unwrap(&wrapped, DATA).await.unwrap();
}

async fn garbage_is_refused(kek: &dyn KekProvider) {
    for garbage in [
        vec![],
        vec![0; 62],
        vec![1; 62],
        vec![0xff; 61],
        b"vault:v1:AAAA".to_vec(),
        b"\x01{\"a\": 1}\r\n".to_vec(),
        vec![1; WRAPPED_MAX_BYTES],
        vec![1; WRAPPED_MAX_BYTES + 1],
    ] {
        assert!(kek.unwrap(&garbage, DATA).await.is_err(), "{garbage:?}");
    }
}

async fn many_at_once_do_not_mix(kek: &dyn KekProvider) {
    join_all((0..32_u8).map(async |number| {
        let dek = Dek::make();
        let place = [number; 9];
        let wrapped = kek.wrap(&dek, &place).await.unwrap();
        let back = kek.unwrap(&wrapped, &place).await.unwrap();
        assert_eq!(back.expose(), dek.expose());
    }))
    .await;
}
