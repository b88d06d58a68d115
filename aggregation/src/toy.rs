//! The two-task toy problems on which papers show how weightings differ: two losses over a point
//! (x, y) of the plane.
//!
//! With c1 = max(tanh(y/2), 0) and c2 = max(-tanh(y/2), 0)
//!
//! ```text
//! f1 = c1 (ln max(|(-x-7)/2 + tanh y|, 5e-6) + 6) + c2 (((7-x)^2 + 0.1 (y+8)^2)/10 - 20),
//! f2 = c1 (ln max(|(3-x)/2 - tanh y + 2|, 5e-6) + 6) + c2 (((x+7)^2 + 0.1 (y+8)^2)/10 - 20)
//! ```
//!
//! (Liu et al., Conflict-averse gradient descent, NeurIPS 2021, appendix). Navon et al., Multi-task
//! learning as a bargaining game, ICML 2022, scale f1 by 0.1 and start elsewhere. If y > 0, two
//! steep valleys conflict. A descent has to cross them to reach the [Pareto set](Pareto) at y < 0.
//!
//! A descent trains without data: parameters in f32, Adam at 1e-3, and any weighting. There is no
//! noise, so the two halves of a batch are equal. A step sees all the data, so it is an epoch. The
//! point is one block.

use crate::gramian::Gramian;
use crate::matrix::combine;
use crate::optimizer::Optimizer;
use crate::random::{Purpose, Stream};
use crate::weighting::{Combination, Failure, LossDomain, Method, Moment, Need, Observed, State, Statistics};

mod pareto;

pub use pareto::Pareto;

/// A point of the plane, (x, y).
pub type Point = [f64; 2];

/// The smallest argument of the logarithms.
const LOWER: f64 = 5e-6;

/// The infimum of both losses. No point reaches it.
const INFIMUM: f64 = -20.0;

/// A setting of the toy problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The problem of the paper on `cagrad`.
    CaGrad,
    /// The problem of the paper on `nash_mtl`: the first loss has a tenth of the scale.
    Nash,
}

impl Problem {
    /// All settings.
    pub const ALL: [Problem; 2] = [Problem::CaGrad, Problem::Nash];

    /// The setting's name.
    pub fn name(self) -> &'static str {
        match self {
            Problem::CaGrad => "cagrad",
            Problem::Nash => "nash",
        }
    }

    /// The points at which the paper's descents start.
    pub fn starts(self) -> &'static [Point] {
        match self {
            Problem::CaGrad => &[[-8.5, 7.5], [-8.5, -5.0], [9.0, 9.0]],
            Problem::Nash => &[[-8.5, 7.5], [0.0, 0.0], [9.0, 9.0], [-7.5, -0.5], [9.0, -1.0]],
        }
    }

    /// The number of steps that the paper takes.
    pub fn steps(self) -> u64 {
        match self {
            Problem::CaGrad => 100_000,
            Problem::Nash => 50_000,
        }
    }

    /// The factors of the two losses.
    fn scales(self) -> [f64; 2] {
        match self {
            Problem::CaGrad => [1.0, 1.0],
            Problem::Nash => [0.1, 1.0],
        }
    }

    /// (f1, f2).
    pub fn losses(self, point: Point) -> [f64; 2] {
        self.evaluate(point).0
    }

    /// The gradients of f1 and f2, one in each row. At a kink of a max the gradient is that of its
    /// argument, as with PyTorch's `clamp`.
    pub fn gradients(self, point: Point) -> [[f64; 2]; 2] {
        self.evaluate(point).1
    }

    fn evaluate(self, [x, y]: Point) -> ([f64; 2], [[f64; 2]; 2]) {
        let half = libm::tanh(y / 2.0);
        let (above, below) = (half.max(0.0), (-half).max(0.0));
        let half_slope = (1.0 - half * half) / 2.0;
        let above_slope = if half >= 0.0 { half_slope } else { 0.0 };
        let below_slope = if half <= 0.0 { -half_slope } else { 0.0 };
        let tanh = libm::tanh(y);
        let tanh_slope = 1.0 - tanh * tanh;
        let valleys = [
            valley((-x - 7.0) / 2.0 + tanh, [-0.5, tanh_slope]),
            valley((3.0 - x) / 2.0 - tanh + 2.0, [-0.5, -tanh_slope]),
        ];
        let bowls = [bowl([x, y], 7.0), bowl([x, y], -7.0)];
        let (mut losses, mut gradients) = ([0.0; 2], [[0.0; 2]; 2]);
        for (task, scale) in self.scales().into_iter().enumerate() {
            let ((high, high_slopes), (low, low_slopes)) = (valleys[task], bowls[task]);
            losses[task] = scale * (above * high + below * low);
            gradients[task] = [
                scale * (above * high_slopes[0] + below * low_slopes[0]),
                scale * (above_slope * high + above * high_slopes[1] + below_slope * low + below * low_slopes[1]),
            ];
        }
        (losses, gradients)
    }
}

