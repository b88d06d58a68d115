//! `cagrad`: the direction that helps the worst task most, within a distance from the mean gradient
//! (Liu et al., Conflict-averse gradient descent, NeurIPS 2021, algorithm 1).
//!
//! d = g0 + (c norm(g0) / norm(g_w)) g_w. g0 is the mean gradient, and g_w = J^T w. w minimises
//! F(w) = w^T G 1/T + c norm(g0) norm(g_w) over the simplex. The certificate is F's duality gap.
//!
//! At the minimum, J^T w + l g0 is the shortest vector in the hull of the g_t + l g0, for the l
//! with norm(g_w) = l c norm(g0). So the solver searches l and solves each trial exactly. `rescale`
//! divides d by 1 + c^2 (`square`) or 1 + c (`linear`).

use super::method::{Certificate, Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::{Build, Built};
use crate::gramian::{Gramian, dot};
use crate::solver::cone::DualCone;
use crate::solver::simplex;
use settings::{Entry, Range, Reader};

const NAME: &str = "cagrad";

pub(super) const ENTRY: Entry<Build> =
    Entry::built_in(NAME, "the best worst case near the mean gradient (Liu et al., NeurIPS 2021)", build);

#[derive(Debug)]
struct CaGrad {
    c: f64,
    divisor: f64,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    let c = reader.number("c", 0.5, Range::NotNegative, "radius around the mean gradient, as a share of its norm")?;
    let divisor = match reader.name(
        "rescale",
        "none",
        &["none", "square", "linear"],
        "divide by nothing, by 1 + c^2 or by 1 + c",
    )? {
        "square" => 1.0 + c * c,
        "linear" => 1.0 + c,
        _ => 1.0,
    };
    Ok(Box::new(CaGrad { c, divisor }))
}

/// The weights of the shortest vector of the hull that is moved by l g0.
fn moved(gramian: &Gramian, to_mean: &[f64], mean: f64, l: f64) -> Vec<f64> {
    let tasks = gramian.tasks();
    let entry = |k: usize| gramian.values()[k] + l * (to_mean[k / tasks] + to_mean[k % tasks]) + l * l * mean;
    simplex::shortest(&Gramian::new(tasks, (0..tasks * tasks).map(entry).collect())).weights
}

/// The w of the minimum, by regula falsi (Illinois) on norm(g_w) - l radius, which falls through 0
/// once.
fn least(gramian: &Gramian, to_mean: &[f64], mean: f64, radius: f64) -> Vec<f64> {
    let longest = gramian.norms().into_iter().fold(0.0, f64::max);
    let at = |l: f64| {
        let w = moved(gramian, to_mean, mean, l);
        let miss = gramian.quadratic(&w).sqrt() - l * radius;
        (w, miss)
    };
    let (mut high, mut high_miss) = (1.0001 * longest / radius, -0.0001 * longest);
    let mut w = Vec::new();
    let mut bracket = None;
    // From above: if the hull contains 0, rounding of norm(g_w) decides for small l.
    for share in [1e-2, 1e-4, 1e-6, 1e-8] {
        let l = share * longest / radius;
        let (next, miss) = at(l);
        w = next;
        if miss > 0.0 {
            bracket = Some((l, miss));
            break;
        }
        (high, high_miss) = (l, miss);
    }
    let Some((mut low, mut low_miss)) = bracket else { return w };
    let mut side = 0;
    for _ in 0..100 {
        let falsi = (low * high_miss - high * low_miss) / (high_miss - low_miss);
        let l = if falsi > low && falsi < high { falsi } else { (low + high) / 2.0 };
        let (next, miss) = at(l);
        w = next;
        if miss.abs() <= 1e-14 * l * radius || high - low <= 1e-15 * high {
            break;
        }
        if miss > 0.0 {
            (low, low_miss) = (l, miss);
            if side == 1 {
                high_miss /= 2.0;
            }
            side = 1;
        } else {
            (high, high_miss) = (l, miss);
            if side == -1 {
                low_miss /= 2.0;
            }
            side = -1;
        }
    }
    w
}

impl Method for CaGrad {
    fn needs(&self) -> Needs {
        [Need::Gramian].into()
    }

    fn weigh(&self, _: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let gramian = statistics.gramian(NAME)?;
        let equal = vec![1.0 / gramian.tasks() as f64; gramian.tasks()];
        let to_mean = gramian.times(&equal);
        let mean = dot(&equal, &to_mean).max(0.0);
        let longest = gramian.norms().into_iter().fold(0.0, f64::max);
        let radius = self.c * mean.sqrt();
        let unmoved = || Outcome::alpha(equal.iter().map(|share| share / self.divisor).collect());
        // A mean that is 0, to rounding, has no direction to stay close to.
        if radius <= 1e-14 * longest {
            return Ok(unmoved().certified(Certificate::DualityGap(0.0)));
        }
        let w = least(gramian, &to_mean, mean, radius);
        let norm = gramian.quadratic(&w).sqrt();
        let mut value = dot(&w, &to_mean) + radius * norm;
        let along = if norm > 0.0 { radius / norm } else { 0.0 };
        let mut alpha: Vec<f64> = equal.iter().zip(&w).map(|(share, w)| share + along * w).collect();
        // If the hull contains 0, to rounding, no task can gain without another's loss, and g_w has
        // no direction. Then take the direction nearest to g0 that harms no task.
        if norm <= 1e-7 * longest {
            let harmless = DualCone::new(gramian, 0.0).project(&equal).weights;
            let lift: Vec<f64> = harmless.iter().zip(&equal).map(|(weight, share)| weight - share).collect();
            if gramian.quadratic(&lift).sqrt() <= 1.000_001 * radius {
                alpha = harmless;
                let shortest = simplex::shortest(gramian).weights;
                value = value.min(dot(&shortest, &to_mean) + radius * gramian.quadratic(&shortest).sqrt());
            }
        }
        // The smallest inner product of d with a gradient is at most F, and equals F at the answer.
        let least = gramian.times(&alpha).into_iter().fold(f64::INFINITY, f64::min);
        alpha.iter_mut().for_each(|alpha| *alpha /= self.divisor);
        Ok(Outcome::alpha(alpha).certified(Certificate::DualityGap((value - least).max(0.0))))
    }
}
