//! Robust sums over a step's microbatches: what a few wrong vectors can't carry away.
//!
//! The plain sum of n vectors is n times their mean, which one vector moves wherever it likes. Here
//! it is n times an estimate of the mean that holds as long as few of the vectors are wrong:
//!
//! - the coordinate-wise *median*, and the coordinate-wise *trimmed mean* (Yin et al.,
//!   Byzantine-robust distributed learning, ICML 2018, definitions 1 and 2). With f wrong vectors
//!   of n, f at most `trim` or below n / 2, each coordinate stays between the smallest and the
//!   largest of the others';
//! - *Krum* (Blanchard et al., Machine learning with adversaries, NeurIPS 2017, section 4): the
//!   vector with the smallest sum of squared distances to its n - f - 2 nearest others; n is at
//!   least 2 f + 3. Distances are over the whole vector. Of vectors with equal sums the shortest is
//!   taken, then the first.
//!
//! The vectors are what microbatches add to the sum: gradients that are scaled and not divided by
//! the microbatch's own labelled rows. Where these differ much, so do honest vectors, and median
//! and Krum lean to what most microbatches have.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::gramian::Gramian;
use crate::trimmed;
use crate::weighting::nearest_first;
use settings::{Invalid, Reader, Table, Value};

/// How the microbatches' vectors of a step become one: `{ kind = "trimmed_mean", trim = 1 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Table", tag = "kind", rename_all = "snake_case")]
pub enum Robust {
    /// n times the coordinate-wise median; of an even number, the mean of the middle two.
    Median,
    /// n times the coordinate-wise mean without the largest and smallest values.
    TrimmedMean {
        /// How many values are left out at each end (1).
        trim: u32,
    },
    /// n times the vector that Krum selects.
    Krum {
        /// f: how many vectors may be wrong (1).
        byzantine: u32,
    },
}

const KINDS: [&str; 3] = ["median", "trimmed_mean", "krum"];

impl TryFrom<Table> for Robust {
    type Error = Invalid;

    fn try_from(table: Table) -> Result<Self, Invalid> {
        let one_of = || format!("one of {}", KINDS.join(", "));
        let kind = match table.get("kind") {
            None => return Err(Invalid::missing("kind", one_of())),
            Some(Value::Text(kind)) => kind.as_str(),
            Some(value) => return Err(Invalid::value("kind", value, one_of())),
        };
        let mut reader = Reader::new(&table, kind).tagged("kind");
        let mut count = |key: &'static str, least: u64| {
            let value = reader.count(key, 1, least.., "how many microbatches may be wrong")?;
            u32::try_from(value).map_err(|_| Invalid::value(key, value, format!("at most {}", u32::MAX)))
        };
        let robust = match kind {
            "median" => Robust::Median,
            "trimmed_mean" => Robust::TrimmedMean { trim: count("trim", 1)? },
            "krum" => Robust::Krum { byzantine: count("byzantine", 0)? },
            other => return Err(Invalid::name("kind", other, &KINDS)),
        };
        reader.finish()?;
        Ok(robust)
    }
}

impl fmt::Display for Robust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Robust::Median => write!(f, "median"),
            Robust::TrimmedMean { trim } => write!(f, "trimmed_mean trim={trim}"),
            Robust::Krum { byzantine } => write!(f, "krum byzantine={byzantine}"),
        }
    }
}

