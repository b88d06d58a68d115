//! Weightings: how per-task losses or gradients become one update.
//!
//! [`Weighting`] is what `[weighting]` of the experiment file says: a method's name and its
//! parameters. [`Weighting::build`] makes the [`Method`], a pure function of a step's statistics,
//! of an explicit [`State`] and of explicit randomness. A method says what it [needs](Need); the
//! step computes and sends that and nothing else.
//!
//! A method is one file in this folder and one line in `methods!` below. Its file has a `NAME`, a
//! function `build` that reads its parameters and the type that implements [`Method`].

mod averaged;
mod learned;
mod method;
mod preference;
mod smoothing;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use method::{
    Certificate, Combination, Failure, Loss, Method, Moment, Need, Needs, Observed, Outcome, State, Statistics,
};

use settings::{Invalid, Reader, Table, Value};

pub(crate) use krum::nearest_first;

/// What a method's file makes of its parameters. The tasks' names are none while a file is read,
/// before its tasks are known.
type Build = fn(&mut Reader<'_>, Option<&[&str]>) -> Built;
/// A method, or the parameter that is refused.
type Built = Result<Box<dyn Method>, Invalid>;

/// A method's entry in the registry.
struct Entry {
    name: &'static str,
    build: Build,
}

macro_rules! methods {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*
        /// All methods, in the order of the manual.
        const METHODS: &[Entry] = &[$(Entry { name: $module::NAME, build: $module::build }),*];
    };
}

methods! {
    sum, mean, constant,
    random, uncertainty, dwa, geometric, imtl_l, stch, famo,
    gradnorm, mgda, pcgrad, gradvac, imtl_g, cagrad, nash_mtl, aligned_mtl, fairgrad, upgrad, dualproj, config, krum, sdmgrad, modo,
    graddrop, trimmed_mean, moco, db_mtl, excess_mtl,
}

/// A method with its parameters: `method = "sum"`, further keys are the method's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table")]
pub struct Weighting {
    /// The method's name.
    method: String,
    /// Its parameters as they were given.
    #[serde(flatten)]
    parameters: Table,
}

impl Default for Weighting {
    fn default() -> Self {
        Self { method: "sum".to_owned(), parameters: Table::new() }
    }
}

impl TryFrom<Table> for Weighting {
    type Error = Invalid;

    fn try_from(mut table: Table) -> Result<Self, Invalid> {
        let names = Weighting::names();
        let method = match table.shift_remove("method") {
            None => "sum".to_owned(),
            Some(Value::Text(name)) if names.contains(&name.as_str()) => name,
            Some(Value::Text(name)) => return Err(Invalid::name("method", &name, &names)),
            Some(value) => return Err(Invalid::value("method", value, format!("one of {}", names.join(", ")))),
        };
        let weighting = Self { method, parameters: table };
        weighting.make(None)?;
        Ok(weighting)
    }
}

impl fmt::Display for Weighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.method)?;
        self.parameters.iter().try_for_each(|(key, value)| write!(f, " {key}={value}"))
    }
}

impl Weighting {
    /// The names of all methods.
    pub fn names() -> Vec<&'static str> {
        METHODS.iter().map(|entry| entry.name).collect()
    }

    /// The method's name.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The method's parameters as the file gives them.
    pub fn parameters(&self) -> &Table {
        &self.parameters
    }

    /// The method for these tasks, in the experiment's order.
    ///
    /// # Errors
    /// [`Invalid`] where a parameter is unknown, has an impossible value or doesn't fit the tasks.
    pub fn build(&self, tasks: &[&str]) -> Result<Box<dyn Method>, Invalid> {
        self.make(Some(tasks))
    }

    /// What the method needs of a step.
    pub fn needs(&self) -> Needs {
        self.make(None).map(|method| method.needs()).unwrap_or_default()
    }

    fn make(&self, tasks: Option<&[&str]>) -> Result<Box<dyn Method>, Invalid> {
        let Some(entry) = METHODS.iter().find(|entry| entry.name == self.method) else {
            return Err(Invalid::name("method", &self.method, &Weighting::names()));
        };
        let mut reader = Reader::new(&self.parameters, entry.name).tagged("method");
        let method = (entry.build)(&mut reader, tasks)?;
        let method = smoothing::wrap(&mut reader, method)?;
        reader.finish()?;
        Ok(method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Weighting, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn an_unknown_method_is_refused_with_the_known_ones() {
        let error = read("method = \"summ\"").expect_err("no such method").to_string();
        assert!(
            error.contains("`method`") && error.contains("`summ`") && error.contains("sum, mean, constant"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_its_key() {
        let error = read("method = \"sum\"\nfactor = 2").expect_err("no such key").to_string();
        assert!(error.contains("`factor`: sum has no such key"), "{error}");
    }

    #[test]
    fn a_weighting_that_is_written_reads_back_as_the_same() {
        for text in [
            "method = \"sum\"",
            "method = \"constant\"\nweights = [1, 2.5]",
            "method = \"constant\"\nweights = { a = 1.0 }",
        ] {
            let weighting = read(text).expect("is right");
            let written = toml::to_string(&weighting).expect("is written");
            assert_eq!(read(&written).expect("is right"), weighting, "{written}");
        }
    }

    #[test]
    fn no_method_given_is_the_sum() {
        assert_eq!(read("").expect("is right"), Weighting::default());
    }

    #[test]
    fn names_are_unique() {
        let mut names = Weighting::names();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METHODS.len());
    }
}
