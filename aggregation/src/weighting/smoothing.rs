//! `smoothing`: alpha as a moving average, a parameter of every method that makes weights from
//! losses or a Gramian (CR-MOGM; Zhou et al., On the convergence of stochastic multi-objective
//! gradient manipulation and beyond, NeurIPS 2022, equation 6).
//!
//! alpha'_t = smoothing alpha'_t + (1 - smoothing) alpha_t for the tasks that are present, by block
//! if alpha is. A task's first alpha is not changed. Methods that need nothing, or the Jacobian, do
//! not have this parameter.

use super::Built;
use super::method::{
    Combination, Failure, LossDomain, Method, Moment, Need, Needs, Observed, Outcome, State, Statistics,
};
use settings::{Range, Reader};

const SMOOTHED: &str = "smoothing.alpha";

#[derive(Debug)]
struct Smoothed {
    inner: Box<dyn Method>,
    rate: f64,
}

impl Smoothed {
    /// Moves the weights of one block. `kept` has those of all tasks, block after block.
    fn smooth(&self, moment: &Moment<'_>, block: usize, alpha: &mut [f64], kept: &mut Vec<f64>) {
        let first = block * moment.tasks;
        if kept.len() < first + moment.tasks {
            // NaN marks a task that has had no alpha yet.
            kept.resize(first + moment.tasks, f64::NAN);
        }
        for (alpha, &task) in alpha.iter_mut().zip(moment.present) {
            let kept = &mut kept[first + task];
            if !kept.is_nan() {
                *alpha = self.rate * *kept + (1.0 - self.rate) * *alpha;
            }
            *kept = *alpha;
        }
    }
}

/// The method itself, or with a moving average if the parameters say so.
pub(super) fn wrap(reader: &mut Reader<'_>, inner: Box<dyn Method>) -> Built {
    let needs = inner.needs();
    if needs.is_empty() || needs.contains(&Need::Jacobian) {
        return Ok(inner);
    }
    let rate = reader.number(
        "smoothing",
        0.0,
        Range::HalfOpen(0.0, 1.0),
        "share of the last step's weights in a moving average",
    )?;
    Ok(if rate == 0.0 { inner } else { Box::new(Smoothed { inner, rate }) })
}

impl Method for Smoothed {
    fn needs(&self) -> Needs {
        self.inner.needs()
    }

    fn accepts(&self) -> LossDomain {
        self.inner.accepts()
    }

    fn state(&self, tasks: usize, shared: usize) -> State {
        self.inner.state(tasks, shared)
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        let mut outcome = self.inner.weigh(moment, statistics, state)?;
        let kept = state.numbers_or(SMOOTHED, Vec::new);
        match &mut outcome.combination {
            Combination::Alpha(alpha) => self.smooth(moment, 0, alpha, kept),
            Combination::AlphaByBlock(blocks) => {
                blocks.iter_mut().enumerate().for_each(|(block, alpha)| self.smooth(moment, block, alpha, kept));
            }
            Combination::Direction(_) => unreachable!("a method that gives a direction is not smoothed"),
        }
        Ok(outcome)
    }

    fn learn(&self, moment: &Moment<'_>, observed: &Observed<'_>, state: &mut State) -> Result<(), Failure> {
        self.inner.learn(moment, observed, state)
    }
}
