//! The training metrics that wait for their record.
//!
//! A journal has a record of a run's losses every `tracking.every` steps. It has the means over the
//! steps since the record before, added in the order of the steps, so they do not depend on the
//! workers. What has not changed since it was recorded last is not recorded again.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::metrics::{Metrics, one};
use crate::{compute::StepReport, journal::Number};

/// A mean of values that come one by one. The sum is kept by its bits, which JSON can't change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Mean {
    count: u64,
    bits: u64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        // The sum of one value is that value, also if it is -0.
        let sum = if self.count == 0 { value } else { f64::from_bits(self.bits) + value };
        *self = Mean { count: self.count + 1, bits: sum.to_bits() };
    }

    fn get(self) -> Option<f64> {
        (self.count > 0).then(|| f64::from_bits(self.bits) / self.count as f64)
    }
}

/// The sums since the last record, and the values that were recorded last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Training {
    /// Updates done after the last step that was added.
    step: u64,
    /// Mean losses by task.
    losses: Vec<Mean>,
    /// The mean of the tasks' losses times their weights.
    total: Mean,
    /// The mean norm of the gradient, if it was computed.
    gradient_norm: Mean,
    /// The bits of values of a setting that are recorded when they change.
    settings: IndexMap<String, u64>,
}

impl Training {
    /// The metrics of a run that begins, or goes on from what [`Training::to_state`] gave.
    pub(super) fn of_state(state: Option<&str>) -> Training {
        state.and_then(|state| serde_json::from_str(state).ok()).unwrap_or_default()
    }

    /// All of it as text, for a checkpoint.
    pub(super) fn to_state(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Adds a step. `weights` are the tasks' weights.
    pub(super) fn add(&mut self, report: &StepReport, weights: &[f64]) {
        self.step = report.step + 1;
        self.losses.resize(report.losses.len(), Mean::default());
        let mut total = 0.0;
        for ((mean, loss), weight) in self.losses.iter_mut().zip(&report.losses).zip(weights) {
            if let Some(loss) = loss {
                mean.add(*loss);
                total += weight * loss;
            }
        }
        self.total.add(total);
        report.gradient_norm.into_iter().for_each(|norm| self.gradient_norm.add(norm));
    }

    /// The value if it differs from the one that this gave last for `name`.
    pub(super) fn if_changed(&mut self, name: &str, value: f64) -> Option<Number> {
        let before = self.settings.insert(name.to_owned(), value.to_bits());
        (before != Some(value.to_bits())).then_some(Number(value))
    }

    /// Updates done after the last step that was added.
    pub(super) fn step(&self) -> u64 {
        self.step
    }

    /// The means over the steps since they were taken last: by task, and under `None` over all
    /// tasks. Empty if there was no step.
    pub(super) fn take(&mut self) -> IndexMap<Option<usize>, Metrics> {
        let loss = |mean: Mean| mean.get().map(|loss| one("loss", loss));
        let of_tasks = self.losses.iter().enumerate();
        let mut means: IndexMap<_, _> = of_tasks.filter_map(|(task, mean)| Some((Some(task), loss(*mean)?))).collect();
        if let Some(mut all) = loss(self.total) {
            all.extend(self.gradient_norm.get().map(|norm| ("gradient_norm".to_owned(), Number(norm))));
            means.insert(None, all);
        }
        self.losses.fill(Mean::default());
        (self.total, self.gradient_norm) = Default::default();
        means
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(step: u64, losses: &[Option<f64>]) -> StepReport {
        StepReport { step, losses: losses.to_vec(), gradient_norm: Some(step as f64), ..StepReport::default() }
    }

    #[test]
    fn the_means_are_over_the_steps_since_they_were_taken_last() {
        let mut training = Training::default();
        training.add(&report(3, &[Some(1.0), None]), &[1.0, 2.0]);
        training.add(&report(4, &[Some(2.0), Some(5.0)]), &[1.0, 2.0]);
        let all = IndexMap::from([("loss".to_owned(), Number(6.5)), ("gradient_norm".to_owned(), Number(3.5))]);
        let expected = IndexMap::from([(Some(0), one("loss", 1.5)), (Some(1), one("loss", 5.0)), (None, all)]);
        assert_eq!((training.step(), training.take()), (5, expected));
        assert!(training.take().is_empty(), "nothing was added since");
    }

    #[test]
    fn a_resumed_run_goes_on_with_the_same_bits() {
        let losses = [0.1, 1e300, -1e300, 0.3, f64::INFINITY];
        let mut whole = Training::default();
        losses.iter().enumerate().for_each(|(step, loss)| whole.add(&report(step as u64, &[Some(*loss)]), &[1.0]));
        for stopped in 0..losses.len() {
            let mut training = Training::default();
            for (step, loss) in losses.iter().enumerate() {
                if step == stopped {
                    training = Training::of_state(Some(&training.to_state()));
                }
                training.add(&report(step as u64, &[Some(*loss)]), &[1.0]);
            }
            assert_eq!(training, whole);
        }
    }

    #[test]
    fn a_value_is_given_again_only_if_it_changes() {
        let mut training = Training::default();
        let given = [0.1, 0.1, 0.2, 0.2, 0.1].map(|rate| training.if_changed("learning_rate", rate).map(|n| n.0));
        assert_eq!(given, [Some(0.1), None, Some(0.2), None, Some(0.1)]);
        assert_eq!(training.if_changed("alpha", 0.1).map(|n| n.0), Some(0.1), "another value");
    }
}
