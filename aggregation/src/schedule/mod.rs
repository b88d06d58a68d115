//! Learning-rate schedules: pure functions of (base rate, step, total steps), and of the number of
//! plateaus of the validation loss so far for those that have a [`Plateau`].
//!
//! Every kind has the parameter `warmup_steps` (0). During the first `w` steps the rate rises
//! linearly to the start of the schedule: at step s it has the factor (s + 1) / w. The schedule
//! then runs over the rest, with its own step s - w of total - w. All rates are computed in
//! software floating point, so every machine gets the same ones.
//!
//! A schedule is one file in this folder: an `ENTRY` with its name, a function that reads its
//! parameters, and a [`Shape`]. It has one line in [`SCHEDULES`].

mod constant;
mod cosine;
mod exponential;
mod linear;
mod one_cycle;
mod plateau;
mod step;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use settings::{Component, Description, Invalid, Reader, Registry};

/// A schedule's rate after warm-up.
pub trait Shape: fmt::Debug + Send + Sync {
    /// The rate of step `s` of `n` after warm-up. Both are counted without warm-up. `n` is at least
    /// 1, and `s` may be beyond it. `base` is the optimizer's rate.
    fn rate(&self, base: f64, s: u64, n: u64) -> f64;

    /// How the rate falls with the validation loss; `None` if it depends on the step alone.
    fn plateau(&self) -> Option<Plateau> {
        None
    }
}

/// How a rate falls when the validation loss stops getting better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plateau {
    /// Factor of one fall, above 0 and below 1.
    pub factor: f64,
    /// Evaluations in a row without getting better that are a plateau, at least 1.
    pub patience: u64,
    /// By how much the loss has to get better to count.
    pub min_delta: f64,
    /// The rate never falls below this.
    pub min_learning_rate: f64,
}

impl Plateau {
    /// The rate after so many plateaus, from the rate without any. A rate that was below the least
    /// one stays.
    pub fn lowered(&self, rate: f64, plateaus: u64) -> f64 {
        (rate * libm::pow(self.factor, plateaus as f64)).max(self.min_learning_rate.min(rate))
    }
}

/// Reads a schedule's parameters. The caller reads `warmup_steps`.
pub type Read = fn(&mut Reader<'_>) -> Result<Box<dyn Shape>, Invalid>;

/// All schedules, in the order of the reference.
pub static SCHEDULES: Registry<Read> = Registry::new(
    "schedule",
    &[constant::ENTRY, linear::ENTRY, cosine::ENTRY, step::ENTRY, exponential::ENTRY, one_cycle::ENTRY, plateau::ENTRY],
);

/// The schedule of an experiment that names none.
const DEFAULT: &str = "constant";

/// A schedule with its parameters: `{ kind = "cosine", warmup_steps = 50 }`. It is constant unless
/// `kind` is given. All defaults are written out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Component", into = "Component")]
pub struct Schedule {
    component: Component,
    warmup_steps: u64,
    shape: Arc<dyn Shape>,
}

impl Default for Schedule {
    fn default() -> Self {
        Component::named(DEFAULT).try_into().expect("the default parameters are in range")
    }
}

/// Schedules of one kind with the same parameters are equal.
impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.component == other.component
    }
}

impl TryFrom<Component> for Schedule {
    type Error = Invalid;

    fn try_from(component: Component) -> Result<Self, Invalid> {
        let ((shape, warmup_steps), component) = SCHEDULES.read(&component.or(DEFAULT), read)?;
        Ok(Self { component, warmup_steps, shape: shape.into() })
    }
}

impl From<Schedule> for Component {
    fn from(schedule: Schedule) -> Self {
        schedule.component
    }
}

fn read(part: &Read, reader: &mut Reader<'_>) -> Result<(Box<dyn Shape>, u64), Invalid> {
    let shape = part(reader)?;
    let documentation = "steps over which the rate rises linearly to where the schedule begins";
    Ok((shape, reader.count("warmup_steps", 0, 0.., documentation)?))
}

/// All schedules with their parameters, for the reference.
pub fn reference() -> Vec<Description> {
    SCHEDULES.describe(read)
}

impl Schedule {
    /// How the rate falls with the validation loss; `None` if it depends on the step alone.
    pub fn plateau(&self) -> Option<Plateau> {
        self.shape.plateau()
    }

    /// The learning rate of step `step` (from 0) of a training of `total_steps`, for the
    /// optimizer's `base` rate, before any [plateau](Schedule::plateau). A step beyond the end has
    /// the last rate of a shape that ends.
    pub fn learning_rate(&self, base: f64, step: u64, total_steps: u64) -> f64 {
        let rest = total_steps.saturating_sub(self.warmup_steps).max(1);
        if step < self.warmup_steps {
            return self.shape.rate(base, 0, rest) * ((step + 1) as f64 / self.warmup_steps as f64);
        }
        self.shape.rate(base, step - self.warmup_steps, rest)
    }
}

/// The share of the steps that are done. 1 beyond the end.
fn progress(s: u64, n: u64) -> f64 {
    s.min(n) as f64 / n as f64
}

/// Half a cosine that falls from 1 at progress 0 to 0 at progress 1.
fn falling_cosine(progress: f64) -> f64 {
    (1.0 + libm::cos(std::f64::consts::PI * progress)) / 2.0
}
