//! Sums that are the same on every machine: in f64, in blocks of rows, along the canonical tree.
//!
//! [`BLOCK`] numbers are added one after another, and blocks are merged in the canonical tree over
//! all blocks, without knowing their number before. A tree that splits at the largest power of two
//! merges like a binary counter; what is left over at the end is merged from right to left.

/// Numbers that are added one after another.
pub const BLOCK: usize = 1024;

/// Merges values along the canonical tree as they come.
#[derive(Debug, Clone)]
pub struct Tree<T> {
    /// Complete subtrees with their height, tall ones first.
    open: Vec<(u32, T)>,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self { open: Vec::new() }
    }
}

impl<T> Tree<T> {
    /// Adds the next leaf.
    pub fn push(&mut self, leaf: T, merge: impl Fn(T, T) -> T) {
        let mut right = (0, leaf);
        while let Some(left) = self.open.pop_if(|left| left.0 == right.0) {
            right = (left.0 + 1, merge(left.1, right.1));
        }
        self.open.push(right);
    }

    /// The root; `None` without leaves.
    pub fn finish(mut self, merge: impl Fn(T, T) -> T) -> Option<T> {
        let mut root = self.open.pop()?.1;
        while let Some((_, left)) = self.open.pop() {
            root = merge(left, root);
        }
        Some(root)
    }
}

/// The sum of numbers in the order in which they come.
pub fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut tree = Tree::default();
    let (mut block, mut count) = (0.0, 0);
    for value in values {
        block += value;
        count += 1;
        if count == BLOCK {
            tree.push(block, |a, b| a + b);
            (block, count) = (0.0, 0);
        }
    }
    if count > 0 {
        tree.push(block, |a, b| a + b);
    }
    tree.finish(|a, b| a + b).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_merged_as_the_canonical_tree_merges_them() {
        let merge = |a: String, b: String| format!("({a} {b})");
        for (leaves, shape) in [(1, "0"), (2, "(0 1)"), (3, "((0 1) 2)"), (6, "(((0 1) (2 3)) (4 5))")] {
            let mut tree = Tree::default();
            (0..leaves).for_each(|leaf| tree.push(leaf.to_string(), merge));
            assert_eq!(tree.finish(merge).as_deref(), Some(shape));
        }
    }

    #[test]
    fn small_numbers_after_a_large_one_are_not_lost_beyond_their_block() {
        let values = || std::iter::once(1e16).chain(std::iter::repeat_n(1.0, 4 * BLOCK - 1));
        assert_eq!(values().sum::<f64>(), 1e16);
        assert_eq!(sum(values()), 1e16 + (3 * BLOCK) as f64);
        assert_eq!(sum([]), 0.0);
    }
}
