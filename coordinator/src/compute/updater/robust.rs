//! What stands for the sum of the microbatches' vectors where the experiment asks for a robust one.

use std::collections::BTreeMap;

use aggregation::{Robust, tree::Node};

use super::{Updater, descent::is_finite};
use crate::compute::{
    jacobian::{ByTask, TaskVectors},
    report::NotFinite,
};

impl Updater {
    /// The robust sum of the vectors of microbatches that have labelled rows; zero where none has.
    pub(super) fn robust_sum(&self, robust: Robust, vectors: &BTreeMap<Node, &[f32]>) -> Result<Vec<f32>, NotFinite> {
        let counts = &self.counts[&self.step];
        let tasks: Vec<usize> = (0..counts.len()).filter(|task| counts[*task].iter().any(|rows| *rows > 0)).collect();
        self.sum_of(robust, vectors, &tasks, self.parameters.elements())
    }

    /// The same for each task, over its part of the layout.
    pub(super) fn robust_sums(
        &self,
        robust: Robust,
        vectors: &ByTask<'_>,
    ) -> Result<BTreeMap<usize, Vec<f32>>, NotFinite> {
        let sum = |(task, TaskVectors { span, nodes }): (&usize, &TaskVectors<'_>)| {
            Ok((*task, self.sum_of(robust, nodes, &[*task], span.len())?))
        };
        vectors.iter().map(sum).collect()
    }

    /// Over the microbatches in which one of the tasks has labelled rows.
    fn sum_of(
        &self,
        robust: Robust,
        vectors: &BTreeMap<Node, &[f32]>,
        tasks: &[usize],
        elements: usize,
    ) -> Result<Vec<f32>, NotFinite> {
        // What is not finite could hide behind the others.
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

/// The tasks' vectors with these sums in their place.
pub(super) fn in_place<'a>(vectors: &ByTask<'_>, sums: &'a BTreeMap<usize, Vec<f32>>, root: Node) -> ByTask<'a> {
    let of_task = |(task, sum): (&usize, &'a Vec<f32>)| {
        let nodes = BTreeMap::from([(root, sum.as_slice())]);
        (*task, TaskVectors { span: vectors[task].span.clone(), nodes })
    };
    sums.iter().map(of_task).collect()
}
