//! The search for the tasks to train together.

/// Up to this many tasks the best grouping is found exactly.
pub const EXACT_MAX: usize = 12;

/// A division of tasks into groups to train together.
#[derive(Debug, Clone, PartialEq)]
pub struct Grouping {
    /// The groups, each ascending, in the order of their first tasks.
    pub groups: Vec<Vec<usize>>,
    /// The sum over pairs within groups.
    pub value: f64,
    /// Whether no grouping has a larger value. Otherwise it was built by merging groups.
    pub is_best: bool,
}

/// The grouping with the largest sum of `affinity` over the pairs within its groups. If there are
/// several, one with few groups. Pairs without a value count as 0.
///
/// It is exact up to [`EXACT_MAX`] tasks, by a sum over subsets. Above that, the two groups whose
/// union gains most are merged, as long as none loses.
///
/// # Panics
/// If the matrix is not square.
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
        let most = gains.reduce(|most, next| if next.0 > most.0 { next } else { most });
        let Some((_, a, b)) = most.filter(|(gain, ..)| *gain >= 0.0) else { return groups };
        let moved = groups.swap_remove(b);
        groups[a].extend(moved);
        groups[a].sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

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
    fn tasks_of_which_nothing_is_known_stay_together() {
        assert_eq!(grouping(&vec![vec![None; 3]; 3]).groups, [[0, 1, 2]]);
        assert_eq!(grouping(&vec![vec![None; 15]; 15]).groups, [(0..15).collect::<Vec<_>>()]);
        assert_eq!(grouping(&[]).groups, Vec::<Vec<usize>>::new());
    }
}
