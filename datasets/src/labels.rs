//! Which training rows have a label, and how many labelled rows each step has.

use std::sync::Arc;

use crate::plan::Plan;

/// For each task and partition, a bit for each row: whether it has a label.
#[derive(Debug, Clone)]
pub struct Labels {
    plan: Arc<Plan>,
    /// By task and partition; `None` where every row has a label.
    bits: Vec<Vec<Option<Bits>>>,
}

/// A bit for each row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits(Vec<u64>);

impl Labels {
    /// n_t: labelled rows of a task in the whole batch of a step.
    pub fn labelled(&self, task: usize, step: u64) -> u64 {
        let _ = (task, step, &self.plan, &self.bits);
        todo!()
    }
}
