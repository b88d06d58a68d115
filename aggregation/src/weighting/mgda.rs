//! `mgda`: the weights of the shortest vector in the convex hull of the gradients, argmin of a^T G
//! a over the simplex, solved exactly (Désidéri, Comptes Rendus Mathématique 350, 2012; Sener and
//! Koltun, NeurIPS 2018). The certificate is the duality gap.
//!
//! `normalize` divides the gradients by their norm (`l2`), loss (`loss`) or both (`loss+`), for the
//! search of a alone, as Sener and Koltun's code does.

use super::method::{Certificate, Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::{Build, Built};
use crate::gramian::Gramian;
use crate::solver::simplex;
use settings::{Entry, Reader};

const NAME: &str = "mgda";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "the shortest vector in the gradients' convex hull (Désidéri 2012; Sener and Koltun, NeurIPS 2018)",
    build,
);

#[derive(Debug)]
struct Mgda {
    by_norm: bool,
    by_loss: bool,
}

fn build(reader: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    let normalize = reader.name(
        "normalize",
        "none",
        &["none", "l2", "loss", "loss+"],
        "divide gradients first by nothing, their norm, their loss or both",
    )?;
    Ok(Box::new(Mgda { by_norm: matches!(normalize, "l2" | "loss+"), by_loss: matches!(normalize, "loss" | "loss+") }))
}

impl Method for Mgda {
    fn needs(&self) -> Needs {
        let losses = self.by_loss.then_some(Need::LossesWith);
        losses.into_iter().chain([Need::Gramian]).collect()
    }

    fn weigh(&self, _: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let gramian = statistics.gramian(NAME)?;
        let mut divisors = vec![1.0; gramian.tasks()];
        if self.by_norm {
            divisors.iter_mut().zip(gramian.norms()).for_each(|(divisor, norm)| *divisor *= norm);
        }
        if self.by_loss {
            divisors.iter_mut().zip(statistics.losses(NAME)?).for_each(|(divisor, loss)| *divisor *= loss.abs());
        }
        // A divisor of 0 belongs to a task that is solved. Its gradient stays as it is.
        let divisors: Vec<f64> =
            divisors.into_iter().map(|divisor| if divisor > 0.0 { divisor } else { 1.0 }).collect();
        let tasks = gramian.tasks();
        let values =
            (0..tasks * tasks).map(|k| gramian.values()[k] / divisors[k / tasks] / divisors[k % tasks]).collect();
        let shortest = simplex::shortest(&Gramian::new(tasks, values));
        Ok(Outcome::alpha(shortest.weights).certified(Certificate::DualityGap(shortest.gap)))
    }
}
