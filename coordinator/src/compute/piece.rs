//! An update in parts, by whatever thread: the bits are the same for every cut.

use std::ops::Range;

use aggregation::{
    clip::all_finite,
    optimizer::{StatePart, Update},
};

/// Elements that are added, or updated, at a time: with the optimizer's state they fit a core's
/// cache.
pub(super) const PART: usize = 1 << 15;

/// A vector of so few elements is worked through sooner than another thread wakes: passes over it
/// are not divided, and the whole update is done by the coordinator's loop, which does nothing else
/// for that long.
pub(super) const ALONE_ELEMENTS: usize = 1 << 16;

/// Where the parts begin and end.
pub(super) fn cuts(elements: usize) -> Vec<usize> {
    (0..elements).step_by(PART).chain([elements]).collect()
}

/// A part of the layout with everything that an update of it touches.
pub(super) struct Piece<'a> {
    state: StatePart<'a>,
    current: &'a [f32],
    gradient: &'a [f32],
    next: &'a mut [f32],
}

/// The whole of an update in parts, in the order of the layout.
pub(super) fn pieces<'a>(
    states: Vec<StatePart<'a>>,
    current: &'a [f32],
    gradient: &'a [f32],
    mut next: &'a mut [f32],
) -> Vec<Piece<'a>> {
    let mut pieces = Vec::with_capacity(states.len());
    for state in states {
        let range = state.range.clone();
        let (own_next, rest) = std::mem::take(&mut next).split_at_mut(range.len());
        next = rest;
        pieces.push(Piece { current: &current[range.clone()], gradient: &gradient[range], next: own_next, state });
    }
    pieces
}

impl<'a> Piece<'a> {
    /// Gives the new parameters, and whether all of them are finite.
    pub(super) fn run(mut self, update: &Update, blocks: &[Range<usize>]) -> (bool, &'a [f32]) {
        update.apply(&mut self.state, blocks, self.current, self.gradient, self.next);
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
