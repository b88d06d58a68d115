//! `config`: the direction with equal cosine to all gradients, as long as the sum of the gradients'
//! projections on it (ConFIG; Liu, Chu and Thuerey, ICLR 2025, equations 2 and 3).
//!
//! With unit rows U and C = U U^T the direction is U^T y, y = pinv(C) 1. With a `preference` in
//! place of 1, the cosines are proportional to it.

use super::method::{Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::preference::Preference;
use super::{Build, Built};
use crate::gramian::dot;
use crate::solver::linear;
use settings::{Entry, Reader};

const NAME: &str = "config";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "the direction with one cosine to all gradients (ConFIG; Liu, Chu and Thuerey, ICLR 2025)",
    build,
);

#[derive(Debug)]
struct Config {
    preference: Preference,
}

fn build(reader: &mut Reader<'_>, tasks: Option<&[&str]>) -> Built {
    Ok(Box::new(Config { preference: Preference::read(reader, tasks)? }))
}

impl Method for Config {
    fn needs(&self) -> Needs {
        [Need::Gramian].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let gramian = statistics.gramian(NAME)?;
        let (cosines, norms) = (gramian.cosines(), gramian.norms());
        let preference = self.preference.of(moment.present);
        let y = linear::pseudo_solve(cosines.values(), &preference);
        let towards = cosines.times(&y);
        let length = dot(&y, &towards).max(0.0).sqrt();
        let projections: f64 = norms.iter().zip(&towards).map(|(norm, towards)| norm * towards).sum();
        let scale = |y: f64, norm: f64| {
            if norm > 0.0 && length > 0.0 { y / length * (projections / length / norm) } else { 0.0 }
        };
        Ok(Outcome::alpha(y.iter().zip(&norms).map(|(&y, &norm)| scale(y, norm)).collect()))
    }
}
