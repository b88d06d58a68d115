//! From per-task gradients to the combined gradient.

use std::collections::BTreeMap;

use aggregation::{
    Gramian,
    tree::Node,
    weighting::{Combination, Need, Statistics},
};

use super::Updater;
use crate::compute::{
    answers::Gradient,
    jacobian::{self, ByTask, TaskVectors},
    piece::is_finite,
    reduce::Missing,
    report::{NotFinite, Weighed},
};

impl Updater {
    /// Weights the tasks by their gradients, and writes the combined gradient. `counts` are
    /// labelled rows by task.
    pub(super) fn combine(&mut self, counts: &[u64], gradients: &[Gradient]) -> Result<Weighed, NotFinite> {
        let present = self.present(counts);
        let losses = self.weighted(&present, &self.losses);
        let mut vectors = self.vectors_by_task(gradients)?;
        let root = Node::root(self.plan.microbatches());
        let sums = self.robust.as_ref().map(|robust| self.robust_sums(robust, &vectors)).transpose()?;
        if let Some(sums) = &sums {
            vectors = with_sums(&vectors, sums, root);
        }
        let missing = |missing: Missing| NotFinite::Impossible { step: self.step, reason: missing.to_string() };
        let rows = jacobian::rows(&self.layout, &present, &vectors, root).map_err(missing)?;
        let rows: Vec<&[f32]> = rows.iter().map(|row| &**row).collect();
        let recorded = self.is_recorded();
        let layout = self.layout.clone();
        let gramian = (recorded || self.weigher.needs(Need::Gramian)).then(|| Gramian::of_rows(&rows));
        if !jacobian::are_finite(&rows, gramian.as_ref()) {
            let wrong = present.iter().zip(&rows).filter(|(_, row)| !is_finite(row)).map(|(task, _)| *task);
            return Err(self.gradient_of(&wrong.collect::<Vec<usize>>()));
        }
        let by_block = self.weigher.needs(Need::GramianByBlock).then(|| jacobian::gramian_by_block(&layout, &rows));
        let cross = match (self.weigher.needs(Need::GramianCross), root.children()) {
            (true, Some(halves)) => Some(self.gramian_cross(&present, &vectors, gradients, halves.into())?),
            _ => None,
        };
        let statistics = Statistics {
            losses: Some(&losses),
            gramian: gramian.as_ref(),
            gramian_by_block: by_block.as_deref(),
            gramian_cross: cross.as_ref(),
            jacobian: self.weigher.needs(Need::Jacobian).then_some(&rows[..]),
        };
        let outcome = self.ask_weighting(&present, |weigher, moment| weigher.weigh(moment, &statistics))?;
        let (step, combined) = (self.step, &mut self.combined_gradient[..]);
        jacobian::write_direction(&layout, &rows, &outcome.combination, combined);
        jacobian::write_own(&layout, &vectors, &present, root, combined)
            .map_err(|missing| NotFinite::Impossible { step, reason: missing.to_string() })?;
        let alpha = outcome.combination.alpha().map(<[f64]>::to_vec);
        let alpha_by_block = match (&outcome.combination, &by_block) {
            (Combination::AlphaByBlock(alphas), Some(blocks)) if recorded => {
                Some(blocks.iter().map(|(name, _)| (*name).to_owned()).zip(alphas.iter().cloned()).collect())
            }
            _ => None,
        };
        let gramian = gramian.filter(|_| recorded);
        let (products, direction_norm) = match (&gramian, &alpha) {
            (None, _) => (None, None),
            (Some(gramian), Some(alpha)) => (Some(gramian.times(alpha)), None),
            (Some(_), None) => {
                let (products, norm) = jacobian::products(&layout, &rows, combined);
                (Some(products), Some(norm))
            }
        };
        let certificate = outcome.certificate;
        Ok(Weighed { present, losses, alpha, alpha_by_block, certificate, gramian, products, direction_norm, recorded })
    }

    /// Inner products between the mean gradients of the two halves of the microbatches,
    /// `[tasks, tasks]`.
    fn gramian_cross(
        &self,
        present: &[usize],
        vectors: &ByTask<'_>,
        gradients: &[Gradient],
        halves: [Node; 2],
    ) -> Result<Gramian, NotFinite> {
        let rows = |node| {
            let rows = jacobian::rows(&self.layout, present, vectors, node);
            rows.map_err(|missing| self.impossible(missing.to_string()))
        };
        let labelled = |half: Node, task: usize| -> u64 {
            let within = gradients.iter().filter(|gradient| half.contains(gradient.node));
            within.flat_map(|gradient| &gradient.losses).filter(|sum| sum.task == task).map(|sum| sum.rows).sum()
        };
        let shares = halves.map(|half| {
            let whole = Node::root(self.plan.microbatches());
            let share = |&task: &usize| labelled(half, task) as f64 / labelled(whole, task).max(1) as f64;
            present.iter().map(share).collect::<Vec<f64>>()
        });
        let [left, right] = [rows(halves[0])?, rows(halves[1])?];
        Ok(jacobian::gramian_cross([&left, &right], [&shares[0], &shares[1]]))
    }
}

/// `vectors` with one sum over `root` for each task in place of its vectors.
fn with_sums<'a>(vectors: &ByTask<'_>, sums: &'a BTreeMap<usize, Vec<f32>>, root: Node) -> ByTask<'a> {
    let of_task = |(task, sum): (&usize, &'a Vec<f32>)| {
        let nodes = BTreeMap::from([(root, sum.as_slice())]);
        (*task, TaskVectors { span: vectors[task].span.clone(), nodes })
    };
    sums.iter().map(of_task).collect()
}
