//! A table of the experiment file, read key by key.
//!
//! Optimizers, schedules and weightings are tables whose keys depend on one of them (`kind`,
//! `method`). Serde's tagged enums lose the place of a wrong value, so such a table is first read
//! as a [`Table`] and then taken apart with a [`Reader`], which knows the key of everything that it
//! refuses. What it refuses is an [`Invalid`]; as text that begins with the key in backticks, so
//! that a loader can find the place in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// Keys and values, in the keys' order.
pub type Table = BTreeMap<String, Value>;

/// A value of a [`Table`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A table in the table.
    Table(Table),
}

impl Value {
    /// The value as a number, where it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Integer(value) => Some(*value as f64),
            Value::Number(value) => Some(*value),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(value) => write!(f, "{value}"),
            Value::Integer(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{value}"),
            Value::Text(value) => write!(f, "{value:?}"),
            Value::List(values) => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
            Value::Table(table) => {
                let entries: Vec<String> = table.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                write!(f, "{{ {} }}", entries.join(", "))
            }
        }
    }
}

/// A key that is refused, with what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {message}")]
pub struct Invalid {
    /// The key in its table.
    pub key: String,
    /// What is wrong and what is allowed.
    pub message: String,
    /// The names that would be known at this place (keys or values), for a suggestion; may be
    /// empty.
    pub known: Vec<String>,
}

impl Invalid {
    /// A refused value: `value` at `key`, with what is `allowed` in words.
    pub fn value(key: &str, value: impl fmt::Display, allowed: impl fmt::Display) -> Self {
        Self {
            key: key.to_owned(),
            message: format!("{value} is not allowed here; it must be {allowed}"),
            known: Vec::new(),
        }
    }

    /// A name that is none of the `known` ones.
    pub fn name(key: &str, value: &str, known: &[&str]) -> Self {
        Self {
            key: key.to_owned(),
            message: format!("there is no `{value}`; it must be one of {}", known.join(", ")),
            known: known.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// A key that has to be given.
    pub fn missing(key: &str, allowed: impl fmt::Display) -> Self {
        Self { key: key.to_owned(), message: format!("this key is missing; it must be {allowed}"), known: Vec::new() }
    }
}

/// The values that a number may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// Any finite number.
    Finite,
    /// Above 0.
    Positive,
    /// 0 or more.
    NotNegative,
    /// From the first to the second, both allowed.
    Closed(f64, f64),
    /// From the first, which is allowed, to below the second.
    HalfOpen(f64, f64),
    /// Above the first, to the second, which is allowed.
    LeftOpen(f64, f64),
}

impl Range {
    /// Whether `value` is finite and in the range.
    pub fn contains(self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Range::Finite => true,
                Range::Positive => value > 0.0,
                Range::NotNegative => value >= 0.0,
                Range::Closed(low, high) => low <= value && value <= high,
                Range::HalfOpen(low, high) => low <= value && value < high,
                Range::LeftOpen(low, high) => low < value && value <= high,
            }
    }

    /// Refuses a value out of the range.
    ///
    /// # Errors
    /// [`Invalid`] with the key, the value and the range.
    pub fn check(self, key: &str, value: f64) -> Result<(), Invalid> {
        if self.contains(value) { Ok(()) } else { Err(Invalid::value(key, value, self)) }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Range::Finite => write!(f, "a finite number"),
            Range::Positive => write!(f, "a number above 0"),
            Range::NotNegative => write!(f, "a number of at least 0"),
            Range::Closed(low, high) => write!(f, "a number from {low} to {high}"),
            Range::HalfOpen(low, high) => write!(f, "a number of at least {low} and below {high}"),
            Range::LeftOpen(low, high) => write!(f, "a number above {low} and at most {high}"),
        }
    }
}

/// Takes a [`Table`] apart: each key is asked for once, with its type and its default;
/// [`Reader::finish`] refuses the rest.
#[derive(Debug)]
pub struct Reader<'a> {
    table: &'a Table,
    known: BTreeSet<&'static str>,
    owner: String,
    completed: Table,
}

impl<'a> Reader<'a> {
    /// Reads `table`; `owner` is how messages call it, as in `adam`.
    pub fn new(table: &'a Table, owner: &str) -> Self {
        Self { table, known: BTreeSet::new(), owner: owner.to_owned(), completed: Table::new() }
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.insert(key);
        self.table.get(key)
    }

