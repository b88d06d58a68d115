//! The Gramian G = J J^T of the tasks' gradients, in f64.

mod kernel;

use serde::{Deserialize, Serialize};

/// A direction counts as 0 if it is shorter than this share of its parts. w^T G w is known to about
/// 1e-15 of the square of the parts' lengths. So at this bound the length of the direction is known
/// to a thousandth, and its cosines to 1e-9.
const CANCELLED: f64 = 1e-6;

/// A square matrix of inner products, [tasks, tasks]. It is symmetric, unless it is a
/// cross-Gramian.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gramian {
    tasks: usize,
    values: Vec<f64>,
}

impl Gramian {
    /// A matrix from its values, row by row.
    ///
    /// # Panics
    /// If there are not tasks x tasks values.
    pub fn new(tasks: usize, values: Vec<f64>) -> Self {
        assert_eq!(values.len(), tasks * tasks, "a Gramian is square");
        Self { tasks, values }
    }

    /// The Gramian of rows of equal length. The same rows give the same bits on every processor.
    ///
    /// # Panics
    /// If the rows' lengths differ.
    pub fn of_rows(rows: &[&[f32]]) -> Self {
        equally_long(rows);
        let mut gramian = Self { tasks: rows.len(), values: kernel::products_below(rows) };
        gramian.mirror();
        gramian
    }

    /// The inner products of `left` rows with `right` rows, for two independent estimates of the
    /// same gradients.
    ///
    /// # Panics
    /// If the numbers or lengths of rows differ.
    pub fn cross(left: &[&[f32]], right: &[&[f32]]) -> Self {
        assert_eq!(left.len(), right.len(), "both halves have the same tasks");
        equally_long(left);
        equally_long(right);
        assert_eq!(
            left.first().map(|row| row.len()),
            right.first().map(|row| row.len()),
            "both halves are equally long"
        );
        Self { tasks: left.len(), values: kernel::products(left, right) }
    }

    /// The Gramian of rows in f64, for matrices that come from text. Each inner product is a chain
    /// of fused multiply-adds, in order.
    pub fn of_f64_rows<R: AsRef<[f64]>>(rows: &[R]) -> Self {
        let tasks = rows.len();
        let mut gramian = Self { tasks, values: vec![0.0; tasks * tasks] };
        for i in 0..tasks {
            for j in 0..=i {
                let products = rows[i].as_ref().iter().zip(rows[j].as_ref());
                gramian.values[i * tasks + j] = products.fold(0.0, |sum, (a, b)| a.mul_add(*b, sum));
            }
        }
        gramian.mirror();
        gramian
    }

    fn mirror(&mut self) {
        for i in 0..self.tasks {
            for j in 0..i {
                self.values[j * self.tasks + i] = self.values[i * self.tasks + j];
            }
        }
    }

    /// The number of tasks.
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// The inner product of the gradients of tasks i and j.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.tasks + j]
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.tasks..(i + 1) * self.tasks]
    }

    /// All values, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The norms of the gradients.
    pub fn norms(&self) -> Vec<f64> {
        (0..self.tasks).map(|i| self.at(i, i).max(0.0).sqrt()).collect()
    }

    /// The product G w.
    pub fn times(&self, w: &[f64]) -> Vec<f64> {
        (0..self.tasks).map(|i| dot(self.row(i), w)).collect()
    }

    /// w^T G w, the squared norm of J^T w. Never negative.
    pub fn quadratic(&self, w: &[f64]) -> f64 {
        dot(w, &self.times(w)).max(0.0)
    }

    /// The cosines of the gradients with the direction d = J^T w. `None` if the gradient or d is 0.
    /// If the parts of d cancel to less than a millionth of their lengths, the rest is rounding,
    /// and d counts as 0.
    pub fn cosines_with(&self, w: &[f64]) -> Vec<Option<f64>> {
        let norms = self.norms();
        let parts: f64 = norms.iter().zip(w).map(|(norm, weight)| norm * weight.abs()).sum();
        let length = self.quadratic(w).sqrt();
        let cosine = |(product, norm): (f64, &f64)| {
            let is_known = *norm > 0.0 && length > CANCELLED * parts;
            is_known.then(|| (product / norm / length).clamp(-1.0, 1.0))
        };
        self.times(w).into_iter().zip(&norms).map(cosine).collect()
    }

    /// The cosines between the gradients. A cosine with a zero gradient is 0; otherwise the
    /// diagonal is 1.
    pub fn cosines(&self) -> Gramian {
        let norms = self.norms();
        let mut values = vec![0.0; self.values.len()];
        for i in 0..self.tasks {
            for j in 0..self.tasks {
                // Two divisions, because the product of two norms can leave the range of f64.
                let cosine = if norms[i] > 0.0 && norms[j] > 0.0 { self.at(i, j) / norms[i] / norms[j] } else { 0.0 };
                values[i * self.tasks + j] = if i == j && norms[i] > 0.0 { 1.0 } else { cosine.clamp(-1.0, 1.0) };
            }
        }
        Gramian { tasks: self.tasks, values }
    }

    /// The Gramian of the tasks in `which` alone.
    pub fn of_tasks(&self, which: &[usize]) -> Gramian {
        let values = which.iter().flat_map(|&i| which.iter().map(move |&j| self.at(i, j))).collect();
        Gramian { tasks: which.len(), values }
    }

    /// The sum with another Gramian, for example of another block.
    pub fn plus(mut self, other: &Gramian) -> Gramian {
        assert_eq!(self.tasks, other.tasks, "Gramians of the same tasks");
        self.values.iter_mut().zip(&other.values).for_each(|(a, b)| *a += b);
        self
    }
}

fn equally_long(rows: &[&[f32]]) {
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "rows have one length");
}

/// The inner product of two gradients, with the same bits as in [`Gramian::of_rows`].
///
/// # Panics
/// If the lengths differ.
pub fn inner(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "gradients of one length");
    kernel::products(&[a], &[b])[0]
}

/// The inner product of two short vectors.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_with_a_direction_are_those_of_the_vectors() {
        let rows = [[3.0, 0.0, 1.0], [-1.0, 2.0, 0.5], [0.0, 0.0, 0.0]];
        let (weights, gramian) = ([0.5, 2.0, 1.0], Gramian::of_f64_rows(&rows));
        let direction: Vec<f64> = (0..3).map(|at| rows.iter().zip(weights).map(|(row, w)| row[at] * w).sum()).collect();
        let found = gramian.cosines_with(&weights);
        for (row, found) in rows.iter().zip(&found[..2]) {
            let expected = dot(row, &direction) / dot(row, row).sqrt() / dot(&direction, &direction).sqrt();
            assert!((found.expect("known") - expected).abs() < 1e-15, "{found:?}, not {expected}");
        }
        assert_eq!(found[2], None);
    }

    #[test]
    fn a_direction_that_cancels_has_no_cosines() {
        let opposite = Gramian::of_f64_rows(&[[1.0, 0.1], [-3.0, -0.3]]);
        assert_eq!(opposite.cosines_with(&[3.0, 1.0]), [None, None]);
        assert_eq!(opposite.cosines_with(&[0.0, 0.0]), [None, None]);
        assert!(opposite.cosines_with(&[3.0, 1.001]).iter().all(Option::is_some));
    }
}
