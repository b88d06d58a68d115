//! `modo`: weights that descend on the simplex with two independent estimates of the gradients, so
//! their product is unbiased (MoDo; Chen et al., Three-way trade-off in multi-objective learning,
//! JMLR 2024, algorithm 2).
//!
//! l = project(l - gamma (J1 J2^T l + rho l)), alpha = l. J1 and J2 are the gradients of the two
//! subtrees of the root, in place of extra batches.

use super::method::{Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::{Build, Built};
use crate::gramian::Gramian;
use crate::solver::simplex;
use settings::{Entry, Range, Reader};

const NAME: &str = "modo";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "weights that follow the simplex, from two halves of the batch (MoDo; Chen et al., JMLR 2024)",
    build,
);

#[derive(Debug)]
struct MoDo {
    gamma: f64,
    rho: f64,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    let gamma = reader.number("gamma", 1e-3, Range::Positive, "step size of the weights")?;
    Ok(Box::new(MoDo {
        gamma,
        rho: reader.number("rho", 0.1, Range::NotNegative, "pull of the weights towards zero")?,
    }))
}

/// The cross-Gramian. Fails if the step has none.
pub(super) fn cross<'a>(method: &'static str, statistics: &Statistics<'a>) -> Result<&'a Gramian, Failure> {
    statistics.gramian_cross.ok_or(Failure::Missing { method, need: Need::GramianCross })
}

/// Changes the weights of the present tasks. `change` gets them scaled to a simplex of their own,
/// and returns such weights.
pub(super) fn on_simplex(
    name: &str,
    moment: &Moment<'_>,
    state: &mut State,
    change: impl FnOnce(Vec<f64>) -> Vec<f64>,
) -> Vec<f64> {
    let all = state.numbers_or(name, || vec![1.0 / moment.tasks as f64; moment.tasks]);
    let mass: f64 = moment.present.iter().map(|&task| all[task]).sum();
    let present = moment.present.len() as f64;
    let own = |&task: &usize| if mass > 0.0 { all[task] / mass } else { 1.0 / present };
    let weights = change(moment.present.iter().map(own).collect());
    moment.present.iter().zip(&weights).for_each(|(&task, weight)| all[task] = weight * mass);
    weights
}

impl Method for MoDo {
    fn needs(&self) -> Needs {
        [Need::GramianCross].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        let cross = cross(NAME, statistics)?;
        let step = |weights: Vec<f64>| {
            let product = cross.times(&weights);
            let moved: Vec<f64> = weights
                .iter()
                .zip(product)
                .map(|(weight, product)| weight - self.gamma * (product + self.rho * weight))
                .collect();
            simplex::project(&moved)
        };
        Ok(Outcome::alpha(on_simplex("modo.weights", moment, state, step)))
    }
}
