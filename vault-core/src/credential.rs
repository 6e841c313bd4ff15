//! Credentials of the host as an operator writes them: the text itself, or `file:///path` of a file
//! that holds it.
//!
//! Text that editors and shells add around a credential is removed. Text that they add inside it is
//! named in the error. The host reads credentials from variables and files only through this
//! module. No error holds any of the text, and nothing is kept.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
};
use zeroize::Zeroizing;

use crate::{
    folders::{ExposedFolder, check_folders},
    oddity::{Oddity, oddities, without_surroundings},
    rights::Rights,
};

/// The longest credential that is accepted, in bytes.
pub const CREDENTIAL_MAX_BYTES: usize = 16 * 1024;

/// A credential, and the file that it came from.
#[derive(Clone)]
pub struct Credential {
    /// The credential: one line without surrounding blanks.
    pub text: Zeroizing<String>,
    /// The file that held the credential; `None` when the text was given directly.
    pub file: Option<PathBuf>,
}

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The text begins like a file reference and is none, for example `file://path`.
    #[error("a file is given as file:///absolute/path; correct the reference")]
    Reference,
    /// The text is the path of a file, without `file://` before it.
    #[error("this is the path of a file; write file:// before it: file://{}", path.display())]
    BarePath {
        /// The path of the file, which exists.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("the credential's file {} cannot be read", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The path leads to a folder, a device or a socket.
    #[error("{} is {kind}, and no file with a credential", path.display())]
    NotAFile {
        /// The path in question.
        path: PathBuf,
        /// The kind of the file, in words.
        kind: &'static str,
    },
    /// Everybody may write to the file, and so decide the credential.
    #[error("every user can write to the credential's file {0}; `chmod go-w {0}` ends that", path.display())]
    WritableByAll {
        /// The path of the file.
        path: PathBuf,
    },
    /// Other users can replace the file.
    #[error(transparent)]
    Exposed(#[from] ExposedFolder),
    /// The bytes of the file are no text.
    #[error(
        "what is in {} is no text (byte {byte}); write the credential as text, raw bytes for example as base64", path.display()
    )]
    NotText {
        /// The path of the file.
        path: PathBuf,
        /// The first byte that is no text, from 1.
        byte: usize,
    },
    /// The credential is empty.
    #[error("there is no credential in {place}")]
    Empty {
        /// The place of the empty credential.
        place: Place,
    },
    /// The credential is longer than [`CREDENTIAL_MAX_BYTES`].
    #[error("what is in {place} is longer than {CREDENTIAL_MAX_BYTES} bytes, and no credential")]
    TooLong {
        /// The place of the credential.
        place: Place,
    },
    /// The text holds something that does not belong in a credential.
    #[error("what is in {place} {oddity}; leave the credential alone in it")]
    Odd {
        /// The place of the text.
        place: Place,
        /// The oddity in the text.
        oddity: Oddity,
    },
}

/// The place of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The text that was given.
    Text,
    /// The file at this path.
    File(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("it"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Credential {
    /// Takes text that is the credential itself or names its file.
    ///
    /// # Errors
    /// There is no credential, or it is not fit to be used.
    pub fn read(text: &str) -> Result<Self, CredentialError> {
        let text = without_surroundings(text);
        if let Some(path) = file_of(text)? {
            return Self::read_file(&path);
        }
        let path = Path::new(text);
        if path.is_absolute() && path.is_file() {
            return Err(CredentialError::BarePath { path: path.into() });
        }
        Ok(Self {
            text: checked(text, Place::Text)?,
            file: None,
        })
    }

    /// Reads the credential in a file.
    ///
    /// # Errors
    /// The file cannot be read, everybody may write to it, or it holds no credential.
    pub fn read_file(path: &Path) -> Result<Self, CredentialError> {
        let bytes = bytes_of(path)?;
        let place = Place::File(path.into());
        if bytes.len() > CREDENTIAL_MAX_BYTES {
            return Err(CredentialError::TooLong { place });
        }
        let text = decoded(&bytes).map_err(|byte| CredentialError::NotText {
            path: path.into(),
            byte,
        })?;
        Ok(Self {
            text: checked(without_surroundings(&text), place)?,
            file: Some(path.into()),
        })
    }

    /// Takes a list of such texts, separated by commas. Empty places are left out.
    ///
    /// # Errors
    /// The place of the first text that is no credential, from 1, and what is wrong with it.
    pub fn read_list(texts: &str) -> Result<Vec<Self>, (usize, CredentialError)> {
        without_surroundings(texts)
            .split(',')
            .filter(|text| !without_surroundings(text).is_empty())
            .enumerate()
            .map(|(index, text)| Self::read(text).map_err(|error| (index + 1, error)))
            .collect()
    }
}

/// The file that a text names as `file:///path`, or as other programs write that. `None` when the
/// text names no file. The path is taken literally, without percent-decoding.
///
/// # Errors
/// The text begins like such a reference and is none.
pub fn file_of(text: &str) -> Result<Option<PathBuf>, CredentialError> {
    const SCHEME: &str = "file:";
    let scheme = text.get(..SCHEME.len());
    if !scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME)) {
        return Ok(None);
    }
    let rest = &text[SCHEME.len()..];
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
    };
    match path.starts_with('/') && path.len() > 1 {
        true => Ok(Some(path.into())),
        false => Err(CredentialError::Reference),
    }
}

