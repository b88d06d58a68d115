//! Which tasks help each other: what the Gramians and losses of a run's steps say about its tasks.
//!
//! Two measures of task j's gain from task i, each a mean over the recorded steps in which both had labels:
//!
//! - the cosine of their gradients, cos(g_i, g_j), symmetric and without a scale;
//! - the first-order transfer, learning rate * G_ij / l_j: by what share of itself loss j falls where one step of plain descent follows task i alone
//!   (the first-order term of Fifty et al., Efficiently identifying task groupings, NeurIPS 2021, equation 1).
//!
//! [`grouping`] recommends which tasks to train together: groups with the largest sum of mean cosines within them.

use crate::gramian::Gramian;

/// Tasks up to which the best grouping is searched for exactly.
pub const EXACT_MAX: usize = 12;

/// Sums over steps from which the means are taken.
#[derive(Debug, Clone)]
pub struct Affinity {
    tasks: usize,
    steps: u64,
    /// [tasks, tasks], by helping and helped task.
    cosines: Vec<Mean>,
    transfers: Vec<Mean>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.sum += value;
            self.count += 1;
        }
    }

    fn get(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

impl Affinity {
    /// Nothing known of so many tasks.
    pub fn new(tasks: usize) -> Self {
        Self {
            tasks,
            steps: 0,
            cosines: vec![Mean::default(); tasks * tasks],
            transfers: vec![Mean::default(); tasks * tasks],
        }
    }

    /// Adds a step: the tasks that were present, the Gramian of their gradients, their losses, and the learning rate. A gradient that is 0 has no
    /// cosine, and a loss that is not above 0 no share.
    ///
    /// # Panics
    /// Where a task is none of those, or the Gramian or the losses are of other tasks.
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

    /// The mean cosines, [tasks, tasks]; none for tasks that never met.
    pub fn cosines(&self) -> Vec<Vec<Option<f64>>> {
        self.rows(&self.cosines)
    }

    /// The mean first-order transfers, [from, to]; none for tasks that never met.
    pub fn transfers(&self) -> Vec<Vec<Option<f64>>> {
        self.rows(&self.transfers)
    }

    fn rows(&self, means: &[Mean]) -> Vec<Vec<Option<f64>>> {
        (0..self.tasks)
            .map(|i| means[i * self.tasks..(i + 1) * self.tasks].iter().map(|mean| mean.get()).collect())
            .collect()
    }
}

/// A division of tasks into groups to train together.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouping {
    /// The groups, each ascending, in the order of their first tasks.
    pub groups: Vec<Vec<usize>>,
    /// The sum over pairs within groups.
    pub value: f64,
    /// Whether no grouping has a larger value; else it was built by merging.
    pub is_best: bool,
}

/// The grouping with the largest sum of `affinity` over the pairs within its groups; of several, one with few groups. Pairs of which nothing is
/// known count as 0. Exact up to [`EXACT_MAX`] tasks, by a sum over subsets; above that the two groups are merged whose union gains
/// most, while any gains.
///
/// # Panics
/// Where the matrix is not square.
pub fn grouping(affinity: &[Vec<Option<f64>>]) -> Grouping {
    assert!(affinity.iter().all(|row| row.len() == affinity.len()), "an affinity is square");
    let known = |i: usize, j: usize| affinity[i][j].unwrap_or(0.0);
    // Both directions of a pair count alike.
    let pair = |i: usize, j: usize| (known(i, j) + known(j, i)) / 2.0;
    let is_best = affinity.len() <= EXACT_MAX;
    let mut groups = if is_best { exact(affinity.len(), &pair) } else { merged(affinity.len(), &pair) };
    groups.sort();
    let value = groups.iter().map(|group| within(group, &pair)).sum();
    Grouping { groups, value, is_best }
}

fn within(group: &[usize], pair: &impl Fn(usize, usize) -> f64) -> f64 {
    group.iter().enumerate().map(|(at, &i)| group[..at].iter().map(|&j| pair(i, j)).sum::<f64>()).sum()
}

/// best(S) = max over subsets A of S with S's first task of value(A) + best(S - A).
fn exact(tasks: usize, pair: &impl Fn(usize, usize) -> f64) -> Vec<Vec<usize>> {
    let members = |set: usize| (0..tasks).filter(move |task| set >> task & 1 == 1).collect::<Vec<_>>();
    let sets = 1usize << tasks;
    let values: Vec<f64> = (0..sets).map(|set| within(&members(set), pair)).collect();
    let mut best = vec![(0.0, 0); sets];
    for set in 1..sets {
        let first = set & set.wrapping_neg();
        let others = set ^ first;
        // Larger subsets come first, and a later one has to be better.
        let (mut chosen, mut rest) = ((values[set], set), others);
        while rest > 0 {
            rest = (rest - 1) & others;
            let group = rest | first;
            let value = values[group] + best[set ^ group].0;
            if value > chosen.0 {
                chosen = (value, group);
            }
        }
        best[set] = chosen;
    }
    let (mut groups, mut left) = (Vec::new(), sets - 1);
    while left > 0 {
        let group = best[left].1;
        groups.push(members(group));
        left ^= group;
    }
    groups
}

