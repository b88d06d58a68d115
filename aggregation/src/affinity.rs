//! Task affinity: what the Gramians and losses of a run's steps say about how its tasks affect each
//! other.
//!
//! Two measures of task j's gain from task i, each a mean over the recorded steps in which both had
//! labels:
//!
//! - the cosine of their gradients, cos(g_i, g_j), symmetric and without a scale;
//! - the first-order transfer, learning rate * G_ij / l_j: by what share of itself loss j falls
//!   where one step of plain descent follows task i alone (the first-order term of Fifty et al.,
//!   Efficiently identifying task groupings, NeurIPS 2021, equation 1).
//!
//! A mean comes with its standard error, for which the steps are taken as independent.
//! [`Affinity::grouping`] recommends which tasks to train together: groups with the largest sum of
//! mean cosines within them, where a pair whose mean is not told apart from 0 counts as 0.

mod grouping;

use crate::gramian::Gramian;
pub use grouping::{EXACT_MAX, Grouping, grouping};

/// A mean over fewer steps is not told apart from 0: its standard error is a guess itself.
pub const STEPS_MIN: u64 = 10;

/// A mean is told apart from 0 by so many standard errors: one in twenty that are 0 is further away
/// by chance.
pub const ERRORS_MIN: f64 = 2.0;

/// A mean over the steps in which two tasks met.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// sqrt(sum of (x - mean)^2 / (n (n - 1))), the n steps taken as independent; none of one step.
    pub standard_error: Option<f64>,
    /// n.
    pub steps: u64,
}

impl Estimate {
    /// Whether the mean is told apart from 0: over [`STEPS_MIN`] steps at least, and further from 0
    /// than [`ERRORS_MIN`] standard errors.
    pub fn is_clear(&self) -> bool {
        let is_beyond = |error: f64| self.mean.abs() > ERRORS_MIN * error;
        self.steps >= STEPS_MIN && self.standard_error.is_some_and(is_beyond)
    }
}

/// [tasks, tasks], by helping and helped task; none for tasks that never met.
pub type Estimates = Vec<Vec<Option<Estimate>>>;

/// What is known after some steps.
#[derive(Debug, Clone)]
pub struct Affinity {
    tasks: usize,
    steps: u64,
    /// [tasks, tasks], by helping and helped task.
    cosines: Vec<Moments>,
    transfers: Vec<Moments>,
}

/// Count, mean and the sum of squared deviations from it (Welford 1962): a difference of large sums
/// would lose small deviations.
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
    /// Nothing known of so many tasks.
    pub fn new(tasks: usize) -> Self {
        let nothing = vec![Moments::default(); tasks * tasks];
        Self { tasks, steps: 0, cosines: nothing.clone(), transfers: nothing }
    }

    /// Adds a step: the tasks that were present, the Gramian of their gradients, their losses, and
    /// the learning rate. A gradient that is 0 has no cosine, and a loss that is not above 0 no
    /// share.
    ///
    /// # Panics
    /// If a task is none of those, or the Gramian or the losses are of other tasks.
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

    /// The tasks to train together, by the mean cosines that are told apart from 0; none where no
    /// two tasks met in [`STEPS_MIN`] steps.
    pub fn grouping(&self) -> Option<Grouping> {
        let cosines = self.cosines();
        // One direction of a pair speaks for both: they differ in their last bits.
        let pair = |i: usize, j: usize| cosines[i.min(j)][i.max(j)];
        let mut pairs = (0..self.tasks).flat_map(|j| (0..j).filter_map(move |i| pair(i, j)));
        let is_known = pairs.any(|estimate| estimate.steps >= STEPS_MIN);
        let clear = |i, j| pair(i, j).filter(Estimate::is_clear).map(|estimate| estimate.mean);
        let rows = (0..self.tasks).map(|i| (0..self.tasks).map(|j| clear(i, j)).collect());
        is_known.then(|| grouping(&rows.collect::<Vec<Vec<_>>>()))
    }

    fn rows(&self, moments: &[Moments]) -> Estimates {
        // `chunks` of nothing are of no length.
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
    fn means_are_over_the_steps_in_which_both_tasks_were_there() {
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
    fn a_standard_error_is_the_deviation_over_the_root_of_the_steps() {
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
    fn a_cosine_within_two_standard_errors_of_zero_separates_nobody() {
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
        // Steps in which the two did not meet are none of theirs.
        let mut apart = Affinity::new(2);
        for step in 0..50 {
            apart.add(&[step % 2], &Gramian::new(1, vec![1.0]), &[1.0], 0.1);
        }
        assert_eq!((apart.steps(), apart.grouping()), (50, None));
    }
}
