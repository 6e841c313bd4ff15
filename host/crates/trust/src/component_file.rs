//! Reads a component's file, up to the limit of inspection.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;

use crate::guard;

/// Returns the file's bytes. Of a file longer than `max_bytes`, it returns one byte more than that,
/// so that inspection reports the file as too large.
pub fn read(file: File, max_bytes: usize) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(max_bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the bytes of a file that the configuration lists. Such a component gets credentials, so
/// other users may neither write to the file nor replace it.
pub fn read_listed(path: &Path, max_bytes: usize) -> io::Result<Vec<u8>> {
    // Opens without blocking: opening a pipe would block otherwise.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    guard::check_with_folders(path, &found).map_err(io::Error::other)?;
    read(file, max_bytes)
}
