//! `pcgrad`: each gradient loses its component along every other gradient that it conflicts with,
//! one after the other in random order. The direction is their sum (Yu et al., Gradient surgery for
//! multi-task learning, NeurIPS 2020, algorithm 1). It is computed on coefficients over G.

use super::method::{Failure, Method, Moment, Need, Needs, Outcome, State, Statistics};
use super::{Build, Built};
use crate::gramian::dot;
use crate::random::Stream;
use settings::{Entry, Reader};

const NAME: &str = "pcgrad";

pub(super) const ENTRY: Entry<Build> = Entry::built_in(
    NAME,
    "each gradient projected off those that it conflicts with, in random order (Yu et al., NeurIPS 2020)",
    build,
);

#[derive(Debug)]
struct PcGrad;

fn build(_: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    Ok(Box::new(PcGrad))
}

/// The other tasks in a random order: that of one random number for each of them.
pub(super) fn others(task: usize, tasks: usize, stream: Stream) -> Vec<usize> {
    let mut others: Vec<usize> = (0..tasks).filter(|&other| other != task).collect();
    others.sort_by_key(|&other| (stream.u64_at(other as u64), other));
    others
}

impl Method for PcGrad {
    fn needs(&self) -> Needs {
        [Need::Gramian].into()
    }

    fn weigh(&self, moment: &Moment<'_>, statistics: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let gramian = statistics.gramian(NAME)?;
        let tasks = gramian.tasks();
        let mut alpha = vec![0.0; tasks];
        for i in 0..tasks {
            // The projected gradient is J^T own.
            let mut own = vec![0.0; tasks];
            own[i] = 1.0;
            for j in others(i, tasks, moment.stream.child(moment.present[i] as u64)) {
                let product = dot(gramian.row(j), &own);
                if product < 0.0 && gramian.at(j, j) > 0.0 {
                    own[j] -= product / gramian.at(j, j);
                }
            }
            alpha.iter_mut().zip(own).for_each(|(alpha, own)| *alpha += own);
        }
        Ok(Outcome::alpha(alpha))
    }
}
