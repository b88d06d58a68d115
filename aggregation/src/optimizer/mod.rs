//! Optimizers over one flat vector of parameters.
//!
//! [`Optimizer`] is what `train.optimizer` of the experiment file names. Names and defaults of the
//! parameters are PyTorch's, except `learning_rate`: it is 1e-3 for every kind.
//!
//! An update reads `current` and writes `next` beside it, so the parameters of a step stay readable
//! until the step commits. It is done at once ([`Optimizer::update`]), or range by range as
//! gradients arrive ([`Optimizer::begin`], [`Update::apply`]). Both give the same bits. The
//! optimizer's own state changes in place. So each range is updated once in a step, when its
//! gradient is complete and finite.
//!
//! An optimizer is one file in this folder: an `ENTRY` with its name, a function that reads its
//! parameters, a [`Rule`] and a [`Kernel`]. It has one line in [`OPTIMIZERS`].

mod adagrad;
mod adam;
mod adamw;
mod lamb;
mod lion;
mod parameters;
mod rmsprop;
mod rule;
mod sgd;
mod state;
mod update;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use settings::{Component, Description, Invalid, Range, Reader, Registry};

pub use rule::{Decay, Kernel, Rule, Vectors};
pub use state::{OptimizerState, StatePart};
pub use update::Update;

/// Reads an optimizer's parameters. The caller reads `learning_rate`.
pub type Read = fn(&mut Reader<'_>) -> Result<Box<dyn Rule>, Invalid>;

/// All optimizers, in the order of the reference.
pub static OPTIMIZERS: Registry<Read> = Registry::new(
    "optimizer",
    &[sgd::ENTRY, adam::ENTRY, adamw::ENTRY, rmsprop::ENTRY, adagrad::ENTRY, lion::ENTRY, lamb::ENTRY],
);

/// The optimizer of an experiment that names none.
const DEFAULT: &str = "adam";

/// An optimizer with its parameters: `{ kind = "adam", learning_rate = 1e-3 }`. It is Adam unless
/// `kind` is given. All defaults are written out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Component", into = "Component")]
pub struct Optimizer {
    component: Component,
    learning_rate: f64,
    rule: Arc<dyn Rule>,
}

impl Default for Optimizer {
    fn default() -> Self {
        Component::named(DEFAULT).try_into().expect("the default parameters are in range")
    }
}

/// Optimizers of one kind with the same parameters are equal.
impl PartialEq for Optimizer {
    fn eq(&self, other: &Self) -> bool {
        self.component == other.component
    }
}

impl TryFrom<Component> for Optimizer {
    type Error = Invalid;

    fn try_from(component: Component) -> Result<Self, Invalid> {
        let ((learning_rate, rule), component) = OPTIMIZERS.read(&component.or(DEFAULT), read)?;
        Ok(Self { component, learning_rate, rule: rule.into() })
    }
}

impl From<Optimizer> for Component {
    fn from(optimizer: Optimizer) -> Self {
        optimizer.component
    }
}

fn read(part: &Read, reader: &mut Reader<'_>) -> Result<(f64, Box<dyn Rule>), Invalid> {
    let learning_rate = reader.number("learning_rate", 1e-3, Range::Positive, "step size before the schedule")?;
    Ok((learning_rate, part(reader)?))
}

/// All optimizers with their parameters, for the reference.
pub fn reference() -> Vec<Description> {
    OPTIMIZERS.describe(read)
}

impl Optimizer {
    /// The kind's name, as the file says it.
    pub fn kind(&self) -> &str {
        self.component.kind()
    }

    /// The step size before the schedule.
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }
}
