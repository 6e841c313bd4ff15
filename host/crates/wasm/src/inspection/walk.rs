//! Walks through the binary: validates all of it, and records every import at any depth.
//!
//! Nothing is judged here. The recursion is bounded by the limits, whatever the bytes are.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::names::{ComponentName, ComponentNameKind};
use wasmparser::types::TypesRef;
use wasmparser::{
    Chunk, ComponentAlias, ComponentInstance, ComponentType, ComponentTypeDeclaration,
    ComponentTypeRef, CoreType, FuncValidatorAllocations, InstanceTypeDeclaration,
    ModuleTypeDeclaration, Parser, Payload, ValidPayload, Validator,
};

use super::expansion::Expansion;
use super::place::Part;
use super::{
    ImportFound, ImportKind, InspectionLimits, NotAComponent, Place, accepted_features, contract,
};

/// The deepest nesting of types. The parser recurses into them, so this bounds its stack.
/// Validation itself allows only 100.
const MAX_TYPE_DEPTH: usize = 200;

/// The findings of the walk.
pub(super) struct Findings {
    pub(super) imports: Vec<ImportFound>,
    /// The exports of the outermost component, with the faults in their types.
    pub(super) exports: BTreeMap<String, Option<String>>,
}

pub(super) fn walk(bytes: &[u8], limits: &InspectionLimits) -> Result<Findings, NotAComponent> {
    let mut walk = Walk {
        limits,
        levels: vec![Level {
            parser: Parser::new(0),
            place: Place::top(),
            components: 0,
            core_modules: 0,
        }],
        parts: 0,
        mentions: BTreeSet::new(),
        findings: Findings {
            imports: Vec::new(),
            exports: BTreeMap::new(),
        },
    };
    walk.level().parser.set_features(accepted_features());
    walk.all(bytes)?;
    Ok(walk.findings)
}

/// One of the components or core modules around the current position.
struct Level {
    parser: Parser,
    place: Place,
    components: usize,
    core_modules: usize,
}

struct Walk<'l> {
    limits: &'l InspectionLimits,
    levels: Vec<Level>,
    parts: usize,
    /// Mentions and core imports found so far, so that each is recorded once.
    mentions: BTreeSet<(Place, ImportKind, String)>,
    findings: Findings,
}

