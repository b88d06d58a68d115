//! Computes the metrics of a split from the sums of its chunks.

use std::collections::BTreeMap;

use aggregation::tree::{self, Node};
use experiment::{Shapes, SplitName};
use objectives::{TaskSums, metric::skill};

use crate::selection::Evaluated;

/// The sums of one feed's tasks over a node of its chunks.
#[derive(Debug, Clone)]
pub struct EvaluationPart {
    /// The feed.
    pub feed: usize,
    /// The node.
    pub node: Node,
    /// By task.
    pub sums: Vec<(u32, TaskSums)>,
}

/// Adds the parts of all feeds in the canonical tree over each feed's chunks, and computes metrics
/// from the sums.
///
/// `chunks` are the numbers of chunks by feed. A feed without rows in the split has no metrics.
pub fn metrics(shapes: &Shapes, split: SplitName, chunks: &[u32], parts: Vec<EvaluationPart>) -> Evaluated {
    let mut by_feed: BTreeMap<usize, BTreeMap<Node, BTreeMap<u32, TaskSums>>> = BTreeMap::new();
    for EvaluationPart { feed, node, sums } in parts {
        by_feed.entry(feed).or_default().insert(node, sums.into_iter().collect());
    }
    let mut by_task: BTreeMap<u32, TaskSums> = BTreeMap::new();
    for (feed, nodes) in by_feed {
        let total = tree::fold(Node::root(chunks[feed]), nodes, &mut add);
        by_task.extend(total.expect("an evaluation is decided once all its chunks are covered"));
    }
    let mut evaluated = Evaluated::default();
    let (mut loss, mut ratios, mut is_whole) = (None, Vec::new(), true);
    for (number, task) in shapes.tasks.iter().enumerate() {
        let Some(sums) = by_task.get(&(number as u32)) else { continue };
        let values = task.measures().values(sums).into_iter();
        let metrics: indexmap::IndexMap<String, f64> = values.map(|(name, value)| (name.to_owned(), value)).collect();
        match metrics.get("loss") {
            Some(mean) => {
                loss = Some(loss.unwrap_or(0.0) + task.weight * mean);
                if let Some(baseline) = task.baseline_loss.get(&split) {
                    ratios.push((*mean, *baseline));
                }
            }
            // The task's loss is not finite. The sum of the others would look like a gain.
            None if sums.rows > 0 => is_whole = false,
            None => {}
        }
        evaluated.tasks.insert(task.name.clone(), metrics);
    }
    if is_whole {
        evaluated.loss = loss;
        evaluated.skill = skill(ratios);
    }
    evaluated
}

fn add(left: BTreeMap<u32, TaskSums>, mut right: BTreeMap<u32, TaskSums>) -> BTreeMap<u32, TaskSums> {
    left.into_iter()
        .map(|(task, sums)| match right.remove(&task) {
            Some(other) => (task, sums.add(other)),
            None => (task, sums),
        })
        .collect()
}
