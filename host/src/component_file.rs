//! Reading a component's file, of which no more is read than may be looked at.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The file's bytes; of a longer one than `max_bytes`, one byte more, so that inspection says that it is too large.
pub(crate) fn read(path: &Path, max_bytes: usize) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(max_bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
