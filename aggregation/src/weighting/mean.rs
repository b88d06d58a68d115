//! `mean`: alpha_t = 1 / T. T is the number of tasks that are present in the step.

use super::method::{Failure, Method, Moment, Outcome, State, Statistics};
use super::{Build, Built};
use settings::{Entry, Reader};

const NAME: &str = "mean";

pub(super) const ENTRY: Entry<Build> =
    Entry::built_in(NAME, "the losses are averaged over the tasks that have labels in the step", build);

#[derive(Debug)]
struct Mean;

fn build(_: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    Ok(Box::new(Mean))
}

impl Method for Mean {
    fn weigh(&self, moment: &Moment<'_>, _: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        let present = moment.present.len();
        Ok(Outcome::alpha(vec![1.0 / present as f64; present]))
    }
}
