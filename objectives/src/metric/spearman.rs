//! `spearman`: the correlation between the ranks of the predictions and the ranks of the labels
//! (Spearman, American Journal of Psychology 1904). Equal values share the mean of their ranks. Of
//! several outputs, the mean over those whose predictions and labels vary.
//!
//! Ranks are those of all rows of a split. They are taken of predictions and labels as the model
//! sees them, in f32: scaling a target keeps its order.

use settings::Entry;

use super::{Measured, Metric, mean};
use crate::Kind;

pub(super) const ENTRY: Entry<&'static dyn Metric> = Entry::built_in(
    "spearman",
    "Spearman's correlation between the ranks of predictions and labels (Spearman 1904)",
    &Spearman,
);

#[derive(Debug)]
struct Spearman;

impl Metric for Spearman {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Regression]
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn needs_scores(&self) -> bool {
        true
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        mean((0..measured.outputs).map(|output| {
            let (predictions, labels): (Vec<f32>, Vec<f32>) = measured.predicted(output).unzip();
            correlation(&centred_ranks(&predictions), &centred_ranks(&labels))
        }))
    }
}

/// Twice the rank of each value less twice the mean rank, which are whole numbers.
fn centred_ranks(values: &[f32]) -> Vec<i64> {
    let count = values.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_unstable_by(|left, right| values[*left].total_cmp(&values[*right]));
    let mut ranks = vec![0; count];
    let mut start = 0;
    for group in order.chunk_by(|left, right| values[*left] == values[*right]) {
        let end = start + group.len();
        // The group has the ranks start + 1 to end; the mean of all ranks is (count + 1) / 2.
        group.iter().for_each(|row| ranks[*row] = (start + end) as i64 - count as i64);
        start = end;
    }
    ranks
}

/// The correlation of centred numbers; `None` if one side does not vary. Sums are whole numbers, so
/// that the order of the rows changes nothing.
fn correlation(left: &[i64], right: &[i64]) -> Option<f64> {
    let product = |left: &[i64], right: &[i64]| -> i128 {
        left.iter().zip(right).map(|(left, right)| i128::from(*left) * i128::from(*right)).sum()
    };
    let (left_squares, right_squares) = (product(left, left), product(right, right));
    let varies = left_squares > 0 && right_squares > 0;
    varies.then(|| product(left, right) as f64 / (left_squares as f64 * right_squares as f64).sqrt())
}
