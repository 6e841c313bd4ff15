//! The structure of a type as one line of WIT-like text, so that it can be compared and shown.
//!
//! Names of types do not count, what they are made of does. It does not compare or judge.

use std::fmt::Write as _;

use wasmparser::component_types::{ComponentDefinedType, ComponentFuncTypeId, ComponentValType};
use wasmparser::types::TypesRef;

/// Longer than every type of the contract: what does not fit cannot be equal to one of them. It also bounds
/// the work, because a small binary can describe a type whose text is exponentially long.
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
            // Types of features that are switched off: validation has refused them before.
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
