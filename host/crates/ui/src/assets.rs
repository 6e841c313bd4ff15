//! The style, the script and the icon, embedded in the binary. Their paths contain a digest of the
//! content, so a browser may cache each one for good and never combines a page with the style of
//! another version.

mod serve;

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

pub(super) use self::serve::serve;
use super::paths::ROOT;

/// A file that pages load.
pub(super) struct Asset {
    file: String,
    content_type: &'static str,
    text: &'static str,
}

pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("assets/style.css");
    Asset::new("style", "css", "text/css; charset=utf-8", text)
});

/// The script. No page depends on it: it adds the copy button, and clears values that are shown
/// once.
pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("assets/script.js");
    Asset::new("script", "js", "text/javascript; charset=utf-8", text)
});

pub(super) static ICON: LazyLock<Asset> = LazyLock::new(|| {
    let text = include_str!("assets/icon.svg");
    Asset::new("icon", "svg", "image/svg+xml", text)
});

impl Asset {
    fn new(name: &str, ending: &str, content_type: &'static str, text: &'static str) -> Self {
        let digest = hex::encode(&Sha256::digest(text)[..8]);
        Self {
            file: format!("{name}-{digest}.{ending}"),
            content_type,
            text,
        }
    }

    /// The path under which browsers load the file.
    pub(super) fn path(&self) -> String {
        format!("{ROOT}/assets/{}", self.file)
    }
}
