//! The host's own credentials. The same rules read every variable, whatever an editor or a shell
//! made of the text. The error for a text that cannot be a credential never contains it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tavora_tests::binary::{Ended, end, host, run};
use tavora_tests::daemon::Daemon;
use tavora_tests::serving::share_component_cache;
use tavora_tests::wire::Request;

const TOKEN: &str = "canary-admin-token-0123456789abcdef";

fn status_of(daemon: &Daemon, token: &str) -> u16 {
    let request = Request::new("GET", "/api/admin/apps");
    let bearer = format!("Bearer {token}");
    daemon.send(&request.header("authorization", bearer)).status
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The end of `serve` with this admin token.
fn refused_token(folder: &Path, token: &str) -> Ended {
    let mut command = host(folder);
    command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("TAVORA_ADMIN_TOKEN", token);
    let ended = end(command);
    assert_eq!(ended.status, 2, "{token}: {ended:?}");
    assert!(!ended.stderr.contains("canary"), "{ended:?}");
    ended
}

#[test]
fn an_admin_token_may_be_in_a_file_and_its_path_is_no_token() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    share_component_cache(&path.join("data"));
    let file = path.join("token");
    for content in [
        format!("{TOKEN}\n").into_bytes(),
        format!("\u{feff}{TOKEN}\r\n").into_bytes(),
        utf_16(&format!("\u{feff}{TOKEN}\r\n")),
    ] {
        std::fs::write(&file, content).expect("writable");
        let reference = format!("file://{}", file.display());
        let mut command = host(path);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data", "data"])
            .env("TAVORA_ADMIN_TOKEN", &reference);
        let daemon = Daemon::spawn(&mut command);
        assert_eq!(status_of(&daemon, TOKEN), 200);
        assert_eq!(status_of(&daemon, &reference), 401);
        let (status, log) = daemon.stop();
        assert!(status.success() && !log.contains(TOKEN), "{log}");
    }
}

#[test]
fn what_is_no_admin_token_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let file = path.join("token");
    let reference = format!("file://{}", file.display());
    for (content, says) in [
        (b"".to_vec(), "there is no credential in /"),
        (b"short".to_vec(), "5 characters"),
        (format!("{TOKEN}\n{TOKEN}\n").into_bytes(), "several lines"),
        (format!("canary\u{200b}{TOKEN}").into_bytes(), "U+200B"),
        (format!("'{TOKEN}'").into_bytes(), "quotation marks"),
        ([TOKEN.as_bytes(), b"\xff("].concat(), "no text (byte 36)"),
    ] {
        std::fs::write(&file, content).expect("writable");
        let ended = refused_token(path, &reference);
        assert!(ended.stderr.contains("TAVORA_ADMIN_TOKEN"), "{ended:?}");
        assert!(ended.stderr.contains(says), "{says}: {ended:?}");
    }
    for (token, says) in [
        (
            file.display().to_string(),
            format!("write file:// before it: {reference}"),
        ),
        (
            format!("file://{}", path.display()),
            "is a folder".to_owned(),
        ),
        (
            "file:///nothing/here/but/a/long/path".to_owned(),
            "/nothing/here".to_owned(),
        ),
        (
            "file://relative/path/of/an/admin/token".to_owned(),
            "file:///absolute/path".to_owned(),
        ),
        (
            "/run/secrets/canary-tavora-admin-token".to_owned(),
            "file:///absolute/path".to_owned(),
        ),
        (
            "https://vault.example.com/canary/token".to_owned(),
            "looks like the place".to_owned(),
        ),
        (
            "${CANARY_ADMIN_TOKEN_OF_PRODUCTION_1}".to_owned(),
            "looks like the place".to_owned(),
        ),
    ] {
        let ended = refused_token(path, &token);
        assert!(ended.stderr.contains(&says), "{says}: {ended:?}");
    }
}

#[test]
fn a_kek_may_be_in_a_file_of_any_editor_and_its_path_is_told_from_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let kek = run(path, &["kek", "generate"]).stdout;
    let kek = kek.trim();
    let file = path.join("a-kek");
    let status = |variable: &str, value: &str| {
        let mut command = host(path);
        command.args(["app", "create", "Shop", "--slug", "shop"]);
        let _ = end(command);
        let mut command = host(path);
        command
            .args(["kek", "status", "--json"])
            .env(variable, value);
        if variable != "TAVORA_SECRET_KEK" {
            let primary = run(path, &["kek", "generate"]).stdout;
            command.env("TAVORA_SECRET_KEK", primary.trim());
        }
        end(command)
    };
    let as_it_is = status("TAVORA_SECRET_KEK", kek);
    assert_eq!(as_it_is.status, 0, "{as_it_is:?}");
    for content in [
        format!("\u{feff}{kek}\n").into_bytes(),
        format!("{kek}\r\n").into_bytes(),
        format!(" {kek}\u{a0}\n\n").into_bytes(),
        utf_16(&format!("\u{feff}{kek}\r\n")),
    ] {
        std::fs::write(&file, content).expect("writable");
        for scheme in ["file://", "file:"] {
            let reference = format!("{scheme}{}", file.display());
            let read = status("TAVORA_SECRET_KEK", &reference);
            assert_eq!(read.stdout, as_it_is.stdout, "{read:?}");
            let read = status("TAVORA_SECRET_KEK_PREVIOUS", &reference);
            assert_eq!(read.status, 0, "{read:?}");
        }
    }
    let place = file.display().to_string();
    for variable in ["TAVORA_SECRET_KEK", "TAVORA_SECRET_KEK_PREVIOUS"] {
        for (value, says) in [
            (place.clone(), format!("file://{place}")),
            (
                "/nothing/here/kek".to_owned(),
                "file:///path/kek".to_owned(),
            ),
            ("${KEK}".to_owned(), "file:///path/kek".to_owned()),
            (format!("\"{kek}\""), "quotation marks".to_owned()),
            (
                format!("file://{}", path.display()),
                "is a folder".to_owned(),
            ),
            ("file://kek".to_owned(), "file:///absolute/path".to_owned()),
        ] {
            let refused = status(variable, &value);
            assert_eq!(refused.status, 2, "{value}: {refused:?}");
            let said = refused.stderr;
            assert!(
                said.contains(variable) && said.contains(&says),
                "{says}: {said}"
            );
            assert!(!said.contains(kek), "{said}");
        }
    }
}

#[test]
fn a_kek_that_every_user_can_write_is_refused_and_one_that_they_can_read_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    assert_eq!(run(path, &["kek", "generate", "--out", "kek"]).status, 0);
    let made = run(path, &["app", "create", "Shop"]);
    assert_eq!(made.status, 0, "{made:?}");
    let with_mode = |mode| {
        let file = path.join("kek");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("our own");
        let mut command = host(path);
        let reference = format!("file://{}", file.display());
        command
            .args(["kek", "status"])
            .env("TAVORA_SECRET_KEK", reference);
        end(command)
    };
    for mode in [0o600, 0o400] {
        let ended = with_mode(mode);
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
    }
    for mode in [0o440, 0o640, 0o644, 0o660] {
        let ended = with_mode(mode);
        assert_eq!(ended.status, 0, "{ended:?}");
        let told = ended.stderr.matches("can read this credential").count();
        assert_eq!(told, 1, "{mode:o}: {ended:?}");
    }
    for mode in [0o666, 0o602] {
        let ended = with_mode(mode);
        assert_eq!(ended.status, 2, "{mode:o}: {ended:?}");
        assert!(ended.stderr.contains("chmod go-w"), "{ended:?}");
    }
}
