//! From the combined gradient to the next parameters.
//!
//! The gradient is added up and looked through first, part by part while it is in a core's cache,
//! and applied in a second pass: where it is not finite, nothing has changed yet, and the step can
//! be made of other answers or left out.

use std::collections::BTreeMap;

use aggregation::{
    clip::{self, all_finite},
    tree::Node,
};
use rayon::prelude::*;

use super::Updater;
use crate::compute::{
    ahead::Ahead,
    piece::{ALONE_ELEMENTS, PART, Piece, cuts, pieces},
    reduce::{Missing, sum_into},
    report::NotFinite,
};

/// So many parts are worked on before they go over the network: 1 MiB.
const PARTS_AHEAD: usize = 8;

impl Updater {
    /// Adds the vectors up, unless there is one for the whole; says whether the sum is finite.
    pub(super) fn add_up(&mut self, root: Node, vectors: &BTreeMap<Node, &[f32]>) -> Result<bool, NotFinite> {
        if let Some(whole) = vectors.get(&root) {
            return Ok(is_finite(whole));
        }
        let step = self.step;
        let add = |(i, sum): (usize, &mut [f32])| {
            sum_into(root, vectors, i * PART..i * PART + sum.len(), sum).map(|()| all_finite(sum))
        };
        let finite: Result<bool, Missing> = if self.gradient.len() <= ALONE_ELEMENTS {
            self.gradient.chunks_mut(PART).enumerate().map(add).try_fold(true, |all, part| Ok(all & part?))
        } else {
            let parts = self.gradient.par_chunks_mut(PART).enumerate().map(add);
            parts.try_reduce(|| true, |one, other| Ok(one && other))
        };
        finite.map_err(|missing| NotFinite::Impossible { step, reason: missing.to_string() })
    }

    /// Builds the next parameters with a gradient that is finite: with `whole`, or with the one
    /// that is added up. Gives the gradient's norm where it was asked for.
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
        let gradient = whole.unwrap_or(&self.gradient);
        let norm = self.clip_norm.map(|_| clip::norm(gradient));
        let scale = match (norm, self.clip_norm) {
            (Some(norm), Some(clip_norm)) => clip::scale_for(norm, clip_norm),
            _ => 1.0,
        };
        let update = self.optimizer.begin(&mut self.state, learning_rate, scale);
        let parts = self.state.parts(&cuts);
        // What goes over the network leaves in parts; otherwise there is nothing to wait for.
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

/// Whether every element is finite; a long vector is looked through by several threads.
pub(super) fn is_finite(vector: &[f32]) -> bool {
    if vector.len() <= ALONE_ELEMENTS { all_finite(vector) } else { vector.par_chunks(PART).all(all_finite) }
}