/// The value and the slopes of ln max(|u|, 5e-6) + 6, from u and its slopes.
fn valley(u: f64, slopes: [f64; 2]) -> (f64, [f64; 2]) {
    let value = libm::log(u.abs().max(LOWER)) + 6.0;
    (value, if u.abs() >= LOWER { slopes.map(|slope| slope / u) } else { [0.0; 2] })
}

/// The value and the slopes of ((x - centre)^2 + 0.1 (y+8)^2)/10 - 20.
fn bowl([x, y]: Point, centre: f64) -> (f64, [f64; 2]) {
    let value = ((x - centre) * (x - centre) + 0.1 * (y + 8.0) * (y + 8.0)) / 10.0 + INFIMUM;
    (value, [(x - centre) / 5.0, (y + 8.0) / 50.0])
}

/// One descent, step by step.
#[derive(Debug)]
pub struct Descent<'a> {
    problem: Problem,
    method: &'a dyn Method,
    seed: u64,
    start: u64,
    optimizer: Optimizer,
    slots: crate::OptimizerState,
    state: State,
    parameters: [f32; 2],
    step: u64,
}

impl<'a> Descent<'a> {
    /// The descent from the setting's start `start`, with a method that was built for two tasks.
    ///
    /// # Panics
    /// If the setting has no such start.
    pub fn new(problem: Problem, method: &'a dyn Method, start: usize, seed: u64) -> Self {
        let optimizer = Optimizer::default();
        let slots = optimizer.state(2);
        let parameters = problem.starts()[start].map(|coordinate| coordinate as f32);
        let state = method.state(2, 2);
        Self { problem, method, seed, start: start as u64, optimizer, slots, state, parameters, step: 0 }
    }

    /// The point that the descent has reached.
    pub fn point(&self) -> Point {
        self.parameters.map(f64::from)
    }

    /// One step.
    ///
    /// # Errors
    /// [`Failure`] if the weighting has no answer.
    pub fn advance(&mut self) -> Result<(), Failure> {
        let (optimizer, method) = (self.optimizer.clone(), self.method);
        let learning_rate = optimizer.learning_rate();
        let moment = Moment {
            step: self.step,
            epoch: self.step,
            tasks: 2,
            present: &[0, 1],
            optimizer: &optimizer,
            learning_rate,
            stream: Stream::new(self.seed, Purpose::Weighting, &[self.start, self.step]),
        };
        let (losses, gradients) = self.problem.evaluate(self.point());
        let losses = self.seen(losses);
        let gradients = gradients.map(|row| row.map(|value| value as f32));
        let rows: [&[f32]; 2] = [&gradients[0], &gradients[1]];
        let gramian = Gramian::of_rows(&rows);
        let by_block = [("point", gramian.clone())];
        let statistics = Statistics {
            losses: Some(&losses),
            gramian: Some(&gramian),
            gramian_by_block: Some(&by_block),
            gramian_cross: Some(&gramian),
            jacobian: Some(&rows),
        };
        let direction = match method.weigh(&moment, &statistics, &mut self.state)?.combination {
            Combination::Alpha(alpha) => combine(&rows, &alpha),
            Combination::AlphaByBlock(by_block) => combine(&rows, &by_block[0]),
            Combination::Direction(direction) => direction,
        };
        let mut next = [0.0; 2];
        optimizer.update(&mut self.slots, learning_rate, &[], &self.parameters, &direction, &mut next);
        self.parameters = next;
        let after = method.needs().contains(&Need::LossesAfter).then(|| self.seen(self.problem.losses(self.point())));
        let observed = Observed { losses: &losses, losses_after: after.as_ref().map(<[f64; 2]>::as_slice) };
        method.learn(&moment, &observed, &mut self.state)?;
        self.step += 1;
        Ok(())
    }

