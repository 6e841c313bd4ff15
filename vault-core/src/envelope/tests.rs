//! Tests that the envelope opens what it sealed, opens nothing that was touched, and opens every
//! frozen vector forever.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    seal::{OVERHEAD_BYTES, open_payload},
    *,
};
use crate::{
    blob::{AES_256_GCM, FormatError, VERSION_1},
    id::{AppId, VaultId},
    key::{Dek, KekError, KekId, KekProvider, Keyring, LocalKek},
    secret::{SECRET_VALUE_MAX_BYTES, SecretName, SecretValue},
};

const KEK: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// A frozen vector file: the inputs of an open and the expected result.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    format_version: u8,
    kek: String,
    kek_id: KekId,
    vectors: Vec<Vector>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    about: String,
    app_id: AppId,
    vault_id: VaultId,
    name: SecretName,
    version: u64,
    wrapped: String,
    payload: String,
    /// The value; `None` where the vector must be refused.
    value: Option<String>,
}

fn keyring() -> Keyring {
    Keyring::local(KEK, None).unwrap()
}

fn binding(name: &str, version: u64) -> SecretBinding {
    SecretBinding {
        app_id: AppId::from_bytes([0xa1; 16]),
        vault_id: VaultId::from_bytes([0xb2; 16]),
        name: name.parse().unwrap(),
        version,
    }
}

async fn sealed(value: &str) -> SealedSecret {
    seal(
        keyring().primary(),
        binding("NAME", 3),
        &SecretValue::new(value.to_owned()).unwrap(),
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn what_is_sealed_opens_at_its_place() {
    for value in ["x", "grüße 🔑", &"v".repeat(SECRET_VALUE_MAX_BYTES)] {
        let sealed = sealed(value).await;
        assert_eq!(open(&keyring(), &sealed).await.unwrap().expose(), value);
        assert_eq!(sealed.payload.len(), OVERHEAD_BYTES + value.len());
    }
}

#[tokio::test]
async fn sealing_twice_shares_nothing() {
    let (one, two) = (sealed("same").await, sealed("same").await);
    assert_ne!(one.wrapped[2..], two.wrapped[2..]);
    assert_ne!(one.payload[2..34], two.payload[2..34]);
}

#[tokio::test]
async fn every_changed_bit_and_every_cut_is_refused() {
    let whole = sealed("the value").await;
    for index in 0..whole.payload.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged.payload[index] ^= 1 << bit;
            assert!(
                open(&keyring(), &damaged).await.is_err(),
                "payload byte {index} bit {bit}"
            );
        }
        let mut cut = whole.clone();
        cut.payload.truncate(index);
        assert!(
            open(&keyring(), &cut).await.is_err(),
            "payload cut to {index}"
        );
    }
    let mut longer = whole.clone();
    longer.payload.push(0);
    assert!(open(&keyring(), &longer).await.is_err());
    let mut overlong = whole.clone();
    overlong.wrapped.resize(WRAPPED_MAX_BYTES + 1, 0);
    assert!(matches!(
        open(&keyring(), &overlong).await,
        Err(OpenError::OverlongWrap)
    ));
    overlong.wrapped = whole.wrapped.clone();
    overlong
        .payload
        .resize(OVERHEAD_BYTES + SECRET_VALUE_MAX_BYTES + 1, 0);
    assert!(matches!(
        open(&keyring(), &overlong).await,
        Err(OpenError::Format(FormatError::BadLength))
    ));
}

#[tokio::test]
async fn a_moved_secret_does_not_open() {
    let here = sealed("the value").await;
    for elsewhere in [
        SecretBinding {
            app_id: AppId::from_bytes([0; 16]),
            ..here.binding.clone()
        },
        SecretBinding {
            vault_id: VaultId::from_bytes([0; 16]),
            ..here.binding.clone()
        },
        binding("OTHER", 3),
        binding("NAME", 4),
    ] {
        let moved = SealedSecret {
            binding: elsewhere,
            ..here.clone()
        };
        assert!(matches!(
            open(&keyring(), &moved).await,
            Err(OpenError::Unwrap(KekError::NotAuthentic(_)))
        ));
    }
}

#[tokio::test]
async fn the_payload_itself_is_bound_and_committed() {
    let here = sealed("the value").await;
    let data = here.binding.wrap_data(AES_256_GCM, here.kek_id);
    let dek = keyring()
        .primary()
        .unwrap(&here.wrapped, data.as_slice())
        .await
        .unwrap();
    assert!(open_payload(&dek, &here.binding, &here.payload).is_ok());
    let elsewhere = binding("OTHER", 3);
    assert!(matches!(
        open_payload(&dek, &elsewhere, &here.payload),
        Err(OpenError::NotAuthentic(_))
    ));
    assert!(matches!(
        open_payload(&Dek::make(), &here.binding, &here.payload),
        Err(OpenError::Commitment)
    ));
}

