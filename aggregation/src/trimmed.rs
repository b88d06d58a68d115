//! Means by coordinate without the largest and smallest values.

// The compiler turns these loops over the lanes of several arrays into vector instructions.
#![allow(clippy::needless_range_loop)]

use crate::lanes::{Level, vectorised};
use crate::matrix;

/// For each coordinate, `factor` times the mean of the rows' values without the `trim` largest and
/// the `trim` smallest. Sums are in f64 and start at the smallest value, so the order of the rows
/// does not matter. `rows` are finite.
///
/// # Panics
/// If nothing is left, or the rows' lengths differ.
pub fn mean(rows: &[&[f32]], trim: usize, factor: f64) -> Vec<f32> {
    assert!(2 * trim < rows.len(), "something is left of {} values without {trim} at both ends", rows.len());
    let network = sorting_network(rows.len());
    matrix::by_columns(rows, |_, rows, out| {
        let mut columns = vec![Column([0.0; LANES]); rows.len()];
        trim_columns(Level::widest(), rows, &network, trim, factor, &mut columns, out);
    })
}

/// Columns that are sorted side by side.
const LANES: usize = 16;

/// A row's values in these columns, in one cache line. Across two lines, every load and store takes
/// twice as long.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Column([f32; LANES]);

/// The pairs of places to compare, and to swap if the first is larger. After all of them any values
/// are in ascending order: merge exchange (Batcher, 1968; Knuth, The Art of Computer Programming 3,
/// algorithm 5.2.2M).
fn sorting_network(places: usize) -> Vec<(usize, usize)> {
    let mut network = Vec::new();
    let top = places.next_power_of_two() / 2;
    let mut p = top;
    while p > 0 {
        let (mut q, mut r, mut distance) = (top, 0, p);
        loop {
            network.extend((0..places.saturating_sub(distance)).filter(|i| i & p == r).map(|i| (i, i + distance)));
            if q == p {
                break;
            }
            distance = q - p;
            q /= 2;
            r = p;
        }
        p /= 2;
    }
    network
}

vectorised! {
    /// The means of sorted columns, times a factor. `columns` is scratch space for some of them.
    fn trim_columns(
        rows: &[&[f32]],
        network: &[(usize, usize)],
        trim: usize,
        factor: f64,
        columns: &mut [Column],
        out: &mut [f32],
    ) {
        for (chunk, out) in out.chunks_mut(LANES).enumerate() {
            for (column, row) in columns.iter_mut().zip(rows) {
                column.0[..out.len()].copy_from_slice(&row[chunk * LANES..][..out.len()]);
            }
            for &(low, high) in network {
                let (a, b) = (columns[low].0, columns[high].0);
                for lane in 0..LANES {
                    let ordered = a[lane] < b[lane];
                    columns[low].0[lane] = if ordered { a[lane] } else { b[lane] };
                    columns[high].0[lane] = if ordered { b[lane] } else { a[lane] };
                }
            }
            let kept = &columns[trim..rows.len() - trim];
            let mut sum = [0.0f64; LANES];
            for column in kept {
                for lane in 0..LANES {
                    sum[lane] += f64::from(column.0[lane]);
                }
            }
            for (out, sum) in out.iter_mut().zip(sum) {
                *out = (factor * sum / kept.len() as f64) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_sorts_whatever_comes() {
        // A network that sorts all zeros and ones sorts everything (Knuth, theorem 5.3.4Z).
        for places in 0..=12usize {
            for ones in 0..1u32 << places {
                let mut values: Vec<u32> = (0..places).map(|place| ones >> place & 1).collect();
                for (low, high) in sorting_network(places) {
                    if values[low] > values[high] {
                        values.swap(low, high);
                    }
                }
                assert!(values.is_sorted(), "{places} places, {ones:b}");
            }
        }
    }
}
