//! The place of an item in a component.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// A path from the outermost component inwards. Each kind of part is counted from 0 in its
/// component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    path: Vec<Part>,
}

/// One step of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Part {
    Component(usize),
    CoreModule(usize),
    ComponentType,
    CoreModuleType,
}

impl Place {
    pub(super) fn top() -> Self {
        Self { path: Vec::new() }
    }

    pub(super) fn inside(&self, part: Part) -> Self {
        let mut path = self.path.clone();
        path.push(part);
        Self { path }
    }

    /// Whether the path is the outermost component itself.
    #[must_use]
    pub fn is_top(&self) -> bool {
        self.path.is_empty()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_top() {
            return f.write_str("at the top level");
        }
        for (steps_out, part) in self.path.iter().rev().enumerate() {
            f.write_str(if steps_out == 0 { "in " } else { " of " })?;
            match part {
                Part::Component(index) => write!(f, "nested component {index}")?,
                Part::CoreModule(index) => write!(f, "core module {index}")?,
                Part::ComponentType => f.write_str("a component type")?,
                Part::CoreModuleType => f.write_str("a core module type")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Serialises a place as its path, for programs.
pub(super) mod path {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Place;

    pub(in super::super) fn serialize<S: Serializer>(
        place: &Place,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        place.path.serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Place, D::Error> {
        let path = Vec::deserialize(deserializer)?;
        Ok(Place { path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_from_the_inside_out() {
        let module = Place::top()
            .inside(Part::Component(1))
            .inside(Part::CoreModule(0));
        assert_eq!(module.to_string(), "in core module 0 of nested component 1");
        assert_eq!(Place::top().to_string(), "at the top level");
    }
}
