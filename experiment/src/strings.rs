//! A text or a list of texts, for keys that allow either: paths, targets, feature selections.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads a text as a list of one, or a list of texts.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Strings::deserialize(deserializer).map(|strings| strings.0)
}

/// Writes a list of one as a text.
pub(crate) fn serialize<S: Serializer>(strings: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match strings {
        [one] => serializer.serialize_str(one),
        more => more.serialize(serializer),
    }
}

/// Strings at a key that may be left out.
pub(crate) mod optional {
    use super::{Deserialize, Deserializer, Serializer, Strings, serialize as serialize_strings};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
        Option::<Strings>::deserialize(deserializer).map(|strings| strings.map(|strings| strings.0))
    }

    pub(crate) fn serialize<S: Serializer>(strings: &Option<Vec<String>>, serializer: S) -> Result<S::Ok, S::Error> {
        match strings {
            Some(strings) => serialize_strings(strings, serializer),
            None => serializer.serialize_none(),
        }
    }
}

/// The list. A single text is a list of one.
pub(crate) struct Strings(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StringsVisitor)
    }
}

struct StringsVisitor;

impl<'de> Visitor<'de> for StringsVisitor {
    type Value = Strings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Strings, E> {
        Ok(Strings(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strings, A::Error> {
        let mut strings = Vec::new();
        while let Some(text) = items.next_element()? {
            strings.push(text);
        }
        Ok(Strings(strings))
    }
}
