//! PKCS#11 with keys in SoftHSM. SoftHSM reads the place of its tokens from the environment. So
//! each test makes a token and runs itself again, in a process whose environment names it.

use std::path::{Path, PathBuf};
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use tavora_tests::requirement;
use tempfile::TempDir;
use vault_core::{KekError, KekTrouble, Keyring};

use crate::conformance;
use crate::fixture::{IMPATIENT, expect, keks, keyring, works};
use crate::rerun;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const VARIABLE: &str = "SOFTHSM2_CONF";
const PIN: &str = "pin-of-the-tests";

/// A token with the AES keys 01 and 02, and with 03, which is extractable.
struct Token {
    folder: PathBuf,
}

impl Token {
    /// Returns the token that this process was started with. The first process has none: it makes a
    /// token and runs the test again in a second process.
    fn of(test: &str) -> Option<Self> {
        if rerun::is_inside() {
            let configuration = std::env::var_os(VARIABLE).unwrap();
            let folder = Path::new(&configuration).parent().unwrap().to_owned();
            let token = Self { folder };
            token.make_keys();
            return Some(token);
        }
        if requirement::are_there(&[("SoftHSM", Path::new(MODULE).exists())]) {
            let folder = tempfile::tempdir().unwrap();
            make_token(&folder);
            let configuration = folder.path().join("softhsm2.conf");
            rerun::inside(test, &[(VARIABLE, configuration)]);
        }
        None
    }

    fn make_keys(&self) {
        let library = Pkcs11::new(MODULE).unwrap();
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        library.initialize(arguments).unwrap();
        let slots = library.get_slots_with_initialized_token().unwrap();
        let session = library.open_rw_session(slots[0]).unwrap();
        session
            .login(UserType::User, Some(&AuthPin::from(PIN)))
            .unwrap();
        for (id, may_leave) in [(1, false), (2, false), (3, true)] {
            let template = [
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(!may_leave),
                Attribute::Extractable(may_leave),
                Attribute::Encrypt(true),
                Attribute::Decrypt(true),
                Attribute::Id(vec![id]),
                Attribute::ValueLen(32.into()),
            ];
            session
                .generate_key(&Mechanism::AesKeyGen, &template)
                .unwrap();
        }
    }

    fn write_pin(&self, pin: &str) {
        std::fs::write(self.folder.join("pin"), pin).unwrap();
    }

    /// The keyring with these keys, the first of which is the primary.
    fn keyring(&self, key_ids: &[&str]) -> Keyring {
        self.write_pin(PIN);
        self.keyring_of("tavora", MODULE, key_ids)
    }

    fn keyring_of(&self, label: &str, module: &str, key_ids: &[&str]) -> Keyring {
        let mut config = format!(
            "[kek]\nprovider = \"pkcs11.key-{}\"\n{IMPATIENT}",
            key_ids[0]
        );
        for key_id in key_ids {
            config += &format!(
                "[kek.pkcs11.key-{key_id}]\nmodule = {module:?}\ntoken_label = {label:?}\nkey_id = {key_id:?}\npin = \"file://{}/pin\"\n",
                self.folder.display()
            );
        }
        keyring(&config, &[])
    }
}

fn make_token(folder: &TempDir) {
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let configuration = folder.path().join("softhsm2.conf");
    let text = format!("directories.tokendir = {}\n", tokens.display());
    std::fs::write(&configuration, text).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "tavora"])
        .args(["--so-pin", "so-pin-of-the-tests", "--pin", PIN])
        .env(VARIABLE, configuration)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pkcs11_keys_keep_the_contract() {
    let Some(token) = Token::of("pkcs11::pkcs11_keys_keep_the_contract") else {
        return;
    };
    let keyring = token.keyring(&["01", "02"]);
    let keks = keks(&keyring);
    conformance::check(keks[0], keks[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_refuses_is_said_with_the_kek_id_and_what_to_do() {
    let Some(token) =
        Token::of("pkcs11::what_a_token_refuses_is_said_with_the_kek_id_and_what_to_do")
    else {
        return;
    };
    token.write_pin(PIN);
    for (keyring, trouble) in [
        (
            token.keyring_of("tavora", MODULE, &["09"]),
            KekTrouble::Missing,
        ),
        (
            token.keyring_of("other", MODULE, &["01"]),
            KekTrouble::Missing,
        ),
        (
            token.keyring_of("tavora", "/nonexistent.so", &["01"]),
            KekTrouble::Missing,
        ),
        (
            token.keyring_of("tavora", MODULE, &["03"]),
            KekTrouble::Exposed,
        ),
    ] {
        expect(&keyring, works(&keyring).await, trouble);
    }
}

/// SoftHSM keeps a process logged in as long as it has a session, so the test logs out in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_pin_is_not_shown_again_and_a_new_one_is() {
    let Some(token) = Token::of("pkcs11::a_refused_pin_is_not_shown_again_and_a_new_one_is") else {
        return;
    };
    let keyring = token.keyring(&["01"]);
    token.write_pin("not-the-pin");
    expect(&keyring, works(&keyring).await, KekTrouble::Denied);
    let again = works(&keyring).await.unwrap_err();
    let KekError::Provider {
        source: Some(source),
        ..
    } = &again
    else {
        panic!("{again:?}")
    };
    assert!(
        source.to_string().contains("not shown to it again"),
        "{source}"
    );
    expect(&keyring, Err(again), KekTrouble::Denied);
    token.write_pin(PIN);
    works(&keyring).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_away_is_used_again() {
    let Some(token) = Token::of("pkcs11::a_token_that_was_away_is_used_again") else {
        return;
    };
    let keyring = token.keyring(&["01"]);
    works(&keyring).await.unwrap();
    // All sessions of the process are closed, as when a card is pulled.
    let library = Pkcs11::new(MODULE).unwrap();
    let slot = library.get_slots_with_initialized_token().unwrap()[0];
    library.open_ro_session(slot).unwrap().logout().unwrap();
    works(&keyring).await.unwrap();

    // Only SoftHSM has this property: a token that it does not find again stays missing until the
    // process ends. With any provider the error must name the key.
    std::fs::remove_dir_all(token.folder.join("tokens")).unwrap();
    let error = works(&keyring).await.unwrap_err();
    let kek_id = keyring.primary().kek_id().to_string();
    assert!(error.to_string().contains(&kek_id), "{error}");
    expect(&keyring, works(&keyring).await, KekTrouble::Missing);
}
