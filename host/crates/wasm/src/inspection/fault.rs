//! Why a file is not a component that can be inspected, and the checks of its outer form.
//!
//! Only the first eight bytes are read here. `walk` reads the rest.

use std::fmt;

use serde::{Deserialize, Serialize};
use wasmparser::Parser;

use super::limits::InspectionLimits;
use tavora_scrub::shown;

const MAGIC: &[u8] = b"\0asm";
const HEADER_BYTES: usize = 8;

/// The file is not a valid component, or exceeds a limit of the inspection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum NotAComponent {
    /// The file is empty.
    #[error("the file is empty: give the path of a WebAssembly component")]
    Empty,
    /// The file does not begin like WebAssembly.
    #[error("this is not a WebAssembly component but {looks_like}: {}", looks_like.advice())]
    NotWasm {
        /// The format that the file seems to have.
        looks_like: LooksLike,
    },
    /// The file is a core module, which has no interfaces.
    #[error(
        "this is a core WebAssembly module, not a component: encode it as a component, for example with `wasm-tools component new`"
    )]
    CoreModule,
    /// The format is neither a module nor a component.
    #[error(
        "this is WebAssembly of an unknown format (version {version}, layer {layer}): build the component with a current toolchain"
    )]
    UnknownFormat {
        /// The version in the header.
        version: u16,
        /// The layer in the header: 0 is a module, 1 a component.
        layer: u16,
    },
    /// The file ends too early.
    #[error("the component is cut off at byte {size_bytes}: copy or build it again")]
    Truncated {
        /// The size of the file.
        size_bytes: usize,
    },
    /// The file breaks a rule of WebAssembly.
    #[error("the component is not valid at byte {offset} ({message}): build it again")]
    Invalid {
        /// The position, counted from the start of the file.
        offset: usize,
        /// The validator's message.
        message: String,
    },
    /// The file uses a feature that is switched off.
    #[error(
        "the component uses a WebAssembly feature that this host does not run, at byte {offset} ({message}): build it without"
    )]
    FeatureOff {
        /// The position, counted from the start of the file.
        offset: usize,
        /// The validator's message.
        message: String,
    },
    /// The file is too large.
    #[error(
        "the component has {size_bytes} bytes and limits.component.max_bytes is {max_bytes}: make it smaller or raise the limit"
    )]
    TooLarge {
        /// The size of the file.
        size_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// A function is too large.
    #[error(
        "the function at byte {offset} has {size_bytes} bytes and limits.component.max_function_bytes is {max_function_bytes}: split it or raise the limit"
    )]
    FunctionTooLarge {
        /// The position of the function.
        offset: usize,
        /// The size of the function.
        size_bytes: usize,
        /// The limit.
        max_function_bytes: usize,
    },
    /// Components are nested too deeply.
    #[error(
        "components are nested deeper than limits.component.max_depth, which is {max_depth}: compose them flatter or raise the limit"
    )]
    TooDeep {
        /// The limit.
        max_depth: usize,
    },
    /// Types are nested too deeply.
    #[error(
        "the types at byte {offset} may be nested deeper than {max_type_depth}: declare them one beside the other"
    )]
    TypesTooDeep {
        /// The position of the section with the types.
        offset: usize,
        /// The limit.
        max_type_depth: usize,
    },
    /// There are too many components and modules.
    #[error(
        "the component holds more parts than limits.component.max_parts, which is {max_parts}: compose it of fewer or raise the limit"
    )]
    TooManyParts {
        /// The limit.
        max_parts: usize,
    },
    /// There are too many imports.
    #[error(
        "the component has more imports than limits.component.max_imports, which is {max_imports}: import less or raise the limit"
    )]
    TooManyImports {
        /// The limit.
        max_imports: usize,
    },
    /// Nested types multiply beyond the limit.
    #[error(
        "the component has more types, each counted where it is used, than limits.component.max_expanded_types, which is {max_expanded_types}: declare them flatter or raise the limit"
    )]
    TooManyTypes {
        /// The limit.
        max_expanded_types: u64,
    },
    /// Nested instances multiply beyond the limit.
    #[error(
        "the component makes more instances, each counted every time, than limits.component.max_expanded_instances, which is {max_expanded_instances}: compose it flatter or raise the limit"
    )]
    TooManyInstances {
        /// The limit.
        max_expanded_instances: u64,
    },
}

