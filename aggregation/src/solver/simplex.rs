//! The shortest vector in the convex hull of the gradients: the minimum of a^T G a over the
//! simplex.
//!
//! With unit rows (G = D C D, x = D a) and e = 1 / norms, minimise `x^T (C + e e^T) x / 2 - e^T x`
//! over x >= 0. The answer, scaled so that a adds up to 1, gives the shortest vector (Wolfe,
//! Mathematical Programming 11, 1976, theorem 2.1, read as least squares).

use super::nonnegative::minimise;
use crate::gramian::Gramian;

/// The weights of the shortest vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Shortest {
    /// Weights on the simplex.
    pub weights: Vec<f64>,
    /// |d|^2 - min over tasks of <g_t, d>. |d|^2 / 2 can fall by at most this much.
    pub gap: f64,
}

/// The shortest vector in the convex hull of the rows whose Gramian is `gramian`.
pub fn shortest(gramian: &Gramian) -> Shortest {
    let tasks = gramian.tasks();
    let norms = gramian.norms();
    if let Some(zero) = norms.iter().position(|&norm| norm == 0.0) {
        let mut weights = vec![0.0; tasks];
        weights[zero] = 1.0;
        return Shortest { weights, gap: 0.0 };
    }
    let least = norms.iter().copied().fold(f64::INFINITY, f64::min);
    let e: Vec<f64> = norms.iter().map(|norm| least / norm).collect();
    let cosines = gramian.cosines();
    let m: Vec<f64> = (0..tasks * tasks).map(|k| cosines.values()[k] + e[k / tasks] * e[k % tasks]).collect();
    let y = minimise(&m, &e).x;
    let mut weights: Vec<f64> = y.iter().zip(&e).map(|(y, e)| y * e).collect();
    let total: f64 = weights.iter().sum();
    if total > 0.0 {
        weights.iter_mut().for_each(|weight| *weight /= total);
    } else {
        weights.fill(1.0 / tasks as f64);
    }
    let gap = gap(gramian, &weights);
    Shortest { weights, gap }
}

/// |d|^2 - min over tasks of <g_t, d> for d = J^T weights. It is 0 for the shortest vector, and
/// never negative.
pub fn gap(gramian: &Gramian, weights: &[f64]) -> f64 {
    let products = gramian.times(weights);
    let least = products.iter().copied().fold(f64::INFINITY, f64::min);
    (crate::gramian::dot(weights, &products) - least).max(0.0)
}

/// The nearest point of the simplex (Duchi et al., ICML 2008, figure 1). The largest entry is
/// subtracted first. This does not change the answer, and keeps precision if entries are far from
/// 1.
pub fn project(point: &[f64]) -> Vec<f64> {
    let largest = point.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let below: Vec<f64> = point.iter().map(|value| value - largest).collect();
    let mut sorted = below.clone();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let mut sum = 0.0;
    let mut shift = 0.0;
    for (i, value) in sorted.iter().enumerate() {
        sum += value;
        let candidate = (sum - 1.0) / (i + 1) as f64;
        if value - candidate > 0.0 {
            shift = candidate;
        }
    }
    below.iter().map(|value| (value - shift).max(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_projected_on_the_simplex() {
        assert_eq!(project(&[0.25, 0.75]), [0.25, 0.75]);
        assert_eq!(project(&[1.0, 1.0]), [0.5, 0.5]);
        assert_eq!(project(&[3.0, -1.0, 0.5]), [1.0, 0.0, 0.0]);
        assert_eq!(project(&[-1e33, -2e36, -1e33]), [0.5, 0.0, 0.5]);
    }
}
