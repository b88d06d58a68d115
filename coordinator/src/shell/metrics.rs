//! The metrics of a record.

use indexmap::IndexMap;

use crate::journal::Number;

/// Values of metrics by name.
pub(super) type Metrics = IndexMap<String, Number>;

/// Metrics with one entry.
pub(super) fn one(name: &str, value: f64) -> Metrics {
    IndexMap::from([(name.to_owned(), Number(value))])
}
