//! The Jacobian: one row of gradients a task, over the shared parameters.

use rayon::prelude::*;

use crate::lanes::{self, Level};

/// Gradients of all tasks, [tasks, parameters], finite.
#[derive(Debug, Clone, PartialEq)]
pub struct GradientMatrix {
    tasks: usize,
    parameters: usize,
    values: Vec<f32>,
}

/// Why values are no gradient matrix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// No rows, or rows without values.
    #[error("a gradient matrix has at least one row and one column")]
    Empty,
    /// Rows of unequal length.
    #[error("row {row} is {len} long and the first row {expected}")]
    Ragged {
        /// The row, from 0.
        row: usize,
        /// Its values.
        len: usize,
        /// The first row's.
        expected: usize,
    },
    /// A value that is infinite or no number.
    #[error("row {row}, column {column} is not finite")]
    NotFinite {
        /// The row, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
    },
}

impl GradientMatrix {
    /// A matrix of rows of equal length.
    ///
    /// # Errors
    /// [`MatrixError`] for no rows, rows of unequal length and values that are not finite.
    pub fn new<R: AsRef<[f32]>>(rows: &[R]) -> Result<Self, MatrixError> {
        let parameters = rows.first().ok_or(MatrixError::Empty)?.as_ref().len();
        let mut values = Vec::with_capacity(rows.len() * parameters);
        for (row, entries) in rows.iter().enumerate() {
            let entries = entries.as_ref();
            if entries.len() != parameters {
                return Err(MatrixError::Ragged { row, len: entries.len(), expected: parameters });
            }
            if !lanes::finite(Level::widest(), entries)
                && let Some(column) = entries.iter().position(|value| !value.is_finite())
            {
                return Err(MatrixError::NotFinite { row, column });
            }
            values.extend_from_slice(entries);
        }
        Ok(Self { tasks: rows.len(), parameters, values })
    }

    /// The number of rows.
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// The number of columns.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// One task's gradient.
    pub fn row(&self, task: usize) -> &[f32] {
        &self.values[task * self.parameters..(task + 1) * self.parameters]
    }

    /// All rows, in order.
    pub fn rows(&self) -> Vec<&[f32]> {
        (0..self.tasks).map(|task| self.row(task)).collect()
    }
}

/// Columns that one thread combines at a time.
const BLOCK: usize = 1 << 14;

/// The combination sum over t of alpha_t row_t, added in the rows' order in f64, rounded once. Rows
/// whose alpha is 0 are not read.
///
/// # Panics
/// Where there are no rows, their lengths differ, or alpha has another length than the rows.
pub fn combine(rows: &[&[f32]], alpha: &[f64]) -> Vec<f32> {
    let mut out = vec![0.0f32; rows[0].len()];
    combine_into(rows, alpha, &mut out);
    out
}

/// Writes the sum of the rows, weighted by alpha, into `out`.
///
/// # Panics
/// Where there are no rows, alpha has another length than the rows, or `out` another than each of
/// them.
pub fn combine_into(rows: &[&[f32]], alpha: &[f64], out: &mut [f32]) {
    assert_eq!(rows.len(), alpha.len(), "one alpha a row");
    let factors: Vec<f64> = alpha.iter().copied().filter(|alpha| *alpha != 0.0).collect();
    by_columns_into(rows, out, |_, rows, out| {
        let counted = rows.iter().zip(alpha).filter(|(_, alpha)| **alpha != 0.0);
        let counted: Vec<&[f32]> = counted.map(|(row, _)| *row).collect();
        lanes::combine(Level::widest(), &counted, &factors, out);
    });
}

/// A vector of which each value depends on the rows' values in its column; `part` gets a first
/// column, the rows from there, and room for some columns.
///
/// # Panics
/// Where there are no rows or their lengths differ.
pub(crate) fn by_columns(rows: &[&[f32]], part: impl Fn(usize, &[&[f32]], &mut [f32]) + Sync) -> Vec<f32> {
    let mut out = vec![0.0f32; rows[0].len()];
    by_columns_into(rows, &mut out, part);
    out
}

fn by_columns_into(rows: &[&[f32]], out: &mut [f32], part: impl Fn(usize, &[&[f32]], &mut [f32]) + Sync) {
    assert!(rows.iter().all(|row| row.len() == out.len()), "rows have one length");
    let block = |(number, out): (usize, &mut [f32])| {
        let start = number * BLOCK;
        let rows: Vec<&[f32]> = rows.iter().map(|row| &row[start..start + out.len()]).collect();
        part(start, &rows, out);
    };
    if out.len() <= BLOCK {
        block((0, out));
    } else {
        out.par_chunks_mut(BLOCK).enumerate().for_each(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_matrices_are_refused_with_the_place() {
        assert_eq!(GradientMatrix::new::<Vec<f32>>(&[]), Err(MatrixError::Empty));
        let ragged = GradientMatrix::new(&[vec![1.0, 2.0], vec![1.0]]);
        assert_eq!(ragged, Err(MatrixError::Ragged { row: 1, len: 1, expected: 2 }));
        let infinite = GradientMatrix::new(&[vec![1.0, 2.0], vec![1.0, f32::INFINITY]]);
        assert_eq!(infinite, Err(MatrixError::NotFinite { row: 1, column: 1 }));
    }

    #[test]
    fn a_combination_is_the_weighted_sum_of_the_rows() {
        let matrix = GradientMatrix::new(&[[1.0f32, 2.0, 3.0], [10.0, 0.0, -10.0]]).expect("is right");
        assert_eq!(combine(&matrix.rows(), &[2.0, 0.5]), [7.0, 4.0, 1.0]);
        assert_eq!(combine(&matrix.rows(), &[0.0, 0.5]), [5.0, 0.0, -5.0]);
        assert_eq!(combine(&matrix.rows(), &[0.0, 0.0]), [0.0; 3]);
    }
}
