//! Reading a part's parameters key by key.

mod count;
mod number;
#[cfg(test)]
mod tests;
mod value;

use crate::invalid::Invalid;
use crate::table::{Table, Value};

/// Takes a [`Table`] apart: a part asks for each of its keys once, with what is allowed, the
/// default and one line of documentation. [`Reader::finish`] refuses all other keys.
///
/// The reader records what it was asked for, so that the same function that reads a part also
/// describes it: see [`Reader::describing`].
#[derive(Debug)]
pub struct Reader<'a> {
    /// None while the part describes itself.
    table: Option<&'a Table>,
    owner: String,
    /// A key that the caller has read, such as `kind`.
    tag: Option<&'static str>,
    parameters: Vec<Parameter>,
    completed: Table,
}

/// One parameter of a part.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its key in the part's table.
    pub key: &'static str,
    /// The values that it may have, in words: `a number above 0`.
    pub allowed: String,
    /// What it is if the file does not give it.
    pub preset: Preset,
    /// One line on what it means.
    pub documentation: &'static str,
}

/// What a parameter is if the file does not give it.
#[derive(Debug, Clone, PartialEq)]
pub enum Preset {
    /// This value.
    Value(Value),
    /// Something that is not a fixed value, in words: `none`, `the trunk's`.
    Words(&'static str),
    /// It has to be given.
    Required,
}

impl<'a> Reader<'a> {
    /// Reads `table`; `owner` is the part's name in messages, as in `adam`.
    pub fn new(table: &'a Table, owner: &str) -> Self {
        Self { table: Some(table), owner: owner.to_owned(), tag: None, parameters: Vec::new(), completed: Table::new() }
    }

    /// Reads nothing: each key has its default, a required one some value that is allowed. What
    /// the part asked for is in [`Reader::parameters`] afterwards.
    pub fn describing(owner: &str) -> Reader<'static> {
        Reader { table: None, owner: owner.to_owned(), tag: None, parameters: Vec::new(), completed: Table::new() }
    }

    /// Counts `tag` among the known keys; the caller has read it.
    #[must_use]
    pub fn tagged(mut self, tag: &'static str) -> Self {
        self.tag = Some(tag);
        self
    }

    /// What was asked for so far, in that order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// What was read so far with defaults filled in, in the order in which it was asked for.
    /// Numbers are of the type that was asked for: `1` is 1.0 if a number was.
    pub fn completed(&self) -> &Table {
        &self.completed
    }

    /// Ends reading: gives what [`Reader::completed`] does.
    ///
    /// # Errors
    /// [`Invalid`] with the first key that nothing asked for, and the known ones.
    pub fn finish(self) -> Result<Table, Invalid> {
        let own: Vec<&str> = self.parameters.iter().map(|parameter| parameter.key).collect();
        let known: Vec<&str> = self.tag.into_iter().chain(own.iter().copied()).collect();
        match self.table.and_then(|table| table.keys().find(|key| !known.contains(&key.as_str()))) {
            None => Ok(self.completed),
            Some(key) => {
                let known = known.into_iter().map(str::to_owned).collect();
                Err(Invalid::unknown_key(key, &self.owner, &own).knowing(known))
            }
        }
    }

    /// Records a parameter and gives its value in the table.
    pub(crate) fn ask(
        &mut self,
        key: &'static str,
        allowed: impl ToString,
        preset: Preset,
        documentation: &'static str,
    ) -> Option<&'a Value> {
        self.parameters.push(Parameter { key, allowed: allowed.to_string(), preset, documentation });
        self.table.and_then(|table| table.get(key))
    }

    /// Keeps the value of a parameter for [`Reader::completed`].
    pub(crate) fn keep(&mut self, key: &'static str, value: Value) {
        self.completed.insert(key.to_owned(), value);
    }

    fn missing<T>(&self, key: &str, allowed: impl ToString, example: T) -> Result<T, Invalid> {
        if self.table.is_none() { Ok(example) } else { Err(Invalid::missing(key, allowed.to_string())) }
    }
}
