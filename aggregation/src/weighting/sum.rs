//! `sum`: alpha_t = 1 for every task, so that task weights (part of g_t) decide alone.

use super::Built;
use super::method::{Failure, Method, Moment, Outcome, State, Statistics};
use settings::Reader;

pub(super) const NAME: &str = "sum";

#[derive(Debug)]
struct Sum;

pub(super) fn build(_: &mut Reader<'_>, _: Option<&[&str]>) -> Built {
    Ok(Box::new(Sum))
}

impl Method for Sum {
    fn weigh(&self, moment: &Moment<'_>, _: &Statistics<'_>, _: &mut State) -> Result<Outcome, Failure> {
        Ok(Outcome::alpha(vec![1.0; moment.present.len()]))
    }
}
