//! A metric by its name.

use std::fmt;
use std::sync::OnceLock;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use settings::{Entry, Invalid};

use super::{METRICS, Metric};
use crate::Kind;

/// A metric of [`METRICS`]. It is written as its name.
#[derive(Clone, Copy)]
pub struct MetricRef(&'static Entry<&'static dyn Metric>);

impl MetricRef {
    /// All metrics, in the order of [`METRICS`].
    pub fn all() -> impl Iterator<Item = Self> {
        METRICS.entries().map(Self)
    }

    /// The metrics that a kind of task can have, in the order of [`METRICS`].
    pub fn of_kind(kind: Kind) -> Vec<Self> {
        Self::all().filter(|metric| metric.part().kinds().contains(&kind)).collect()
    }

    /// The metrics of a task of a kind that names none.
    pub fn default_of(kind: Kind) -> Vec<Self> {
        Self::all().filter(|metric| metric.part().default_of().contains(&kind)).collect()
    }

    /// The names of all metrics, in the order of [`METRICS`].
    pub fn names() -> &'static [&'static str] {
        static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
        NAMES.get_or_init(|| METRICS.names())
    }

    /// The metric of that name.
    ///
    /// # Errors
    /// [`Invalid`] with the known names if there is none.
    pub fn named(name: &str) -> Result<Self, Invalid> {
        METRICS.get("metrics", name).map(Self)
    }

    #[cfg(test)]
    pub(super) fn of_entry(entry: &'static Entry<&'static dyn Metric>) -> Self {
        Self(entry)
    }

    /// The name in the experiment file, the journal and the tables.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// One line for the reference: what the metric is.
    pub fn summary(self) -> &'static str {
        self.0.summary
    }

    /// The metric itself.
    pub fn part(self) -> &'static dyn Metric {
        self.0.part
    }

    /// Whether a larger value is a better one.
    pub fn higher_is_better(self) -> bool {
        self.part().higher_is_better()
    }
}

impl fmt::Display for MetricRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for MetricRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// A name means one metric in the whole process.

impl PartialEq for MetricRef {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for MetricRef {}

impl Serialize for MetricRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for MetricRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = MetricRef;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a metric")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<MetricRef, E> {
                MetricRef::named(name).map_err(|_| E::unknown_variant(name, MetricRef::names()))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}
