//! `famo`: weights for equal rates of decrease of the losses (Liu et al., FAMO: fast adaptive
//! multitask optimization, NeurIPS 2023, algorithm 1, with the least possible loss b = 0).
//!
//! alpha = (z / l) / c with z = softmax(w) and c = sum z / l. w is learned from the update's effect
//! on the logarithms of the losses. With delta = log l(before) - log l(after), its gradient is z *
//! (delta - sum z delta). Adam with rate `learning_rate` and weight decay `gamma` follows it. 1e-8
//! is added to each loss, as in the authors' code.

use super::learned::Learned;
use super::method::{
    Failure, LossDomain, Method, Moment, Need, Needs, Observed, Outcome, State, Statistics, not_negative, softmax,
};
use super::{Build, Built};
use crate::optimizer::Optimizer;
use settings::{Component, Entry, Range, Reader};

const NAME: &str = "famo";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "equal rates of decrease, learned from the losses after the update (FAMO; Liu et al., NeurIPS 2023)",
    build,
);

const W: Learned = Learned { name: "famo.w", initial: 0.0 };
const GUARD: f64 = 1e-8;

#[derive(Debug)]
struct Famo {
    optimizer: Optimizer,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    let learning_rate = reader.number("learning_rate", 0.025, Range::Positive, "step size of the learned weights")?;
    let weight_decay = reader.number("gamma", 1e-3, Range::NotNegative, "weight decay of the learned weights")?;
    let adam = Component::named("adam").with("learning_rate", learning_rate).with("weight_decay", weight_decay);
    Ok(Box::new(Famo { optimizer: adam.try_into()? }))
}

impl Method for Famo {
    fn needs(&self) -> Needs {
        [Need::LossesBefore, Need::LossesAfter].into()
    }

    fn accepts(&self) -> LossDomain {
        LossDomain::NotNegative
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        let losses = statistics.losses(NAME)?;
        not_negative(NAME, moment.present, losses)?;
        let z = softmax(&W.present(moment, state));
        let shares: Vec<f64> = z.iter().zip(losses).map(|(z, loss)| z / (loss + GUARD)).collect();
        let c: f64 = shares.iter().sum();
        Ok(Outcome::alpha(shares.into_iter().map(|share| share / c).collect()))
    }

    fn learn(&self, moment: &Moment<'_>, observed: &Observed<'_>, state: &mut State) -> Result<(), Failure> {
        let after = observed.losses_after.ok_or(Failure::Missing { method: NAME, need: Need::LossesAfter })?;
        not_negative(NAME, moment.present, observed.losses)?;
        not_negative(NAME, moment.present, after)?;
        let log = |loss: &f64| libm::log(loss + GUARD);
        let delta: Vec<f64> =
            observed.losses.iter().zip(after).map(|(before, after)| log(before) - log(after)).collect();
        let z = softmax(&W.present(moment, state));
        let mean: f64 = z.iter().zip(&delta).map(|(z, delta)| z * delta).sum();
        let slopes: Vec<f64> = z.iter().zip(&delta).map(|(z, delta)| z * (delta - mean)).collect();
        W.update(moment, &self.optimizer, self.optimizer.learning_rate(), &slopes, state);
        Ok(())
    }
}
