//! The cipher against published vectors: Wycheproof and NIST CAVP.
//!
//! Only what the vault uses can run: 256-bit keys, 96-bit nonces, 128-bit tags.

use std::{collections::HashMap, fs, path::Path};

use vault_core::aead::{Aead, KEY_BYTES, NONCE_BYTES, NotAuthentic, TAG_BYTES};
use wycheproof::{
    TestResult,
    aead::{TestName, TestSet},
};

struct Case<'a> {
    key: &'a [u8],
    nonce: &'a [u8],
    associated_data: &'a [u8],
    plain: &'a [u8],
    sealed: &'a [u8],
    tag: &'a [u8],
}

impl Case<'_> {
    fn aead(&self) -> (Aead, [u8; NONCE_BYTES], [u8; TAG_BYTES]) {
        let key: &[u8; KEY_BYTES] = self.key.try_into().unwrap();
        (
            Aead::new(key),
            self.nonce.try_into().unwrap(),
            self.tag.try_into().unwrap(),
        )
    }

    fn opens(&self) -> bool {
        let (aead, nonce, tag) = self.aead();
        let mut buffer = self.sealed.to_vec();
        match aead.open(&nonce, self.associated_data, &mut buffer, &tag) {
            Ok(()) => {
                assert_eq!(buffer, self.plain);
                true
            }
            Err(NotAuthentic) => {
                assert_eq!(buffer, self.sealed, "a refused ciphertext was decrypted");
                false
            }
        }
    }

    fn seals(&self) {
        let (aead, nonce, tag) = self.aead();
        let mut buffer = self.plain.to_vec();
        assert_eq!(aead.seal(&nonce, self.associated_data, &mut buffer), tag);
        assert_eq!(buffer, self.sealed);
    }
}

#[test]
fn wycheproof() {
    let (mut valid, mut invalid) = (0, 0);
    let groups = TestSet::load(TestName::AesGcm).unwrap().test_groups;
    let fitting = groups
        .iter()
        .filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128));
    for test in fitting.flat_map(|group| &group.tests) {
        let case = Case {
            key: &test.key,
            nonce: &test.nonce,
            associated_data: &test.aad,
            plain: &test.pt,
            sealed: &test.ct,
            tag: &test.tag,
        };
        match test.result {
            TestResult::Invalid => {
                assert!(!case.opens(), "{}", test.tc_id);
                invalid += 1;
            }
            TestResult::Valid | TestResult::Acceptable => {
                assert!(case.opens(), "{}", test.tc_id);
                case.seals();
                valid += 1;
            }
        }
    }
    assert!(
        valid >= 30 && invalid >= 20,
        "{valid} valid, {invalid} invalid"
    );
}

/// Runs every file of the folder, so that none can be forgotten.
#[test]
fn nist_cavp() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/nist-cavp");
    let mut files = 0;
    for path in fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if path.extension().is_none_or(|extension| extension != "rsp") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let (mut opened, mut refused) = (0, 0);
        for block in text.split("Count = ").skip(1) {
            let fields: HashMap<_, _> = block
                .lines()
                .filter_map(|line| line.split_once(" ="))
                .collect();
            let bytes = |name: &str| {
                fields
                    .get(name)
                    .map(|text| hex::decode(text.trim()).unwrap())
            };
            let plain = bytes("PT");
            assert_eq!(plain.is_none(), block.contains("FAIL"), "{block}");
            let (key, nonce, data) = (
                bytes("Key").unwrap(),
                bytes("IV").unwrap(),
                bytes("AAD").unwrap(),
            );
            let (sealed, tag) = (bytes("CT").unwrap(), bytes("Tag").unwrap());
            let case = Case {
                key: &key,
                nonce: &nonce,
                associated_data: &data,
                plain: plain.as_deref().unwrap_or_default(),
                sealed: &sealed,
                tag: &tag,
            };
            assert_eq!(case.opens(), plain.is_some(), "{block}");
            if plain.is_some() {
                case.seals();
                opened += 1;
            } else {
                refused += 1;
            }
        }
        match path.file_stem().and_then(|stem| stem.to_str()) {
            Some("gcmDecrypt256") => assert_eq!((opened, refused), (184, 191)),
            Some("gcmEncryptExtIV256") => assert_eq!((opened, refused), (375, 0)),
            other => panic!("{other:?} is not counted here"),
        }
        files += 1;
    }
    assert_eq!(files, 2);
}
