//! Parses interface names, and compares versions.
//!
//! The interfaces themselves are listed in `contract`.

/// A parsed interface name: `package/interface@version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interface<'a> {
    pub(super) package: &'a str,
    pub(super) name: &'a str,
    pub(super) version: Option<&'a str>,
}

impl<'a> Interface<'a> {
    /// Parses `text`. Returns `None` if it does not have two parts before the slash and one after
    /// it.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (path, version) = match text.split_once('@') {
            Some((path, version)) => (path, Some(version)),
            None => (text, None),
        };
        let (package, name) = path.split_once('/')?;
        let (namespace, package_name) = package.split_once(':')?;
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        [namespace, package_name, name]
            .into_iter()
            .all(is_word)
            .then_some(Self {
                package,
                name,
                version,
            })
    }

    /// Whether the platform or WASI defines this interface.
    pub(super) fn is_reserved(&self) -> bool {
        self.package.starts_with("tavora:") || self.package.starts_with("wasi:")
    }
}

/// The accepted versions of an interface.
#[derive(Clone, Copy)]
pub(super) enum Versions {
    /// `0.1.N`, and `0.1` in names of core modules that omit the patch number.
    Platform,
    /// `0.2.N`, and `0.2` in names of core modules that omit the patch number. Patches only add
    /// items. If a component uses an item of a newer patch, the linker knows it or refuses it by
    /// name.
    Wasi,
    /// A pre-release, which is compatible with itself only.
    Exactly(&'static str),
}

impl Versions {
    pub(super) fn fit(self, version: &str, patch_left_out: bool) -> bool {
        match self {
            Self::Platform => Self::patch("0.1", version, patch_left_out).is_some(),
            Self::Wasi => Self::patch("0.2", version, patch_left_out).is_some(),
            Self::Exactly(exact) => version == exact,
        }
    }

    fn patch(track: &str, version: &str, patch_left_out: bool) -> Option<u64> {
        let rest = version.strip_prefix(track)?;
        if rest.is_empty() && patch_left_out {
            return Some(0);
        }
        let digits = rest.strip_prefix('.')?;
        let is_number = digits.bytes().all(|b| b.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        is_number.then(|| digits.parse().ok()).flatten()
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Platform => "0.1.x",
            Self::Wasi => "0.2.x",
            Self::Exactly(exact) => exact,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_only_resemble_an_interface_are_none() {
        for name in [
            "", "/", ":", "a/b", "a:b", "a:b/", ":b/c", "a:/c", "a:b/c/d", "a:b:c/d", "a:b/c\n",
            "a:b/ c",
        ] {
            assert_eq!(Interface::parse(name), None, "{name:?}");
        }
    }
}
