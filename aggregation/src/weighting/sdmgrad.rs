//! `sdmgrad`: a direction near the mean gradient g0, from two independent estimates of the
//! gradients (SDMGrad; Xiao, Ban and Ji, Direction-oriented multi-objective learning, NeurIPS 2023,
//! algorithm 1).
//!
//! w makes `iterations` steps of projected descent along J1 J2^T w + lambda J1 g0, with momentum
//! 0.5 and rate `learning_rate`. Then alpha = (w + lambda / T) / (1 + lambda). J1 and J2 are the
//! gradients of the two subtrees of the root, in place of extra batches. w goes on from the last
//! step. The defaults, and the scaling of the cross-Gramian by its mean root diagonal, are those of
//! the authors' code.

use super::method::{Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::modo::{cross, on_simplex};
use super::{Build, Built};
use crate::solver::simplex;
use settings::{Entry, Range, Reader};

const NAME: &str = "sdmgrad";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "a direction near the mean gradient, from two halves of the batch (Xiao, Ban and Ji, NeurIPS 2023)",
    build,
);

const MOMENTUM: f64 = 0.5;

#[derive(Debug)]
struct SdmGrad {
    lambda: f64,
    iterations: u64,
    learning_rate: f64,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    let lambda = reader.number("lambda", 0.3, Range::NotNegative, "pull towards the mean gradient")?;
    let iterations = reader.count("iterations", 20, 1.., "descents of the weights in each step")?;
    Ok(Box::new(SdmGrad {
        lambda,
        iterations,
        learning_rate: reader.number("learning_rate", 10.0, Range::Positive, "step size of the weights")?,
    }))
}

impl Method for SdmGrad {
    fn needs(&self) -> Needs {
        [Need::GramianCross].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        let cross = cross(NAME, statistics)?;
        let tasks = cross.tasks();
        let root = (0..tasks).map(|t| cross.at(t, t).max(0.0).sqrt()).sum::<f64>() / tasks as f64;
        let scale = 1.0 / (root * root + 1e-8);
        let equal = vec![1.0 / tasks as f64; tasks];
        let to_mean = cross.times(&equal);
        let descend = |mut w: Vec<f64>| {
            let mut velocity = vec![0.0; tasks];
            for _ in 0..self.iterations {
                let product = cross.times(&w);
                for t in 0..tasks {
                    velocity[t] = MOMENTUM * velocity[t] + scale * (product[t] + self.lambda * to_mean[t]);
                    w[t] -= self.learning_rate * velocity[t];
                }
                w = simplex::project(&w);
            }
            w
        };
        let w = on_simplex("sdmgrad.weights", moment, state, descend);
        let mixed = |(w, share): (&f64, &f64)| (w + self.lambda * share) / (1.0 + self.lambda);
        Ok(Outcome::alpha(w.iter().zip(&equal).map(mixed).collect()))
    }
}
