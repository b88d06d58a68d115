//! The projection on the dual cone of the gradients, {d: <g_t, d> >= 0 for all t}.
//!
//! The projection of J^T u is J^T v, where v minimises v^T G v over v >= u (Quinton and Rey, arXiv
//! 2406.16232, proposition 1). Equivalently it is J^T (u + l), where l minimises l^T G l / 2 + u^T
//! G l over l >= 0. It is solved over rows of unit norm, which have the same dual cone.

use super::nonnegative::minimise;
use crate::gramian::{Gramian, dot};

/// The smallest cosine between the direction and a gradient at which the answer with a ridge is
/// used.
///
/// torchjd's reference results have its ridge in them, one of them at a cosine of -0.16. In the toy
/// problems' valleys the ridge outweighs the small gradient, and only bounds down to -0.4 cross
/// them in time. Without a ridge, or with its answer projected once more on the cone, no task is
/// harmed and the valleys are crossed, but 6 or 4 of the 24 references of `upgrad` and `dualproj`
/// are missed. Users who want that set `reg_eps = 0`.
const HARM: f64 = -0.2;

/// The weights that `project` gives with a ridge. If a gradient is so small beside the ridge that
/// it would be harmed (its cosine with the direction is below -0.2), the weights without a ridge.
pub fn project_unless_harmful<T>(
    gramian: &Gramian,
    ridge: f64,
    project: impl Fn(&DualCone) -> (Vec<f64>, T),
) -> (Vec<f64>, T) {
    let answer = project(&DualCone::new(gramian, ridge));
    if ridge == 0.0 {
        return answer;
    }
    let products = gramian.times(&answer.0);
    let norm = dot(&answer.0, &products).max(0.0).sqrt();
    let harms = |(product, own): (&f64, f64)| *product < HARM * own * norm;
    if products.iter().zip(gramian.norms()).any(harms) { project(&DualCone::new(gramian, 0.0)) } else { answer }
}

/// The dual cone of some gradients, ready to project on.
#[derive(Debug, Clone, PartialEq)]
pub struct DualCone {
    cosines: Gramian,
    norms: Vec<f64>,
}

/// The weights of a projection.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// The weights v of the projection, each at least that of `u`.
    pub weights: Vec<f64>,
    /// How far the weights miss the optimality conditions, relative to the projected vector.
    pub residual: f64,
}

impl DualCone {
    /// The dual cone of the rows whose Gramian is `gramian`. With a `ridge` above 0, G + ridge
    /// trace(G) I replaces G. Then weights stay small if gradients nearly cancel, and <g_t, d> is
    /// at least -ridge trace(G) v_t instead of 0.
    pub fn new(gramian: &Gramian, ridge: f64) -> Self {
        let tasks = gramian.tasks();
        let trace: f64 = (0..tasks).map(|t| gramian.at(t, t)).sum();
        let mut values = gramian.values().to_vec();
        (0..tasks).for_each(|t| values[t * tasks + t] += ridge * trace);
        let ridged = Gramian::new(tasks, values);
        Self { cosines: ridged.cosines(), norms: ridged.norms() }
    }

    /// The projection of J^T u.
    pub fn project(&self, u: &[f64]) -> Projection {
        let unit: Vec<f64> = u.iter().zip(&self.norms).map(|(u, norm)| u * norm).collect();
        let scale = unit.iter().map(|value| value.abs()).fold(0.0, f64::max);
        if scale == 0.0 {
            return Projection { weights: u.to_vec(), residual: 0.0 };
        }
        let unit: Vec<f64> = unit.iter().map(|value| value / scale).collect();
        let f: Vec<f64> = self.cosines.times(&unit).into_iter().map(|value| -value).collect();
        let lift = minimise(self.cosines.values(), &f);
        let back = |t: usize| if self.norms[t] > 0.0 { lift.x[t] * (scale / self.norms[t]) } else { 0.0 };
        Projection { weights: (0..u.len()).map(|t| u[t] + back(t)).collect(), residual: lift.residual }
    }
}