impl From<wasmparser::Error> for NotAComponent {
    fn from(error: wasmparser::Error) -> Self {
        let (offset, message) = (error.offset(), shown::name(error.message()));
        match error.missing_wasm_feature() {
            Some(_) => Self::FeatureOff { offset, message },
            None => Self::Invalid { offset, message },
        }
    }
}

/// The likely format of a file that is not WebAssembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LooksLike {
    /// WebAssembly in its text format.
    WasmText,
    /// A web page or other markup.
    Markup,
    /// The placeholder that Git LFS leaves if the real file was not fetched.
    GitLfsPointer,
    /// A zip, gzip, xz or zstd archive.
    Archive,
    /// A program for a machine and an operating system.
    NativeProgram,
    /// Text of another kind.
    Text,
    /// Any other binary format.
    OtherBinary,
}

impl LooksLike {
    fn of(bytes: &[u8]) -> Self {
        const ARCHIVES: [&[u8]; 4] = [b"PK\x03\x04", b"\x1f\x8b", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"];
        const PROGRAMS: [&[u8]; 4] = [b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"!<arch>"];
        let start = bytes.trim_ascii_start();
        let starts_with_any = |heads: &[&[u8]]| heads.iter().any(|head| bytes.starts_with(head));
        if starts_with_any(&ARCHIVES) {
            Self::Archive
        } else if starts_with_any(&PROGRAMS) {
            Self::NativeProgram
        } else if [b"(component".as_slice(), b"(module", b";;", b"(;"]
            .iter()
            .any(|head| start.starts_with(head))
        {
            Self::WasmText
        } else if start.starts_with(b"<") {
            Self::Markup
        } else if start.starts_with(b"version https://git-lfs") {
            Self::GitLfsPointer
        } else if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')) {
            Self::Text
        } else {
            Self::OtherBinary
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::WasmText => "encode it first, for example with `wasm-tools parse`",
            Self::Markup => "a download may have answered with an error page",
            Self::GitLfsPointer => "fetch the real file with `git lfs pull`",
            Self::Archive => "unpack it first",
            Self::NativeProgram => "build it for a wasm target and encode it as a component",
            Self::Text | Self::OtherBinary => "give the path of a component's binary",
        }
    }
}

impl fmt::Display for LooksLike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WasmText => "WebAssembly text",
            Self::Markup => "a web page",
            Self::GitLfsPointer => "a Git LFS pointer",
            Self::Archive => "an archive",
            Self::NativeProgram => "a native program",
            Self::Text => "a text file",
            Self::OtherBinary => "some other binary file",
        })
    }
}

/// Checks the size and the header.
pub(super) fn check_form(bytes: &[u8], limits: &InspectionLimits) -> Result<(), NotAComponent> {
    if bytes.is_empty() {
        return Err(NotAComponent::Empty);
    }
    if !bytes.starts_with(MAGIC) && !MAGIC.starts_with(bytes) {
        return Err(NotAComponent::NotWasm {
            looks_like: LooksLike::of(bytes),
        });
    }
    if bytes.len() > limits.max_bytes {
        return Err(NotAComponent::TooLarge {
            size_bytes: bytes.len(),
            max_bytes: limits.max_bytes,
        });
    }
    if bytes.len() < HEADER_BYTES {
        return Err(NotAComponent::Truncated {
            size_bytes: bytes.len(),
        });
    }
    if Parser::is_core_wasm(bytes) {
        return Err(NotAComponent::CoreModule);
    }
    if !Parser::is_component(bytes) {
        return Err(NotAComponent::UnknownFormat {
            version: u16::from_le_bytes([bytes[4], bytes[5]]),
            layer: u16::from_le_bytes([bytes[6], bytes[7]]),
        });
    }
    Ok(())
}
