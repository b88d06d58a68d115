//! Sums that are the same on every machine: in f64, in blocks of rows, along the canonical tree.
//!
//! Rows are taken in the file's order. [`BLOCK`] rows are added one after another, and blocks are
//! merged in the canonical tree ([`objectives::tree`]).

use objectives::tree::{BLOCK, Tree};

use crate::column::Column;

/// Count, mean, sum of squared differences from it, least and greatest of numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moments {
    pub count: u64,
    pub mean: f64,
    squares: f64,
    pub least: f64,
    pub greatest: f64,
}

impl Moments {
    const NONE: Moments =
        Moments { count: 0, mean: 0.0, squares: 0.0, least: f64::INFINITY, greatest: f64::NEG_INFINITY };

    fn of(values: &[f64]) -> Self {
        if values.is_empty() {
            return Self::NONE;
        }
        let count = values.len() as u64;
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self { count, mean, squares, least, greatest }
    }

    /// Both together (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
    /// computing sample variances", 1979).
    fn merge(self, right: Self) -> Self {
        if self.count == 0 || right.count == 0 {
            return if self.count == 0 { right } else { self };
        }
        let count = self.count + right.count;
        let (here, there, all) = (self.count as f64, right.count as f64, count as f64);
        let difference = right.mean - self.mean;
        Self {
            count,
            mean: self.mean + difference * (there / all),
            squares: self.squares + right.squares + difference * difference * (here * there / all),
            least: self.least.min(right.least),
            greatest: self.greatest.max(right.greatest),
        }
    }

    /// All of several together, in their order along the canonical tree.
    pub fn all(parts: &[Moments]) -> Self {
        let mut tree = Tree::default();
        parts.iter().for_each(|part| tree.push(*part, Moments::merge));
        tree.finish(Moments::merge).unwrap_or(Self::NONE)
    }

    /// The population standard deviation; 0 if all values are equal.
    pub fn std(&self) -> f64 {
        if self.least >= self.greatest { 0.0 } else { (self.squares / self.count as f64).sqrt() }
    }
}

/// Moments of the elements of rows; NaN is left out.
#[derive(Debug, Clone)]
pub(crate) struct Fit {
    /// By element: the values of the block that is being filled.
    block: Vec<Vec<f64>>,
    /// Rows of that block.
    rows: usize,
    tree: Tree<Vec<Moments>>,
}

impl Fit {
    pub fn new(width: usize) -> Self {
        Self { block: vec![Vec::new(); width], rows: 0, tree: Tree::default() }
    }

    pub fn push(&mut self, row: &[f64]) {
        for (values, value) in self.block.iter_mut().zip(row) {
            if !value.is_nan() {
                values.push(*value);
            }
        }
        self.rows += 1;
        if self.rows == BLOCK {
            self.close();
        }
    }

    /// Rows of a column of numbers or bytes; of text nothing.
    pub fn push_rows(&mut self, column: &Column, rows: &[usize]) {
        let width = self.block.len();
        match column {
            Column::Bytes { values, .. } => {
                let mut numbers = vec![0.0; width];
                for row in rows {
                    let bytes = &values[row * width..][..width];
                    numbers.iter_mut().zip(bytes).for_each(|(number, byte)| *number = f64::from(*byte));
                    self.push(&numbers);
                }
            }
            _ => {
                if let Some((_, matrix)) = column.matrix() {
                    rows.iter().for_each(|row| self.push(&matrix[row * width..][..width]));
                }
            }
        }
    }

    fn close(&mut self) {
        let leaf = self.block.iter().map(|values| Moments::of(values)).collect();
        self.tree.push(leaf, merge);
        self.block.iter_mut().for_each(Vec::clear);
        self.rows = 0;
    }

    pub fn finish(mut self) -> Vec<Moments> {
        if self.rows > 0 {
            self.close();
        }
        let width = self.block.len();
        self.tree.finish(merge).unwrap_or_else(|| vec![Moments::NONE; width])
    }
}

fn merge(left: Vec<Moments>, right: Vec<Moments>) -> Vec<Moments> {
    left.into_iter().zip(right).map(|(l, r)| l.merge(r)).collect()
}

#[cfg(test)]
mod tests {
    use aggregation::tree::{Node, fold_leaves};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn leaves_merge_in_the_canonical_tree(leaves in 1u32..200) {
            let mut tree = Tree::default();
            let join = |a: String, b: String| format!("({a}+{b})");
            for leaf in 0..leaves {
                tree.push(leaf.to_string(), join);
            }
            let expected = fold_leaves(Node::root(leaves), &mut |leaf| leaf.to_string(), &mut |a, b| join(a, b));
            prop_assert_eq!(tree.finish(join), Some(expected));
        }

        #[test]
        fn moments_are_those_of_all_values(values in proptest::collection::vec(-1e3f64..1e3, 2..5_000), offset in -1e6f64..1e6) {
            let mut fit = Fit::new(1);
            for value in &values {
                fit.push(&[value + offset]);
            }
            let moments = fit.finish()[0];
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let std = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
            prop_assert_eq!(moments.count, values.len() as u64);
            prop_assert!((moments.mean - offset - mean).abs() < 1e-6);
            prop_assert!((moments.std() - std).abs() < 1e-6);
        }
    }

    #[test]
    fn a_constant_has_std_zero_whatever_rounding_says() {
        let mut fit = Fit::new(1);
        for _ in 0..10_000 {
            fit.push(&[0.1]);
        }
        assert_eq!(fit.finish()[0].std(), 0.0);
    }

    #[test]
    fn nulls_are_left_out() {
        let mut fit = Fit::new(2);
        for row in [[1.0, f64::NAN], [3.0, 5.0]] {
            fit.push(&row);
        }
        let moments = fit.finish();
        assert_eq!((moments[0].mean, moments[1].mean, moments[1].count), (2.0, 5.0, 1));
    }
}