fn merged(tasks: usize, pair: &impl Fn(usize, usize) -> f64) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = (0..tasks).map(|task| vec![task]).collect();
    loop {
        let pairs = (0..groups.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        let gain =
            |a: &[usize], b: &[usize]| a.iter().map(|&i| b.iter().map(|&j| pair(i, j)).sum::<f64>()).sum::<f64>();
        let gains = pairs.map(|(a, b)| (gain(&groups[a], &groups[b]), a, b));
        let most = gains.fold((0.0, 0, 0), |most, next| if next.0 > most.0 { next } else { most });
        let (gain, a, b) = most;
        if gain <= 0.0 {
            return groups;
        }
        let moved = groups.swap_remove(b);
        groups[a].extend(moved);
        groups[a].sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    #[test]
    fn means_are_over_the_steps_in_which_both_tasks_were_there() {
        let mut affinity = Affinity::new(3);
        affinity.add(&[0, 1], &Gramian::new(2, vec![4.0, 1.0, 1.0, 1.0]), &[2.0, 0.5], 0.1);
        affinity.add(&[0, 1], &Gramian::new(2, vec![1.0, -1.0, -1.0, 4.0]), &[1.0, 1.0], 0.2);
        affinity.add(&[2], &Gramian::new(1, vec![9.0]), &[3.0], 0.1);
        let (cosines, transfers) = (affinity.cosines(), affinity.transfers());
        assert_eq!((affinity.steps(), cosines[0][1], cosines[0][2]), (3, Some(0.0), None));
        // Task 0 moves loss 1 by 0.1 * 1 / 0.5 and by 0.2 * -1 / 1; task 1 moves loss 0 by 0.1 * 1 / 2 and by 0.2 * -1 / 1.
        let close =
            |found: Option<f64>, expected: f64| assert!((found.expect("known") - expected).abs() < 1e-15, "{found:?}");
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
        assert_eq!((affinity.cosines()[1][1], affinity.transfers()[1][0]), (Some(1.0), Some(0.0)));
    }

    fn drawn(tasks: usize, seed: u64) -> Vec<Vec<Option<f64>>> {
        let stream = Stream::new(seed, Purpose::Synthetic, &[]);
        let value = |i: usize, j: usize| f64::from(stream.normal_at((i.min(j) * tasks + i.max(j)) as u64));
        (0..tasks).map(|i| (0..tasks).map(|j| Some(value(i, j))).collect()).collect()
    }

    /// The best value over all ways to put one task after the other into a group or a new one.
    fn by_trying(affinity: &[Vec<Option<f64>>], groups: &mut Vec<Vec<usize>>, task: usize) -> f64 {
        let pair = |i: usize, j: usize| affinity[i][j].expect("drawn");
        if task == affinity.len() {
            return groups.iter().map(|group| within(group, &pair)).sum();
        }
        let mut best = f64::NEG_INFINITY;
        for at in 0..groups.len() {
            groups[at].push(task);
            best = best.max(by_trying(affinity, groups, task + 1));
            groups[at].pop();
        }
        groups.push(vec![task]);
        best = best.max(by_trying(affinity, groups, task + 1));
        groups.pop();
        best
    }

    #[test]
    fn the_exact_search_finds_what_trying_everything_finds() {
        for seed in 0..20 {
            for tasks in 1..=7 {
                let affinity = drawn(tasks, seed);
                let grouping = grouping(&affinity);
                let best = by_trying(&affinity, &mut Vec::new(), 0);
                assert!(grouping.is_best && (grouping.value - best).abs() < 1e-9, "{grouping:?}, best {best}");
                let mut all: Vec<usize> = grouping.groups.concat();
                all.sort_unstable();
                assert_eq!(all, (0..tasks).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn tasks_that_agree_are_found_together_by_either_search() {
        for tasks in [6, 30] {
            let agree = |i: usize, j: usize| if i % 3 == j % 3 { Some(0.5) } else { Some(-0.2) };
            let affinity: Vec<Vec<_>> = (0..tasks).map(|i| (0..tasks).map(|j| agree(i, j)).collect()).collect();
            let grouping = grouping(&affinity);
            let expected: Vec<Vec<usize>> = (0..3).map(|first| (first..tasks).step_by(3).collect()).collect();
            assert_eq!((grouping.groups, grouping.is_best), (expected, tasks <= EXACT_MAX));
        }
    }

    #[test]
    fn tasks_of_which_nothing_is_known_stay_together_where_the_search_is_exact() {
        assert_eq!(grouping(&vec![vec![None; 3]; 3]).groups, [[0, 1, 2]]);
        assert_eq!(grouping(&[]).groups, Vec::<Vec<usize>>::new());
    }
}
