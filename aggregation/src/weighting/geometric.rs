//! `geometric`: the gradient of the geometric mean of the losses, (prod l)^(1/T), so alpha = (prod
//! l)^(1/T) / (T l) (GLS; Chennupati et al., MultiNet++, CVPR workshops 2019, equation 2). Losses
//! below 1e-12 count as 1e-12.

use super::method::{Failure, LossDomain, Method, Moment, Need, Needs, Outcome, State, Statistics, TINY, not_negative};
use super::{Build, Built};
use settings::{Entry, Reader};

const NAME: &str = "geometric";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "the gradient of the losses' geometric mean (GLS; Chennupati et al., CVPR workshops 2019)",
    build,
);

#[derive(Debug)]
struct Geometric;

fn build(_: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    Ok(Box::new(Geometric))
}

impl Method for Geometric {
    fn needs(&self) -> Needs {
        [Need::LossesBefore].into()
    }

    fn accepts(&self) -> LossDomain {
        LossDomain::NotNegative
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let losses = statistics.losses(NAME)?;
        not_negative(NAME, moment.present, losses)?;
        let logs: Vec<f64> = losses.iter().map(|loss| libm::log(loss.max(TINY))).collect();
        let present = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / present;
        Ok(Outcome::alpha(logs.iter().map(|log| libm::exp(mean - log) / present).collect()))
    }
}