/// Whether a text looks like a path, a URL or a variable rather than like random text.
pub fn looks_like_a_place(text: &str) -> bool {
    let begins = ["/", "./", "../", "~/", "~\\", "\\\\", "env:", "arn:"];
    let drive = text.as_bytes();
    let is_drive = drive.len() > 2 && drive[0].is_ascii_alphabetic() && &drive[1..3] == b":\\";
    begins.iter().any(|start| text.starts_with(start))
        || is_drive
        || text.contains("://")
        || oddities(text).contains(&Oddity::Template)
        || Path::new(text).is_file()
}

/// Reads the bytes of the file, but no more than show that it is too long.
fn bytes_of(path: &Path) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let unreadable = |source| CredentialError::Unreadable {
        path: path.into(),
        source,
    };
    // Open without waiting, because opening a pipe waits for somebody who writes to it.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    let kind = found.file_type();
    if !kind.is_file() && !is_pipe(&kind) {
        return Err(CredentialError::NotAFile {
            path: path.into(),
            kind: if kind.is_dir() {
                "a folder"
            } else {
                "a device or a socket"
            },
        });
    }
    check_folders(path)?;
    check_rights(path, Rights::of(&found))?;
    if is_pipe(&kind) {
        wait_for(&file).map_err(unreadable)?;
    }
    // Allocate the whole size at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(CREDENTIAL_MAX_BYTES + 1));
    file.take(CREDENTIAL_MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}

fn is_pipe(kind: &std::fs::FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    kind.is_fifo()
}

/// Makes reading wait for the program that writes. A shell's `<(…)` is such a pipe.
fn wait_for(file: &File) -> io::Result<()> {
    fcntl(file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(())
}

fn check_rights(path: &Path, rights: Rights) -> Result<(), CredentialError> {
    if rights.others_write(path) {
        return Err(CredentialError::WritableByAll { path: path.into() });
    }
    if (rights.has_others() || rights.has_group()) && rights.is_news(path) {
        let who = match rights.has_others() {
            true => "other users can read this credential",
            false => "the file's group can read this credential",
        };
        tracing::warn!(path = %path.display(), mode = rights.octal(), "{who}; chmod 600 it");
    }
    Ok(())
}

/// The text of a file in any encoding that editors use. The error is the first byte that is no
/// text.
fn decoded(bytes: &[u8]) -> Result<Zeroizing<String>, usize> {
    let zero = |offset: usize| bytes.iter().skip(offset).step_by(2).all(|byte| *byte == 0);
    let is_wide = bytes.len() >= 4 && bytes.len().is_multiple_of(2);
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ if is_wide && zero(1) => wide(bytes, u16::from_le_bytes),
        _ if is_wide && zero(0) => wide(bytes, u16::from_be_bytes),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Zeroizing::new(text.to_owned())),
            Err(error) => Err(error.valid_up_to() + 1),
        },
    }
}

fn wide(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Zeroizing<String>, usize> {
    let (pairs, _) = bytes.as_chunks::<2>();
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for c in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        match c {
            Ok(c) => text.push(c),
            Err(_) => return Err(text.len() + 1),
        }
    }
    Ok(text)
}

