//! `dualproj`: the projection of the mean gradient on the dual cone of the gradients
//! (Lopez-Paz and Ranzato, Gradient episodic memory for continual learning, NeurIPS 2017, equation 11). Certificate: the KKT residual.
//!
//! With a `preference` the mean is weighted by it. Unlike torchjd no ridge is added to G.

use super::Built;
use super::method::{Certificate, Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::preference::Preference;
use crate::solver::cone;
use crate::table::Reader;

pub(super) const NAME: &str = "dualproj";

#[derive(Debug)]
struct DualProj {
    preference: Preference,
}

pub(super) fn build(reader: &mut Reader<'_>, tasks: Option<&[&str]>) -> Built {
    Ok(Box::new(DualProj { preference: Preference::read(reader, tasks)? }))
}

impl Method for DualProj {
    fn needs(&self) -> Needs {
        [Need::Gramian].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let projection = cone::project(statistics.gramian(NAME)?, &self.preference.of(moment.present));
        Ok(Outcome::alpha(projection.weights).certified(Certificate::KktResidual(projection.residual)))
    }
}
