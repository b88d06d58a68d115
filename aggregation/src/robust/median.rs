//! `median`: n times the coordinate-wise median. For an even number of vectors it is the mean of
//! the middle two.

use settings::{Entry, Invalid};

use super::{Estimator, Read, allowed};
use crate::trimmed;

pub(super) const ENTRY: Entry<Read> =
    Entry::built_in("median", "by coordinate, the median; at least 3 microbatches (Yin et al., ICML 2018)", |_| {
        Ok(Box::new(Median))
    });

#[derive(Debug)]
struct Median;

impl Estimator for Median {
    fn check(&self, microbatches: u32) -> Result<(), Invalid> {
        match microbatches {
            3.. => Ok(()),
            _ => Err(Invalid::value("kind", "\"median\"", allowed(1, None, microbatches, 3))),
        }
    }

    fn sum(&self, vectors: &[&[f32]]) -> Vec<f32> {
        trimmed::mean(vectors, (vectors.len() - 1) / 2, vectors.len() as f64)
    }
}