    /// The value at `key` as it is.
    pub fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.take(key)
    }

    /// A number in a range, or the default.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for a value out of the range.
    pub fn number(&mut self, key: &'static str, default: f64, range: Range) -> Result<f64, Invalid> {
        let number = self.optional_number(key, range)?.unwrap_or(default);
        self.keep(key, Value::Number(number));
        Ok(number)
    }

    /// A number in a range, where it is given.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for a value out of the range.
    pub fn optional_number(&mut self, key: &'static str, range: Range) -> Result<Option<f64>, Invalid> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let number = value.number().ok_or_else(|| Invalid::value(key, value, range))?;
        range.check(key, number)?;
        self.keep(key, Value::Number(number));
        Ok(Some(number))
    }

    /// A number in a range that has to be given.
    ///
    /// # Errors
    /// [`Invalid`] where it is missing, of another type or out of the range.
    pub fn required_number(&mut self, key: &'static str, range: Range) -> Result<f64, Invalid> {
        self.optional_number(key, range)?.ok_or_else(|| Invalid::missing(key, range))
    }

    /// A whole number of at least `least`, or the default.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for a smaller value.
    pub fn count(&mut self, key: &'static str, default: u64, least: u64) -> Result<u64, Invalid> {
        let count = self.optional_count(key, least)?.unwrap_or(default);
        self.keep(key, Value::Integer(count as i64));
        Ok(count)
    }

    /// A whole number of at least `least`, where it is given.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for a smaller value.
    pub fn optional_count(&mut self, key: &'static str, least: u64) -> Result<Option<u64>, Invalid> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match value {
            Value::Integer(number) if u64::try_from(*number).is_ok_and(|number| number >= least) => {
                self.keep(key, value.clone());
                Ok(Some(number.unsigned_abs()))
            }
            _ => Err(Invalid::value(key, value, format!("a whole number of at least {least}"))),
        }
    }

    /// `true` or `false`, or the default.
    ///
    /// # Errors
    /// [`Invalid`] for another type.
    pub fn flag(&mut self, key: &'static str, default: bool) -> Result<bool, Invalid> {
        let flag = match self.take(key) {
            None => default,
            Some(Value::Bool(value)) => *value,
            Some(value) => return Err(Invalid::value(key, value, "true or false")),
        };
        self.keep(key, Value::Bool(flag));
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
    ) -> Result<&'static str, Invalid> {
        let name = self.optional_name(key, known)?.unwrap_or(default);
        self.keep(key, Value::Text(name.to_owned()));
        Ok(name)
    }

    /// One of the names in `known`, if it is given.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for another name.
    pub fn optional_name(
        &mut self,
        key: &'static str,
        known: &[&'static str],
    ) -> Result<Option<&'static str>, Invalid> {
        let name = match self.take(key) {
            None => return Ok(None),
            Some(Value::Text(text)) => {
                let name = known.iter().copied().find(|name| name == text);
                name.ok_or_else(|| Invalid::name(key, text, known))?
            }
            Some(value) => return Err(Invalid::value(key, value, format!("one of {}", known.join(", ")))),
        };
        self.keep(key, Value::Text(name.to_owned()));
        Ok(Some(name))
    }

    /// A list of numbers in a range, where it is given.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for a number out of the range.
    pub fn numbers(&mut self, key: &'static str, range: Range) -> Result<Option<Vec<f64>>, Invalid> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let Value::List(values) = value else {
            return Err(Invalid::value(key, value, format!("a list; each entry {range}")));
        };
        let number = |value: &Value| {
            let number = value.number().filter(|number| range.contains(*number));
            number.ok_or_else(|| Invalid::value(key, value, format!("a list; each entry {range}")))
        };
        values.iter().map(number).collect::<Result<_, _>>().map(Some)
    }

    /// Two numbers in a range, as PyTorch's `betas`, or the default.
    ///
    /// # Errors
    /// [`Invalid`] for another type, another length and a number out of the range.
    pub fn pair(&mut self, key: &'static str, default: [f64; 2], range: Range) -> Result<[f64; 2], Invalid> {
        match self.numbers(key, range)?.as_deref() {
            None => Ok(default),
            Some(&[first, second]) => Ok([first, second]),
            Some(_) => Err(Invalid::value(key, &self.table[key], format!("a list of two; each {range}"))),
        }
    }

    /// What was read so far, defaults filled in.
    pub fn completed(&self) -> &Table {
        &self.completed
    }

    fn keep(&mut self, key: &str, value: Value) {
        self.completed.insert(key.to_owned(), value);
    }

    /// A list of whole numbers from `least` to `most`, or the default.
    ///
    /// # Errors
    /// [`Invalid`] for another type and for a number out of the bounds.
    pub fn counts(
        &mut self,
        key: &'static str,
        default: &[u64],
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Result<Vec<u64>, Invalid> {
        let counts = match self.take(key) {
            None => default.to_vec(),
            Some(value) => {
                let (least, most) = bounds.clone().into_inner();
                let allowed = format!("a list; each entry a whole number from {least} to {most}");
                let Value::List(values) = value else { return Err(Invalid::value(key, value, allowed)) };
                let count = |value: &Value| match value {
                    Value::Integer(count) if u64::try_from(*count).is_ok_and(|count| bounds.contains(&count)) => {
                        Ok(count.unsigned_abs())
                    }
                    _ => Err(Invalid::value(key, value, &allowed)),
                };
                values.iter().map(count).collect::<Result<_, _>>()?
            }
        };
        self.keep(key, Value::List(counts.iter().map(|count| Value::Integer(*count as i64)).collect()));
        Ok(counts)
    }

    /// Refuses keys that nothing asked for.
    ///
    /// # Errors
    /// [`Invalid`] with the first such key and the known ones.
    pub fn finish(self) -> Result<(), Invalid> {
        match self.table.keys().find(|key| !self.known.contains(key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let known: Vec<String> = self.known.iter().map(|&name| name.to_owned()).collect();
                let has = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let message = format!("{} has no such key; it has {has}", self.owner);
                Err(Invalid { key: key.clone(), message, known })
            }
        }
    }
}
