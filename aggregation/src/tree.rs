//! The canonical tree: the fixed binary tree over the microbatches [0, V) in which sums are added.
//!
//! A node of length n splits at the largest power of two below n, relative to its start. The shape
//! depends on V alone. So sums along the tree have the same bits, however the leaves are spread
//! over workers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::lanes::{self, Level};

/// A node: the leaves [lo, hi).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Node {
    /// First leaf.
    pub lo: u32,
    /// One past the last leaf.
    pub hi: u32,
}

impl Node {
    /// The root of the tree over `leaves` leaves.
    ///
    /// # Panics
    /// If there are no leaves.
    pub fn root(leaves: u32) -> Self {
        assert!(leaves > 0, "a tree has at least one leaf");
        Self { lo: 0, hi: leaves }
    }

    /// The node of one leaf.
    pub fn leaf(leaf: u32) -> Self {
        Self { lo: leaf, hi: leaf + 1 }
    }

    /// The number of leaves; at least 1.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(self) -> u32 {
        self.hi - self.lo
    }

    /// Whether this is one leaf.
    pub fn is_leaf(self) -> bool {
        self.len() == 1
    }

    /// The left and the right child. `None` for a leaf.
    pub fn children(self) -> Option<(Node, Node)> {
        if self.is_leaf() {
            return None;
        }
        let middle = self.lo + self.len().next_power_of_two() / 2;
        Some((Node { lo: self.lo, hi: middle }, Node { lo: middle, hi: self.hi }))
    }

    /// Whether all leaves of `other` are leaves of this node.
    pub fn contains(self, other: Node) -> bool {
        self.lo <= other.lo && other.hi <= self.hi
    }

    /// Whether the two have a leaf in common.
    pub fn overlaps(self, other: Node) -> bool {
        self.lo < other.hi && other.lo < self.hi
    }

    /// Whether this is a node of the tree under `root`.
    pub fn is_node_of(self, root: Node) -> bool {
        if self.lo >= self.hi || !root.contains(self) {
            return false;
        }
        let mut at = root;
        while at != self {
            let Some((left, right)) = at.children() else { return false };
            at = if left.contains(self) {
                left
            } else if right.contains(self) {
                right
            } else {
                return false;
            };
        }
        true
    }
}

/// The smallest list of nodes of the tree under `root` that covers the leaves [lo, hi), from left
/// to right.
pub fn cover(root: Node, lo: u32, hi: u32) -> Vec<Node> {
    let mut nodes = Vec::new();
    cover_into(root, lo, hi, &mut nodes);
    nodes
}

fn cover_into(node: Node, lo: u32, hi: u32, nodes: &mut Vec<Node>) {
    if hi <= node.lo || node.hi <= lo {
        return;
    }
    if lo <= node.lo && node.hi <= hi {
        nodes.push(node);
    } else if let Some((left, right)) = node.children() {
        cover_into(left, lo, hi, nodes);
        cover_into(right, lo, hi, nodes);
    }
}

/// Why values don't make up a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Uncovered {
    /// A node has no value, and its descendants do not cover it.
    #[error("no value covers the leaves {} to {}", .0.lo, .0.hi)]
    Missing(Node),
    /// A value belongs to a range that is not a node of the tree, or another value covers it.
    #[error("the value of the leaves {} to {} has no place in the tree", .0.lo, .0.hi)]
    Surplus(Node),
}

/// Adds the values of nodes up to the root, left plus right, in the tree's order.
///
/// # Errors
/// [`Uncovered`] if leaves have no value, or a value has no place.
pub fn fold<T>(root: Node, mut values: BTreeMap<Node, T>, add: &mut impl FnMut(T, T) -> T) -> Result<T, Uncovered> {
    let total = fold_at(root, &mut values, add)?;
    match values.keys().next() {
        None => Ok(total),
        Some(&node) => Err(Uncovered::Surplus(node)),
    }
}

fn fold_at<T>(node: Node, values: &mut BTreeMap<Node, T>, add: &mut impl FnMut(T, T) -> T) -> Result<T, Uncovered> {
    if let Some(value) = values.remove(&node) {
        return Ok(value);
    }
    let (left, right) = node.children().ok_or(Uncovered::Missing(node))?;
    let left = fold_at(left, values, add)?;
    let right = fold_at(right, values, add)?;
    Ok(add(left, right))
}

/// Makes a value from each leaf under `root`, from left to right, and adds them in the tree's
/// order.
///
/// At most log2(leaves) + 1 values exist at a time.
pub fn fold_leaves<T>(root: Node, leaf: &mut impl FnMut(u32) -> T, add: &mut impl FnMut(T, T) -> T) -> T {
    match root.children() {
        None => leaf(root.lo),
        Some((left, right)) => {
            let left = fold_leaves(left, leaf, add);
            let right = fold_leaves(right, leaf, add);
            add(left, right)
        }
    }
}

/// `into[i] += other[i]`. `into` is the left side.
///
/// # Panics
/// If the lengths differ.
pub fn add_assign(into: &mut [f32], other: &[f32]) {
    assert_eq!(into.len(), other.len(), "vectors of one length are added");
    lanes::add(Level::widest(), into, other);
}

/// `out[i] = left[i] + right[i]`.
///
/// # Panics
/// If the lengths differ.
pub fn add_into(left: &[f32], right: &[f32], out: &mut [f32]) {
    assert!(left.len() == right.len() && left.len() == out.len(), "vectors of one length are added");
    lanes::sum(Level::widest(), left, right, out);
}
