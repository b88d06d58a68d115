//! `constant`: the base rate b at every step.

use settings::Entry;

use super::{Read, Shape};

pub(super) const ENTRY: Entry<Read> =
    Entry::built_in("constant", "the optimizer's `learning_rate`", |_| Ok(Box::new(Constant)));

#[derive(Debug)]
struct Constant;

impl Shape for Constant {
    fn rate(&self, base: f64, _: u64, _: u64) -> f64 {
        base
    }
}
