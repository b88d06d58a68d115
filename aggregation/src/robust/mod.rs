//! Robust sums over a step's microbatches, which a few wrong vectors can't change much.
//!
//! The plain sum of n vectors is n times their mean, and a single vector can move it anywhere. A
//! robust sum is n times an estimate of the mean that holds as long as few of the vectors are
//! wrong:
//!
//! - *median* and *trimmed mean*, by coordinate (Yin et al., Byzantine-robust distributed learning,
//!   ICML 2018, definitions 1 and 2). With f wrong vectors of n (f at most `trim`, or below n / 2
//!   for the median), each coordinate stays between the smallest and the largest of the others.
//! - *Krum* (Blanchard et al., Machine learning with adversaries, NeurIPS 2017, section 4): the
//!   vector with the smallest sum of squared distances to its n - f - 2 nearest others. n must be
//!   at least 2 f + 3. Distances are over the whole vector. Of vectors with equal sums it takes the
//!   shortest, then the first.
//!
//! The vectors are what microbatches add to the sum: gradients that are scaled, but not divided by
//! the microbatch's own number of labelled rows. If these numbers differ much, correct vectors
//! differ too, and median and Krum favour what most microbatches have.
//!
//! A robust sum is one file in this folder: an `ENTRY` with its name, a function that reads its
//! parameters, and an [`Estimator`]. It has one line in [`ROBUST_SUMS`].

mod krum;
mod median;
mod trimmed_mean;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use settings::{Component, Description, Invalid, Reader, Registry};

/// An estimate of the mean of vectors, a few of which may be wrong.
pub trait Estimator: fmt::Debug + Send + Sync {
    /// Refuses a number of microbatches that is too small.
    ///
    /// # Errors
    /// [`Invalid`] with the key and the range that is allowed.
    fn check(&self, microbatches: u32) -> Result<(), Invalid>;

    /// n times the estimate, for n vectors of equal length, all of them finite. n is at least 1. It
    /// may be less than the experiment's number of microbatches, because some may have no labelled
    /// rows.
    fn sum(&self, vectors: &[&[f32]]) -> Vec<f32>;
}

/// Reads a robust sum's parameters.
pub type Read = fn(&mut Reader<'_>) -> Result<Box<dyn Estimator>, Invalid>;

/// All robust sums, in the order of the reference.
pub static ROBUST_SUMS: Registry<Read> =
    Registry::new("robust sum", &[median::ENTRY, trimmed_mean::ENTRY, krum::ENTRY]);

/// A robust sum with its parameters: `"median"`, or `{ kind = "trimmed_mean", trim = 1 }`. All
/// defaults are written out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Component", into = "Component")]
pub struct Robust {
    component: Component,
    estimator: Arc<dyn Estimator>,
}

/// Robust sums of one kind with the same parameters are equal.
impl PartialEq for Robust {
    fn eq(&self, other: &Self) -> bool {
        self.component == other.component
    }
}

impl TryFrom<Component> for Robust {
    type Error = Invalid;

    fn try_from(component: Component) -> Result<Self, Invalid> {
        let (estimator, component) = ROBUST_SUMS.read(&component, |part, reader| part(reader))?;
        Ok(Self { component, estimator: estimator.into() })
    }
}

impl From<Robust> for Component {
    fn from(robust: Robust) -> Self {
        robust.component
    }
}

impl fmt::Display for Robust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.component)
    }
}

/// All robust sums with their parameters, for the reference.
pub fn reference() -> Vec<Description> {
    ROBUST_SUMS.describe(|part, reader| part(reader))
}

impl Robust {
    /// Refuses a number of microbatches that is too small.
    ///
    /// # Errors
    /// [`Invalid`] with the key (`kind`, `trim` or `byzantine`) and the range that is allowed.
    pub fn check(&self, microbatches: u32) -> Result<(), Invalid> {
        self.estimator.check(microbatches)
    }

    /// n times the estimate, for n vectors of equal length, all of them finite.
    ///
    /// # Panics
    /// If there are no vectors or their lengths differ.
    pub fn sum(&self, vectors: &[&[f32]]) -> Vec<f32> {
        self.estimator.sum(vectors)
    }
}

/// The values from `least` to `most` that a number of microbatches allows, in words. `needed` is
/// the smallest number of microbatches that allows any value.
fn allowed(least: u64, most: Option<u64>, microbatches: u32, needed: u32) -> String {
    match most {
        Some(most) if most > least => format!("from {least} to {most} of {microbatches} microbatches"),
        Some(most) if most == least => format!("{least} of {microbatches} microbatches"),
        _ => format!("left out, or `train.microbatches` at least {needed}: there are {microbatches}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use settings::Value;

    #[test]
    fn parameters_have_defaults_and_bounds() {
        let read = |text: &str| Robust::try_from(toml::from_str::<Component>(text).expect("is TOML"));
        let shown = |text: &str| read(text).expect("is right").to_string();
        assert_eq!(shown("kind = \"median\""), "median");
        assert_eq!(shown("kind = \"trimmed_mean\""), "trimmed_mean trim=1");
        assert_eq!(shown("kind = \"krum\"\nbyzantine = 2"), "krum byzantine=2");
        for (text, key) in [
            ("kind = \"mean\"", "kind"),
            ("kind = 3", "kind"),
            ("trim = 1", "kind"),
            ("kind = \"median\"\ntrim = 1", "trim"),
            ("kind = \"trimmed_mean\"\ntrim = 0", "trim"),
            ("kind = \"krum\"\nbyzantine = -1", "byzantine"),
            ("kind = \"krum\"\nbyzantine = 1.5", "byzantine"),
        ] {
            assert_eq!(read(text).expect_err(text).key(), key, "{text}");
        }
    }

    #[test]
    fn too_few_microbatches_are_refused_with_the_range() {
        let refused = |robust: Robust, microbatches| robust.check(microbatches).expect_err("too few").to_string();
        let robust = |component: Component| Robust::try_from(component).expect("is right");
        let of = |kind: &str, key: &str, value| robust(Component::named(kind).with(key, Value::Integer(value)));
        let trimmed = |trim| of("trimmed_mean", "trim", trim);
        let krum = |byzantine| of("krum", "byzantine", byzantine);
        let median = || robust(Component::named("median"));
        assert_eq!(refused(trimmed(4), 8), "`trim`: 4 is not allowed here; it must be from 1 to 3 of 8 microbatches");
        assert_eq!(refused(trimmed(2), 4), "`trim`: 2 is not allowed here; it must be 1 of 4 microbatches");
        assert_eq!(
            refused(krum(1), 4),
            "`byzantine`: 1 is not allowed here; it must be 0 of 4 microbatches; 1 takes 5 (`train.microbatches`)"
        );
        assert!(refused(krum(0), 2).ends_with("left out, or `train.microbatches` at least 3: there are 2"));
        assert!(refused(median(), 2).contains("at least 3"));
        for (robust, microbatches) in [(trimmed(3), 7), (krum(1), 5), (krum(0), 3), (median(), 3)] {
            assert_eq!(robust.check(microbatches), Ok(()));
        }
    }
}
