//! `smoothing`, a parameter of every method that needs something of a step: alpha as a moving average (CR-MOGM, Zhou et al., NeurIPS 2022, equation 6).
//!
//! alpha'_t = smoothing alpha'_t + (1 - smoothing) alpha_t for the tasks that are present; a task's first alpha stands as it is. A method that gives
//! a direction in place of one alpha a task is left as it is.

use super::Built;
use super::method::{Combination, Failure, Loss, Method, Moment, Needs, Observed, Outcome, State, Statistics};
use crate::table::{Invalid, Range, Reader};

const SMOOTHED: &str = "smoothing.alpha";

#[derive(Debug)]
struct Smoothed {
    inner: Box<dyn Method>,
    rate: f64,
}

/// The method itself, or smoothed where the parameters say so.
pub(super) fn wrap(reader: &mut Reader<'_>, inner: Box<dyn Method>) -> Built {
    let rate = reader.number("smoothing", 0.0, Range::HalfOpen(0.0, 1.0))?;
    let wrapped: Result<Box<dyn Method>, Invalid> =
        if rate == 0.0 { Ok(inner) } else { Ok(Box::new(Smoothed { inner, rate })) };
    wrapped
}

impl Method for Smoothed {
    fn needs(&self) -> Needs {
        self.inner.needs()
    }

    fn accepts(&self) -> Loss {
        self.inner.accepts()
    }

    fn state(&self, tasks: usize, shared: usize) -> State {
        let mut state = self.inner.state(tasks, shared);
        // Not a number: a task that has had no alpha yet.
        state.numbers.insert(SMOOTHED.to_owned(), vec![f64::NAN; tasks]);
        state
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        let mut outcome = self.inner.weigh(moment, statistics, state)?;
        if let Combination::Alpha(alpha) = &mut outcome.combination {
            let kept = state.numbers_or(SMOOTHED, || vec![f64::NAN; moment.tasks]);
            for (alpha, &task) in alpha.iter_mut().zip(moment.present) {
                if !kept[task].is_nan() {
                    *alpha = self.rate * kept[task] + (1.0 - self.rate) * *alpha;
                }
                kept[task] = *alpha;
            }
        }
        Ok(outcome)
    }

    fn learn(&self, moment: &Moment<'_>, observed: &Observed<'_>, state: &mut State) -> Result<(), Failure> {
        self.inner.learn(moment, observed, state)
    }
}
