//! The minimum of a convex quadratic over non-negative vectors: x^T M x / 2 - f^T x over x >= 0.
//!
//! The method is the active-set method of Lawson and Hanson (Solving Least Squares Problems, 1974,
//! chapter 23), in the form that needs only M = A^T A and f = A^T b (Bro and de Jong, Journal of
//! Chemometrics 11, 1997). It reaches the exact answer, to rounding, in finitely many steps.

use super::linear::cholesky_solve;

/// The point at which the quadratic is smallest.
#[derive(Debug, Clone, PartialEq)]
pub struct Nonnegative {
    /// The minimum x. Not negative.
    pub x: Vec<f64>,
    /// How far the answer misses the optimality conditions, relative to f and to the terms of M x:
    /// the largest of f - M x over all places, and of abs(f - M x) over places with x above 0.
    pub residual: f64,
}

/// The minimum of x^T M x / 2 - f^T x over x >= 0, for a positive semidefinite M [n, n] with a
/// diagonal of about 1.
pub fn minimise(m: &[f64], f: &[f64]) -> Nonnegative {
    let n = f.len();
    let mut x = vec![0.0; n];
    let mut free: Vec<usize> = Vec::new();
    let mut refused: Vec<usize> = Vec::new();
    for _ in 0..50 * (n + 1) {
        let slopes = slopes(m, f, &x);
        let candidate = (0..n).filter(|i| !free.contains(i) && !refused.contains(i) && slopes[*i].0 > slopes[*i].1);
        let Some(entering) = candidate.max_by(|&i, &j| slopes[i].0.total_cmp(&slopes[j].0)) else { break };
        let before = (x.clone(), free.clone());
        let value = value(m, f, &x);
        free.push(entering);
        if descend(m, f, &mut x, &mut free) && self::value(m, f, &x) < value {
            refused.clear();
        } else {
            // Because of rounding, this place improves nothing. It is left out until something else
            // changes.
            (x, free) = before;
            refused.push(entering);
        }
    }
    let residual = residual(m, f, &x);
    Nonnegative { x, residual }
}

/// Moves to the minimum over the free places. Places that reach 0 on the way become fixed. Returns
/// false if M is singular on the free places.
fn descend(m: &[f64], f: &[f64], x: &mut [f64], free: &mut Vec<usize>) -> bool {
    let n = x.len();
    while !free.is_empty() {
        let sub: Vec<f64> = free.iter().flat_map(|&i| free.iter().map(move |&j| m[i * n + j])).collect();
        let rhs: Vec<f64> = free.iter().map(|&i| f[i]).collect();
        let Some(z) = cholesky_solve(&sub, &rhs) else { return false };
        let step = free
            .iter()
            .zip(&z)
            .filter(|&(_, &z)| z <= 0.0)
            .map(|(&i, &z)| if x[i] > z { x[i] / (x[i] - z) } else { 0.0 })
            .fold(1.0, f64::min);
        for (&i, &z) in free.iter().zip(&z) {
            x[i] = if step == 1.0 { z } else { x[i] + step * (z - x[i]) };
        }
        if step == 1.0 && z.iter().all(|&z| z > 0.0) {
            return true;
        }
        let largest = x.iter().copied().fold(0.0, f64::max);
        let leaves = |i: usize, z: f64, x: &[f64]| z <= 0.0 && x[i] <= 1e-15 * largest;
        let kept: Vec<usize> = free.iter().zip(&z).filter(|&(&i, &z)| !leaves(i, z, x)).map(|(&i, _)| i).collect();
        if kept.len() == free.len() {
            return false;
        }
        for &i in free.iter() {
            if !kept.contains(&i) {
                x[i] = 0.0;
            }
        }
        *free = kept;
    }
    true
}

/// For each place: the downhill slope f - M x, and how much of it may be rounding.
fn slopes(m: &[f64], f: &[f64], x: &[f64]) -> Vec<(f64, f64)> {
    let n = x.len();
    let of = |i: usize| {
        let (mut slope, mut terms) = (f[i], f[i].abs());
        for j in 0..n {
            let term = m[i * n + j] * x[j];
            slope -= term;
            terms += term.abs();
        }
        (slope, 4.0 * f64::EPSILON * n as f64 * terms)
    };
    (0..n).map(of).collect()
}

fn value(m: &[f64], f: &[f64], x: &[f64]) -> f64 {
    let n = x.len();
    (0..n).map(|i| x[i] * ((0..n).map(|j| m[i * n + j] * x[j]).sum::<f64>() / 2.0 - f[i])).sum()
}

fn residual(m: &[f64], f: &[f64], x: &[f64]) -> f64 {
    let n = x.len();
    let slopes = slopes(m, f, x);
    let scale = slopes.iter().map(|slope| slope.1).fold(0.0, f64::max) / (4.0 * f64::EPSILON * n.max(1) as f64);
    let miss = |i: usize| if x[i] > 0.0 { slopes[i].0.abs() } else { slopes[i].0.max(0.0) };
    if scale > 0.0 { (0..n).map(miss).fold(0.0, f64::max) / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unconstrained_answer_that_is_positive_is_the_answer() {
        let answer = minimise(&[2.0, 1.0, 1.0, 3.0], &[3.0, 4.0]);
        assert!((answer.x[0] - 1.0).abs() < 1e-14 && (answer.x[1] - 1.0).abs() < 1e-14);
        assert!(answer.residual < 1e-14);
    }

    #[test]
    fn places_that_would_be_negative_are_zero() {
        let answer = minimise(&[1.0, 0.5, 0.5, 1.0], &[1.0, -1.0]);
        assert_eq!(answer.x, [1.0, 0.0]);
        assert_eq!(answer.residual, 0.0);
    }

    #[test]
    fn equal_places_do_not_stop_the_search() {
        let answer = minimise(&[1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0], &[1.0, 1.0, 2.0]);
        assert!((answer.x[0] + answer.x[1] - 1.0).abs() < 1e-14 && (answer.x[2] - 2.0).abs() < 1e-14, "{answer:?}");
        assert!(answer.residual < 1e-14);
    }
}
