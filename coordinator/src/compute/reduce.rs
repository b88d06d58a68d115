//! Adds the workers' vectors in the canonical tree, a part of the layout at a time.
//!
//! The sums are elementwise. So a part can be added and used while it is in a core's cache, and
//! several threads can work on different parts. The bits do not depend on where the vector is cut.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use aggregation::tree::{self, Node};
use proto::{
    message::Slot,
    shared_memory::{OtherGeneration, Region},
};

/// A vector from a worker.
#[derive(Debug)]
pub struct Contribution {
    /// The task. `None`: the sum over all tasks.
    pub task: Option<u32>,
    /// The range of the layout that the vector holds.
    pub span: Range<usize>,
    /// Where its elements are.
    pub place: Place,
}

/// Where a vector's elements are.
#[derive(Debug)]
pub enum Place {
    /// In memory that is shared with the worker. A slot holds the whole layout.
    Shared(Arc<Region>, Slot),
    /// In this process: they came in chunks.
    Owned(Vec<f32>),
}

impl Contribution {
    /// The elements.
    ///
    /// # Errors
    /// The shared memory does not hold the vector that the worker announced.
    pub fn vector(&self) -> Result<&[f32], OtherGeneration> {
        match &self.place {
            Place::Shared(region, slot) => Ok(&region.hold(slot.index, slot.generation)?[self.span.clone()]),
            Place::Owned(vector) => Ok(vector),
        }
    }
}

/// No vector covers this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing covers the microbatches [{}, {})", .0.lo, .0.hi)]
pub struct Missing(pub Node);

/// Writes the sum over `node` of the vectors' elements `range` into `sum`, which has the length of
/// `range`.
///
/// # Errors
/// [`Missing`] if the vectors do not cover the node.
pub fn sum_into(
    node: Node,
    vectors: &BTreeMap<Node, &[f32]>,
    range: Range<usize>,
    sum: &mut [f32],
) -> Result<(), Missing> {
    if let Some(vector) = vectors.get(&node) {
        sum.copy_from_slice(&vector[range]);
        return Ok(());
    }
    let (left, right) = node.children().ok_or(Missing(node))?;
    if let (Some(left), Some(right)) = (vectors.get(&left), vectors.get(&right)) {
        tree::add_into(&left[range.clone()], &right[range], sum);
        return Ok(());
    }
    sum_into(left, vectors, range.clone(), sum)?;
    if let Some(vector) = vectors.get(&right) {
        tree::add_assign(sum, &vector[range]);
    } else {
        let mut other = vec![0.0; sum.len()];
        sum_into(right, vectors, range, &mut other)?;
        tree::add_assign(sum, &other);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whoever_adds_which_nodes_the_sum_has_the_same_bits(
            microbatches in 1u32..9, cut in 0u32..9, lo in 0usize..5, values in prop::collection::vec(-1e3f32..1e3, 40),
        ) {
            let vector_of = |v: u32| &values[5 * v as usize % 36..][..5];
            let root = Node::root(microbatches);
            let single: BTreeMap<Node, &[f32]> = (0..microbatches).map(|v| (Node { lo: v, hi: v + 1 }, vector_of(v))).collect();
            let mut expected = vec![0.0; 5];
            sum_into(root, &single, 0..5, &mut expected).unwrap();

            let cut = cut.min(microbatches);
            let nodes = [(0, cut), (cut, microbatches)].into_iter().filter(|(lo, hi)| lo < hi);
            let nodes: Vec<Node> = nodes.flat_map(|(lo, hi)| tree::cover(root, lo, hi)).collect();
            let vectors: Vec<Vec<f32>> = nodes.iter().map(|node| {
                let mut sum = vec![0.0; 5];
                sum_into(*node, &single, 0..5, &mut sum).unwrap();
                sum
            }).collect();
            let covered: BTreeMap<Node, &[f32]> = nodes.iter().copied().zip(vectors.iter().map(Vec::as_slice)).collect();
            let mut sum = vec![0.0; 5 - lo];
            sum_into(root, &covered, lo..5, &mut sum).unwrap();
            prop_assert_eq!(&sum[..], &expected[lo..]);
        }
    }

    #[test]
    fn a_node_that_nothing_covers_is_named() {
        let vector = [1.0];
        let vectors = BTreeMap::from([(Node { lo: 0, hi: 2 }, &vector[..])]);
        assert_eq!(sum_into(Node::root(3), &vectors, 0..1, &mut [0.0]), Err(Missing(Node { lo: 2, hi: 3 })));
    }
}
