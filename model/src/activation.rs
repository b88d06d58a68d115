//! Activations and their derivatives over slices, in f32.
//!
//! They are made of [`objectives::exponential`], which has the same bits wherever the arithmetic is
//! the same, and whose loops vectorise. Errors are a few units in the last place for `tanh`, and at
//! most 2e-7 absolute for the normal distribution of GELU.

use experiment::Activation;
use objectives::exponential::{exp, sigmoid};

/// `values = activation(values)`.
pub(crate) fn apply(activation: Activation, values: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the feature.
            return unsafe { apply_avx512(activation, values) };
        }
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has the feature.
            return unsafe { apply_avx2(activation, values) };
        }
    }
    apply_any(activation, values);
}

/// `gradient *= activation'`, from what the forward pass kept: the activated value for ReLU and
/// tanh, the value before the activation for GELU and SiLU (see [`keeps_input`]).
pub(crate) fn backward(activation: Activation, kept: &[f32], gradient: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the feature.
            return unsafe { backward_avx512(activation, kept, gradient) };
        }
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has the feature.
            return unsafe { backward_avx2(activation, kept, gradient) };
        }
    }
    backward_any(activation, kept, gradient);
}

// The same operations in wider registers: nothing is fused or put in another order, so the bits are
// the same.

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn apply_avx512(activation: Activation, values: &mut [f32]) {
    apply_any(activation, values);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn apply_avx2(activation: Activation, values: &mut [f32]) {
    apply_any(activation, values);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn backward_avx512(activation: Activation, kept: &[f32], gradient: &mut [f32]) {
    backward_any(activation, kept, gradient);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn backward_avx2(activation: Activation, kept: &[f32], gradient: &mut [f32]) {
    backward_any(activation, kept, gradient);
}

#[inline(always)]
fn apply_any(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Relu => values.iter_mut().for_each(|x| *x = x.max(0.0)),
        Activation::Tanh => values.iter_mut().for_each(|x| *x = tanh(*x)),
        Activation::Gelu => values.iter_mut().for_each(|x| *x *= gaussian_cdf_pdf(*x).0),
        Activation::Silu => values.iter_mut().for_each(|x| *x *= sigmoid(*x)),
    }
}

#[inline(always)]
fn backward_any(activation: Activation, kept: &[f32], gradient: &mut [f32]) {
    let pairs = gradient.iter_mut().zip(kept);
    match activation {
        Activation::Relu => pairs.for_each(|(g, y)| *g = if *y > 0.0 { *g } else { 0.0 }),
        Activation::Tanh => pairs.for_each(|(g, y)| *g *= 1.0 - y * y),
        Activation::Gelu => pairs.for_each(|(g, x)| {
            let (cdf, pdf) = gaussian_cdf_pdf(*x);
            *g *= cdf + x * pdf;
        }),
        Activation::Silu => pairs.for_each(|(g, x)| {
            let s = sigmoid(*x);
            *g *= s * (1.0 + x * (1.0 - s));
        }),
    }
}

/// Whether the derivative is computed from the value before the activation.
pub(crate) fn keeps_input(activation: Activation) -> bool {
    matches!(activation, Activation::Gelu | Activation::Silu)
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let far = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
    // Taylor's series near zero, where the difference above would lose digits.
    let s = x * x;
    let series = 1.0
        + s * (-1.0 / 3.0
            + s * (2.0 / 15.0
                + s * (-17.0 / 315.0
                    + s * (62.0 / 2835.0 + s * (-1382.0 / 155_925.0 + s * (21_844.0 / 6_081_075.0))))));
    if size < 0.35 { x * series } else { far.copysign(x) }
}

/// The standard normal distribution's cumulative distribution function and density at `x`.
///
/// The former is 7.1.26 of Abramowitz and Stegun, Handbook of Mathematical Functions.
#[allow(clippy::excessive_precision)] // the digits that the book prints
#[inline(always)]
fn gaussian_cdf_pdf(x: f32) -> (f32, f32) {
    const INVERSE_SQRT_TAU: f32 = 0.398_942_3;
    let bell = exp(-0.5 * x * x);
    let size = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * size);
    let series =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let tail = 0.5 * series * bell;
    (if x > 0.0 { 1.0 - tail } else { tail }, bell * INVERSE_SQRT_TAU)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everywhere() -> impl Iterator<Item = f32> {
        (-4000..=4000).map(|i| i as f32 * 0.005).chain([-1e4, -87.5, -86.9, -1e-7, 0.0, 1e-20, 88.0, 1e4])
    }

    fn check(name: &str, tolerance: f64, given: impl Fn(f32) -> f32, expected: impl Fn(f64) -> f64) {
        for x in everywhere() {
            let (given, expected) = (f64::from(given(x)), expected(f64::from(x)));
            assert!(
                (given - expected).abs() <= tolerance * expected.abs().max(1.0),
                "{name}({x}) = {given}, not {expected}"
            );
        }
    }

    fn applied(activation: Activation, x: f32) -> f32 {
        let mut value = [x];
        apply(activation, &mut value);
        value[0]
    }

    fn slope(activation: Activation, x: f32) -> f32 {
        let mut gradient = [1.0];
        let kept = if keeps_input(activation) { x } else { applied(activation, x) };
        backward(activation, &[kept], &mut gradient);
        gradient[0]
    }

    #[test]
    fn values_are_those_of_f64() {
        let below = |x: f64| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        check("tanh", 3e-7, |x| applied(Activation::Tanh, x), f64::tanh);
        check("relu", 0.0, |x| applied(Activation::Relu, x), |x| x.max(0.0));
        check("silu", 3e-7, |x| applied(Activation::Silu, x), |x| x / (1.0 + (-x).exp()));
        check("gelu", 6e-7, |x| applied(Activation::Gelu, x), |x| x * below(x));
    }

    #[test]
    fn wide_registers_give_the_bits_of_narrow_ones() {
        let x: Vec<f32> = everywhere().collect();
        for activation in [Activation::Relu, Activation::Tanh, Activation::Gelu, Activation::Silu] {
            let computed = |apply: fn(Activation, &mut [f32]), backward: fn(Activation, &[f32], &mut [f32])| {
                let (mut values, mut gradient) = (x.clone(), vec![0.7; x.len()]);
                apply(activation, &mut values);
                backward(activation, &x, &mut gradient);
                values.into_iter().chain(gradient).map(f32::to_bits).collect::<Vec<_>>()
            };
            assert!(computed(apply, backward) == computed(apply_any, backward_any), "{activation:?}");
        }
    }

    #[test]
    fn small_values_keep_their_digits() {
        for x in [1e-6_f32, 3e-4, 0.01, 0.1, 0.34, 0.36] {
            let relative = (f64::from(tanh(x)) / f64::from(x).tanh() - 1.0).abs();
            assert!(relative < 3e-7, "tanh({x}) is off by {relative}");
        }
    }

    #[test]
    fn slopes_are_differences_of_values() {
        for activation in [Activation::Relu, Activation::Tanh, Activation::Gelu, Activation::Silu] {
            for x in [-6.0_f32, -2.1, -0.7, -0.1, 0.2, 0.9, 3.0, 8.0] {
                let (right, left) = (x + 0.01, x - 0.01);
                let difference = (applied(activation, right) - applied(activation, left)) / (right - left);
                let slope = slope(activation, x);
                assert!((difference - slope).abs() < 2e-4, "{activation:?} at {x}: {difference} and {slope}");
            }
        }
    }
}