impl Walk<'_> {
    fn all(&mut self, bytes: &[u8]) -> Result<(), NotAComponent> {
        let mut validator = Validator::new_with_features(accepted_features());
        let mut allocations = FuncValidatorAllocations::default();
        let mut expansion = Expansion::new(self.limits);
        let mut rest = bytes;
        loop {
            // Nested parts are known to be complete, so only the outermost component can be
            // truncated.
            let is_all = rest.is_empty() || self.levels.len() > 1;
            let payload = match self.level().parser.parse(rest, is_all)? {
                Chunk::NeedMoreData(_) => return Err(truncated(bytes)),
                Chunk::Parsed { consumed, payload } => {
                    rest = &rest[consumed..];
                    payload
                }
            };
            match &payload {
                Payload::ComponentTypeSection(section) => check_type_depth(bytes, section.range())?,
                Payload::CodeSectionEntry(body) => self.check_function(&body.range())?,
                _ => {}
            }
            expansion.count(&payload)?;
            match validator.payload(&payload)? {
                ValidPayload::Func(function, body) => {
                    let mut function = function.into_validator(allocations);
                    function.validate(&body)?;
                    allocations = function.into_allocations();
                }
                ValidPayload::Ok | ValidPayload::Parser(_) | ValidPayload::End(_) => {}
            }
            match payload {
                Payload::ComponentSection {
                    unchecked_range, ..
                }
                | Payload::ModuleSection {
                    unchecked_range, ..
                } if unchecked_range.end > bytes.len() => return Err(truncated(bytes)),
                Payload::ComponentSection { parser, .. } => {
                    let index = self.level().components;
                    self.level().components += 1;
                    self.enter(parser, Part::Component(index))?;
                }
                Payload::ModuleSection { parser, .. } => {
                    let index = self.level().core_modules;
                    self.level().core_modules += 1;
                    self.enter(parser, Part::CoreModule(index))?;
                }
                Payload::End(_) => {
                    self.levels.pop();
                    if self.levels.is_empty() {
                        return Ok(());
                    }
                }
                payload => self.section(payload, &validator)?,
            }
        }
    }

    /// Refuses a function that is too large, before its body is parsed.
    fn check_function(&self, body: &std::ops::Range<usize>) -> Result<(), NotAComponent> {
        let max_function_bytes = self.limits.max_function_bytes;
        if body.len() > max_function_bytes {
            return Err(NotAComponent::FunctionTooLarge {
                offset: body.start,
                size_bytes: body.len(),
                max_function_bytes,
            });
        }
        Ok(())
    }

    fn level(&mut self) -> &mut Level {
        self.levels
            .last_mut()
            .expect("the walk ends when the outermost level does")
    }

    fn enter(&mut self, parser: Parser, part: Part) -> Result<(), NotAComponent> {
        self.parts += 1;
        if self.parts > self.limits.max_parts {
            return Err(NotAComponent::TooManyParts {
                max_parts: self.limits.max_parts,
            });
        }
        if matches!(part, Part::Component(_)) && self.levels.len() > self.limits.max_depth {
            return Err(NotAComponent::TooDeep {
                max_depth: self.limits.max_depth,
            });
        }
        let place = self.level().place.inside(part);
        self.levels.push(Level {
            parser,
            place,
            components: 0,
            core_modules: 0,
        });
        Ok(())
    }

    fn section(
        &mut self,
        payload: Payload<'_>,
        validator: &Validator,
    ) -> Result<(), NotAComponent> {
        match payload {
            Payload::ComponentImportSection(section) => {
                let types = types_here(validator);
                for import in section {
                    let import = import?;
                    let name = import.name.name;
                    let item = types.component_item_for_import(name);
                    let fault = item.and_then(|item| contract::import_fault(name, &item.ty, types));
                    self.note_import(name, import.ty, self.here(), fault)?;
                }
            }
            Payload::ComponentExportSection(section) if self.levels.len() == 1 => {
                let types = types_here(validator);
                for export in section {
                    let name = export?.name.name;
                    let item = types.component_item_for_export(name);
                    let fault = item.and_then(|item| contract::export_fault(name, &item.ty, types));
                    self.findings.exports.insert(name.to_owned(), fault);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    self.note_once(import?.module, ImportKind::CoreImport, self.here())?;
                }
            }
            Payload::ComponentTypeSection(section) => {
                for ty in section {
                    self.component_type(&ty?, &self.here())?;
                }
            }
            Payload::CoreTypeSection(section) => {
                for ty in section {
                    self.core_type(&ty?, &self.here())?;
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section {
                    self.alias(&alias?, &self.here())?;
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    match instance? {
                        ComponentInstance::Instantiate { args, .. } => {
                            for argument in &args {
                                self.mention(argument.name, &self.here())?;
                            }
                        }
                        ComponentInstance::FromExports(exports) => {
                            for export in &exports {
                                self.mention(export.name.name, &self.here())?;
                            }
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn here(&self) -> Place {
        self.levels
            .last()
            .expect("the walk ends when the outermost level does")
            .place
            .clone()
    }

    /// Records the imports that a type declares. [`check_type_depth`] has bounded the recursion.
    fn component_type(
        &mut self,
        ty: &ComponentType<'_>,
        here: &Place,
    ) -> Result<(), NotAComponent> {
        match ty {
            ComponentType::Component(declarations) => {
                let inside = here.inside(Part::ComponentType);
                for declaration in declarations {
                    match declaration {
                        ComponentTypeDeclaration::Import(import) => {
                            self.note_import(import.name.name, import.ty, inside.clone(), None)?;
                        }
                        ComponentTypeDeclaration::Type(ty) => self.component_type(ty, &inside)?,
                        ComponentTypeDeclaration::CoreType(ty) => self.core_type(ty, &inside)?,
                        ComponentTypeDeclaration::Alias(alias) => self.alias(alias, &inside)?,
                        ComponentTypeDeclaration::Export { .. } => {}
                    }
                }
            }
            ComponentType::Instance(declarations) => {
                for declaration in declarations {
                    match declaration {
                        InstanceTypeDeclaration::Type(ty) => self.component_type(ty, here)?,
                        InstanceTypeDeclaration::CoreType(ty) => self.core_type(ty, here)?,
                        InstanceTypeDeclaration::Alias(alias) => self.alias(alias, here)?,
                        InstanceTypeDeclaration::Export { .. } => {}
                    }
                }
            }
            ComponentType::Defined(_) | ComponentType::Func(_) | ComponentType::Resource { .. } => {
            }
        }
        Ok(())
    }

    fn core_type(&mut self, ty: &CoreType<'_>, here: &Place) -> Result<(), NotAComponent> {
        if let CoreType::Module(declarations) = ty {
            let inside = here.inside(Part::CoreModuleType);
            for declaration in declarations {
                if let ModuleTypeDeclaration::Import(import) = declaration {
                    self.note_once(import.module, ImportKind::CoreImport, inside.clone())?;
                }
            }
        }
        Ok(())
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>, here: &Place) -> Result<(), NotAComponent> {
        match alias {
            ComponentAlias::InstanceExport { name, .. } => self.mention(name, here),
            ComponentAlias::CoreInstanceExport { .. } | ComponentAlias::Outer { .. } => Ok(()),
        }
    }

    /// Records a name that is passed between parts, if it is more than a plain label.
    fn mention(&mut self, name: &str, here: &Place) -> Result<(), NotAComponent> {
        let is_label = ComponentName::new(name, 0).is_ok_and(|name| {
            matches!(
                name.kind(),
                ComponentNameKind::Label(_)
                    | ComponentNameKind::Constructor(_)
                    | ComponentNameKind::Method(_)
                    | ComponentNameKind::Static(_)
            )
        });
        if is_label {
            return Ok(());
        }
        self.note_once(name, ImportKind::Mention, here.clone())
    }

    fn note_once(
        &mut self,
        name: &str,
        kind: ImportKind,
        place: Place,
    ) -> Result<(), NotAComponent> {
        let is_plumbing = kind == ImportKind::CoreImport
            && !name.contains([':', '/'])
            && !name.starts_with("wasi");
        if is_plumbing || !self.mentions.insert((place.clone(), kind, name.to_owned())) {
            return Ok(());
        }
        self.note(ImportFound {
            name: name.to_owned(),
            kind,
            place,
            type_fault: None,
        })
    }

    fn note_import(
        &mut self,
        name: &str,
        ty: ComponentTypeRef,
        place: Place,
        type_fault: Option<String>,
    ) -> Result<(), NotAComponent> {
        let kind = match ty {
            ComponentTypeRef::Instance(_) => ImportKind::Instance,
            ComponentTypeRef::Func(_) => ImportKind::Function,
            ComponentTypeRef::Type(_) => ImportKind::Type,
            ComponentTypeRef::Component(_) => ImportKind::Component,
            ComponentTypeRef::Module(_) => ImportKind::CoreModule,
            ComponentTypeRef::Value(_) => ImportKind::Value,
        };
        self.note(ImportFound {
            name: name.to_owned(),
            kind,
            place,
            type_fault,
        })
    }

    fn note(&mut self, import: ImportFound) -> Result<(), NotAComponent> {
        if self.findings.imports.len() >= self.limits.max_imports {
            return Err(NotAComponent::TooManyImports {
                max_imports: self.limits.max_imports,
            });
        }
        self.findings.imports.push(import);
        Ok(())
    }
}

fn types_here(validator: &Validator) -> TypesRef<'_> {
    validator
        .types(0)
        .expect("a section belongs to the component that is being validated")
}

fn truncated(bytes: &[u8]) -> NotAComponent {
    NotAComponent::Truncated {
        size_bytes: bytes.len(),
    }
}

/// Refuses a section whose types could be nested deeper than [`MAX_TYPE_DEPTH`].
///
/// The bytes `01 41` or `01 42` introduce a nested type, so their count is an upper bound of the
/// depth that needs no parsing. Compilers emit one section per import, so real components stay far
/// below.
fn check_type_depth(bytes: &[u8], section: std::ops::Range<usize>) -> Result<(), NotAComponent> {
    let nested_types = bytes[section.clone()]
        .windows(2)
        .filter(|pair| matches!(pair, [0x01, 0x41 | 0x42]))
        .count();
    if nested_types > MAX_TYPE_DEPTH {
        return Err(NotAComponent::TypesTooDeep {
            offset: section.start,
            max_type_depth: MAX_TYPE_DEPTH,
        });
    }
    Ok(())
}
