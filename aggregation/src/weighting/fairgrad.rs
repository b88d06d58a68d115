//! `fairgrad`: alpha-fair utilities of the tasks' progress, G a = a^(-1/alpha) (Ban and Ji, Fair
//! resource allocation in multi-task learning, ICML 2024, equation 6). The certificate is the
//! relative residual.

use super::method::{Certificate, Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::{Build, Built};
use crate::solver::fixed_point;
use settings::{Entry, Range, Reader};

const NAME: &str = "fairgrad";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(NAME, "the alpha-fair solution (Ban and Ji, ICML 2024)", build);

#[derive(Debug)]
struct FairGrad {
    power: f64,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    let alpha = reader.number(
        "alpha",
        1.0,
        Range::Closed(0.1, 10.0),
        "fairness: the larger, the more the worst task counts",
    )?;
    Ok(Box::new(FairGrad { power: 1.0 / alpha }))
}

impl Method for FairGrad {
    fn needs(&self) -> Needs {
        [Need::Gramian].into()
    }

    fn weigh(&self, _: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let solution = fixed_point::solve(statistics.gramian(NAME)?, self.power);
        Ok(Outcome::alpha(solution.weights).certified(Certificate::KktResidual(solution.residual)))
    }
}