impl Robust {
    /// Refuses a number of microbatches that is too small.
    ///
    /// # Errors
    /// [`Invalid`] with the key (`kind`, `trim` or `byzantine`) and the range that is allowed.
    pub fn check(&self, microbatches: u32) -> Result<(), Invalid> {
        let of = format!("of {microbatches} microbatches");
        let range = |least: u32, most: Option<u32>, needed: u32| match most {
            Some(most) if most > least => format!("from {least} to {most} {of}"),
            Some(most) if most == least => format!("{least} {of}"),
            _ => format!("left out, or `train.microbatches` at least {needed}: there are {microbatches}"),
        };
        match *self {
            Robust::Median if microbatches < 3 => Err(Invalid::value("kind", "\"median\"", range(1, None, 3))),
            Robust::TrimmedMean { trim } if u64::from(microbatches) <= 2 * u64::from(trim) => {
                Err(Invalid::value("trim", trim, range(1, Some((microbatches - 1) / 2), 3)))
            }
            Robust::Krum { byzantine } if u64::from(microbatches) < 2 * u64::from(byzantine) + 3 => {
                Err(Invalid::value("byzantine", byzantine, {
                    let allowed = range(0, microbatches.checked_sub(3).map(|most| most / 2), 3);
                    let needed = 2 * u64::from(byzantine) + 3;
                    if microbatches < 3 {
                        allowed
                    } else {
                        format!("{allowed}; {byzantine} takes {needed} (`train.microbatches`)")
                    }
                }))
            }
            _ => Ok(()),
        }
    }

    /// n times the estimate, for n vectors of equal length, all of them finite.
    ///
    /// With fewer vectors than the experiment has microbatches (some have no labelled rows of a
    /// task), so many are left out as leave one, and Krum's sums have one distance at least.
    ///
    /// # Panics
    /// Where there are no vectors or their lengths differ.
    pub fn sum(&self, vectors: &[&[f32]]) -> Vec<f32> {
        let count = vectors.len();
        let most = (count - 1) / 2;
        match *self {
            Robust::Median => trimmed::mean(vectors, most, count as f64),
            Robust::TrimmedMean { trim } => trimmed::mean(vectors, most.min(trim as usize), count as f64),
            Robust::Krum { byzantine } => {
                let selected = nearest_first(&Gramian::of_rows(vectors), byzantine as usize)[0];
                vectors[selected].iter().map(|value| (count as f64 * f64::from(*value)) as f32).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_defaults_and_bounds() {
        let read = |text: &str| Robust::try_from(toml::from_str::<Table>(text).expect("is TOML"));
        assert_eq!(read("kind = \"median\""), Ok(Robust::Median));
        assert_eq!(read("kind = \"trimmed_mean\""), Ok(Robust::TrimmedMean { trim: 1 }));
        assert_eq!(read("kind = \"krum\"\nbyzantine = 2"), Ok(Robust::Krum { byzantine: 2 }));
        for (text, key) in [
            ("kind = \"mean\"", "kind"),
            ("kind = 3", "kind"),
            ("trim = 1", "kind"),
            ("kind = \"median\"\ntrim = 1", "trim"),
            ("kind = \"trimmed_mean\"\ntrim = 0", "trim"),
            ("kind = \"krum\"\nbyzantine = -1", "byzantine"),
            ("kind = \"krum\"\nbyzantine = 5000000000", "byzantine"),
        ] {
            assert_eq!(read(text).expect_err(text).key(), key, "{text}");
        }
    }

    #[test]
    fn too_few_microbatches_are_refused_with_the_range() {
        let refused = |robust: Robust, microbatches| robust.check(microbatches).expect_err("too few").to_string();
        let trimmed = |trim| Robust::TrimmedMean { trim };
        let krum = |byzantine| Robust::Krum { byzantine };
        assert_eq!(refused(trimmed(4), 8), "`trim`: 4 is not allowed here; it must be from 1 to 3 of 8 microbatches");
        assert_eq!(refused(trimmed(2), 4), "`trim`: 2 is not allowed here; it must be 1 of 4 microbatches");
        assert_eq!(
            refused(krum(1), 4),
            "`byzantine`: 1 is not allowed here; it must be 0 of 4 microbatches; 1 takes 5 (`train.microbatches`)"
        );
        assert!(refused(krum(0), 2).ends_with("left out, or `train.microbatches` at least 3: there are 2"));
        assert!(refused(Robust::Median, 2).contains("at least 3"));
        for (robust, microbatches) in [(trimmed(3), 7), (krum(1), 5), (krum(0), 3), (Robust::Median, 3)] {
            assert_eq!(robust.check(microbatches), Ok(()));
        }
    }
}
