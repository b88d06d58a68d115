//! Whole numbers of a part.

use std::ops::RangeBounds;

use super::{Preset, Reader};
use crate::invalid::Invalid;
use crate::range::Counts;
use crate::table::Value;

impl Reader<'_> {
    /// A whole number within bounds such as `1..`, or the default.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for a value out of the bounds.
    pub fn count(
        &mut self,
        key: &'static str,
        default: u64,
        bounds: impl RangeBounds<u64>,
        documentation: &'static str,
    ) -> Result<u64, Invalid> {
        let preset = Preset::Value(Value::of_count(default));
        let count = self.read_count(key, Counts::new(&bounds), preset, documentation)?.unwrap_or(default);
        self.keep(key, Value::of_count(count));
        Ok(count)
    }

    /// A whole number within bounds, if it is given; `otherwise` says in words what happens without
    /// it.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for a value out of the bounds.
    pub fn optional_count(
        &mut self,
        key: &'static str,
        bounds: impl RangeBounds<u64>,
        otherwise: &'static str,
        documentation: &'static str,
    ) -> Result<Option<u64>, Invalid> {
        let count = self.read_count(key, Counts::new(&bounds), Preset::Words(otherwise), documentation)?;
        count.into_iter().for_each(|count| self.keep(key, Value::of_count(count)));
        Ok(count)
    }

    /// A whole number within bounds that has to be given.
    ///
    /// # Errors
    /// [`Invalid`] if it is missing, of another type or out of the bounds.
    pub fn required_count(
        &mut self,
        key: &'static str,
        bounds: impl RangeBounds<u64>,
        documentation: &'static str,
    ) -> Result<u64, Invalid> {
        let counts = Counts::new(&bounds);
        let count = self.read_count(key, counts, Preset::Required, documentation)?;
        let count = count.map_or_else(|| self.missing(key, counts, counts.example()), Ok)?;
        self.keep(key, Value::of_count(count));
        Ok(count)
    }

    fn read_count(
        &mut self,
        key: &'static str,
        counts: Counts,
        preset: Preset,
        documentation: &'static str,
    ) -> Result<Option<u64>, Invalid> {
        let Some(value) = self.ask(key, counts, preset, documentation) else { return Ok(None) };
        let count = value.count().filter(|count| counts.contains(*count));
        count.map(Some).ok_or_else(|| Invalid::value(key, value, counts))
    }

    /// A list of whole numbers within bounds, or the default.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for a number out of the bounds.
    pub fn counts(
        &mut self,
        key: &'static str,
        default: &[u64],
        bounds: impl RangeBounds<u64>,
        documentation: &'static str,
    ) -> Result<Vec<u64>, Invalid> {
        let preset = Preset::Value(list_of_counts(default));
        let counts = self.read_counts(key, Counts::new(&bounds), preset, documentation)?;
        let counts = counts.unwrap_or_else(|| default.to_vec());
        self.keep(key, list_of_counts(&counts));
        Ok(counts)
    }

    /// A list of whole numbers within bounds that has to be given.
    ///
    /// # Errors
    /// [`Invalid`] if it is missing, of another type or has a number out of the bounds.
    pub fn required_counts(
        &mut self,
        key: &'static str,
        example: &[u64],
        bounds: impl RangeBounds<u64>,
        documentation: &'static str,
    ) -> Result<Vec<u64>, Invalid> {
        let bounds = Counts::new(&bounds);
        let counts = self.read_counts(key, bounds, Preset::Required, documentation)?;
        let counts = counts.map_or_else(|| self.missing(key, list_allowed(bounds), example.to_vec()), Ok)?;
        self.keep(key, list_of_counts(&counts));
        Ok(counts)
    }

    fn read_counts(
        &mut self,
        key: &'static str,
        bounds: Counts,
        preset: Preset,
        documentation: &'static str,
    ) -> Result<Option<Vec<u64>>, Invalid> {
        let allowed = list_allowed(bounds);
        let Some(value) = self.ask(key, &allowed, preset, documentation) else { return Ok(None) };
        let Value::List(values) = value else { return Err(Invalid::value(key, value, allowed)) };
        let count = |value: &Value| {
            let count = value.count().filter(|count| bounds.contains(*count));
            count.ok_or_else(|| Invalid::value(key, value, &allowed))
        };
        values.iter().map(count).collect::<Result<_, _>>().map(Some)
    }
}

fn list_allowed(bounds: Counts) -> String {
    format!("a list; each entry {bounds}")
}

fn list_of_counts(counts: &[u64]) -> Value {
    Value::List(counts.iter().map(|&count| Value::of_count(count)).collect())
}
