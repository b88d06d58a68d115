//! The parts of one kind that this binary knows.
//!
//! A registry is a `static`. Its built-in entries are a constant list, one line each. A binary with
//! parts of its own adds them once, before anything is looked up. From the first look-up on the
//! registry never changes, so that what a name means is the same in the whole process.

mod part;

use std::sync::OnceLock;

use crate::catalogue::{self, AddedPart};
use crate::component::{Component, KIND};
use crate::invalid::Invalid;
use crate::reader::{Parameter, Reader};
use crate::table::Value;

/// A named part.
#[derive(Debug, Clone, Copy)]
pub struct Entry<T> {
    /// The name in the experiment file.
    pub name: &'static str,
    /// One line for the reference: what the part is, with its source.
    pub summary: &'static str,
    /// The crate that the part comes from, with its version, such as `my-experiment 0.3.0`.
    pub origin: &'static str,
    /// The part, usually a function that reads its parameters.
    pub part: T,
}

impl<T> Entry<T> {
    /// A part of this project.
    pub const fn built_in(name: &'static str, summary: &'static str, part: T) -> Self {
        Self { name, summary, origin: concat!("trunkline ", env!("CARGO_PKG_VERSION")), part }
    }
}

/// A part as the reference shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// The name in the experiment file.
    pub name: &'static str,
    /// One line: what the part is, with its source.
    pub summary: &'static str,
    /// Its parameters, in the order in which it reads them.
    pub parameters: Vec<Parameter>,
}

/// All parts of one kind, in the order of the reference.
#[derive(Debug)]
pub struct Registry<T: 'static> {
    what: &'static str,
    tag: &'static str,
    built_in: &'static [Entry<T>],
    added: OnceLock<Vec<Entry<T>>>,
}

/// Why parts can't be added to a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// Two parts have one name.
    #[error("there are two {what}s named `{name}`; rename the one of {origin}")]
    Duplicate {
        /// What the registry holds, in the singular.
        what: &'static str,
        /// The name.
        name: &'static str,
        /// The crate of the part that was refused.
        origin: &'static str,
    },
    /// The registry was used before.
    #[error("the {what}s are in use already; add parts before `trunkline::run`")]
    InUse {
        /// What the registry holds, in the singular.
        what: &'static str,
    },
}

impl<T> Registry<T> {
    /// A registry of these built-in parts; `what` is one of them in words, such as `weighting`.
    pub const fn new(what: &'static str, built_in: &'static [Entry<T>]) -> Self {
        Self::with_tag(what, KIND, built_in)
    }

    /// A registry of parts whose name stands at the key `tag` instead of `kind`.
    pub const fn with_tag(what: &'static str, tag: &'static str, built_in: &'static [Entry<T>]) -> Self {
        Self { what, tag, built_in, added: OnceLock::new() }
    }

    /// What the registry holds, in the singular.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// Adds parts, after the built-in ones. It is called at most once, before the first look-up.
    ///
    /// # Errors
    /// [`AddError::Duplicate`] if a name is taken, [`AddError::InUse`] if parts were added or
    /// looked up before.
    pub fn add(&self, entries: Vec<Entry<T>>) -> Result<(), AddError> {
        for (place, entry) in entries.iter().enumerate() {
            let earlier = self.built_in.iter().chain(&entries[..place]);
            if earlier.into_iter().any(|other| other.name == entry.name) {
                return Err(AddError::Duplicate { what: self.what, name: entry.name, origin: entry.origin });
            }
        }
        let part = |entry: &Entry<T>| AddedPart {
            what: self.what.to_owned(),
            name: entry.name.to_owned(),
            origin: entry.origin.to_owned(),
        };
        let parts: Vec<AddedPart> = entries.iter().map(part).collect();
        self.added.set(entries).map_err(|_| AddError::InUse { what: self.what })?;
        catalogue::note(parts);
        Ok(())
    }

    /// All parts: the built-in ones, then those that were added.
    pub fn entries(&self) -> impl Iterator<Item = &Entry<T>> {
        self.built_in.iter().chain(self.added.get_or_init(Vec::new))
    }

