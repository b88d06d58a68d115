//! `r2`: the share of the labels' variance that is explained, `1 - sum e^2 / sum (y - mean y)^2`.
//! Of several outputs, the mean over those whose labels vary.

use settings::Entry;

use super::{Measured, Metric, mean};
use crate::Kind;

pub(super) const ENTRY: Entry<&'static dyn Metric> =
    Entry::built_in("r2", "share of the variance that is explained", &R2);

#[derive(Debug)]
struct R2;

impl Metric for R2 {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Regression]
    }

    fn default_of(&self) -> &'static [Kind] {
        &[Kind::Regression]
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        let rows = measured.rows();
        mean(measured.errors().map(|sums| {
            let total = sums.centred_squared - sums.centred * sums.centred / rows;
            // Less than the rounding of the two sums counts as no variance.
            (rows > 1.0 && total > 1e-12 * sums.centred_squared).then(|| 1.0 - sums.squared / total)
        }))
    }
}
