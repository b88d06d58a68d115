//! From the combined gradient to the next parameters.
//!
//! A first pass adds the gradient and checks that it is finite, part by part while a part is in a
//! core's cache. A second pass applies it. If the gradient is not finite, nothing has changed yet:
//! the step can be repeated with other answers, or skipped.

use std::collections::BTreeMap;

use aggregation::{
    clip::{self, all_finite},
    tree::Node,
};
use rayon::prelude::*;

use super::Updater;
use crate::compute::{
    ahead::Ahead,
    piece::{ALONE_ELEMENTS, PART, Piece, cuts, is_finite, pieces},
    reduce::{Missing, sum_into},
    report::NotFinite,
};

/// How many parts are computed before they are sent over the network: 1 MiB in all.
const PARTS_AHEAD: usize = 8;

impl Updater {
    /// Adds the vectors, unless one of them is the whole sum. Returns whether the sum is finite.
    pub(super) fn add_up(&mut self, root: Node, vectors: &BTreeMap<Node, &[f32]>) -> Result<bool, NotFinite> {
        if let Some(whole) = vectors.get(&root) {
            return Ok(is_finite(whole));
        }
        let step = self.step;
        let add = |(i, sum): (usize, &mut [f32])| {
            sum_into(root, vectors, i * PART..i * PART + sum.len(), sum).map(|()| all_finite(sum))
        };
        let finite: Result<bool, Missing> = if self.combined_gradient.len() <= ALONE_ELEMENTS {
            self.combined_gradient.chunks_mut(PART).enumerate().map(add).try_fold(true, |all, part| Ok(all & part?))
        } else {
            let parts = self.combined_gradient.par_chunks_mut(PART).enumerate().map(add);
            parts.try_reduce(|| true, |one, other| Ok(one && other))
        };
        finite.map_err(|missing| NotFinite::Impossible { step, reason: missing.to_string() })
    }

    /// Computes the next parameters from a finite gradient: `whole`, or the sum that was added
    /// before. Returns the gradient's L2 norm before clipping. `None` if clipping is off.
    pub(super) fn descend(
        &mut self,
        learning_rate: f64,
        whole: Option<&[f32]>,
        ahead: &mut Ahead,
    ) -> Result<Option<f64>, NotFinite> {
        let step = self.step;
        let elements = self.parameters.elements();
        let blocks = self.layout.ranges();
        let cuts = if self.optimizer.is_elementwise() { cuts(elements) } else { vec![0, elements] };
        let gradient = whole.unwrap_or(&self.combined_gradient);
        let norm = self.clip_norm.map(|_| clip::norm(gradient));
        let scale = match (norm, self.clip_norm) {
            (Some(norm), Some(clip_norm)) => clip::scale_for(norm, clip_norm),
            _ => 1.0,
        };
        let update = self.optimizer.begin(&mut self.state, learning_rate, scale);
        let parts = self.state.parts(&cuts);
        // Parts that go over the network are sent in groups. Otherwise one group has all parts.
        let together = if ahead.is_empty() { usize::MAX } else { PARTS_AHEAD };
        let finite = self.parameters.build_next(step, |current, next| {
            let mut work = pieces(parts, current, gradient, next).into_iter().peekable();
            let mut finite = true;
            while work.peek().is_some() {
                let group: Vec<Piece<'_>> = work.by_ref().take(together).collect();
                let done: Vec<(bool, &[f32])> = if elements <= ALONE_ELEMENTS {
                    group.into_iter().map(|piece| piece.run(&update, &blocks)).collect()
                } else {
                    group.into_par_iter().map(|piece| piece.run(&update, &blocks)).collect()
                };
                for (part_is_finite, part) in done {
                    finite &= part_is_finite;
                    ahead.send(part);
                }
            }
            finite
        });
        if finite { Ok(norm) } else { Err(NotFinite::Update { step }) }
    }
}