    /// All names, in the order of [`Registry::entries`].
    pub fn names(&self) -> Vec<&'static str> {
        self.entries().map(|entry| entry.name).collect()
    }

    /// The part of that name.
    pub fn find(&self, name: &str) -> Option<&Entry<T>> {
        self.entries().find(|entry| entry.name == name)
    }

    /// The part that the value of `key` names.
    ///
    /// # Errors
    /// [`Invalid`] with the known names.
    pub fn get(&self, key: &str, name: &str) -> Result<&Entry<T>, Invalid> {
        self.find(name).ok_or_else(|| Invalid::name(key, name, &self.names()))
    }

    /// The part that `component` names. Its parameters are not read.
    ///
    /// # Errors
    /// [`Invalid`] if the name is missing or unknown.
    pub fn named_by(&self, component: &Component) -> Result<&Entry<T>, Invalid> {
        let one_of = || format!("one of {}", self.names().join(", "));
        match component.given_kind() {
            Some(Value::Text(name)) => self.get(self.tag, name),
            Some(value) => Err(Invalid::value(self.tag, value, one_of())),
            None => Err(Invalid::missing(self.tag, one_of())),
        }
    }

    /// Reads the part that `component` names. `read` makes it with the entry's function and a
    /// reader of the parameters. The component that comes back has every default filled in.
    ///
    /// # Errors
    /// [`Invalid`] if the name is missing or unknown, for what `read` refuses, and for parameters
    /// that it does not ask for.
    pub fn read<P>(
        &self,
        component: &Component,
        read: impl FnOnce(&T, &mut Reader<'_>) -> Result<P, Invalid>,
    ) -> Result<(P, Component), Invalid> {
        let entry = self.named_by(component)?;
        let mut reader = Reader::new(component.parameters(), entry.name).tagged(self.tag);
        let part = read(&entry.part, &mut reader)?;
        Ok((part, Component::new(entry.name, reader.finish()?)))
    }

    /// All parts with their parameters, for the reference; `read` is as for [`Registry::read`]. A
    /// part is described by what it asks for, up to where it refuses what stands in for a value
    /// that has to be given.
    pub fn describe<P>(&self, read: impl Fn(&T, &mut Reader<'_>) -> Result<P, Invalid>) -> Vec<Description> {
        let describe = |entry: &Entry<T>| {
            let mut reader = Reader::describing(entry.name);
            let _ = read(&entry.part, &mut reader);
            Description { name: entry.name, summary: entry.summary, parameters: reader.parameters().to_vec() }
        };
        self.entries().map(describe).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::Range;

    const BUILT_IN: &[Entry<u8>] = &[
        Entry { name: "one", summary: "the first", origin: "here 1.0.0", part: 1 },
        Entry { name: "two", summary: "the second", origin: "here 1.0.0", part: 2 },
    ];

    fn entry(name: &'static str) -> Entry<u8> {
        Entry { name, summary: "", origin: "elsewhere 0.3.0", part: 9 }
    }

    #[test]
    fn added_parts_follow_the_built_in_ones() {
        let registry = Registry::new("number", BUILT_IN);
        registry.add(vec![entry("nine")]).expect("the name is free");
        assert_eq!(registry.names(), ["one", "two", "nine"]);
        assert_eq!(registry.get("kind", "nine").expect("it was added").part, 9);
    }

    #[test]
    fn a_name_that_is_taken_is_refused_with_the_crate_that_brings_it() {
        let registry = Registry::new("number", BUILT_IN);
        let error = registry.add(vec![entry("two")]).expect_err("it is built in");
        assert_eq!(error.to_string(), "there are two numbers named `two`; rename the one of elsewhere 0.3.0");
        let error = registry.add(vec![entry("nine"), entry("nine")]).expect_err("it is there twice");
        assert!(matches!(error, AddError::Duplicate { name: "nine", .. }));
    }

    #[test]
    fn nothing_is_added_after_the_first_look_up() {
        let registry = Registry::new("number", BUILT_IN);
        assert!(registry.find("nine").is_none());
        assert_eq!(registry.add(vec![entry("nine")]), Err(AddError::InUse { what: "number" }));
    }

    const FACTORS: &[Entry<f64>] = &[Entry::built_in("times", "multiplies", 2.0)];

    fn factor(default: &f64, reader: &mut Reader<'_>) -> Result<f64, Invalid> {
        reader.number("factor", *default, Range::Positive, "what it multiplies by")
    }

    #[test]
    fn a_component_is_read_and_completed_by_its_entry() {
        let registry = Registry::new("factor", FACTORS);
        let (part, completed) = registry.read(&Component::named("times"), factor).expect("is right");
        assert_eq!((part, completed), (2.0, Component::named("times").with("factor", 2.0)));
        for (component, key) in [
            (Component::named("plus"), "kind"),
            (Component::default(), "kind"),
            (Component::named("times").with("factor", -1.0), "factor"),
            (Component::named("times").with("fcator", 1.0), "fcator"),
        ] {
            assert_eq!(registry.read(&component, factor).expect_err("is wrong").key(), key);
        }
        let tagged = Registry::with_tag("factor", "method", FACTORS);
        assert_eq!(tagged.read(&Component::named("plus"), factor).expect_err("is wrong").key(), "method");
    }

    #[test]
    fn parts_are_described_with_their_parameters() {
        let described = Registry::new("factor", FACTORS).describe(factor);
        assert_eq!((described[0].name, described[0].parameters.len()), ("times", 1));
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let registry = Registry::new("number", BUILT_IN);
        let invalid = registry.get("kind", "too").expect_err("there is none");
        assert_eq!(invalid.to_string(), "`kind`: there is no `too`; it must be one of one, two");
    }
}
