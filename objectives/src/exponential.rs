//! The exponential and what is made of it, in f32.
//!
//! It is computed here and not by the platform's library, so that a run has the same bits wherever
//! the arithmetic is the same, and so that loops over it vectorise: there is no call and no branch.
//! The error of [`exp`] is a few units in the last place.

/// `e^x`; 0 below -87 and the value at 88 above it.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    const LN2_HIGH: f32 = 355.0 / 512.0; // 9 bits: its product with n is exact
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-87.0, 88.0);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN2_HIGH) - n * LN2_LOW;
    // Taylor's series to r^7: |r| <= ln(2) / 2, so the remainder is below 6e-9.
    let series = 1.0
        + r * (1.0
            + r * (0.5
                + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0)))))));
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    let value = series * f32::from_bits(exponent << 23);
    if x < -87.0 { 0.0 } else { value }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Writes the probabilities of classes with these logits; both slices are `[classes]`.
pub fn softmax(logits: &[f32], probabilities: &mut [f32]) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for (probability, logit) in probabilities.iter_mut().zip(logits) {
        *probability = exp(logit - highest);
    }
    let total: f32 = probabilities.iter().sum();
    probabilities.iter_mut().for_each(|probability| *probability /= total);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everywhere() -> impl Iterator<Item = f32> {
        (-4000..=4000).map(|i| i as f32 * 0.005).chain([-1e4, -87.5, -86.9, -1e-7, 0.0, 1e-20, 88.0, 1e4])
    }

    #[test]
    fn values_are_those_of_f64() {
        for x in everywhere() {
            let wide = f64::from(x);
            let close = |given: f32, expected: f64, tolerance: f64| {
                let error = (f64::from(given) - expected).abs();
                assert!(error <= tolerance * expected.abs().max(1.0), "{x}: {given}, not {expected}");
            };
            close(exp(x), wide.clamp(-1e9, 88.0).exp(), 3e-7);
            close(sigmoid(x), 1.0 / (1.0 + (-wide).exp()), 2e-7);
        }
    }

    #[test]
    fn probabilities_add_up_to_one_for_logits_of_any_size() {
        for logits in [[0.0, 1.0, 2.0], [1e4, -1e4, 0.0], [-3e38, 3e38, 1.0]] {
            let mut probabilities = [f32::NAN; 3];
            softmax(&logits, &mut probabilities);
            assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{logits:?}: {probabilities:?}");
        }
    }
}