    /// The losses as the method sees them. A method that takes logarithms sees them above their
    /// infimum; this changes no gradient.
    fn seen(&self, losses: [f64; 2]) -> [f64; 2] {
        match self.method.accepts() {
            LossDomain::Any => losses,
            LossDomain::NotNegative => {
                let scales = self.problem.scales();
                [losses[0] - scales[0] * INFIMUM, losses[1] - scales[1] * INFIMUM]
            }
        }
    }
}

/// The course and the end of a descent.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    /// Its first point.
    pub start: Point,
    /// Its points after 0, k, 2k, ... steps and after the last.
    pub points: Vec<Point>,
    /// (f1, f2) at the end.
    pub losses: [f64; 2],
    /// The distance from its last point to the Pareto set.
    pub distance: f64,
}

impl Trajectory {
    /// Its last point.
    pub fn end(&self) -> Point {
        self.points.last().copied().unwrap_or(self.start)
    }

    /// Whether it ended within 0.1 of the Pareto set, which is what the papers' figures can show.
    pub fn reaches(&self) -> bool {
        self.distance <= 0.1
    }
}

/// The trajectories from all starts of a setting; each keeps about `points_max` of its points.
///
/// # Errors
/// [`Failure`] if the weighting has no answer.
pub fn trajectories(
    problem: Problem,
    method: &dyn Method,
    steps: u64,
    seed: u64,
    points_max: u64,
) -> Result<Vec<Trajectory>, Failure> {
    let pareto = Pareto::new();
    let every = steps.div_ceil(points_max.max(1)).max(1);
    let trajectory = |start: usize| {
        let mut descent = Descent::new(problem, method, start, seed);
        let mut points = vec![descent.point()];
        for step in 1..=steps {
            descent.advance()?;
            if step % every == 0 || step == steps {
                points.push(descent.point());
            }
        }
        let end = descent.point();
        let losses = problem.losses(end);
        Ok(Trajectory { start: problem.starts()[start], points, losses, distance: pareto.distance(end) })
    };
    (0..problem.starts().len()).map(trajectory).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_those_of_the_formula() {
        // (-8.5, 7.5): |0.75 + tanh 7.5| and |5.75 - tanh 7.5 + 2| inside the logarithms, c1 = tanh
        // 3.75.
        let [f1, f2] = Problem::CaGrad.losses([-8.5, 7.5]);
        let (t, c) = (7.5f64.tanh(), 3.75f64.tanh());
        assert!((f1 - c * ((0.75 + t).ln() + 6.0)).abs() < 1e-12);
        assert!((f2 - c * ((7.75 - t).ln() + 6.0)).abs() < 1e-12);
        // (7, -8): the bottom of the first bowl.
        let [f1, f2] = Problem::CaGrad.losses([7.0, -8.0]);
        let c = 4f64.tanh();
        assert!((f1 + 20.0 * c).abs() < 1e-12 && (f2 - c * (19.6 - 20.0)).abs() < 1e-12);
        assert_eq!(Problem::Nash.losses([7.0, -8.0]), [0.1 * f1, f2]);
    }

    #[test]
    fn gradients_are_those_of_the_losses() {
        let stream = Stream::new(3, Purpose::Synthetic, &[]);
        for case in 0..2000 {
            let coordinate = |k: u64| 24.0 * f64::from(stream.uniform_at(2 * case + k)) - 12.0;
            let point = [coordinate(0), coordinate(1)];
            for problem in Problem::ALL {
                let gradients = problem.gradients(point);
                for axis in 0..2 {
                    let width = 1e-6;
                    let moved = |by: f64| {
                        let mut moved = point;
                        moved[axis] += by;
                        problem.losses(moved)
                    };
                    let (up, down) = (moved(width), moved(-width));
                    for task in 0..2 {
                        let numeric = (up[task] - down[task]) / (2.0 * width);
                        let miss = (gradients[task][axis] - numeric).abs();
                        assert!(miss < 1e-4 * (1.0 + numeric.abs()), "{problem:?} {point:?}: {miss}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_loss_is_below_the_infimum() {
        for problem in Problem::ALL {
            for i in -60..=60 {
                for j in -200..=60 {
                    let losses = problem.losses([f64::from(i) / 5.0, f64::from(j) / 5.0]);
                    let scales = problem.scales();
                    assert!(losses[0] > scales[0] * INFIMUM && losses[1] > scales[1] * INFIMUM, "{losses:?}");
                }
            }
        }
    }
}
