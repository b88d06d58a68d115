//! `krum`: n times the vector that Krum selects.

use settings::{Entry, Invalid, Reader};

use super::{Estimator, Read, allowed};
use crate::gramian::Gramian;
use crate::weighting::nearest_first;

pub(super) const ENTRY: Entry<Read> =
    Entry::built_in("krum", "the gradient nearest to its neighbours (Blanchard et al., NeurIPS 2017)", read);

#[derive(Debug)]
struct Krum {
    byzantine: u64,
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Estimator>, Invalid> {
    let documentation = "gradients that may be wrong; there are at least 2 `byzantine` + 3 microbatches";
    Ok(Box::new(Krum { byzantine: reader.count("byzantine", 1, 0.., documentation)? }))
}

impl Estimator for Krum {
    fn check(&self, microbatches: u32) -> Result<(), Invalid> {
        let most = microbatches.checked_sub(3).map(|rest| u64::from(rest) / 2);
        if most.is_some_and(|most| self.byzantine <= most) {
            return Ok(());
        }
        let range = allowed(0, most, microbatches, 3);
        let needed = self.byzantine.saturating_mul(2).saturating_add(3);
        let more = format!("; {} takes {needed} (`train.microbatches`)", self.byzantine);
        let more = if most.is_some() { more } else { String::new() };
        Err(Invalid::value("byzantine", self.byzantine, range + &more))
    }

    /// With few vectors, a score still has at least one distance.
    fn sum(&self, vectors: &[&[f32]]) -> Vec<f32> {
        let byzantine = usize::try_from(self.byzantine).unwrap_or(usize::MAX);
        let selected = nearest_first(&Gramian::of_rows(vectors), byzantine)[0];
        vectors[selected].iter().map(|value| (vectors.len() as f64 * f64::from(*value)) as f32).collect()
    }
}
