//! Mean losses of a step from the workers' loss sums.

use std::collections::BTreeMap;

use aggregation::tree::{self, Node};
use objectives::{LossSum, sums::add_losses};

use super::Updater;
use crate::compute::{answers, report::NotFinite};

impl Updater {
    /// Mean losses by task, from loss sums over nodes. Each part is of one feed, or of all feeds.
    pub(super) fn mean_losses<'a>(
        &self,
        parts: impl Iterator<Item = (Option<u32>, Node, &'a Vec<LossSum>)>,
    ) -> Result<Vec<Option<f64>>, NotFinite> {
        let tasks = &self.plan.shapes().tasks;
        let counts = &self.counts[&self.step];
        let mut by_feed: BTreeMap<Option<u32>, BTreeMap<Node, Vec<LossSum>>> = BTreeMap::new();
        for (feed, node, sums) in parts {
            if let Some(reason) = answers::miscounted(tasks, counts, feed, node, sums) {
                return Err(self.impossible(reason));
            }
            by_feed.entry(feed).or_default().insert(node, sums.clone());
        }
        let root = Node::root(self.plan.microbatches());
        let mut losses = vec![None; tasks.len()];
        for (feed, nodes) in by_feed {
            let sums = tree::fold(root, nodes, &mut add_losses).map_err(|u| self.impossible(u.to_string()))?;
            let of_feed = |sum: &LossSum| feed.is_none_or(|feed| tasks[sum.task].feed == feed as usize);
            for sum in sums.into_iter().filter(|sum| of_feed(sum) && sum.rows > 0) {
                losses[sum.task] = Some(sum.loss / sum.rows as f64);
            }
        }
        Ok(losses)
    }

    /// Fails if any loss is not finite.
    pub(super) fn check_finite(&self, losses: &[Option<f64>]) -> Result<(), NotFinite> {
        let tasks = self.plan.shapes().tasks.iter();
        let wrong = tasks.zip(losses).find_map(|(task, loss)| Some((task, loss.filter(|loss| !loss.is_finite())?)));
        match wrong {
            None => Ok(()),
            Some((task, loss)) => Err(NotFinite::Loss { step: self.step, task: task.name.clone(), loss }),
        }
    }

    /// The error of a gradient that is not finite: of one of these tasks, or of several.
    pub(super) fn gradient_of(&self, tasks: &[usize]) -> NotFinite {
        let name = |task: &usize| self.plan.shapes().tasks[*task].name.clone();
        NotFinite::Gradient { step: self.step, tasks: tasks.iter().map(name).collect() }
    }

    /// The tasks that have labelled rows, ascending. `counts` are labelled rows by task.
    pub(super) fn present(&self, counts: &[u64]) -> Vec<usize> {
        counts.iter().enumerate().filter(|(_, rows)| **rows > 0).map(|(task, _)| task).collect()
    }

    /// Task weight times loss, of the present tasks.
    pub(super) fn weighted(&self, present: &[usize], losses: &[Option<f64>]) -> Vec<f64> {
        let tasks = &self.plan.shapes().tasks;
        present.iter().map(|task| tasks[*task].weight * losses[*task].unwrap_or_default()).collect()
    }
}
