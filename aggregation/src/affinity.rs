//! Task affinity: how a run's tasks affect each other, from the Gramians and losses of its steps.
//!
//! There are two measures of what task j gains from task i. Each is a mean over the recorded steps
//! in which both had labels:
//!
//! - the cosine of their gradients, cos(g_i, g_j): symmetric, and independent of scale;
//! - the first-order transfer, learning rate * G_ij / l_j: the share of loss j that one step of
//!   gradient descent on task i alone removes, to first order (Fifty et al., Efficiently
//!   identifying task groupings, NeurIPS 2021, equation 1).
//!
//! A mean comes with its standard error, which assumes that the steps are independent. A mean is
//! *significant* if it differs from 0 by more than its error allows ([`Estimate::is_significant`]).
//! [`Affinity::grouping`] recommends which tasks to train together: the groups with the largest sum
//! of mean cosines within them. A pair whose mean is not significant counts as 0.

mod grouping;

use crate::gramian::Gramian;
pub use grouping::{EXACT_MAX, Grouping, grouping};

/// A mean over fewer steps is never significant: its standard error is a guess itself.
pub const STEPS_MIN: u64 = 10;

/// A mean is significant if it is further from 0 than this many standard errors. Of means that are
/// 0, one in twenty is further away by chance.
pub const ERRORS_MIN: f64 = 2.0;

/// A mean over the steps in which two tasks met.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// sqrt(sum of (x - mean)^2 / (n (n - 1))) over n steps, which assumes that they are
    /// independent. `None` for one step.
    pub standard_error: Option<f64>,
    /// The number of steps, n.
    pub steps: u64,
}

impl Estimate {
    /// Whether the mean is significant: over at least [`STEPS_MIN`] steps, and further from 0 than
    /// [`ERRORS_MIN`] standard errors.
    pub fn is_significant(&self) -> bool {
        let is_beyond = |error: f64| self.mean.abs() > ERRORS_MIN * error;
        self.steps >= STEPS_MIN && self.standard_error.is_some_and(is_beyond)
    }
}

/// A matrix [tasks, tasks]: the helping task chooses the row, the helped task the column. `None`
/// for tasks that never met.
pub type Estimates = Vec<Vec<Option<Estimate>>>;

/// The sums of both measures over the steps that were added.
#[derive(Debug, Clone)]
pub struct Affinity {
    tasks: usize,
    steps: u64,
    /// A matrix [tasks, tasks], by helping and helped task, row by row.
    cosines: Vec<Moments>,
    transfers: Vec<Moments>,
}

/// Count, mean, and the sum of squared deviations from the mean (Welford 1962). A difference of
/// large sums would lose small deviations.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.count += 1;
            let before = value - self.mean;
            self.mean += before / self.count as f64;
            self.squares += before * (value - self.mean);
        }
    }

    fn estimate(self) -> Option<Estimate> {
        let count = self.count as f64;
        let standard_error = (self.count > 1).then(|| (self.squares / count / (count - 1.0)).sqrt());
        (self.count > 0).then_some(Estimate { mean: self.mean, standard_error, steps: self.count })
    }
}

impl Affinity {
    /// No steps yet, for this many tasks.
    pub fn new(tasks: usize) -> Self {
        let nothing = vec![Moments::default(); tasks * tasks];
        Self { tasks, steps: 0, cosines: nothing.clone(), transfers: nothing }
    }

    /// Adds a step: the tasks that were present, the Gramian of their gradients, their losses, and
    /// the learning rate. A gradient of 0 has no cosine. A loss of 0 or less has no transfer.
    ///
    /// # Panics
    /// If a task's number is too large, or the Gramian or the losses belong to other tasks.
    pub fn add(&mut self, present: &[usize], gramian: &Gramian, losses: &[f64], learning_rate: f64) {
        assert!(present.len() == gramian.tasks() && present.len() == losses.len(), "one row and one loss a task");
        let (cosines, norms) = (gramian.cosines(), gramian.norms());
        for (i, &from) in present.iter().enumerate() {
            for (j, &to) in present.iter().enumerate() {
                if norms[i] > 0.0 && norms[j] > 0.0 {
                    self.cosines[from * self.tasks + to].add(cosines.at(i, j));
                }
                if losses[j] > 0.0 {
                    self.transfers[from * self.tasks + to].add(learning_rate * gramian.at(i, j) / losses[j]);
                }
            }
        }
        self.steps += 1;
    }

    /// The steps that were added.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The mean cosines.
    pub fn cosines(&self) -> Estimates {
        self.rows(&self.cosines)
    }

    /// The mean first-order transfers, [from, to].
    pub fn transfers(&self) -> Estimates {
        self.rows(&self.transfers)
    }

    /// The tasks to train together, by the mean cosines that are significant. `None` if no two
    /// tasks met in [`STEPS_MIN`] steps.
    pub fn grouping(&self) -> Option<Grouping> {
        let cosines = self.cosines();
        // Both directions of a pair differ in their last bits, so one of them is used.
        let pair = |i: usize, j: usize| cosines[i.min(j)][i.max(j)];
        let mut pairs = (0..self.tasks).flat_map(|j| (0..j).filter_map(move |i| pair(i, j)));
        let is_known = pairs.any(|estimate| estimate.steps >= STEPS_MIN);
        let significant = |i, j| pair(i, j).filter(Estimate::is_significant).map(|estimate| estimate.mean);
        let rows = (0..self.tasks).map(|i| (0..self.tasks).map(|j| significant(i, j)).collect());
        is_known.then(|| grouping(&rows.collect::<Vec<Vec<_>>>()))
    }

