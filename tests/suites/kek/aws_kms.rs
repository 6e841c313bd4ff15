//! AWS KMS: AWS's own SDK against moto's KMS, and the troubles that real KMS's refusals become.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use vault_core::{Dek, KekTrouble};

use crate::conformance;
use crate::fixture::{IMPATIENT, expect, keks, keyring, works};
use crate::moto::Moto;
use crate::proxy::{Proxy, answer};
use crate::rerun;

/// The variables in which the SDK finds a credential, and which keep it from asking the network for
/// one.
pub const CREDENTIAL: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "tests"),
    ("AWS_SECRET_ACCESS_KEY", "of-the-tests"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

fn config(url: &str, keys: &[&str]) -> String {
    let mut config = format!("[kek]\nprovider = \"aws_kms.key-0\"\n{IMPATIENT}");
    for (number, key) in keys.iter().enumerate() {
        config += &format!("[kek.aws_kms.key-{number}]\nkey = {key:?}\nendpoint = {url:?}\n");
    }
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_kms_keys_keep_the_contract() {
    if !rerun::is_inside() {
        return rerun::inside("aws_kms::aws_kms_keys_keep_the_contract", &CREDENTIAL);
    }
    let Some(moto) = Moto::start() else { return };
    let [first, second] = [(); 2].map(|()| moto.make_key());
    let keyring = keyring(&config(&moto.server.url(), &[&first, &second]), &[]);
    let keks = keks(&keyring);
    conformance::check(keks[0], keks[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kms_refuses_is_said_with_the_kek_id_and_what_to_do() {
    if !rerun::is_inside() {
        let test = "aws_kms::what_kms_refuses_is_said_with_the_kek_id_and_what_to_do";
        return rerun::inside(test, &CREDENTIAL);
    }
    let Some(moto) = Moto::start() else { return };
    let proxy = Proxy::start(moto.server.address).await;
    let key = moto.make_key();
    let keyring = keyring(&config(proxy.url(), &[&key]), &[]);
    works(&keyring).await.unwrap();
    for (code, trouble) in [
        ("DisabledException", KekTrouble::Disabled),
        ("KMSInvalidStateException", KekTrouble::Disabled),
        ("AccessDeniedException", KekTrouble::Denied),
        ("ExpiredTokenException", KekTrouble::Denied),
        ("NotFoundException", KekTrouble::Missing),
        ("ThrottlingException", KekTrouble::Busy),
        ("SomethingNewException", KekTrouble::Refused),
    ] {
        proxy.answer(move |seen, _| {
            // The message may repeat the request.
            let body = String::from_utf8_lossy(&seen.body).into_owned();
            answer(400, json!({ "__type": code, "message": body }).to_string())
        });
        let dek = Dek::make();
        let error = keyring.primary().wrap(&dek, b"place").await.unwrap_err();
        let shown = format!("{error} {error:?}");
        let plain = STANDARD.encode(dek.expose());
        assert!(!shown.contains(&plain[..20]), "{shown}");
        assert!(shown.contains(code), "{shown}");
        expect(&keyring, Err(error), trouble);
    }
    proxy.answer(|_, _| answer(502, "<html>"));
    expect(&keyring, works(&keyring).await, KekTrouble::Busy);
    for garbage in ["", "[]", "{}", "<html>", r#"{"KeyId": 1}"#] {
        proxy.answer(move |_, _| answer(200, garbage));
        let error = works(&keyring).await;
        expect(&keyring, error, KekTrouble::Garbled);
    }
    // This is the DEK of another key, as a false KMS may return it.
    let other = moto.make_key();
    let true_arn = key.clone();
    proxy.answer(move |_, pass| {
        let passed = pass();
        let body = passed.text().replace(&true_arn, &other);
        answer(passed.status, body)
    });
    expect(&keyring, works(&keyring).await, KekTrouble::Garbled);
    proxy.behave();
    works(&keyring).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_credential_and_without_a_connection_it_says_so() {
    if !rerun::is_inside() {
        let test = "aws_kms::without_a_credential_and_without_a_connection_it_says_so";
        rerun::inside(test, &CREDENTIAL);
        let home = tempfile::tempdir().unwrap();
        return rerun::inside::<PathBuf>(
            test,
            &[
                ("AWS_EC2_METADATA_DISABLED", "true".into()),
                ("HOME", home.path().into()),
            ],
        );
    }
    let arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    // Port 9 discards everything, and nothing listens there.
    let keyring = keyring(&config("http://127.0.0.1:9", &[arn]), &[]);
    let expected = match std::env::var_os("AWS_ACCESS_KEY_ID") {
        Some(_) => KekTrouble::Unreachable,
        None => KekTrouble::NoCredential,
    };
    expect(&keyring, works(&keyring).await, expected);
}

#[test]
fn the_replicas_of_a_multi_region_key_are_one_key_and_others_are_not() {
    let id = |arn: &str| {
        let text = format!("[kek]\nprovider = \"aws_kms\"\n[kek.aws_kms.a]\nkey = {arn:?}\n");
        keyring(&text, &[]).primary().kek_id()
    };
    let arn = |region: &str, key: &str| format!("arn:aws:kms:{region}:111122223333:key/{key}");
    assert_eq!(
        id(&arn("eu-central-1", "mrk-1")),
        id(&arn("us-east-1", "mrk-1"))
    );
    assert_ne!(id(&arn("eu-central-1", "1")), id(&arn("us-east-1", "1")));
    assert_ne!(
        id(&arn("eu-central-1", "mrk-1")),
        id(&arn("eu-central-1", "mrk-2"))
    );
}
