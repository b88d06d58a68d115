//! Robust aggregation: what replaces the sum over microbatches if the experiment asks for it.

use std::collections::BTreeMap;

use aggregation::{Robust, tree::Node};

use super::Updater;
use crate::compute::{
    jacobian::{ByTask, TaskVectors},
    piece::is_finite,
    report::NotFinite,
};

impl Updater {
    /// The robust sum of the vectors, over the microbatches that have labelled rows. Zero if none
    /// has.
    pub(super) fn robust_sum(&self, robust: &Robust, vectors: &BTreeMap<Node, &[f32]>) -> Result<Vec<f32>, NotFinite> {
        let counts = &self.counts[&self.step];
        let tasks: Vec<usize> = (0..counts.len()).filter(|task| counts[*task].iter().any(|rows| *rows > 0)).collect();
        self.sum_of(robust, vectors, &tasks, self.parameters.elements())
    }

    /// The robust sum for each task, over its part of the layout.
    pub(super) fn robust_sums(
        &self,
        robust: &Robust,
        vectors: &ByTask<'_>,
    ) -> Result<BTreeMap<usize, Vec<f32>>, NotFinite> {
        let sum = |(task, TaskVectors { span, nodes }): (&usize, &TaskVectors<'_>)| {
            Ok((*task, self.sum_of(robust, nodes, &[*task], span.len())?))
        };
        vectors.iter().map(sum).collect()
    }

    /// The robust sum over the microbatches in which one of the tasks has labelled rows.
    fn sum_of(
        &self,
        robust: &Robust,
        vectors: &BTreeMap<Node, &[f32]>,
        tasks: &[usize],
        elements: usize,
    ) -> Result<Vec<f32>, NotFinite> {
        // A robust sum could hide a vector that is not finite.
        if !vectors.values().all(|vector| is_finite(vector)) {
            return Err(self.gradient_of(tasks));
        }
        let counts = &self.counts[&self.step];
        let has_rows = |node: &Node| tasks.iter().any(|task| counts[*task][node.lo as usize] > 0);
        let labelled: Vec<&[f32]> =
            vectors.iter().filter(|(node, _)| has_rows(node)).map(|(_, vector)| *vector).collect();
        Ok(if labelled.is_empty() { vec![0.0; elements] } else { robust.sum(&labelled) })
    }
}
