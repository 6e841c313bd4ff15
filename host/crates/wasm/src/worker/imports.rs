//! Reduces a component to its imports, so that a linker can check them before anything is compiled.

use wasmparser::{Parser, Payload};

/// The header of a component.
const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

/// Returns a component with the same imports as `bytes` before its first nested part, and nothing
/// else. Toolchains put all imports there. Later imports are checked when the component is loaded.
pub(super) fn alone(bytes: &[u8]) -> Vec<u8> {
    let mut alone = HEADER.to_vec();
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { break };
        match &payload {
            Payload::ComponentTypeSection(_)
            | Payload::ComponentImportSection(_)
            | Payload::ComponentAliasSection(_)
            | Payload::CoreTypeSection(_) => {}
            Payload::Version { .. } | Payload::CustomSection(_) => continue,
            _ => break,
        }
        if let Some((id, range)) = payload.as_section() {
            alone.push(id);
            write_length(&mut alone, range.len());
            alone.extend_from_slice(&bytes[range]);
        }
    }
    alone
}

/// Writes a length in LEB128.
fn write_length(to: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        if length == 0 {
            return to.push(low);
        }
        to.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspection::{InspectionLimits, inspect};

    #[test]
    fn the_imports_alone_are_a_component_with_the_same_imports() {
        let bytes = wat::parse_str(
            r#"(component
                (import "wasi:io/poll@0.2.3" (instance $poll (export "pollable" (type (sub resource)))))
                (alias export $poll "pollable" (type $pollable))
                (import "wasi:clocks/monotonic-clock@0.2.3" (instance
                    (alias outer 1 $pollable (type $inner))
                    (export "pollable" (type $own (eq $inner)))
                    (export "subscribe-duration" (func (param "when" u64) (result (own $own))))))
                (core module (func (export "run") unreachable)))"#,
        )
        .expect("the text is a component");
        let limits = InspectionLimits::default();
        let whole = inspect(&bytes, &limits).expect("a component");
        let alone = inspect(&alone(&bytes), &limits).expect("a component");
        assert_eq!(alone.imports, whole.imports);
        assert_eq!(alone.imports.len(), 2);
    }
}
