//! Clipping by the global norm, in f64 over fixed blocks.

/// Values in a block of the sum of squares.
const BLOCK: usize = 4096;

/// The Euclidean norm of a vector. Squares are added in f64, by fixed blocks and then over the blocks, so that the result depends on
/// the vector alone.
pub fn norm(vector: &[f32]) -> f64 {
    let square = |value: &f32| f64::from(*value) * f64::from(*value);
    vector.chunks(BLOCK).map(|block| block.iter().map(square).sum::<f64>()).sum::<f64>().sqrt()
}

/// The factor that brings a vector of this norm to at most `clip_norm`; 1 where it is shorter.
pub fn scale_for(norm: f64, clip_norm: f64) -> f32 {
    if norm > clip_norm { (clip_norm / norm) as f32 } else { 1.0 }
}
