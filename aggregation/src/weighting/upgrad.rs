//! `upgrad`: the mean over tasks of the projection of g_t on the dual cone of the gradients
//! (Quinton and Rey, Jacobian descent for multi-objective optimization, arXiv 2406.16232, equation 5). Certificate: the largest KKT residual.
//!
//! With a `preference` the mean is weighted by it. Unlike torchjd no ridge is added to G.

use super::Built;
use super::method::{Certificate, Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::preference::Preference;
use crate::solver::cone;
use crate::table::Reader;

pub(super) const NAME: &str = "upgrad";

#[derive(Debug)]
struct UpGrad {
    preference: Preference,
}

pub(super) fn build(reader: &mut Reader<'_>, tasks: Option<&[&str]>) -> Built {
    Ok(Box::new(UpGrad { preference: Preference::read(reader, tasks)? }))
}

impl Method for UpGrad {
    fn needs(&self) -> Needs {
        [Need::Gramian].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let gramian = statistics.gramian(NAME)?;
        let (cosines, norms) = (gramian.cosines(), gramian.norms());
        let mut alpha = vec![0.0; norms.len()];
        let mut residual = 0.0f64;
        for (task, share) in self.preference.of(moment.present).into_iter().enumerate() {
            let mut u = vec![0.0; norms.len()];
            u[task] = share;
            let projection = cone::project_scaled(&cosines, &norms, &u);
            alpha.iter_mut().zip(&projection.weights).for_each(|(alpha, weight)| *alpha += weight);
            residual = residual.max(projection.residual);
        }
        Ok(Outcome::alpha(alpha).certified(Certificate::KktResidual(residual)))
    }
}
