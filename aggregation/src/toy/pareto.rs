//! The Pareto set of the toy problem, and the distance to it.
//!
//! For y < 0 both losses are c2 = -tanh(y/2) times a bowl. Where w f1 + (1 - w) f2 is least, its
//! slope in x gives x = 14 w - 7, in [-7, 7], and with B = (49 - x^2 + 0.1 (y+8)^2)/10 - 20, the
//! bowls' weighted mean, its slope in y gives
//!
//! -tanh(y/2) (y+8)/50 = (1 - tanh(y/2)^2) B / 2,
//!
//! which has one solution y(x) between -10 and -8. No point with y >= 0 is better in either loss,
//! and scaling a loss changes nothing.

use super::Point;

/// Points on the curve: enough for distances to 1e-8.
const POINTS: usize = 2801;

/// The Pareto set: the curve (x, y(x)) for x from -7 to 7, as a chain of short segments.
#[derive(Debug, Clone)]
pub struct Pareto {
    points: Vec<Point>,
}

impl Pareto {
    /// The curve.
    #[expect(clippy::new_without_default, reason = "it is computed, not empty")]
    pub fn new() -> Self {
        let x = |i: usize| 14.0 * i as f64 / (POINTS - 1) as f64 - 7.0;
        Self { points: (0..POINTS).map(|i| [x(i), height(x(i))]).collect() }
    }

    /// Points on the curve in the order of x.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The distance from a point to the curve.
    pub fn distance(&self, point: Point) -> f64 {
        self.points.windows(2).map(|ends| to_segment(point, ends[0], ends[1])).fold(f64::INFINITY, f64::min)
    }
}

/// The slope of the weighted loss in y; below 0 under the curve and above 0 over it.
fn slope(x: f64, y: f64) -> f64 {
    let half = libm::tanh(y / 2.0);
    let bowl = (49.0 - x * x + 0.1 * (y + 8.0) * (y + 8.0)) / 10.0 - 20.0;
    -half * (y + 8.0) / 50.0 - (1.0 - half * half) / 2.0 * bowl
}

/// y(x), by bisection.
fn height(x: f64) -> f64 {
    let (mut low, mut high) = (-10.0, -8.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if slope(x, middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

fn to_segment(point: Point, from: Point, to: Point) -> f64 {
    let along = [to[0] - from[0], to[1] - from[1]];
    let offset = [point[0] - from[0], point[1] - from[1]];
    let squared = along[0] * along[0] + along[1] * along[1];
    let share = ((offset[0] * along[0] + offset[1] * along[1]) / squared).clamp(0.0, 1.0);
    libm::hypot(offset[0] - share * along[0], offset[1] - share * along[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::Problem;

    #[test]
    fn no_convex_combination_of_the_gradients_is_left_on_the_curve() {
        for point in Pareto::new().points().iter().step_by(100) {
            let w = (point[0] + 7.0) / 14.0;
            let [g1, g2] = Problem::CaGrad.gradients(*point);
            for axis in 0..2 {
                let rest = w * g1[axis] + (1.0 - w) * g2[axis];
                assert!(rest.abs() < 1e-12, "{rest} at {point:?}");
            }
        }
    }

    #[test]
    fn no_point_of_a_grid_is_better_in_both_losses() {
        let pareto = Pareto::new();
        for on_curve in pareto.points().iter().step_by(200) {
            let best = Problem::CaGrad.losses(*on_curve);
            for i in -60..=60 {
                for j in -75..=60 {
                    let losses = Problem::CaGrad.losses([f64::from(i) / 5.0, f64::from(j) / 5.0]);
                    assert!(losses[0] >= best[0] || losses[1] >= best[1], "{on_curve:?} is worse than ({i}, {j})/5");
                }
            }
        }
    }

    #[test]
    fn distances_are_to_the_nearest_point_of_the_curve() {
        let pareto = Pareto::new();
        let middle = height(0.0);
        assert!((middle + 8.36).abs() < 0.01, "{middle}");
        assert!((pareto.distance([0.0, middle + 1.0]) - 1.0).abs() < 1e-6);
        assert!((pareto.distance([10.0, height(7.0) + 4.0]) - 5.0).abs() < 1e-9);
        assert!(pareto.distance([2.5, height(2.5)]) < 1e-7);
    }
}
