//! `nash_mtl`: the Nash bargaining solution, G a = 1 / a, shortened to at most `max_norm` (0: no
//! limit) (Navon et al., Multi-task learning as a bargaining game, ICML 2022, claim 3.1). The
//! certificate is the relative residual.
//!
//! The paper solves it by successive convex programming. It is the minimum of a convex function, so
//! Newton's method is used here. An answer is kept for `every` steps. If a task comes back within
//! them, a new answer is computed.

use super::method::{Certificate, Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::{Build, Built};
use crate::gramian::Gramian;
use crate::solver::fixed_point;
use settings::{Entry, Range, Reader};

const NAME: &str = "nash_mtl";

pub(super) const ENTRY: Entry<Build> =
    Entry::built_in(NAME, "the Nash bargaining solution (Navon et al., ICML 2022)", build);

const KEPT: &str = "nash_mtl.alpha";

#[derive(Debug)]
struct NashMtl {
    max_norm: f64,
    every: u64,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    let max_norm =
        reader.number("max_norm", 1.0, Range::NotNegative, "largest norm of the direction; 0 for no limit")?;
    Ok(Box::new(NashMtl { max_norm, every: reader.count("every", 1, 1.., "steps for which a solution is kept")? }))
}

impl NashMtl {
    fn shorten(&self, gramian: &Gramian, mut alpha: Vec<f64>) -> Vec<f64> {
        let norm = gramian.quadratic(&alpha).sqrt();
        if self.max_norm > 0.0 && norm > self.max_norm {
            alpha.iter_mut().for_each(|alpha| *alpha *= self.max_norm / norm);
        }
        alpha
    }
}

impl Method for NashMtl {
    fn needs(&self) -> Needs {
        [Need::Gramian].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        let gramian = statistics.gramian(NAME)?;
        let kept = state.numbers_or(KEPT, || vec![f64::NAN; moment.tasks]);
        let old: Vec<f64> = moment.present.iter().map(|&task| kept[task]).collect();
        if !moment.step.is_multiple_of(self.every) && old.iter().all(|alpha| !alpha.is_nan()) {
            return Ok(Outcome::alpha(self.shorten(gramian, old)));
        }
        let solution = fixed_point::solve(gramian, 1.0);
        moment.present.iter().zip(&solution.weights).for_each(|(&task, &alpha)| kept[task] = alpha);
        let alpha = self.shorten(gramian, solution.weights);
        Ok(Outcome::alpha(alpha).certified(Certificate::KktResidual(solution.residual)))
    }
}
