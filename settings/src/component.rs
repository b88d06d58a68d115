//! A part as the experiment file names it.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::table::{Table, Value};

/// A part by its name, with its parameters: a bare name (`"median"`), or a table that has the name
/// as `kind` (`{ kind = "krum", byzantine = 2 }`).
///
/// It is written as a table, `kind` first, and without parameters as a bare name.
/// [`Registry::read`](crate::Registry::read) reads the
/// parameters and gives a component with every default filled in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Component {
    kind: Option<Value>,
    parameters: Table,
}

/// The key of a component's name.
pub(crate) const KIND: &str = "kind";

impl Component {
    /// A part with its defaults.
    pub fn named(kind: &str) -> Self {
        Self { kind: Some(kind.into()), parameters: Table::new() }
    }

    /// A part with parameters.
    pub fn new(kind: &str, parameters: Table) -> Self {
        Self { kind: Some(kind.into()), parameters }
    }

    /// This part with one parameter set.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.parameters.insert(key.to_owned(), value.into());
        self
    }

    /// This part, of the given kind if it has none: `{ learning_rate = 0.1 }` changes the default
    /// optimizer.
    #[must_use]
    pub fn or(mut self, kind: &str) -> Self {
        self.kind.get_or_insert_with(|| kind.into());
        self
    }

    /// The name; empty if the file gives none.
    pub fn kind(&self) -> &str {
        match &self.kind {
            Some(Value::Text(kind)) => kind,
            _ => "",
        }
    }

    /// The parameters: as the file gives them, or all of them after
    /// [`Registry::read`](crate::Registry::read).
    pub fn parameters(&self) -> &Table {
        &self.parameters
    }

    /// Whether the file says nothing about the part.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The name as it was given, of whatever type.
    pub(crate) fn given_kind(&self) -> Option<&Value> {
        self.kind.as_ref()
    }
}

impl From<Table> for Component {
    fn from(mut table: Table) -> Self {
        Self { kind: table.shift_remove(KIND), parameters: table }
    }
}

impl From<Component> for Table {
    fn from(component: Component) -> Self {
        let kind = component.kind.map(|kind| (KIND.to_owned(), kind));
        kind.into_iter().chain(component.parameters).collect()
    }
}

/// A bare name, or a table with the name as `kind`.
impl TryFrom<&Value> for Component {
    type Error = NotAComponent;

    fn try_from(value: &Value) -> Result<Self, NotAComponent> {
        match value {
            Value::Text(name) => Ok(Self::named(name)),
            Value::Table(table) => Ok(table.clone().into()),
            _ => Err(NotAComponent),
        }
    }
}

/// A value that is neither a name nor a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a name nor a table")]
pub struct NotAComponent;

impl From<Component> for Value {
    fn from(component: Component) -> Self {
        match component {
            Component { kind: Some(kind), parameters } if parameters.is_empty() => kind,
            component => Value::Table(component.into()),
        }
    }
}

/// The name and its parameters in one line: `trimmed_mean trim=2`.
impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind())?;
        self.parameters.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct File {
        part: Component,
    }

    fn read(text: &str) -> Result<Component, String> {
        toml::from_str(text).map(|file: File| file.part).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_bare_name_is_a_table_of_that_kind() {
        assert_eq!(read("part = \"krum\""), read("part = { kind = \"krum\" }"));
        assert_eq!(read("part = \"krum\"").expect("is right").kind(), "krum");
    }

    #[test]
    fn a_component_that_is_written_reads_back_as_the_same() {
        let part = Component::named("x").with("n", Value::Integer(3)).with("flag", true).with("half", 0.5);
        let text = toml::to_string(&File { part: part.clone() }).expect("is written");
        assert_eq!(text, "[part]\nkind = \"x\"\nn = 3\nflag = true\nhalf = 0.5\n");
        assert_eq!(read(&text), Ok(part));
    }

    #[test]
    fn a_component_that_is_a_value_reads_back_as_the_same() {
        for part in [Component::named("x"), Component::named("x").with("n", Value::Integer(3))] {
            assert_eq!(Component::try_from(&Value::from(part.clone())), Ok(part));
        }
        assert_eq!(Value::from(Component::named("x")), Value::Text("x".to_owned()));
        assert_eq!(Component::try_from(&Value::Integer(3)), Err(NotAComponent));
    }

    #[test]
    fn a_number_is_no_component() {
        let message = read("part = 3").expect_err("it is a number");
        assert!(message.contains("a name or a table"), "{message}");
    }
}