/// Requires one line of characters that somebody typed or a program made.
fn checked(text: &str, place: Place) -> Result<Zeroizing<String>, CredentialError> {
    if text.is_empty() {
        return Err(CredentialError::Empty { place });
    }
    if text.len() > CREDENTIAL_MAX_BYTES {
        return Err(CredentialError::TooLong { place });
    }
    let is_wrong = |oddity: &Oddity| {
        matches!(
            oddity,
            Oddity::Lines | Oddity::Invisible { .. } | Oddity::Quoted
        )
    };
    match oddities(text).into_iter().find(is_wrong) {
        Some(oddity) => Err(CredentialError::Odd { place, oddity }),
        None => Ok(Zeroizing::new(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    const KEY: &str = "s.canary-0123456789";

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        file
    }

    fn said(read: Result<Credential, CredentialError>) -> String {
        match read {
            Ok(read) => panic!("{} characters were accepted", read.text.len()),
            Err(error) => {
                let said = format!("{error} {error:?}");
                assert!(!said.contains("canary"), "{said}");
                error.to_string()
            }
        }
    }

    #[test]
    fn a_file_may_be_as_any_editor_writes_it() {
        let wide = |unit: fn(u16) -> [u8; 2], text: &str| -> Vec<u8> {
            text.encode_utf16().flat_map(unit).collect()
        };
        for content in [
            KEY.as_bytes().to_vec(),
            format!("{KEY}\n").into_bytes(),
            format!("{KEY}\r\n\r\n").into_bytes(),
            format!(" \t{KEY} \u{a0}\u{200b}\n").into_bytes(),
            format!("\u{feff}{KEY}\r\n").into_bytes(),
            wide(u16::to_le_bytes, &format!("\u{feff}{KEY}\r\n")),
            wide(u16::to_be_bytes, &format!("\u{feff}{KEY}\r\n")),
            wide(u16::to_le_bytes, KEY),
            wide(u16::to_be_bytes, KEY),
        ] {
            let file = file(&content);
            for reference in ["file://", "file:", "FILE://localhost", " file://"] {
                let read = Credential::read(&format!("{reference}{}\n", file.path().display()));
                let read = read.unwrap_or_else(|error| panic!("{content:?}: {error}"));
                assert_eq!(*read.text, KEY, "{content:?}");
                assert_eq!(read.file.as_deref(), Some(file.path()));
            }
        }
    }

    #[test]
    fn what_is_no_credential_is_said_and_never_shown() {
        for (content, words) in [
            (b"".to_vec(), "there is no credential in /"),
            (b"\xef\xbb\xbf \r\n".to_vec(), "there is no credential in /"),
            (format!("{KEY}\n{KEY}\n").into_bytes(), "has several lines"),
            (
                format!("s.{}\u{200b}{KEY}", "x").into_bytes(),
                "an invisible character (U+200B) at position 4",
            ),
            (
                format!("s.\0{KEY}").into_bytes(),
                "an invisible character (U+0000) at position 3",
            ),
            (
                format!("\"{KEY}\"").into_bytes(),
                "stands in quotation marks",
            ),
            ([KEY.as_bytes(), b"\xc3("].concat(), "is no text (byte 20)"),
            (KEY.repeat(1_000).into_bytes(), "is longer than 16384 bytes"),
        ] {
            let file = file(&content);
            let said = said(Credential::read_file(file.path()));
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn what_is_no_file_with_a_credential_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let here = file(KEY.as_bytes());
        let bare = here.path().display().to_string();
        for (text, words) in [
            (format!("file://{path}"), "is a folder".to_owned()),
            (
                format!("file://{path}/nothing"),
                "cannot be read".to_owned(),
            ),
            ("file:///dev/null".to_owned(), "is a device".to_owned()),
            (
                format!("file://{}", pipe.display()),
                "there is no credential in".to_owned(),
            ),
            (
                "file://relative".to_owned(),
                "file:///absolute/path".to_owned(),
            ),
            (
                "file:relative".to_owned(),
                "file:///absolute/path".to_owned(),
            ),
            ("file:///".to_owned(), "file:///absolute/path".to_owned()),
            (
                bare.clone(),
                format!("write file:// before it: file://{bare}"),
            ),
            ("  ".to_owned(), "there is no credential in it".to_owned()),
        ] {
            let said = said(Credential::read(&text));
            assert!(said.contains(&words), "{text}: {said}");
        }
    }

    #[test]
    fn a_file_that_everybody_can_write_to_is_refused() {
        let file = file(KEY.as_bytes());
        for (mode, is_taken) in [
            (0o600, true),
            (0o400, true),
            (0o440, true),
            (0o644, true),
            (0o660, true),
            (0o666, false),
            (0o602, false),
        ] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            match Credential::read_file(file.path()) {
                Ok(read) => assert!(is_taken && *read.text == KEY, "{mode:o}"),
                Err(error) => {
                    assert!(!is_taken, "{mode:o}: {error}");
                    let said = error.to_string();
                    assert!(said.contains("`chmod go-w /"), "{said}");
                }
            }
        }
    }

    #[test]
    fn a_list_names_the_place_of_what_is_wrong() {
        let file = file(KEY.as_bytes());
        let list = format!(" ,one, file://{},\n", file.path().display());
        let texts: Vec<_> = Credential::read_list(&list)
            .unwrap()
            .into_iter()
            .map(|read| read.text.to_string())
            .collect();
        assert_eq!(texts, ["one", KEY]);
        let Err((place, error)) = Credential::read_list("one,file://two") else {
            panic!("it was taken");
        };
        assert_eq!(place, 2);
        assert!(matches!(error, CredentialError::Reference));
    }

    #[test]
    fn a_place_is_told_from_a_credential() {
        for place in [
            "/run/secrets/tavora-admin-token",
            "./token",
            "~/token",
            "C:\\secrets\\token",
            "https://vault.example.com/token",
            "op://vault/item/token",
            "env:ADMIN_TOKEN_OF_PRODUCTION",
            "arn:aws:secretsmanager:eu-west-1:1:secret:x",
            "${ADMIN_TOKEN}",
            "$ADMIN_TOKEN",
        ] {
            assert!(looks_like_a_place(place), "{place}");
        }
        for credential in [KEY, "AbC/dEf+gH==", "correct horse battery staple", "a$b"] {
            assert!(!looks_like_a_place(credential), "{credential}");
        }
    }
}
