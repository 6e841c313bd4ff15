//! Describes the structure of a type in one line of WIT-like text, to compare and show it.
//!
//! The names of types are left out; only their structure counts. Nothing is compared here.

use std::fmt::Write as _;

use wasmparser::component_types::{ComponentDefinedType, ComponentFuncTypeId, ComponentValType};
use wasmparser::types::TypesRef;

/// The longest text. It is longer than every type of the contract, so a type that exceeds it cannot
/// match. The limit also bounds the work, because a small binary can describe a type whose text is
/// exponentially long.
const MAX_BYTES: usize = 1_024;

/// The text of a function type.
pub(super) fn function(types: TypesRef<'_>, id: ComponentFuncTypeId) -> String {
    let mut text = Text {
        types,
        written: String::new(),
    };
    let function = &types[id];
    if function.async_ {
        text.push("async ");
    }
    text.push("func(");
    for (index, (name, ty)) in function.params.iter().enumerate() {
        text.member(index, name.as_str());
        text.value(*ty);
    }
    text.push(")");
    if let Some(result) = function.result {
        text.push(" -> ");
        text.value(result);
    }
    text.written
}

struct Text<'a> {
    types: TypesRef<'a>,
    written: String,
}

impl Text<'_> {
    fn push(&mut self, part: &str) {
        if !self.is_full() {
            self.written.push_str(part);
            if self.is_full() {
                self.written.push('…');
            }
        }
    }

    fn is_full(&self) -> bool {
        self.written.len() > MAX_BYTES
    }

    fn separator(&mut self, index: usize) {
        if index > 0 {
            self.push(", ");
        }
    }

    fn member(&mut self, index: usize, name: &str) {
        self.separator(index);
        self.push(name);
        self.push(": ");
    }

    fn value(&mut self, ty: ComponentValType) {
        if self.is_full() {
            return;
        }
        match ty {
            ComponentValType::Primitive(ty) => self.push(&ty.to_string()),
            ComponentValType::Type(id) => {
                let types = self.types;
                self.defined(&types[id]);
            }
        }
    }

    fn optional(&mut self, ty: Option<ComponentValType>) {
        match ty {
            Some(ty) => self.value(ty),
            None => self.push("_"),
        }
    }

    fn defined(&mut self, ty: &ComponentDefinedType) {
        match ty {
            ComponentDefinedType::Primitive(ty) => self.push(&ty.to_string()),
            ComponentDefinedType::Record(record) => {
                self.push("record{");
                for (index, (name, ty)) in record.fields.iter().enumerate() {
                    self.member(index, name.as_str());
                    self.value(*ty);
                }
                self.push("}");
            }
            ComponentDefinedType::Variant(variant) => {
                self.push("variant{");
                for (index, (name, case)) in variant.cases.iter().enumerate() {
                    self.separator(index);
                    self.push(name.as_str());
                    if let Some(ty) = case.ty {
                        self.push("(");
                        self.value(ty);
                        self.push(")");
                    }
                }
                self.push("}");
            }
            ComponentDefinedType::List { element, .. } => {
                self.push("list<");
                self.value(*element);
                self.push(">");
            }
            ComponentDefinedType::Tuple(tuple) => {
                self.push("tuple<");
                for (index, ty) in tuple.types.iter().enumerate() {
                    self.separator(index);
                    self.value(*ty);
                }
                self.push(">");
            }
            ComponentDefinedType::Flags(names) => self.words("flags", names.iter()),
            ComponentDefinedType::Enum(names) => self.words("enum", names.iter()),
            ComponentDefinedType::Option { ty, .. } => {
                self.push("option<");
                self.value(*ty);
                self.push(">");
            }
            ComponentDefinedType::Result { ok, err, .. } => {
                self.push("result<");
                self.optional(*ok);
                self.push(", ");
                self.optional(*err);
                self.push(">");
            }
            ComponentDefinedType::Own(_) => self.push("own<resource>"),
            ComponentDefinedType::Borrow(_) => self.push("borrow<resource>"),
            // Validation refuses these types first, because their features are switched off.
            ComponentDefinedType::Map { .. } => self.push("map"),
            ComponentDefinedType::FixedLengthList { .. } => self.push("fixed-length list"),
            ComponentDefinedType::Future { .. } => self.push("future"),
            ComponentDefinedType::Stream { .. } => self.push("stream"),
        }
    }

    fn words(&mut self, kind: &str, names: impl Iterator<Item = impl std::fmt::Display>) {
        self.push(kind);
        self.push("{");
        for (index, name) in names.enumerate() {
            if self.is_full() {
                break;
            }
            self.separator(index);
            let mut word = String::new();
            write!(word, "{name}").expect("writing to a string cannot fail");
            self.push(&word);
        }
        self.push("}");
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::Validator;
    use wasmparser::component_types::ComponentEntityType;

    use super::super::accepted_features;
    use super::*;

    /// Returns the shape of the function that this component imports as `f`.
    fn shape_of(text: &str) -> String {
        let bytes = wat::parse_str(text).expect("the text is WebAssembly");
        let types = Validator::new_with_features(accepted_features())
            .validate_all(&bytes)
            .expect("the text is a component");
        let types = types.as_ref();
        match types.component_item_for_import("f").map(|item| item.ty) {
            Some(ComponentEntityType::Func(id)) => function(types, id),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_kind_of_type_has_a_shape_of_its_own() {
        let text = r#"(component
            (type $r' (record (field "a" u8) (field "b" (list string))))
            (import "r" (type $r (eq $r')))
            (type $v' (variant (case "one") (case "two" $r)))
            (import "v" (type $v (eq $v')))
            (type $e' (enum "x" "y"))
            (import "e" (type $e (eq $e')))
            (type $l' (flags "p" "q"))
            (import "l" (type $l (eq $l')))
            (import "h" (type $h (sub resource)))
            (import "f" (func
                (param "v" $v) (param "t" (tuple (option $e) $l)) (param "o" (own $h)) (param "b" (borrow $h))
                (result (result (error char))))))"#;
        assert_eq!(
            shape_of(text),
            "func(v: variant{one, two(record{a: u8, b: list<string>})}, t: tuple<option<enum{x, y}>, \
             flags{p, q}>, o: own<resource>, b: borrow<resource>) -> result<_, char>"
        );
    }

    #[test]
    fn the_text_of_a_type_that_multiplies_stays_short() {
        let mut text = String::from("(component (type $t0 (tuple string string))");
        for n in 1..=15 {
            text += &format!("(type $t{n} (tuple $t{} $t{0}))", n - 1);
        }
        text += r#"(import "f" (func (param "x" $t15))))"#;
        let shape = shape_of(&text);
        assert!(
            shape.len() < 2 * MAX_BYTES && shape.ends_with('…'),
            "{}",
            shape.len()
        );
    }
}
