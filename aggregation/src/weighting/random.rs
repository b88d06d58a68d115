//! `random`: the softmax of standard normal numbers, one for each task, new in each step (RLW; Lin
//! et al., Reasonable effectiveness of random weighting, TMLR 2022, equation 2).

use super::method::{Failure, Method, Moment, Outcome, State, Statistics, softmax};
use super::{Build, Built};
use settings::{Entry, Reader};

const NAME: &str = "random";

pub(super) const ENTRY: Entry<Build> =
    Entry::built_in(NAME, "softmax of normal draws, new in each step (RLW; Lin et al., TMLR 2022)", build);

#[derive(Debug)]
struct Random;

fn build(_: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    Ok(Box::new(Random))
}

impl Method for Random {
    fn weigh(&self, moment: &Moment<'_>, _: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        // A task's number does not depend on which other tasks are present.
        let normals: Vec<f64> =
            moment.present.iter().map(|&task| f64::from(moment.stream.normal_at(task as u64))).collect();
        Ok(Outcome::alpha(softmax(&normals)))
    }
}
