//! `imtl_g`: equal projections of the direction on all unit gradients (IMTL-G; Liu et al., Towards
//! impartial multi-task learning, ICLR 2021, section 3.1, in the closed form over G).
//!
//! v = pinv(G) sqrt(diag G), alpha = v / sum v. If v adds up to 0, no direction has equal
//! projections, and alpha is 0.

use super::method::{Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::{Build, Built};
use crate::gramian::Gramian;
use crate::solver::linear;
use settings::{Entry, Reader};

const NAME: &str = "imtl_g";

pub(super) const ENTRY: Entry<Build> =
    Entry::built_in(NAME, "equal projections on all gradients (IMTL-G; Liu et al., ICLR 2021)", build);

#[derive(Debug)]
struct ImtlG;

fn build(_: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    Ok(Box::new(ImtlG))
}

/// pinv(G) sqrt(diag G). If G is regular, it is computed with unit rows, which keep precision at
/// any scale.
fn solve(gramian: &Gramian) -> Vec<f64> {
    let (cosines, norms) = (gramian.cosines(), gramian.norms());
    if norms.iter().all(|norm| *norm > 0.0)
        && let Some(v) = linear::cholesky_solve(cosines.values(), &vec![1.0; norms.len()])
    {
        let least = norms.iter().copied().fold(f64::INFINITY, f64::min);
        return v.iter().zip(&norms).map(|(v, norm)| v * (least / norm)).collect();
    }
    linear::eigen(gramian.values(), norms.len()).apply(&norms, |value| 1.0 / value)
}

impl Method for ImtlG {
    fn needs(&self) -> Needs {
        [Need::Gramian].into()
    }

    fn weigh(&self, _: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let v = solve(statistics.gramian(NAME)?);
        let total: f64 = v.iter().sum();
        let size: f64 = v.iter().map(|v| v.abs()).sum();
        let vanishes = total.abs() <= 1e-12 * size;
        Ok(Outcome::alpha(v.into_iter().map(|v| if vanishes { 0.0 } else { v / total }).collect()))
    }
}