    fn rows(&self, moments: &[Moments]) -> Estimates {
        // `chunks` panics on a length of 0.
        moments.chunks(self.tasks.max(1)).map(|row| row.iter().map(|moments| moments.estimate()).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(estimate: Option<Estimate>) -> Option<f64> {
        estimate.map(|estimate| estimate.mean)
    }

    #[test]
    fn means_are_over_the_steps_in_which_both_tasks_are_present() {
        let mut affinity = Affinity::new(3);
        affinity.add(&[0, 1], &Gramian::new(2, vec![4.0, 1.0, 1.0, 1.0]), &[2.0, 0.5], 0.1);
        affinity.add(&[0, 1], &Gramian::new(2, vec![1.0, -1.0, -1.0, 4.0]), &[1.0, 1.0], 0.2);
        affinity.add(&[2], &Gramian::new(1, vec![9.0]), &[3.0], 0.1);
        let (cosines, transfers) = (affinity.cosines(), affinity.transfers());
        assert_eq!((affinity.steps(), mean(cosines[0][1]), cosines[0][2]), (3, Some(0.0), None));
        // Task 0 moves loss 1 by 0.1 * 1 / 0.5 and by 0.2 * -1 / 1; task 1 moves loss 0 by 0.1 * 1
        // / 2 and by 0.2 * -1 / 1.
        let close = |found: Option<Estimate>, expected: f64| {
            assert!((mean(found).expect("known") - expected).abs() < 1e-15, "{found:?}");
        };
        close(transfers[0][1], 0.0);
        close(transfers[1][0], (0.05 - 0.2) / 2.0);
        close(transfers[2][2], 0.3);
        assert_eq!(transfers[2][0], None);
    }

    #[test]
    fn gradients_and_losses_of_zero_say_nothing() {
        let mut affinity = Affinity::new(2);
        affinity.add(&[0, 1], &Gramian::new(2, vec![0.0, 0.0, 0.0, 1.0]), &[1.0, 0.0], 0.1);
        assert_eq!((affinity.cosines()[0][1], affinity.transfers()[0][1]), (None, None));
        assert_eq!((mean(affinity.cosines()[1][1]), mean(affinity.transfers()[1][0])), (Some(1.0), Some(0.0)));
    }

    /// Two tasks whose gradients have these cosines.
    fn pair(cosines: impl IntoIterator<Item = f64>) -> Affinity {
        let mut affinity = Affinity::new(2);
        for cosine in cosines {
            affinity.add(&[0, 1], &Gramian::new(2, vec![1.0, cosine, cosine, 1.0]), &[1.0, 1.0], 0.1);
        }
        affinity
    }

    #[test]
    fn a_standard_error_is_the_standard_deviation_over_the_root_of_the_steps() {
        let cosines = [0.1, -0.3, 0.25, 0.5];
        let found = pair(cosines).cosines()[0][1].expect("known");
        let mean = cosines.iter().sum::<f64>() / 4.0;
        let variance = cosines.iter().map(|cosine| (cosine - mean) * (cosine - mean)).sum::<f64>() / 3.0;
        let error = found.standard_error.expect("of four steps");
        assert!((found.mean - mean).abs() < 1e-15 && (error - (variance / 4.0).sqrt()).abs() < 1e-15, "{found:?}");
        assert_eq!((found.steps, pair(cosines).cosines()[0][0].and_then(|one| one.standard_error)), (4, Some(0.0)));
        assert_eq!(pair([0.5]).cosines()[0][1].map(|one| (one.mean, one.standard_error)), Some((0.5, None)));
        // Deviations far below the mean are kept.
        let error = pair((0..100).map(|step| 0.9 + f64::from(step % 2) * 1e-9)).cosines()[0][1];
        let error = error.and_then(|one| one.standard_error).expect("of many steps");
        assert!((error / (0.5e-9 / 99f64.sqrt()) - 1.0).abs() < 1e-4, "{error}");
    }

    #[test]
    fn a_cosine_within_two_standard_errors_of_zero_separates_no_tasks() {
        let alternating = |centre: f64| (0..100).map(move |step| centre + if step % 2 == 0 { 0.3 } else { -0.3 });
        // The standard error is 0.03.
        let groups = |centre| pair(alternating(centre)).grouping().expect("steps enough").groups;
        assert_eq!(groups(-0.05), [vec![0, 1]]);
        assert_eq!(groups(-0.07), [vec![0], vec![1]]);
        assert_eq!(groups(0.07), [vec![0, 1]]);
    }

    #[test]
    fn too_few_steps_recommend_nothing() {
        let grouping = |steps| pair(std::iter::repeat_n(-0.5, steps)).grouping();
        assert_eq!(grouping(STEPS_MIN as usize - 1), None);
        assert_eq!(grouping(STEPS_MIN as usize).map(|found| found.groups), Some(vec![vec![0], vec![1]]));
        // Steps in which only one of the two tasks was present do not count.
        let mut apart = Affinity::new(2);
        for step in 0..50 {
            apart.add(&[step % 2], &Gramian::new(1, vec![1.0]), &[1.0], 0.1);
        }
        assert_eq!((apart.steps(), apart.grouping()), (50, None));
    }
}
