//! Clipping by the global norm, in f64 over fixed blocks.

use crate::lanes::{self, Level};

/// The number of values in a block of the sum of squares. A vector that is cut at multiples of it
/// can be summed part by part.
pub const BLOCK: usize = 4096;

/// The sum of squares of each block of a vector, in order.
pub fn block_squares(vector: &[f32]) -> Vec<f64> {
    let level = Level::widest();
    vector.chunks(BLOCK).map(|block| lanes::dot(level, block, block)).collect()
}

/// The norm of a vector from the sums of squares of its blocks, in order ([`block_squares`]).
pub fn norm_of_blocks(squares: &[f64]) -> f64 {
    squares.iter().sum::<f64>().sqrt()
}

/// The Euclidean norm of a vector. Squares are added in f64, within fixed blocks and then over the
/// blocks in order, so the result depends on the vector alone.
pub fn norm(vector: &[f32]) -> f64 {
    norm_of_blocks(&block_squares(vector))
}

/// The factor that shortens a vector of this norm to `clip_norm`. 1 if the vector is shorter.
///
/// PyTorch divides by norm + 1e-6. Here a vector that is too long gets the norm `clip_norm` itself.
pub fn scale_for(norm: f64, clip_norm: f64) -> f32 {
    if norm > clip_norm { (clip_norm / norm) as f32 } else { 1.0 }
}

/// Multiplies a vector by a factor.
pub fn scale(vector: &mut [f32], factor: f32) {
    lanes::scale(Level::widest(), vector, factor);
}

/// Whether all values are finite.
pub fn all_finite(vector: &[f32]) -> bool {
    lanes::finite(Level::widest(), vector)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Stream};

    #[test]
    fn norm_is_the_same_for_parts_cut_at_blocks() {
        let mut values = vec![0.0f32; 5 * BLOCK + 17];
        Stream::new(1, Purpose::Synthetic, &[]).fill_normal(0, &mut values);
        let (left, right) = values.split_at(2 * BLOCK);
        let mut squares = block_squares(left);
        squares.extend(block_squares(right));
        assert_eq!(norm_of_blocks(&squares).to_bits(), norm(&values).to_bits());
    }

    #[test]
    fn norm_of_three_and_four_is_five() {
        assert_eq!(norm(&[3.0, 0.0, 4.0]), 5.0);
        assert_eq!(norm(&[]), 0.0);
    }

    #[test]
    fn long_vectors_are_brought_to_the_limit_and_short_ones_left() {
        assert_eq!(scale_for(0.5, 1.0), 1.0);
        assert_eq!(scale_for(4.0, 1.0), 0.25);
        let mut vector = [3.0, 4.0];
        let factor = scale_for(norm(&vector), 1.0);
        scale(&mut vector, factor);
        assert!((norm(&vector) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn squares_beyond_the_range_of_f32_do_not_overflow() {
        assert!((norm(&[1e30, 1e30]) / (2f64.sqrt() * 1e30) - 1.0).abs() < 1e-6);
    }
}