#[tokio::test]
async fn only_the_kek_that_is_named_is_tried() {
    let other = Arc::new(LocalKek::parse(&LocalKek::make_text()).unwrap());
    let mut secret = sealed("the value").await;
    let without = Keyring::new(other.clone(), vec![]).unwrap();
    assert!(matches!(
        open(&without, &secret).await,
        Err(OpenError::UnknownKek(_))
    ));
    let both = Keyring::new(other.clone(), vec![Arc::new(LocalKek::parse(KEK).unwrap())]).unwrap();
    assert!(open(&both, &secret).await.is_ok());
    secret.kek_id = other.kek_id();
    assert!(matches!(
        open(&both, &secret).await,
        Err(OpenError::Unwrap(KekError::NotAuthentic(_)))
    ));
}

#[tokio::test]
async fn every_frozen_vector_opens_as_it_says() {
    let mut files = 0;
    for entry in fs::read_dir(vectors_directory()).unwrap() {
        let path = entry.unwrap().path();
        let file: Vectors = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let keyring = Keyring::local(&file.kek, None).unwrap();
        assert_eq!(
            keyring.primary().kek_id(),
            file.kek_id,
            "{}",
            path.display()
        );
        assert!(!file.vectors.is_empty());
        for vector in file.vectors {
            let Vector {
                app_id,
                vault_id,
                name,
                version,
                ..
            } = vector;
            let sealed = SealedSecret {
                binding: SecretBinding {
                    app_id,
                    vault_id,
                    name,
                    version,
                },
                kek_id: file.kek_id,
                wrapped: hex::decode(vector.wrapped).unwrap(),
                payload: hex::decode(vector.payload).unwrap(),
            };
            let opened = open(&keyring, &sealed)
                .await
                .ok()
                .map(|value| value.expose().to_owned());
            assert_eq!(opened, vector.value, "{}: {}", path.display(), vector.about);
        }
        files += 1;
    }
    assert!(files >= 1, "the vectors of format version 1 are gone");
}

/// Writes the vectors of the current format, once, when a format version is released. Released
/// files never change.
#[tokio::test]
#[ignore = "writes a new vector file; for the release of a new format version"]
async fn write_vectors_of_the_current_format() {
    let path = vectors_directory().join(format!("format-{VERSION_1}.json"));
    assert!(!path.exists(), "released vectors never change");
    let keyring = keyring();
    let mut vectors = Vec::new();
    let cases = [
        ("one byte", "A", "x"),
        ("an API key", "BRAVE_API_KEY", "BSA-0123456789abcdefghij"),
        ("beyond ASCII", "grusse.de-1", "grüße 🔑"),
        ("the longest name", &"n".repeat(255), "value"),
        (
            "a kibibyte and one",
            "_long",
            &"0123456789abcdef".repeat(64),
        ),
    ];
    for (version, (about, name, value)) in (1..).zip(cases) {
        let sealed = seal(
            keyring.primary(),
            binding(name, version),
            &SecretValue::new(value.to_owned()).unwrap(),
        )
        .await
        .unwrap();
        vectors.push(vector(about, &sealed, Some(value)));
    }
    let whole = sealed("the value").await;
    type Change = fn(&mut SealedSecret);
    let changes: [(&str, Change); 6] = [
        ("an unknown version", |sealed| sealed.payload[0] = 2),
        ("an unknown algorithm", |sealed| sealed.payload[1] = 2),
        ("another commitment", |sealed| sealed.payload[2] ^= 1),
        ("a byte too many", |sealed| sealed.payload.push(0)),
        ("a wrap that is too long", |sealed| sealed.wrapped.push(0)),
        ("another version of the secret", |sealed| {
            sealed.binding.version += 1
        }),
    ];
    for (about, change) in changes {
        let mut changed = whole.clone();
        change(&mut changed);
        vectors.push(vector(about, &changed, None));
    }
    let file = Vectors {
        format_version: VERSION_1,
        kek: KEK.to_owned(),
        kek_id: keyring.primary().kek_id(),
        vectors,
    };
    fs::write(path, serde_json::to_string_pretty(&file).unwrap() + "\n").unwrap();
}

fn vector(about: &str, sealed: &SealedSecret, value: Option<&str>) -> Vector {
    let SecretBinding {
        app_id,
        vault_id,
        name,
        version,
    } = sealed.binding.clone();
    let (wrapped, payload) = (hex::encode(&sealed.wrapped), hex::encode(&sealed.payload));
    Vector {
        about: about.to_owned(),
        app_id,
        vault_id,
        name,
        version,
        wrapped,
        payload,
        value: value.map(str::to_owned),
    }
}

fn vectors_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}
