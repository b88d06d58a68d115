//! `dualproj`: the projection of the mean gradient on the dual cone of the gradients (Lopez-Paz and
//! Ranzato, Gradient episodic memory for continual learning, NeurIPS 2017, equation 11). The
//! certificate is the KKT residual.
//!
//! A `preference` weights the mean. `reg_eps` is as in `upgrad`.

use super::method::{Certificate, Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::preference::Preference;
use super::upgrad::ridge;
use super::{Build, Built};
use crate::solver::cone::project_unless_harmful;
use settings::{Entry, Reader};

const NAME: &str = "dualproj";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "the mean gradient projected on the cone of directions that harm no task (GEM; Lopez-Paz and Ranzato, NeurIPS 2017)",
    build,
);

#[derive(Debug)]
struct DualProj {
    preference: Preference,
    ridge: f64,
}

fn build(reader: &mut Reader<'_>, tasks: Option<&[&str]>) -> Built {
    let ridge = ridge(reader)?;
    Ok(Box::new(DualProj { preference: Preference::read(reader, tasks)?, ridge }))
}

impl Method for DualProj {
    fn needs(&self) -> Needs {
        [Need::Gramian].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let shares = self.preference.of(moment.present);
        let (alpha, residual) = project_unless_harmful(statistics.gramian(NAME)?, self.ridge, |cone| {
            let projection = cone.project(&shares);
            (projection.weights, projection.residual)
        });
        Ok(Outcome::alpha(alpha).certified(Certificate::KktResidual(residual)))
    }
}
