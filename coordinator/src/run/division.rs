//! Divides a step over the workers: contiguous shares of its work, of equal duration at the
//! workers' speeds.

use std::ops::Range;

use super::{Mode, Settings, WorkerId, pace::Pace};

/// A worker's range of microbatches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerShare {
    /// The worker.
    pub worker: WorkerId,
    /// The feed. `None`: all feeds together.
    pub feed: Option<u32>,
    /// The microbatches.
    pub range: Range<u32>,
}

/// Divides a step's gradient over workers of equal speed.
pub fn divide(settings: &Settings, workers: &[WorkerId]) -> Vec<WorkerShare> {
    let items = WorkItems::of(&settings.mode, settings.microbatches);
    let ends = shares(&items.costs, &vec![1.0; workers.len()]);
    items.shares(workers, &ends)
}

/// The work of a phase in order: microbatches of all feeds together, or of one feed after the
/// other.
struct WorkItems {
    microbatches: u32,
    by_feed: bool,
    costs: Vec<u64>,
}

impl WorkItems {
    fn of(mode: &Mode, microbatches: u32) -> WorkItems {
        match mode {
            Mode::Combined => WorkItems { microbatches, by_feed: false, costs: vec![1; microbatches as usize] },
            Mode::PerTask { feeds, .. } => {
                let of_feed = |cost: u64| std::iter::repeat_n(cost.max(1), microbatches as usize);
                WorkItems {
                    microbatches,
                    by_feed: true,
                    costs: feeds.iter().flat_map(|feed| of_feed(feed.cost)).collect(),
                }
            }
        }
    }

    fn shares(&self, workers: &[WorkerId], ends: &[usize]) -> Vec<WorkerShare> {
        let mut shares: Vec<WorkerShare> = Vec::new();
        let starts = std::iter::once(&0).chain(ends);
        for ((worker, start), end) in workers.iter().zip(starts).zip(ends) {
            for item in *start..*end {
                let microbatch = item as u32 % self.microbatches;
                let feed = self.by_feed.then_some(item as u32 / self.microbatches);
                match shares.last_mut() {
                    Some(last) if (last.worker, last.feed) == (*worker, feed) => last.range.end = microbatch + 1,
                    _ => shares.push(WorkerShare { worker: *worker, feed, range: microbatch..microbatch + 1 }),
                }
            }
        }
        shares
    }
}

/// The division in use. It changes only if workers come or go or another one would be clearly
/// faster, so that microbatches stay where their rows are.
#[derive(Debug, Clone, Default)]
pub(super) struct Division {
    workers: Vec<WorkerId>,
    ends: Vec<usize>,
}

impl Division {
    /// The shares of a step, if its work is handed out in `mode`.
    pub(super) fn shares(
        &mut self,
        mode: &Mode,
        microbatches: u32,
        workers: &[WorkerId],
        pace: &Pace,
    ) -> Vec<WorkerShare> {
        let items = WorkItems::of(mode, microbatches);
        let speeds = pace.speeds(workers);
        let best = shares(&items.costs, &speeds);
        let fits = self.workers == workers && self.ends.last() == Some(&items.costs.len());
        if !fits || is_worth(&items.costs, &speeds, &self.ends, &best) {
            *self = Division { workers: workers.to_vec(), ends: best };
        }
        items.shares(workers, &self.ends)
    }
}

/// A new division is used if it makes the slowest worker's share this much faster.
const WORTH: f64 = 1.25;

/// The ends of contiguous shares of `costs`, one for each worker, that take equally long at these
/// speeds.
fn shares(costs: &[u64], speeds: &[f64]) -> Vec<usize> {
    let total: f64 = costs.iter().map(|cost| *cost as f64).sum();
    let all: f64 = speeds.iter().sum();
    let mut ends = Vec::with_capacity(speeds.len());
    let (mut end, mut spent, mut due) = (0, 0.0, 0.0);
    for speed in speeds {
        due += total * speed / all;
        // An item belongs to the worker that has its middle.
        while end < costs.len() && spent + costs[end] as f64 / 2.0 < due {
            spent += costs[end] as f64;
            end += 1;
        }
        ends.push(end);
    }
    if let Some(last) = ends.last_mut() {
        *last = costs.len();
    }
    ends
}

/// How long the slowest share takes.
fn slowest(costs: &[u64], speeds: &[f64], ends: &[usize]) -> f64 {
    let starts = std::iter::once(&0).chain(ends);
    let takes = |((start, end), speed): ((&usize, &usize), &f64)| {
        costs[*start..*end].iter().map(|cost| *cost as f64).sum::<f64>() / speed
    };
    starts.zip(ends).zip(speeds).map(takes).fold(0.0, f64::max)
}

/// Whether the shares that end at `new` are so much faster than the present ones that rows should
/// move.
fn is_worth(costs: &[u64], speeds: &[f64], present: &[usize], new: &[usize]) -> bool {
    slowest(costs, speeds, present) > WORTH * slowest(costs, speeds, new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_speed_and_cost() {
        assert_eq!(shares(&[1; 8], &[1.0, 1.0]), [4, 8]);
        assert_eq!(shares(&[1; 8], &[3.0, 1.0]), [6, 8]);
        assert_eq!(shares(&[3, 3, 1, 1, 1, 1, 1, 1], &[1.0, 1.0]), [2, 8]);
        assert_eq!(shares(&[1, 1], &[1.0, 1.0, 1.0]), [1, 1, 2]);
        assert_eq!(shares(&[1; 4], &[1.0]), [4]);
    }

    #[test]
    fn rows_are_moved_only_if_that_is_worth_it() {
        let costs = [1; 8];
        assert!(!is_worth(&costs, &[1.2, 1.0], &[4, 8], &shares(&costs, &[1.2, 1.0])));
        assert!(is_worth(&costs, &[3.0, 1.0], &[4, 8], &shares(&costs, &[3.0, 1.0])));
    }
}
