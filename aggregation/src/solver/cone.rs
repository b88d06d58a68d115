//! The projection on the dual cone of the gradients, {d: <g_t, d> >= 0 for all t}.
//!
//! The projection of J^T u is J^T (u + l), l the least of l^T G l / 2 + u^T G l over l >= 0 (Quinton and Rey, arXiv 2406.16232, proposition 1,
//! there as the least of v^T G v over v >= u). It is solved over rows of unit norm, which have the same dual cone.

use super::nonnegative::minimise;
use crate::gramian::Gramian;

/// The weights of a projection.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// Weights of the projection, at least `u` each.
    pub weights: Vec<f64>,
    /// How far they miss the optimality conditions, relative to the vector projected.
    pub residual: f64,
}

/// The projection of J^T u on the dual cone of the rows.
pub fn project(gramian: &Gramian, u: &[f64]) -> Projection {
    project_scaled(&gramian.cosines(), &gramian.norms(), u)
}

/// The same from cosines and norms, for several projections on one cone.
pub fn project_scaled(cosines: &Gramian, norms: &[f64], u: &[f64]) -> Projection {
    let unit: Vec<f64> = u.iter().zip(norms).map(|(u, norm)| u * norm).collect();
    let scale = unit.iter().map(|value| value.abs()).fold(0.0, f64::max);
    if scale == 0.0 {
        return Projection { weights: u.to_vec(), residual: 0.0 };
    }
    let unit: Vec<f64> = unit.iter().map(|value| value / scale).collect();
    let f: Vec<f64> = cosines.times(&unit).into_iter().map(|value| -value).collect();
    let lift = minimise(cosines.values(), &f);
    let back = |t: usize| if norms[t] > 0.0 { lift.x[t] * (scale / norms[t]) } else { 0.0 };
    Projection { weights: (0..u.len()).map(|t| u[t] + back(t)).collect(), residual: lift.residual }
}
