//! Counts the types and instances of a component, each one wherever it is used.
//!
//! Types and instances can be nested so that every level doubles the one below: a few hundred bytes
//! describe millions, and the validator and the compiler create each of them. The count follows the
//! index spaces of the binary and stops at its limits, before the validator processes the same
//! part. It does not validate.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentType, ComponentTypeDeclaration, ComponentTypeRef, CoreType, Instance,
    InstanceTypeDeclaration, ModuleTypeDeclaration, Payload, TypeBounds,
};

use super::{InspectionLimits, NotAComponent};

pub(super) struct Expansion {
    max_types: u64,
    max_instances: u64,
    types: u64,
    instances: u64,
    /// The components and types around the current position, the outermost first.
    scopes: Vec<Scope>,
    is_in_module: bool,
}

/// The index spaces of one component or type, with the size of each item.
#[derive(Default)]
struct Scope {
    types: Vec<u64>,
    instances: Vec<u64>,
    components: Vec<Inside>,
    own: Inside,
}

/// The content of a component, which one instance of it adds.
#[derive(Clone, Copy, Default)]
struct Inside {
    /// The imports and exports, counted in types.
    surface: u64,
    instances: u64,
}

type Counted<T = ()> = Result<T, NotAComponent>;

impl Expansion {
    pub(super) fn new(limits: &InspectionLimits) -> Self {
        Self {
            max_types: limits.max_expanded_types,
            max_instances: limits.max_expanded_instances,
            types: 0,
            instances: 0,
            scopes: vec![Scope::default()],
            is_in_module: false,
        }
    }

