//! Reads JSON text and counts its values while it reads.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::DocumentLimits;
use crate::budget::{Budget, DocumentError};

/// The depth at which the JSON reader itself stops.
const MAX_DEPTH: usize = 127;

/// Reads a document's JSON text.
pub(crate) fn read(text: &str, limits: &DocumentLimits) -> Result<Value, DocumentError> {
    let budget = Budget::new(limits);
    let mut reader = serde_json::Deserializer::from_str(text);
    let seed = Counted {
        budget: &budget,
        depth: 0,
    };
    let read = seed.deserialize(&mut reader);
    let read = read.and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| match budget.fault.take() {
        Some(fault) => fault,
        None if error.to_string().starts_with("recursion limit") => {
            DocumentError::TooDeep(MAX_DEPTH)
        }
        None => DocumentError::Syntax(error.to_string()),
    })
}

/// A JSON value that takes from the budget while it is read.
struct Counted<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl Counted<'_> {
    fn below(&self) -> Self
    where
        Self: Sized,
    {
        Self {
            budget: self.budget,
            depth: self.depth + 1,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Counted<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if let Err(fault) = self.budget.take(self.depth) {
            let message = fault.to_string();
            self.budget.fault.set(Some(fault));
            return Err(de::Error::custom(message));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self.below())? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(self.below())?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}
