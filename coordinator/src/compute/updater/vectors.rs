//! The vectors of the workers' gradients, by node of the microbatches.

use std::collections::BTreeMap;

use aggregation::tree::Node;

use super::Updater;
use crate::compute::{answers::Gradient, jacobian::ByTask, report::NotFinite};

impl Updater {
    /// The workers' vectors by node, in combined mode.
    pub(super) fn vectors<'a>(&self, gradients: &'a [Gradient]) -> Result<BTreeMap<Node, &'a [f32]>, NotFinite> {
        let mut vectors = BTreeMap::new();
        for gradient in gradients {
            for contribution in &gradient.vectors {
                let vector = contribution.vector().map_err(|other| self.impossible(other.to_string()))?;
                vectors.insert(gradient.node, vector);
            }
        }
        Ok(vectors)
    }

    /// The workers' vectors by task and node, in per-task mode.
    pub(super) fn vectors_by_task<'a>(&self, gradients: &'a [Gradient]) -> Result<ByTask<'a>, NotFinite> {
        let mut by_task = ByTask::new();
        for gradient in gradients {
            for contribution in &gradient.vectors {
                let Some(task) = contribution.task else { continue };
                let vector = contribution.vector().map_err(|other| self.impossible(other.to_string()))?;
                let of_task = by_task.entry(task as usize).or_default();
                of_task.span = contribution.span.clone();
                of_task.nodes.insert(gradient.node, vector);
            }
        }
        Ok(by_task)
    }
}
