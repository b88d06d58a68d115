//! What a task minimises, as the file says it: a loss of the registry and its parameters.

use std::fmt;

use objectives::{Kind, LOSSES, LossPart, loss};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use settings::{Entry, Invalid, Reader, Table, Value};

/// A task's loss: a name, or a table with `kind` and the loss's parameters.
#[derive(Clone)]
pub struct Loss {
    entry: &'static Entry<LossPart>,
    /// Without `kind`.
    parameters: Table,
}

const KIND: &str = "kind";

impl Loss {
    /// The loss of that name. The parameters are read when the loss is [built](Loss::build).
    ///
    /// # Errors
    /// [`Invalid`] with the known names if there is none.
    pub fn named(name: &str, parameters: Table) -> Result<Self, Invalid> {
        LOSSES.get(KIND, name).map(|entry| Self { entry, parameters })
    }

    /// The loss of a task that names none.
    ///
    /// # Panics
    /// Every kind of task has a loss that is built in.
    pub fn default_for(kind: Kind) -> Self {
        let entry = loss::of_kind(kind).next().expect("a loss that is built in fits the kind");
        Self { entry, parameters: Table::new() }
    }

    /// The name in the experiment file.
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// The parameters by key.
    pub fn parameters(&self) -> &Table {
        &self.parameters
    }

    /// Whether a kind of task can have it.
    pub fn fits(&self, kind: Kind) -> bool {
        self.entry.part.kinds.contains(&kind)
    }

    /// Whether the labels have to stay in the target's own units.
    pub fn is_unscaled(&self) -> bool {
        self.entry.part.unscaled
    }

    /// The loss function for a task of a kind.
    ///
    /// # Errors
    /// [`Invalid`] if the loss does not fit the kind, or a parameter is not what it may be.
    pub fn build(&self, kind: Kind) -> Result<Box<dyn objectives::Loss>, Invalid> {
        if !self.fits(kind) {
            let known: Vec<&str> = loss::of_kind(kind).map(|entry| entry.name).collect();
            let message = format!("`{}` is not a loss for tasks of kind {kind}", self.name());
            return Err(Invalid { message, ..Invalid::name(KIND, self.name(), &known) });
        }
        let mut reader = Reader::new(&self.parameters, self.name()).tagged(KIND);
        let built = (self.entry.part.read)(&mut reader, kind)?;
        reader.finish()?;
        Ok(built)
    }

    /// This loss with the parameters of a loss function of its name.
    #[must_use]
    pub fn with_parameters_of(&self, built: &dyn objectives::Loss) -> Self {
        Self { entry: self.entry, parameters: built.parameters() }
    }

    /// This loss with its defaults filled in, if it can be built for the kind.
    pub(crate) fn completed(self, kind: Kind) -> Self {
        match self.build(kind) {
            Ok(built) => self.with_parameters_of(built.as_ref()),
            Err(_) => self,
        }
    }
}

impl fmt::Debug for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), Value::Table(self.parameters.clone()))
    }
}

// A name means one loss in the whole process.
impl PartialEq for Loss {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.parameters == other.parameters
    }
}

impl Serialize for Loss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.parameters.is_empty() {
            return serializer.serialize_str(self.name());
        }
        let name = Value::Text(self.name().to_owned());
        let kind = std::iter::once((KIND, &name));
        serializer.collect_map(kind.chain(self.parameters.iter().map(|(key, value)| (key.as_str(), value))))
    }
}

impl<'de> Deserialize<'de> for Loss {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LossVisitor;

        impl<'de> Visitor<'de> for LossVisitor {
            type Value = Loss;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a loss or a table such as { kind = \"huber\", delta = 1.0 }")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Loss, E> {
                Loss::named(name, Table::new()).map_err(|_| E::unknown_variant(name, loss::names()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Loss, A::Error> {
                let (mut kind, mut parameters) = (None, Table::new());
                while let Some(key) = table.next_key::<String>()? {
                    if key == KIND {
                        kind = Some(table.next_value::<Name>()?);
                    } else {
                        parameters.insert(key, table.next_value()?);
                    }
                }
                let Name(entry) = kind.ok_or_else(|| A::Error::missing_field(KIND))?;
                Ok(Loss { entry, parameters })
            }
        }

        deserializer.deserialize_any(LossVisitor)
    }
}

/// The name of a loss, as the value of `kind`.
struct Name(&'static Entry<LossPart>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a loss")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
                LOSSES.find(name).map(Name).ok_or_else(|| E::unknown_variant(name, loss::names()))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}
