//! `auroc` and `average_precision`: metrics of the order of the scores. Rows with equal scores
//! count as one threshold.
//!
//! Multiclass: the mean over the classes, each against the rest by its probability. Multilabel: the
//! mean over the labels. Classes and labels without a positive or without a negative row are left
//! out.

use settings::Entry;

use super::{Measured, Metric, mean};
use crate::Kind;

pub(super) const AUROC_ENTRY: Entry<&'static dyn Metric> =
    Entry::built_in("auroc", "area under the receiver operating characteristic", &Auroc);

pub(super) const AVERAGE_PRECISION_ENTRY: Entry<&'static dyn Metric> = Entry::built_in(
    "average_precision",
    "sum over thresholds of precision times the rise in recall",
    &AveragePrecision,
);

const KINDS: &[Kind] = &[Kind::Binary, Kind::Multiclass, Kind::Multilabel];

#[derive(Debug)]
struct Auroc;

impl Metric for Auroc {
    fn kinds(&self) -> &'static [Kind] {
        KINDS
    }

    fn default_of(&self) -> &'static [Kind] {
        &[Kind::Binary, Kind::Multilabel]
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn needs_scores(&self) -> bool {
        true
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        mean((0..measured.outputs).map(|output| Ranking::new(measured.scored(output)).auroc()))
    }
}

#[derive(Debug)]
struct AveragePrecision;

impl Metric for AveragePrecision {
    fn kinds(&self) -> &'static [Kind] {
        KINDS
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn needs_scores(&self) -> bool {
        true
    }

    fn value(&self, measured: &Measured<'_>) -> Option<f64> {
        mean((0..measured.outputs).map(|output| Ranking::new(measured.scored(output)).average_precision()))
    }
}

/// By threshold, from the highest score down: positive and negative rows at it.
struct Ranking {
    groups: Vec<(u64, u64)>,
    positives: u64,
    negatives: u64,
}

impl Ranking {
    /// Sorts rows of (score, positive).
    fn new(rows: impl Iterator<Item = (f32, bool)>) -> Self {
        let mut rows: Vec<(f32, bool)> = rows.collect();
        rows.sort_unstable_by(|left, right| right.0.total_cmp(&left.0));
        let mut ranking = Self { groups: Vec::new(), positives: 0, negatives: 0 };
        for (i, &(score, positive)) in rows.iter().enumerate() {
            if i == 0 || rows[i - 1].0 != score {
                ranking.groups.push((0, 0));
            }
            let group = ranking.groups.last_mut().expect("a group was opened");
            let (count, total) = match positive {
                true => (&mut group.0, &mut ranking.positives),
                false => (&mut group.1, &mut ranking.negatives),
            };
            *count += 1;
            *total += 1;
        }
        ranking
    }

    /// Probability that a positive row scores above a negative one, equal scores counting half. It
    /// is counted in whole numbers, so that the order of the rows changes nothing.
    fn auroc(&self) -> Option<f64> {
        let mut below = self.negatives;
        let mut twice = 0_u128;
        for (positives, negatives) in &self.groups {
            below -= negatives;
            twice += u128::from(*positives) * (2 * u128::from(below) + u128::from(*negatives));
        }
        let pairs = 2 * u128::from(self.positives) * u128::from(self.negatives);
        (pairs > 0).then(|| twice as f64 / pairs as f64)
    }

    /// Sum over thresholds of precision times the rise in recall.
    fn average_precision(&self) -> Option<f64> {
        let (mut above, mut right, mut sum) = (0, 0, 0.0);
        for (positives, negatives) in &self.groups {
            above += positives + negatives;
            right += positives;
            sum += *positives as f64 * (right as f64 / above as f64);
        }
        (self.positives > 0 && self.negatives > 0).then(|| sum / self.positives as f64)
    }
}
