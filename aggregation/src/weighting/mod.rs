//! Weightings: how per-task losses or gradients become one update.
//!
//! [`Weighting`] is the table `[weighting]` of the experiment file: a method's name and its
//! parameters. [`Weighting::build`] makes the [`Method`], a pure function of a step's statistics,
//! an explicit [`State`] and explicit randomness. A method says what it [needs](Need). The step
//! computes and sends only that.
//!
//! A method is one file in this folder: an `ENTRY` with its name, a function `build` that reads its
//! parameters, and the type that implements [`Method`]. It has one line in [`WEIGHTINGS`].

mod aligned_mtl;
mod averaged;
mod cagrad;
mod config;
mod constant;
mod db_mtl;
mod dualproj;
mod dwa;
mod excess_mtl;
mod fairgrad;
mod famo;
mod geometric;
mod graddrop;
mod gradnorm;
mod gradvac;
mod imtl_g;
mod imtl_l;
mod krum;
mod learned;
mod mean;
mod method;
mod mgda;
mod moco;
mod modo;
mod nash_mtl;
mod pcgrad;
mod preference;
mod random;
mod sdmgrad;
mod smoothing;
mod stch;
mod sum;
mod trimmed_mean;
mod uncertainty;
mod upgrad;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use method::{
    Certificate, Combination, Failure, LossDomain, Method, Moment, Need, Needs, Observed, Outcome, State, Statistics,
};

use settings::{Component, Description, Invalid, Reader, Registry, Table, Value};

pub(crate) use krum::nearest_first;

/// Reads a method's parameters. The tasks' names are `None` while a file is read, because its tasks
/// are not known yet.
pub type Build = fn(&mut Reader<'_>, Option<&[&str]>) -> Built;
/// A method, or why a parameter is refused.
pub type Built = Result<Box<dyn Method>, Invalid>;

/// All methods, in the order of the reference.
pub static WEIGHTINGS: Registry<Build> = Registry::with_tag(
    "weighting",
    "method",
    &[
        sum::ENTRY,
        mean::ENTRY,
        constant::ENTRY,
        random::ENTRY,
        uncertainty::ENTRY,
        dwa::ENTRY,
        geometric::ENTRY,
        imtl_l::ENTRY,
        stch::ENTRY,
        famo::ENTRY,
        gradnorm::ENTRY,
        mgda::ENTRY,
        pcgrad::ENTRY,
        gradvac::ENTRY,
        imtl_g::ENTRY,
        cagrad::ENTRY,
        nash_mtl::ENTRY,
        aligned_mtl::ENTRY,
        fairgrad::ENTRY,
        upgrad::ENTRY,
        dualproj::ENTRY,
        config::ENTRY,
        krum::ENTRY,
        sdmgrad::ENTRY,
        modo::ENTRY,
        graddrop::ENTRY,
        trimmed_mean::ENTRY,
        moco::ENTRY,
        db_mtl::ENTRY,
        excess_mtl::ENTRY,
    ],
);

/// A method with its parameters: `method = "sum"`. Further keys are the method's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table")]
pub struct Weighting {
    /// The method's name.
    method: String,
    /// Its parameters, as they were given.
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
        let kind = table.shift_remove("method").unwrap_or_else(|| "sum".into());
        let method = match &kind {
            Value::Text(name) => WEIGHTINGS.get("method", name)?.name.to_owned(),
            value => return Err(Invalid::value("method", value, format!("one of {}", Weighting::names().join(", ")))),
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
        WEIGHTINGS.names()
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
    /// [`Invalid`] if a parameter is unknown, has an impossible value or doesn't fit the tasks.
    pub fn build(&self, tasks: &[&str]) -> Result<Box<dyn Method>, Invalid> {
        self.make(Some(tasks))
    }

    /// What the method needs of a step.
    pub fn needs(&self) -> Needs {
        self.make(None).map(|method| method.needs()).unwrap_or_default()
    }

    fn make(&self, tasks: Option<&[&str]>) -> Result<Box<dyn Method>, Invalid> {
        let component = Component::new(&self.method, self.parameters.clone());
        WEIGHTINGS.read(&component, |build, reader| read(*build, reader, tasks)).map(|(method, _)| method)
    }
}

fn read(build: Build, reader: &mut Reader<'_>, tasks: Option<&[&str]>) -> Built {
    let method = build(reader, tasks)?;
    smoothing::wrap(reader, method)
}

/// All methods with their parameters, for the reference.
pub fn reference() -> Vec<Description> {
    WEIGHTINGS.describe(|build, reader| read(*build, reader, None))
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
        assert_eq!(names.len(), Weighting::names().len());
    }
}
