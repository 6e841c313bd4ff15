//! The folder of compiled components: the engine's cache, an index of what is in it, and staging
//! folders for workers.
//!
//! A worker compiles into a staging folder. Its code then moves into the engine's cache, which runs
//! it as native code: a worker is trusted as far as the compiler in this process would be. The
//! folder must be as private as the database.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use wasmtime::Engine;

use super::inspection::Digest;

/// The configured folder, or a temporary one for this process.
pub(super) struct CompiledComponents {
    folder: PathBuf,
    _own: Option<TempDir>,
}

/// Identifies a component and the engine that it is compiled for.
pub(super) struct CompiledKey(String);

impl CompiledKey {
    pub(super) fn new(digest: Digest, engine: &Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let parts = format!("{digest} {}", hasher.finish());
        Self(hex::encode(Sha256::digest(parts)))
    }
}

impl CompiledComponents {
    pub(super) fn open(cache_dir: Option<&Path>) -> io::Result<Self> {
        let (folder, own) = match cache_dir {
            Some(folder) => (folder.to_owned(), None),
            None => {
                let own = tempfile::tempdir()?;
                (own.path().to_owned(), Some(own))
            }
        };
        let open = Self { folder, _own: own };
        for folder in [open.engine(), open.known(), open.staging()] {
            fs::create_dir_all(folder)?;
        }
        Ok(open)
    }

    /// The folder of the engine's cache. The engine deletes files there that it does not know.
    pub(super) fn engine(&self) -> PathBuf {
        self.folder.join("engine")
    }

    /// The folder of the index: a file for each compiled component, with the path of its code.
    fn known(&self) -> PathBuf {
        self.folder.join("known")
    }

    fn staging(&self) -> PathBuf {
        self.folder.join("staging")
    }

    /// Whether the component is compiled and its code still exists.
    pub(super) fn has(&self, key: &CompiledKey) -> bool {
        let place = fs::read_to_string(self.known().join(&key.0));
        place.is_ok_and(|place| self.engine().join(place).exists())
    }

    /// Records that the engine itself compiled the component into its cache.
    pub(super) fn note(&self, key: &CompiledKey) -> io::Result<()> {
        fs::write(self.known().join(&key.0), "")
    }

    /// Makes an empty folder for one worker.
    pub(super) fn stage(&self) -> io::Result<TempDir> {
        tempfile::tempdir_in(self.staging())
    }

    /// Moves a worker's code from `staged` into the engine's cache.
    pub(super) fn adopt(&self, key: &CompiledKey, staged: &Path) -> io::Result<()> {
        let modules = Path::new("modules");
        let compiler = only_entry(&staged.join(modules))?;
        let folder = modules.join(compiler.file_name().unwrap_or_default());
        let code = only_entry(&compiler)?;
        if !code.symlink_metadata()?.is_file() {
            return Err(io::Error::other("the worker left no code"));
        }
        let place = folder.join(code.file_name().unwrap_or_default());
        fs::create_dir_all(self.engine().join(folder))?;
        fs::rename(code, self.engine().join(&place))?;
        // If another process reads a half-written path, it finds no code and compiles again.
        fs::write(
            self.known().join(&key.0),
            place.as_os_str().as_encoded_bytes(),
        )
    }
}

/// Returns the only file or folder in `folder`, ignoring statistics and their temporary files.
fn only_entry(folder: &Path) -> io::Result<PathBuf> {
    let mut found = None;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().unwrap_or_default().as_encoded_bytes();
        let is_statistic = extension == b"stats" || extension.starts_with(b"wip-");
        if !is_statistic && found.replace(path).is_some() {
            return Err(io::Error::other("the worker left more than one file"));
        }
    }
    found.ok_or_else(|| io::Error::other("the worker left nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> CompiledKey {
        CompiledKey::new(Digest::of(text.as_bytes()), &Engine::default())
    }

    #[test]
    fn what_a_worker_left_is_known_for_as_long_as_it_is_there() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let compiled = CompiledComponents::open(Some(cache.path())).expect("writable");
        let staged = compiled.stage().expect("writable");
        let folder = staged.path().join("modules/wasmtime-1.2.3");
        fs::create_dir_all(&folder).expect("writable");
        assert!(compiled.adopt(&key("a"), staged.path()).is_err());
        fs::write(folder.join("code.stats"), "statistics").expect("writable");
        fs::write(folder.join("code.wip-atomic-write-stats"), "half").expect("writable");
        fs::write(folder.join("code"), "native").expect("writable");
        assert!(!compiled.has(&key("a")));
        compiled.adopt(&key("a"), staged.path()).expect("one file");
        assert!(compiled.has(&key("a")) && !compiled.has(&key("b")));
        let place = compiled.engine().join("modules/wasmtime-1.2.3/code");
        fs::remove_file(place).expect("it was moved there");
        assert!(!compiled.has(&key("a")));
    }

    #[test]
    fn a_worker_that_leaves_a_link_or_two_files_leaves_no_code() {
        let compiled = CompiledComponents::open(None).expect("a folder of its own");
        for names in [["one", "two"], ["link", "link.stats"]] {
            let staged = compiled.stage().expect("writable");
            let folder = staged.path().join("modules/wasmtime-1.2.3");
            fs::create_dir_all(&folder).expect("writable");
            for name in names {
                match name {
                    "link" => std::os::unix::fs::symlink("/etc/passwd", folder.join(name)),
                    _ => fs::write(folder.join(name), ""),
                }
                .expect("writable");
            }
            assert!(compiled.adopt(&key("a"), staged.path()).is_err());
        }
    }
}
