//! `aligned_mtl`: replaces the gradients by the closest ones that are orthogonal and equally long
//! (Senushkin et al., Independent component alignment for multi-task learning, CVPR 2023, equation
//! 10).
//!
//! alpha = s V L^(-1/2) V^T w with G = V L V^T. s is the root of the smallest (`min`), `median`
//! (the lower of two) or mean (`rmse`) eigenvalue that is not 0. w is `preference`.

use super::method::{Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::preference::Preference;
use super::{Build, Built};
use crate::solver::linear;
use settings::{Entry, Reader};

const NAME: &str = "aligned_mtl";

pub(super) const ENTRY: Entry<Build> =
    Entry::built_in(NAME, "gradients made orthogonal and of one length (Senushkin et al., CVPR 2023)", build);

#[derive(Debug)]
struct AlignedMtl {
    scale: &'static str,
    preference: Preference,
}

fn build(reader: &mut Reader<'_>, tasks: Option<&[&str]>) -> Built {
    let scale = reader.name(
        "scale",
        "min",
        &["min", "median", "rmse"],
        "common length: root of this eigenvalue of the Gramian",
    )?;
    Ok(Box::new(AlignedMtl { scale, preference: Preference::read(reader, tasks)? }))
}

impl Method for AlignedMtl {
    fn needs(&self) -> Needs {
        [Need::Gramian].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let gramian = statistics.gramian(NAME)?;
        let eigen = linear::eigen(gramian.values(), gramian.tasks());
        let threshold = eigen.threshold();
        let values: Vec<f64> = eigen.values.iter().copied().filter(|value| *value > threshold).collect();
        if values.is_empty() {
            return Ok(Outcome::alpha(vec![0.0; gramian.tasks()]));
        }
        let scale = match self.scale {
            "min" => values[0],
            "median" => values[(values.len() - 1) / 2],
            _ => values.iter().sum::<f64>() / values.len() as f64,
        };
        Ok(Outcome::alpha(eigen.apply(&self.preference.of(moment.present), |value| (scale / value).sqrt())))
    }
}
