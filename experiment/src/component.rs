//! A part of the model as the file names it.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use settings::{Table, Value};

/// A part by its name, with its parameters: a bare name (`"mmoe"`), or a table that has the name as
/// `kind` (`{ kind = "mmoe", experts = 4 }`). Without parameters it is written as a bare name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Component {
    kind: Option<Value>,
    parameters: Table,
}

const KIND: &str = "kind";

impl Component {
    /// A part with its defaults.
    pub fn named(kind: &str) -> Self {
        Self::new(kind, Table::new())
    }

    /// A part with parameters.
    pub fn new(kind: &str, parameters: Table) -> Self {
        Self { kind: Some(Value::Text(kind.to_owned())), parameters }
    }

    /// The part, of this kind if none is given.
    #[must_use]
    pub fn or(mut self, kind: &str) -> Self {
        self.kind.get_or_insert_with(|| Value::Text(kind.to_owned()));
        self
    }

    /// The name; empty if the file gives none.
    pub fn kind(&self) -> &str {
        match &self.kind {
            Some(Value::Text(kind)) => kind,
            _ => "",
        }
    }

    /// The parameters.
    pub fn parameters(&self) -> &Table {
        &self.parameters
    }

    /// Whether the file says nothing about the part.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Table> for Component {
    fn from(mut table: Table) -> Self {
        Self { kind: table.remove(KIND), parameters: table }
    }
}

impl Serialize for Component {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let (Some(kind), true) = (&self.kind, self.parameters.is_empty()) {
            return kind.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        if let Some(kind) = &self.kind {
            map.serialize_entry(KIND, kind)?;
        }
        for (key, value) in &self.parameters {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Component {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;

        impl<'de> Visitor<'de> for NameOrTable {
            type Value = Component;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a table")
            }

            fn visit_str<E>(self, name: &str) -> Result<Component, E> {
                Ok(Component::named(name))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Component, A::Error> {
                Table::deserialize(MapAccessDeserializer::new(map)).map(Component::from)
            }
        }

        deserializer.deserialize_any(NameOrTable)
    }
}
