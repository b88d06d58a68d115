//! Combinations of the rows of the Jacobian. The rows are the tasks' gradients over the shared
//! parameters.

use rayon::prelude::*;

use crate::lanes::{self, Level};

/// Columns that one thread combines at a time.
const BLOCK: usize = 1 << 14;

/// The sum over t of alpha_t row_t, added in the rows' order in f64 and rounded once. Rows whose
/// alpha is 0 are not read.
///
/// # Panics
/// If there are no rows, their lengths differ, or alpha has another length than the rows.
pub fn combine(rows: &[&[f32]], alpha: &[f64]) -> Vec<f32> {
    let mut out = vec![0.0f32; rows[0].len()];
    combine_into(rows, alpha, &mut out);
    out
}

/// Writes the sum of the rows, weighted by alpha, into `out`.
///
/// # Panics
/// If there are no rows, alpha has another number of entries than there are rows, or `out` has
/// another length than the rows.
pub fn combine_into(rows: &[&[f32]], alpha: &[f64], out: &mut [f32]) {
    assert_eq!(rows.len(), alpha.len(), "one alpha a row");
    let factors: Vec<f64> = alpha.iter().copied().filter(|alpha| *alpha != 0.0).collect();
    by_columns_into(rows, out, |_, rows, out| {
        let counted = rows.iter().zip(alpha).filter(|(_, alpha)| **alpha != 0.0);
        let counted: Vec<&[f32]> = counted.map(|(row, _)| *row).collect();
        lanes::combine(Level::widest(), &counted, &factors, out);
    });
}

/// A vector whose values each depend on one column of the rows alone. `part` computes some columns:
/// it gets the first column, the rows from there on, and the output.
///
/// # Panics
/// If there are no rows or their lengths differ.
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
    fn a_combination_is_the_weighted_sum_of_the_rows() {
        let rows: [&[f32]; 2] = [&[1.0, 2.0, 3.0], &[10.0, 0.0, -10.0]];
        assert_eq!(combine(&rows, &[2.0, 0.5]), [7.0, 4.0, 1.0]);
        assert_eq!(combine(&rows, &[0.0, 0.5]), [5.0, 0.0, -5.0]);
        assert_eq!(combine(&rows, &[0.0, 0.0]), [0.0; 3]);
    }
}
