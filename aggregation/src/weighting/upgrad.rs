//! `upgrad`: the mean over tasks of the projection of g_t on the dual cone of the gradients
//! (Quinton and Rey, Jacobian descent for multi-objective optimization, arXiv 2406.16232, equation
//! 5). The certificate is the largest KKT residual.
//!
//! A `preference` weights the mean. `reg_eps` times the trace of G is added to the diagonal of G,
//! as torchjd does:
//!
//! - With 1e-4 the direction is torchjd's, and <g_t, d> >= -reg_eps trace(G) alpha_t.
//! - With 0 the direction is the paper's, and <g_t, d> >= 0. It is also used if a gradient is so
//!   small beside the others that torchjd's direction would have a cosine below -0.2 with it.

use super::method::{Certificate, Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::preference::Preference;
use super::{Build, Built};
use crate::solver::cone::project_unless_harmful;
use settings::{Entry, Invalid, Range, Reader};

const NAME: &str = "upgrad";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "the mean of the gradients, each projected on the cone of directions that harm no task (Quinton and Rey 2024)",
    build,
);

/// Reads the ridge of the projections. The default is torchjd's.
pub(super) fn ridge(reader: &mut Reader<'_>) -> Result<f64, Invalid> {
    let documentation = "share of the Gramian's trace that is added to its diagonal; 0 for the exact cone";
    reader.number("reg_eps", 1e-4, Range::NotNegative, documentation)
}

#[derive(Debug)]
struct UpGrad {
    preference: Preference,
    ridge: f64,
}

fn build(reader: &mut Reader<'_>, tasks: Option<&[&str]>) -> Built {
    let ridge = ridge(reader)?;
    Ok(Box::new(UpGrad { preference: Preference::read(reader, tasks)?, ridge }))
}

impl Method for UpGrad {
    fn needs(&self) -> Needs {
        [Need::Gramian].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let gramian = statistics.gramian(NAME)?;
        let shares = self.preference.of(moment.present);
        let (alpha, residual) = project_unless_harmful(gramian, self.ridge, |cone| {
            let mut alpha = vec![0.0; gramian.tasks()];
            let mut residual = 0.0f64;
            for (task, &share) in shares.iter().enumerate() {
                let mut u = vec![0.0; gramian.tasks()];
                u[task] = share;
                let projection = cone.project(&u);
                alpha.iter_mut().zip(&projection.weights).for_each(|(alpha, weight)| *alpha += weight);
                residual = residual.max(projection.residual);
            }
            (alpha, residual)
        });
        Ok(Outcome::alpha(alpha).certified(Certificate::KktResidual(residual)))
    }
}
