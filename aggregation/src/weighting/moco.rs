//! `moco`: the direction Y^T l of a moving average Y of the unit gradients, with weights l that
//! follow the shortest such direction (MoCo; Fernando et al., Mitigating gradient bias in
//! multi-objective learning, ICLR 2023, algorithm 1).
//!
//! Softmax and normalisation are those of the authors' code, which also multiplies the unit
//! gradients by their losses. At step k, from 1:
//!
//! - Y = Y - beta k^(-beta_sigma) (Y - g / norm(g)), starting at 0;
//! - l = softmax(l - gamma k^(-gamma_sigma) (Y Y^T + rho I) l), starting at 1 / T.

use super::averaged::Averaged;
use super::method::{Failure, Method, Moment, Need, Needs, Outcome, State, Statistics, softmax};
use super::modo::on_simplex;
use super::{Build, Built};
use crate::{Gramian, clip, matrix};
use settings::{Entry, Range, Reader};

const NAME: &str = "moco";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "moving averages of unit gradients, with weights that follow their shortest combination (Fernando et al., ICLR 2023)",
    build,
);

const Y: Averaged = Averaged { name: "moco.y" };

#[derive(Debug)]
struct MoCo {
    beta: f64,
    beta_sigma: f64,
    gamma: f64,
    gamma_sigma: f64,
    rho: f64,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    Ok(Box::new(MoCo {
        beta: reader.number("beta", 0.5, Range::LeftOpen(0.0, 1.0), "share of a new gradient in the moving average")?,
        beta_sigma: reader.number("beta_sigma", 0.5, Range::NotNegative, "power of the step by which `beta` falls")?,
        gamma: reader.number("gamma", 0.1, Range::Positive, "step size of the weights")?,
        gamma_sigma: reader.number(
            "gamma_sigma",
            0.5,
            Range::NotNegative,
            "power of the step by which `gamma` falls",
        )?,
        rho: reader.number("rho", 0.0, Range::NotNegative, "pull of the weights towards zero")?,
    }))
}

/// The factor that scales a row to unit length. 0 for a row that is 0.
fn to_unit(row: &[f32]) -> f64 {
    let norm = clip::norm(row);
    if norm > 0.0 { 1.0 / norm } else { 0.0 }
}

impl Method for MoCo {
    fn needs(&self) -> Needs {
        [Need::Jacobian].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        let rows = statistics.jacobian(NAME)?;
        let k = (moment.step + 1) as f64;
        let beta = self.beta / libm::pow(k, self.beta_sigma);
        let gamma = self.gamma / libm::pow(k, self.gamma_sigma);
        let factors: Vec<f64> = rows.iter().map(|row| to_unit(row)).collect();
        let gramian = Gramian::of_rows(&Y.update(moment, rows, &factors, 1.0 - beta, state));
        let follow = |weights: Vec<f64>| {
            let slopes = gramian.times(&weights);
            let moved = weights.iter().zip(slopes).map(|(weight, slope)| weight - gamma * (slope + self.rho * weight));
            softmax(&moved.collect::<Vec<f64>>())
        };
        let weights = on_simplex("moco.weights", moment, state, follow);
        Ok(Outcome::direction(matrix::combine(&Y.rows(moment, rows[0].len(), state), &weights)))
    }
}
