//! `trimmed_mean`: n times the coordinate-wise mean without the largest and smallest values.

use settings::{Entry, Invalid, Reader};

use super::{Estimator, Read, allowed};
use crate::trimmed;

pub(super) const ENTRY: Entry<Read> = Entry::built_in(
    "trimmed_mean",
    "by coordinate, the mean without the largest and smallest values (Yin et al., ICML 2018)",
    read,
);

#[derive(Debug)]
struct TrimmedMean {
    trim: u64,
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Estimator>, Invalid> {
    let documentation = "values left out at each end; there are more than 2 `trim` microbatches";
    Ok(Box::new(TrimmedMean { trim: reader.count("trim", 1, 1.., documentation)? }))
}

impl Estimator for TrimmedMean {
    fn check(&self, microbatches: u32) -> Result<(), Invalid> {
        let most = u64::from(microbatches.saturating_sub(1)) / 2;
        if self.trim <= most {
            return Ok(());
        }
        Err(Invalid::value("trim", self.trim, allowed(1, Some(most), microbatches, 3)))
    }

    /// If there are fewer vectors than microbatches, trimming leaves at least one or two of them.
    fn sum(&self, vectors: &[&[f32]]) -> Vec<f32> {
        let most = (vectors.len() - 1) / 2;
        let trim = usize::try_from(self.trim).map_or(most, |trim| trim.min(most));
        trimmed::mean(vectors, trim, vectors.len() as f64)
    }
}
