//! `db_mtl`: the sum of moving averages of the gradients of log losses, each scaled to the length
//! of the longest (DB-MTL; Lin et al., Dual-balancing for multi-task learning, arXiv 2308.12029,
//! 2023, algorithm 1).
//!
//! At step k, from 1: a_t = b a_t + (1 - b) g_t / l_t, starting at 0, with b = beta
//! k^(-beta_sigma). d is the sum over t of (max norm(a) / norm(a_t)) a_t. 1e-8 is added to each
//! loss, as in the authors' code.

use super::averaged::Averaged;
use super::method::{Failure, LossDomain, Method, Moment, Need, Needs, Outcome, State, Statistics, not_negative};
use super::{Build, Built};
use crate::{clip, matrix};
use settings::{Entry, Range, Reader};

const NAME: &str = "db_mtl";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "moving averages of the gradients of log losses, all as long as the longest (Lin et al., 2023)",
    build,
);

const AVERAGE: Averaged = Averaged { name: "db_mtl.average" };
const GUARD: f64 = 1e-8;

#[derive(Debug)]
struct DbMtl {
    beta: f64,
    beta_sigma: f64,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    let beta =
        reader.number("beta", 0.9, Range::HalfOpen(0.0, 1.0), "share of the moving average that is kept in a step")?;
    Ok(Box::new(DbMtl {
        beta,
        beta_sigma: reader.number("beta_sigma", 0.0, Range::NotNegative, "power of the step by which `beta` falls")?,
    }))
}

impl Method for DbMtl {
    fn needs(&self) -> Needs {
        [Need::LossesWith, Need::Jacobian].into()
    }

    fn accepts(&self) -> LossDomain {
        LossDomain::NotNegative
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, state: &mut State) -> Result<Outcome, Failure> {
        let (losses, rows) = (statistics.losses(NAME)?, statistics.jacobian(NAME)?);
        not_negative(NAME, moment.present, losses)?;
        let keep = self.beta / libm::pow((moment.step + 1) as f64, self.beta_sigma);
        let factors: Vec<f64> = losses.iter().map(|loss| 1.0 / (loss + GUARD)).collect();
        let averages = AVERAGE.update(moment, rows, &factors, keep, state);
        let norms: Vec<f64> = averages.iter().map(|average| clip::norm(average)).collect();
        let longest = norms.iter().copied().fold(0.0, f64::max);
        let scales: Vec<f64> = norms.iter().map(|&norm| if norm > 0.0 { longest / norm } else { 0.0 }).collect();
        Ok(Outcome::direction(matrix::combine(&averages, &scales)))
    }
}
