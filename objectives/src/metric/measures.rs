//! The metrics of one task: from sums to values.

use std::collections::BTreeMap;

use super::{Measured, MetricRef};
use crate::{Kind, TaskSums};

/// Label of a class that no output stands for.
pub(crate) const NO_CLASS: u32 = u32::MAX;

/// What is measured of one task.
#[derive(Debug, Clone, Copy)]
pub struct Measures<'a> {
    /// What the target is.
    pub kind: Kind,
    /// Outputs of the task's head.
    pub outputs: usize,
    /// The metrics.
    pub metrics: &'a [MetricRef],
}

impl Measures<'_> {
    /// The sums over no rows.
    pub fn zero(&self) -> TaskSums {
        let (counts, sums) = self.places();
        let own = self.own_sums().map(|(name, places)| (name.to_owned(), vec![0.0; places]));
        TaskSums { counts: vec![0; counts], sums: vec![0.0; sums], own: own.collect(), ..TaskSums::default() }
    }

    /// Whether scores and labels of all rows are kept.
    pub fn keeps_scores(&self) -> bool {
        self.metrics.iter().any(|metric| metric.part().needs_scores())
    }

    /// Metrics with sums of their own, with how many they have.
    fn own_sums(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let own = self.metrics.iter().map(|metric| (metric.name(), metric.part().own_sums(self.outputs)));
        own.filter(|(_, places)| *places > 0)
    }

    /// Places of `counts` and of `sums`.
    fn places(&self) -> (usize, usize) {
        match self.kind {
            Kind::Regression => (0, 4 * self.outputs),
            Kind::Binary | Kind::Multilabel => (4 * self.outputs, 0),
            Kind::Multiclass => (3 * self.outputs, 0),
        }
    }

    /// Whether sums that come from elsewhere can be those of as many rows of the task as they say.
    /// Numbers in them may be not finite ([`TaskSums::is_finite`]).
    pub fn fits(&self, sums: &TaskSums) -> bool {
        let TaskSums { rows: _, loss: _, counts, sums: values, scores: _, labels: _, own } = sums;
        let not_negative = |sum: f64| sum.is_nan() || sum >= 0.0;
        (counts.len(), values.len()) == self.places()
            && self.counts_fit(sums)
            && values.chunks_exact(4).all(|of| [of[0], of[1], of[3]].into_iter().all(not_negative))
            && self.scores_fit(sums)
            && own.len() == self.own_sums().count()
            && self.own_sums().all(|(name, places)| own.get(name).is_some_and(|sums| sums.len() == places))
    }

    fn counts_fit(&self, sums: &TaskSums) -> bool {
        let TaskSums { rows, counts, .. } = sums;
        let is_total = |counts: &mut dyn Iterator<Item = &u64>| {
            counts.map(|count| u128::from(*count)).sum::<u128>() == u128::from(*rows)
        };
        match self.kind {
            Kind::Regression => true,
            Kind::Binary | Kind::Multilabel => counts.chunks_exact(4).all(|output| is_total(&mut output.iter())),
            Kind::Multiclass => {
                let right_max = |class: &[u64]| class[0].min(class[1]);
                is_total(&mut counts.iter().skip(1).step_by(3))
                    && counts.chunks_exact(3).all(|class| class[0] <= *rows && class[2] <= right_max(class))
            }
        }
    }

    fn scores_fit(&self, sums: &TaskSums) -> bool {
        let rows = if self.keeps_scores() { sums.rows as usize } else { 0 };
        let is_label = |label: u32| match self.kind {
            Kind::Regression => f32::from_bits(label).is_finite(),
            Kind::Binary | Kind::Multilabel => label < 2,
            Kind::Multiclass => label < self.outputs as u32 || label == NO_CLASS,
        };
        sums.scores.len() == rows.saturating_mul(self.outputs)
            && sums.labels.len() == rows.saturating_mul(self.kind.label_width(self.outputs))
            && sums.labels.iter().all(|label| is_label(*label))
    }

    /// The loss (mean over the rows) and the metrics, by name, in the task's order. What is
    /// undefined or not finite is absent.
    pub fn values(&self, sums: &TaskSums) -> Vec<(&'static str, f64)> {
        let loss = (sums.rows > 0).then(|| ("loss", sums.loss / sums.rows as f64));
        let value = |metric: &MetricRef| {
            let own = sums.own.get(metric.name()).map_or(&[][..], Vec::as_slice);
            let measured = Measured { kind: self.kind, outputs: self.outputs, sums, own };
            Some((metric.name(), metric.part().value(&measured)?))
        };
        let values = loss.into_iter().chain(self.metrics.iter().filter_map(value));
        values.filter(|(_, value)| value.is_finite()).collect()
    }

    /// Whether a metric brings sums of its own.
    pub(crate) fn sees_rows(&self) -> bool {
        self.own_sums().next().is_some()
    }

    /// Adds a row to the metrics' own sums.
    pub(crate) fn add(&self, row: &super::Row<'_>, own: &mut BTreeMap<String, Vec<f64>>) {
        for metric in self.metrics {
            if let Some(sums) = own.get_mut(metric.name()) {
                metric.part().add(row, sums);
            }
        }
    }
}
