//! Names, texts, flags and values of any type of a part.

use super::{Preset, Reader};
use crate::invalid::Invalid;
use crate::table::Value;

impl<'a> Reader<'a> {
    /// `true` or `false`, or the default.
    ///
    /// # Errors
    /// [`Invalid`] for another type.
    pub fn flag(&mut self, key: &'static str, default: bool, documentation: &'static str) -> Result<bool, Invalid> {
        const ALLOWED: &str = "true or false";
        let flag = match self.ask(key, ALLOWED, Preset::Value(default.into()), documentation) {
            None => default,
            Some(Value::Bool(value)) => *value,
            Some(value) => return Err(Invalid::value(key, value, ALLOWED)),
        };
        self.keep(key, flag.into());
        Ok(flag)
    }

    /// One of the names in `known`, or the default.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for another name.
    pub fn name(
        &mut self,
        key: &'static str,
        default: &'static str,
        known: &[&'static str],
        documentation: &'static str,
    ) -> Result<&'static str, Invalid> {
        let name = self.read_name(key, known, Preset::Value(default.into()), documentation)?.unwrap_or(default);
        self.keep(key, name.into());
        Ok(name)
    }

    /// One of the names in `known`, if it is given; `otherwise` says in words what happens without
    /// it.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for another name.
    pub fn optional_name(
        &mut self,
        key: &'static str,
        known: &[&'static str],
        otherwise: &'static str,
        documentation: &'static str,
    ) -> Result<Option<&'static str>, Invalid> {
        let name = self.read_name(key, known, Preset::Words(otherwise), documentation)?;
        name.into_iter().for_each(|name| self.keep(key, name.into()));
        Ok(name)
    }

    fn read_name(
        &mut self,
        key: &'static str,
        known: &[&'static str],
        preset: Preset,
        documentation: &'static str,
    ) -> Result<Option<&'static str>, Invalid> {
        let allowed = format!("one of {}", known.join(", "));
        match self.ask(key, &allowed, preset, documentation) {
            None => Ok(None),
            Some(Value::Text(text)) => match known.iter().find(|name| *name == text) {
                Some(name) => Ok(Some(name)),
                None => Err(Invalid::name(key, text, known)),
            },
            Some(value) => Err(Invalid::value(key, value, allowed)),
        }
    }

    /// A text that has to be given, not an empty one; `allowed` says in words what it is.
    ///
    /// # Errors
    /// [`Invalid`] if it is missing, empty or of another type.
    pub fn required_text(
        &mut self,
        key: &'static str,
        allowed: &'static str,
        documentation: &'static str,
    ) -> Result<String, Invalid> {
        let text = match self.ask(key, allowed, Preset::Required, documentation) {
            None => self.missing(key, allowed, String::new())?,
            Some(Value::Text(text)) if !text.is_empty() => text.clone(),
            Some(value) => return Err(Invalid::value(key, value, allowed)),
        };
        self.keep(key, Value::Text(text.clone()));
        Ok(text)
    }

    /// A value of any type as it is, if it is given. The caller checks it; `allowed` says in words
    /// what it accepts, `otherwise` what happens without it.
    pub fn optional_value(
        &mut self,
        key: &'static str,
        allowed: &'static str,
        otherwise: &'static str,
        documentation: &'static str,
    ) -> Option<&'a Value> {
        let value = self.ask(key, allowed, Preset::Words(otherwise), documentation);
        value.into_iter().for_each(|value| self.keep(key, value.clone()));
        value
    }

    /// A value of any type as it is, which has to be given. The caller checks it; `allowed` says in
    /// words what it accepts. A description takes `example`.
    ///
    /// # Errors
    /// [`Invalid`] if it is missing.
    pub fn required_value(
        &mut self,
        key: &'static str,
        allowed: &'static str,
        example: Value,
        documentation: &'static str,
    ) -> Result<Value, Invalid> {
        let value = match self.ask(key, allowed, Preset::Required, documentation) {
            None => self.missing(key, allowed, example)?,
            Some(value) => value.clone(),
        };
        self.keep(key, value.clone());
        Ok(value)
    }
}
