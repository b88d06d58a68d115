//! The positive a with G a = a^(-p). It is the minimum of the convex function a^T G a / 2 - sum of
//! phi(a_t), phi' = a^(-p).
//!
//! With unit rows (x = D a) the equation is C x = k x^(-p), k = norm^(p - 1). It is solved by
//! Newton's method with a line search that keeps x positive. A ridge of 1e-12 on C gives an answer
//! even if some direction vanishes and the fixed point would be at infinity.

use super::linear::cholesky_solve;
use crate::gramian::{Gramian, dot};

const RIDGE: f64 = 1e-12;

/// A fixed point.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedPoint {
    /// The weights a. 0 for gradients that are 0.
    pub weights: Vec<f64>,
    /// The largest of abs((G a)_t - a_t^(-p)) over gradients that are not 0, relative to the terms
    /// of that sum.
    pub residual: f64,
}

/// Solves G a = a^(-power) for `power` above 0.
pub fn solve(gramian: &Gramian, power: f64) -> FixedPoint {
    let norms = gramian.norms();
    let there: Vec<usize> = (0..norms.len()).filter(|&t| norms[t] > 0.0).collect();
    let mut weights = vec![0.0; norms.len()];
    let n = there.len();
    if n == 0 {
        return FixedPoint { weights, residual: 0.0 };
    }
    // A common factor of the norms does not change x. Dividing by it keeps k near 1.
    let middle = there.iter().map(|&t| libm::log(norms[t])).sum::<f64>() / n as f64;
    let middle = libm::exp(middle);
    let k: Vec<f64> = there.iter().map(|&t| libm::pow(norms[t] / middle, power - 1.0)).collect();
    let cosines = gramian.of_tasks(&there).cosines();
    let mut c = cosines.values().to_vec();
    (0..n).for_each(|i| c[i * n + i] += RIDGE);
    let x = newton(&c, &k, power);
    // C x = k x^-p with norms in units of the middle. In its own units, a has the factor middle^(-2
    // / (1 + p)).
    let unit = libm::pow(middle, (power - 1.0) / (1.0 + power));
    for (i, &t) in there.iter().enumerate() {
        weights[t] = x[i] * unit / norms[t];
    }
    let residual = (0..n).map(|i| miss(cosines.row(i), &x, k[i] * libm::pow(x[i], -power))).fold(0.0, f64::max);
    FixedPoint { weights, residual }
}

/// abs(row x - value), divided by the sum of the terms' absolute values.
fn miss(row: &[f64], x: &[f64], value: f64) -> f64 {
    let (sum, terms) =
        row.iter().zip(x).fold((-value, value), |(sum, terms), (c, x)| (sum + c * x, terms + (c * x).abs()));
    sum.abs() / terms
}

/// The slope C x - k x^-p of the convex function.
fn slope(c: &[f64], k: &[f64], power: f64, x: &[f64]) -> Vec<f64> {
    let n = x.len();
    (0..n).map(|i| dot(&c[i * n..(i + 1) * n], x) - k[i] * libm::pow(x[i], -power)).collect()
}

fn newton(c: &[f64], k: &[f64], power: f64) -> Vec<f64> {
    let n = k.len();
    let mut x: Vec<f64> = k.iter().map(|k| libm::pow(*k, 1.0 / (1.0 + power))).collect();
    for _ in 0..500 {
        let slopes = slope(c, k, power, &x);
        // Stops if the slope is rounding alone. If gradients nearly cancel, it never gets smaller.
        let rounded = |i: usize| miss(&c[i * n..(i + 1) * n], &x, k[i] * libm::pow(x[i], -power)) <= f64::EPSILON;
        if (0..n).all(rounded) {
            break;
        }
        let mut hessian = c.to_vec();
        (0..n).for_each(|i| hessian[i * n + i] += power * k[i] * libm::pow(x[i], -power - 1.0));
        let Some(step) = cholesky_solve(&hessian, &slopes) else { break };
        let decrement = dot(&step, &slopes);
        let relative = step.iter().zip(&x).map(|(s, x)| (s / x).abs()).fold(0.0, f64::max);
        if relative <= 4.0 * f64::EPSILON || decrement <= 0.0 {
            break;
        }
        // Keeps x positive, then shortens the step until the function does not rise steeply. Slopes
        // tell more than values, which cancel near the answer.
        let mut length =
            step.iter().zip(&x).map(|(s, x)| if *s > 0.0 { 0.95 * x / s } else { 1.0 }).fold(1.0, f64::min);
        let next = loop {
            let next: Vec<f64> = x.iter().zip(&step).map(|(x, s)| x - length * s).collect();
            if relative < 1e-6 || dot(&step, &slope(c, k, power, &next)) >= -0.9 * decrement {
                break Some(next);
            }
            length /= 2.0;
            if length < 1e-12 {
                break None;
            }
        };
        match next {
            Some(next) => x = next,
            None => break,
        }
    }
    x
}
