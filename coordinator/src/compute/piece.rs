//! An update in parts, on any thread. The bits do not depend on where it is cut.

use std::ops::Range;

use aggregation::{
    clip::all_finite,
    optimizer::{StatePart, Update},
};
use rayon::prelude::*;

/// How many elements are added or updated at a time. With the optimizer's state they fit a core's
/// cache.
pub(super) const PART: usize = 1 << 15;

/// A pass over at most this many elements takes less time than waking another thread. Such passes
/// are not divided, and the coordinator's loop does the whole update itself.
pub(super) const ALONE_ELEMENTS: usize = 1 << 16;

/// The indices at which the parts begin and end.
pub(super) fn cuts(elements: usize) -> Vec<usize> {
    (0..elements).step_by(PART).chain([elements]).collect()
}

/// A part of the layout, with all that its update reads and writes.
pub(super) struct Piece<'a> {
    state: StatePart<'a>,
    current: &'a [f32],
    combined_gradient: &'a [f32],
    next: &'a mut [f32],
}

/// All parts of an update, in layout order.
pub(super) fn pieces<'a>(
    states: Vec<StatePart<'a>>,
    current: &'a [f32],
    combined_gradient: &'a [f32],
    mut next: &'a mut [f32],
) -> Vec<Piece<'a>> {
    let mut pieces = Vec::with_capacity(states.len());
    for state in states {
        let range = state.range.clone();
        let (own_next, rest) = std::mem::take(&mut next).split_at_mut(range.len());
        next = rest;
        pieces.push(Piece {
            current: &current[range.clone()],
            combined_gradient: &combined_gradient[range],
            next: own_next,
            state,
        });
    }
    pieces
}

/// Whether every element is finite. Several threads share a long vector.
pub(super) fn is_finite(vector: &[f32]) -> bool {
    if vector.len() <= ALONE_ELEMENTS { all_finite(vector) } else { vector.par_chunks(PART).all(all_finite) }
}

impl<'a> Piece<'a> {
    /// Updates the part. Returns whether the new parameters are finite, and the parameters.
    pub(super) fn run(mut self, update: &Update, blocks: &[Range<usize>]) -> (bool, &'a [f32]) {
        update.apply(&mut self.state, blocks, self.current, self.combined_gradient, self.next);
        (all_finite(self.next), self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_cover_every_element_once() {
        for elements in [1, PART - 1, PART, PART + 1, 3 * PART] {
            let cuts = cuts(elements);
            assert!(cuts.windows(2).all(|cut| cut[0] < cut[1]), "{elements}: {cuts:?}");
            assert_eq!((cuts[0], *cuts.last().unwrap()), (0, elements));
        }
    }
}