    /// Counts the next part of the binary.
    pub(super) fn count(&mut self, payload: &Payload<'_>) -> Counted {
        match payload {
            Payload::ModuleSection { .. } => self.is_in_module = true,
            Payload::ComponentSection { .. } => self.scopes.push(Scope::default()),
            Payload::End(_) if self.is_in_module => self.is_in_module = false,
            Payload::End(_) if self.scopes.len() > 1 => {
                let inside = self.leave();
                self.scope().components.push(inside);
            }
            Payload::TypeSection(section) => self.add_types(u64::from(section.count()))?,
            Payload::CoreTypeSection(section) => {
                for ty in section.clone() {
                    self.core_type(&ty?)?;
                }
            }
            Payload::ComponentTypeSection(section) => {
                for ty in section.clone() {
                    self.component_type(&ty?)?;
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    self.item(import?.ty)?;
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    let export = export?;
                    self.export(export.kind, export.index)?;
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    self.alias(&alias?);
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    if matches!(instance?, Instance::Instantiate { .. }) {
                        self.add_instances(1)?;
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    self.instance(&instance?)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn scope(&mut self) -> &mut Scope {
        self.scopes
            .last_mut()
            .expect("the count ends when the outermost scope does")
    }

    fn leave(&mut self) -> Inside {
        self.scopes.pop().unwrap_or_default().own
    }

    fn add_types(&mut self, types: u64) -> Counted {
        self.types = self.types.saturating_add(types);
        match self.types > self.max_types {
            true => Err(NotAComponent::TooManyTypes {
                max_expanded_types: self.max_types,
            }),
            false => Ok(()),
        }
    }

    /// Adds instances. They also count for every instance of the component that contains them.
    fn add_instances(&mut self, instances: u64) -> Counted {
        self.instances = self.instances.saturating_add(instances);
        let own = &mut self.scope().own;
        own.instances = own.instances.saturating_add(instances);
        match self.instances > self.max_instances {
            true => Err(NotAComponent::TooManyInstances {
                max_expanded_instances: self.max_instances,
            }),
            false => Ok(()),
        }
    }

    fn add_surface(&mut self, size: u64) -> Counted {
        let own = &mut self.scope().own;
        own.surface = own.surface.saturating_add(size);
        self.add_types(size)
    }

    fn core_type(&mut self, ty: &CoreType<'_>) -> Counted {
        match ty {
            CoreType::Rec(group) => self.add_types(group.types().len() as u64),
            CoreType::Module(declarations) => {
                for declaration in declarations {
                    if let ModuleTypeDeclaration::Type(group) = declaration {
                        self.add_types(group.types().len() as u64)?;
                    }
                }
                self.add_types(declarations.len() as u64)
            }
        }
    }

    /// Counts a declared type and gives it the next index. Validation limits the depth of the
    /// recursion.
    fn component_type(&mut self, ty: &ComponentType<'_>) -> Counted {
        self.add_types(1)?;
        let size = match ty {
            ComponentType::Component(declarations) => {
                self.scopes.push(Scope::default());
                for declaration in declarations {
                    match declaration {
                        ComponentTypeDeclaration::CoreType(ty) => self.core_type(ty)?,
                        ComponentTypeDeclaration::Type(ty) => self.component_type(ty)?,
                        ComponentTypeDeclaration::Alias(alias) => self.alias(alias),
                        ComponentTypeDeclaration::Export { ty, .. } => self.item(*ty)?,
                        ComponentTypeDeclaration::Import(import) => self.item(import.ty)?,
                    }
                }
                self.leave().surface
            }
            ComponentType::Instance(declarations) => {
                self.scopes.push(Scope::default());
                for declaration in declarations {
                    match declaration {
                        InstanceTypeDeclaration::CoreType(ty) => self.core_type(ty)?,
                        InstanceTypeDeclaration::Type(ty) => self.component_type(ty)?,
                        InstanceTypeDeclaration::Alias(alias) => self.alias(alias),
                        InstanceTypeDeclaration::Export { ty, .. } => self.item(*ty)?,
                    }
                }
                self.leave().surface
            }
            ComponentType::Defined(_) | ComponentType::Func(_) | ComponentType::Resource { .. } => {
                0
            }
        };
        self.scope().types.push(size.saturating_add(1));
        Ok(())
    }

    /// Counts an import of type `ty`, or an import or export that a type declares.
    fn item(&mut self, ty: ComponentTypeRef) -> Counted {
        match ty {
            ComponentTypeRef::Instance(index) => {
                let size = size(&self.scope().types, index);
                self.scope().instances.push(size);
                self.add_surface(size)
            }
            ComponentTypeRef::Component(index) => {
                let surface = size(&self.scope().types, index);
                self.scope().components.push(Inside {
                    surface,
                    instances: 0,
                });
                self.add_surface(surface)
            }
            ComponentTypeRef::Type(bounds) => {
                let size = match bounds {
                    TypeBounds::Eq(index) => size(&self.scope().types, index),
                    TypeBounds::SubResource => 1,
                };
                self.scope().types.push(size);
                self.add_surface(1)
            }
            ComponentTypeRef::Module(_)
            | ComponentTypeRef::Func(_)
            | ComponentTypeRef::Value(_) => self.add_surface(1),
        }
    }

    /// Counts an export, which gets its own index.
    fn export(&mut self, kind: ComponentExternalKind, index: u32) -> Counted {
        let scope = self.scope();
        match kind {
            ComponentExternalKind::Instance => {
                let size = size(&scope.instances, index);
                scope.instances.push(size);
                self.add_surface(size)
            }
            ComponentExternalKind::Component => {
                let inside = component(scope, index);
                scope.components.push(inside);
                self.add_surface(inside.surface)
            }
            ComponentExternalKind::Type => {
                let size = size(&scope.types, index);
                scope.types.push(size);
                self.add_surface(1)
            }
            ComponentExternalKind::Module
            | ComponentExternalKind::Func
            | ComponentExternalKind::Value => self.add_surface(1),
        }
    }

    /// Follows an alias. The parts of an instance are not known, so the size of the whole instance
    /// counts.
    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        match alias {
            ComponentAlias::InstanceExport {
                kind,
                instance_index,
                ..
            } => {
                let scope = self.scope();
                let size = size(&scope.instances, *instance_index);
                match kind {
                    ComponentExternalKind::Instance => scope.instances.push(size),
                    ComponentExternalKind::Type => scope.types.push(size),
                    ComponentExternalKind::Component => scope.components.push(Inside {
                        surface: size,
                        instances: 0,
                    }),
                    ComponentExternalKind::Module
                    | ComponentExternalKind::Func
                    | ComponentExternalKind::Value => {}
                }
            }
            ComponentAlias::Outer { kind, count, index } => {
                let outer = self.scopes.iter().rev().nth(*count as usize);
                match (kind, outer) {
                    (ComponentOuterAliasKind::Type, Some(outer)) => {
                        let size = size(&outer.types, *index);
                        self.scope().types.push(size);
                    }
                    (ComponentOuterAliasKind::Component, Some(outer)) => {
                        let inside = component(outer, *index);
                        self.scope().components.push(inside);
                    }
                    _ => {}
                }
            }
            ComponentAlias::CoreInstanceExport { .. } => {}
        }
    }

    fn instance(&mut self, instance: &ComponentInstance<'_>) -> Counted {
        let surface = match instance {
            ComponentInstance::Instantiate {
                component_index, ..
            } => {
                let inside = component(self.scope(), *component_index);
                self.add_instances(inside.instances.saturating_add(1))?;
                inside.surface
            }
            ComponentInstance::FromExports(exports) => {
                exports.iter().fold(1, |sum: u64, export| {
                    let scope = self.scope();
                    sum.saturating_add(match export.kind {
                        ComponentExternalKind::Instance => size(&scope.instances, export.index),
                        ComponentExternalKind::Component => component(scope, export.index).surface,
                        _ => 1,
                    })
                })
            }
        };
        self.scope().instances.push(surface);
        self.add_types(surface)
    }
}

/// Returns the size at an index. The validator refuses an index that is out of range.
fn size(sizes: &[u64], index: u32) -> u64 {
    sizes.get(index as usize).copied().unwrap_or(1)
}

fn component(scope: &Scope, index: u32) -> Inside {
    let found = scope.components.get(index as usize);
    found.copied().unwrap_or_default()
}
