//! The positive a with G a = a^(-p): the least of a^T G a / 2 - sum of phi(a_t), phi' = a^(-p), which is convex.
//!
//! With unit rows (x = D a) it reads C x = k x^(-p), k = norm^(p - 1). Newton's method with a line search that keeps x positive. A ridge of 1e-12 on
//! C gives an answer also where some direction vanishes and the fixed point would be at infinity.

use super::linear::cholesky_solve;
use crate::gramian::Gramian;

const RIDGE: f64 = 1e-12;

/// A fixed point.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedPoint {
    /// a; 0 for gradients that are 0.
    pub weights: Vec<f64>,
    /// The largest of abs((G a)_t a_t^p - 1) over gradients that are not 0.
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
    // A common factor of the norms leaves x alone and keeps k near 1.
    let middle = there.iter().map(|&t| libm::log(norms[t])).sum::<f64>() / n as f64;
    let middle = libm::exp(middle);
    let k: Vec<f64> = there.iter().map(|&t| libm::pow(norms[t] / middle, power - 1.0)).collect();
    let cosines = gramian.of_tasks(&there).cosines();
    let mut c = cosines.values().to_vec();
    (0..n).for_each(|i| c[i * n + i] += RIDGE);
    let x = newton(&c, &k, power);
    // C x = k x^-p with norms in units of the middle; a in its own units carries middle^(-2 / (1 + p)).
    let unit = libm::pow(middle, (power - 1.0) / (1.0 + power));
    for (i, &t) in there.iter().enumerate() {
        weights[t] = x[i] * unit / norms[t];
    }
    let product = cosines.times(&x);
    let residual = (0..n).map(|i| (product[i] * libm::pow(x[i], power) / k[i] - 1.0).abs()).fold(0.0, f64::max);
    FixedPoint { weights, residual }
}

fn newton(c: &[f64], k: &[f64], power: f64) -> Vec<f64> {
    let n = k.len();
    let mut x: Vec<f64> = k.iter().map(|k| libm::pow(*k, 1.0 / (1.0 + power))).collect();
    for _ in 0..500 {
        let slope: Vec<f64> =
            (0..n).map(|i| (0..n).map(|j| c[i * n + j] * x[j]).sum::<f64>() - k[i] * libm::pow(x[i], -power)).collect();
        let mut hessian = c.to_vec();
        (0..n).for_each(|i| hessian[i * n + i] += power * k[i] * libm::pow(x[i], -power - 1.0));
        let Some(step) = cholesky_solve(&hessian, &slope) else { break };
        let decrement: f64 = step.iter().zip(&slope).map(|(s, g)| s * g).sum();
        let relative = step.iter().zip(&x).map(|(s, x)| (s / x).abs()).fold(0.0, f64::max);
        if relative <= 4.0 * f64::EPSILON || decrement <= 0.0 {
            break;
        }
        // Keep x positive, then go back until the function falls.
        let limit = step.iter().zip(&x).map(|(s, x)| if *s > 0.0 { 0.95 * x / s } else { 1.0 }).fold(1.0, f64::min);
        let mut length = limit;
        let now = value(c, k, power, &x);
        let next = loop {
            let next: Vec<f64> = x.iter().zip(&step).map(|(x, s)| x - length * s).collect();
            if value(c, k, power, &next) <= now - 1e-4 * length * decrement || relative < 1e-6 {
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

fn value(c: &[f64], k: &[f64], power: f64, x: &[f64]) -> f64 {
    let n = x.len();
    let phi = |x: f64| if power == 1.0 { libm::log(x) } else { libm::pow(x, 1.0 - power) / (1.0 - power) };
    let quadratic: f64 = (0..n).map(|i| x[i] * (0..n).map(|j| c[i * n + j] * x[j]).sum::<f64>()).sum();
    quadratic / 2.0 - (0..n).map(|i| k[i] * phi(x[i])).sum::<f64>()
}
