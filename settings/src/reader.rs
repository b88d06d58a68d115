//! Reading a part's parameters key by key.

use std::ops::RangeBounds;

use crate::component::Component;
use crate::invalid::Invalid;
use crate::range::{Counts, Range};
use crate::registry::Registry;
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
    fn ask(
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
    fn keep(&mut self, key: &'static str, value: Value) {
        self.completed.insert(key.to_owned(), value);
    }

    fn missing<T>(&self, key: &str, allowed: impl ToString, example: T) -> Result<T, Invalid> {
        if self.table.is_none() { Ok(example) } else { Err(Invalid::missing(key, allowed.to_string())) }
    }
}

/// Numbers.
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

/// Whole numbers.
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

/// Names, texts, flags and values of any type.
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

/// Parts of a part.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Entry;

    fn table(text: &str) -> Table {
        toml::from_str(text).expect("is TOML")
    }

    /// What a part with a parameter of each type reads.
    fn read(reader: &mut Reader<'_>) -> Result<(), Invalid> {
        reader.number("rate", 0.1, Range::Positive, "how fast")?;
        reader.required_number("gamma", Range::LeftOpen(0.0, 1.0), "factor of a step")?;
        reader.pair("betas", [0.9, 0.999], Range::HalfOpen(0.0, 1.0), "decay")?;
        reader.count("every", 4, 1.., "steps between")?;
        reader.counts("hidden", &[128, 64], 1..=1024, "widths")?;
        reader.flag("layer_norm", false, "normalise")?;
        reader.name("curve", "cos", &["cos", "linear"], "the curve")?;
        reader.optional_number("limit", Range::NotNegative, "none", "the largest norm")?;
        Ok(())
    }

    #[test]
    fn what_was_read_is_completed_with_the_defaults_in_the_order_of_the_part() {
        let given = table("every = 7\nrate = 1\ngamma = 0.5\nhidden = [3]");
        let mut reader = Reader::new(&given, "part");
        read(&mut reader).expect("all is right");
        let completed = reader.finish().expect("all keys are known");
        let text: Vec<String> = completed.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let expected = [
            "rate = 1.0",
            "gamma = 0.5",
            "betas = [0.9, 0.999]",
            "every = 7",
            "hidden = [3]",
            "layer_norm = false",
            "curve = \"cos\"",
        ];
        assert_eq!(text, expected);
    }

    #[test]
    fn a_part_describes_itself_by_what_it_reads() {
        let mut reader = Reader::describing("part");
        read(&mut reader).expect("examples are in range");
        let parameters = reader.parameters();
        assert_eq!(parameters.len(), 8);
        let gamma = Parameter {
            key: "gamma",
            allowed: "a number above 0 and at most 1".to_owned(),
            preset: Preset::Required,
            documentation: "factor of a step",
        };
        assert_eq!(parameters[1], gamma);
        assert_eq!(parameters[3].allowed, "a whole number of at least 1");
        assert_eq!(parameters[4].allowed, "a list; each entry a whole number from 1 to 1024");
        assert_eq!(parameters[7].preset, Preset::Words("none"));
    }

    static FACTORS: Registry<f64> = Registry::new(
        "factor",
        &[Entry::built_in("times", "multiplies", 2.0), Entry::built_in("over", "divides", 0.5)],
    );

    fn factor(default: &f64, reader: &mut Reader<'_>) -> Result<f64, Invalid> {
        reader.number("by", *default, Range::Positive, "the factor")
    }

    #[test]
    fn a_part_of_a_part_is_a_name_or_a_table() {
        let read = |given: &str| -> Result<(f64, Option<f64>, String), Invalid> {
            let given = table(given);
            let mut reader = Reader::new(&given, "part");
            let first = reader.part("first", "times", &FACTORS, factor, "the first factor")?;
            let second = reader.optional_part("second", &FACTORS, "none", factor, "the second factor")?;
            Ok((first, second, reader.finish()?["first"].to_string()))
        };
        assert_eq!(read(""), Ok((2.0, None, "{ kind = \"times\", by = 2.0 }".to_owned())));
        assert_eq!(read("first = \"over\""), Ok((0.5, None, "{ kind = \"over\", by = 0.5 }".to_owned())));
        let both = "first = { kind = \"over\", by = 4 }\nsecond = \"times\"";
        assert_eq!(read(both), Ok((4.0, Some(2.0), "{ kind = \"over\", by = 4.0 }".to_owned())));
        for (given, key) in [
            ("first = \"plus\"", "first.kind"),
            ("first = 3", "first"),
            ("first = { kind = \"plus\" }", "first.kind"),
            ("first = { by = 2 }", "first.kind"),
            ("second = { kind = \"over\", by = -1 }", "second.by"),
            ("second = { kind = \"over\", yb = 1 }", "second.yb"),
        ] {
            assert_eq!(read(given).expect_err("is wrong").key(), key, "{given}");
        }
        let mut reader = Reader::describing("part");
        reader.part("first", "times", &FACTORS, factor, "the first factor").expect("the default is right");
        assert_eq!(reader.parameters()[0].preset, Preset::Value("times".into()));
        assert_eq!(reader.parameters()[0].allowed, "one of times, over, or a table with one of them as `kind`");
    }

    #[test]
    fn what_is_not_allowed_is_refused_with_its_key() {
        for (given, key, allowed) in [
            ("rate = 0\ngamma = 1", "rate", "a number above 0"),
            ("rate = \"fast\"\ngamma = 1", "rate", "a number above 0"),
            ("gamma = nan", "gamma", "at most 1"),
            ("rate = 1", "gamma", "missing"),
            ("gamma = 1\nbetas = [0.9]", "betas", "a list of two"),
            ("gamma = 1\nevery = 0", "every", "at least 1"),
            ("gamma = 1\nevery = 1.5", "every", "a whole number"),
            ("gamma = 1\nhidden = [0]", "hidden", "from 1 to 1024"),
            ("gamma = 1\nhidden = 3", "hidden", "a list"),
            ("gamma = 1\nlayer_norm = 1", "layer_norm", "true or false"),
            ("gamma = 1\ncurve = \"cosine\"", "curve", "one of cos, linear"),
            ("gamma = 1\ncurves = \"cos\"", "curves", "part has no such key; it has rate, gamma"),
        ] {
            let given = table(given);
            let mut reader = Reader::new(&given, "part").tagged("kind");
            let refused = read(&mut reader).and_then(|()| reader.finish()).expect_err("is wrong");
            assert_eq!(refused.key(), key);
            assert!(refused.message.contains(allowed), "{refused}");
        }
    }
}
