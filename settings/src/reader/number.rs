//! Numbers of a part.

use super::{Preset, Reader};
use crate::invalid::Invalid;
use crate::range::Range;
use crate::table::Value;

impl Reader<'_> {
    /// A number in a range, or the default.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for a value out of the range.
    pub fn number(
        &mut self,
        key: &'static str,
        default: f64,
        range: Range,
        documentation: &'static str,
    ) -> Result<f64, Invalid> {
        let number = self.read_number(key, range, Preset::Value(default.into()), documentation)?;
        let number = number.unwrap_or(default);
        self.keep(key, number.into());
        Ok(number)
    }

    /// A number in a range, if it is given; `otherwise` says in words what happens without it.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for a value out of the range.
    pub fn optional_number(
        &mut self,
        key: &'static str,
        range: Range,
        otherwise: &'static str,
        documentation: &'static str,
    ) -> Result<Option<f64>, Invalid> {
        let number = self.read_number(key, range, Preset::Words(otherwise), documentation)?;
        number.into_iter().for_each(|number| self.keep(key, number.into()));
        Ok(number)
    }

    /// A number in a range that has to be given.
    ///
    /// # Errors
    /// [`Invalid`] if it is missing, of another type or out of the range.
    pub fn required_number(
        &mut self,
        key: &'static str,
        range: Range,
        documentation: &'static str,
    ) -> Result<f64, Invalid> {
        let number = self.read_number(key, range, Preset::Required, documentation)?;
        let number = number.map_or_else(|| self.missing(key, range, range.example()), Ok)?;
        self.keep(key, number.into());
        Ok(number)
    }

    fn read_number(
        &mut self,
        key: &'static str,
        range: Range,
        preset: Preset,
        documentation: &'static str,
    ) -> Result<Option<f64>, Invalid> {
        let Some(value) = self.ask(key, range, preset, documentation) else { return Ok(None) };
        let number = value.number().filter(|number| range.contains(*number));
        number.map(Some).ok_or_else(|| Invalid::value(key, value, range))
    }

    /// A list of numbers in a range, if it is given; `otherwise` says in words what happens without
    /// it.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for a number out of the range.
    pub fn optional_numbers(
        &mut self,
        key: &'static str,
        range: Range,
        otherwise: &'static str,
        documentation: &'static str,
    ) -> Result<Option<Vec<f64>>, Invalid> {
        let allowed = format!("a list; each entry {range}");
        let Some(value) = self.ask(key, &allowed, Preset::Words(otherwise), documentation) else { return Ok(None) };
        let numbers = numbers_of(key, value, range, &allowed)?;
        self.keep(key, Value::List(numbers.iter().map(|&number| number.into()).collect()));
        Ok(Some(numbers))
    }

    /// Two numbers in a range, as PyTorch's `betas`, or the default.
    ///
    /// # Errors
    /// [`Invalid`] for another type, another length and a number out of the range.
    pub fn pair(
        &mut self,
        key: &'static str,
        default: [f64; 2],
        range: Range,
        documentation: &'static str,
    ) -> Result<[f64; 2], Invalid> {
        let allowed = format!("a list of two; each {range}");
        let list = |pair: [f64; 2]| Value::List(pair.map(Value::from).into());
        let pair = match self.ask(key, &allowed, Preset::Value(list(default)), documentation) {
            None => default,
            Some(value) => <[f64; 2]>::try_from(numbers_of(key, value, range, &allowed)?)
                .map_err(|_| Invalid::value(key, value, allowed))?,
        };
        self.keep(key, list(pair));
        Ok(pair)
    }
}

fn numbers_of(key: &str, value: &Value, range: Range, allowed: &str) -> Result<Vec<f64>, Invalid> {
    let Value::List(values) = value else { return Err(Invalid::value(key, value, allowed)) };
    let number = |value: &Value| {
        let number = value.number().filter(|number| range.contains(*number));
        number.ok_or_else(|| Invalid::value(key, value, allowed))
    };
    values.iter().map(number).collect()
}
