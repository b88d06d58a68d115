//! Parts of a part, which are read from a registry of their own.

use super::Registry;
use crate::component::Component;
use crate::invalid::Invalid;
use crate::reader::{Preset, Reader};

impl Reader<'_> {
    /// A part of `registry`: its name, a table with the name as `kind` and its parameters, or the
    /// part named `default`. `read` is as for [`Registry::read`].
    ///
    /// # Errors
    /// [`Invalid`] for another type, and for what [`Registry::read`] refuses.
    pub fn part<T, P>(
        &mut self,
        key: &'static str,
        default: &'static str,
        registry: &Registry<T>,
        read: impl FnOnce(&T, &mut Reader<'_>) -> Result<P, Invalid>,
        documentation: &'static str,
    ) -> Result<P, Invalid> {
        let given = self.read_part(key, registry, Preset::Value(default.into()), documentation)?;
        self.keep_part(key, given.unwrap_or_else(|| Component::named(default)), registry, read)
    }

    /// A part of `registry` as for [`Reader::part`], if it is given; `otherwise` says in words what
    /// happens without it.
    ///
    /// # Errors
    /// As for [`Reader::part`].
    pub fn optional_part<T, P>(
        &mut self,
        key: &'static str,
        registry: &Registry<T>,
        otherwise: &'static str,
        read: impl FnOnce(&T, &mut Reader<'_>) -> Result<P, Invalid>,
        documentation: &'static str,
    ) -> Result<Option<P>, Invalid> {
        let given = self.read_part(key, registry, Preset::Words(otherwise), documentation)?;
        given.map(|given| self.keep_part(key, given, registry, read)).transpose()
    }

    fn read_part<T>(
        &mut self,
        key: &'static str,
        registry: &Registry<T>,
        preset: Preset,
        documentation: &'static str,
    ) -> Result<Option<Component>, Invalid> {
        let allowed = format!("one of {}, or a table with one of them as `kind`", registry.names().join(", "));
        match self.ask(key, &allowed, preset, documentation) {
            Some(value) => Component::try_from(value).map(Some).map_err(|_| Invalid::value(key, value, allowed)),
            None => Ok(None),
        }
    }

    fn keep_part<T, P>(
        &mut self,
        key: &'static str,
        given: Component,
        registry: &Registry<T>,
        read: impl FnOnce(&T, &mut Reader<'_>) -> Result<P, Invalid>,
    ) -> Result<P, Invalid> {
        let (part, completed) = registry.read(&given, read).map_err(|invalid| invalid.under(key))?;
        self.keep(key, completed.into());
        Ok(part)
    }
}
