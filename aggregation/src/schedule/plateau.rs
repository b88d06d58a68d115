//! `plateau`: the rate is b factor^k, but not below min_learning_rate, after k plateaus of the
//! validation loss; b the base rate. Unlike PyTorch's `ReduceLROnPlateau`, the rate falls at the
//! evaluation number `patience` without a gain, not at the one after it, and `min_delta` is
//! absolute.

use settings::{Entry, Invalid, Range, Reader};

use super::{Plateau, Read, Shape};

pub(super) const ENTRY: Entry<Read> = Entry::built_in(
    "plateau",
    "a fall by a factor whenever `validation.loss` (the sum of weight times loss over the tasks) has stopped getting \
     better; it holds from the second step after that evaluation",
    read,
);

impl Shape for Plateau {
    fn rate(&self, base: f64, _: u64, _: u64) -> f64 {
        base
    }

    fn plateau(&self) -> Option<Plateau> {
        Some(*self)
    }
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Shape>, Invalid> {
    let factor = reader.number("factor", 0.1, Range::Open(0.0, 1.0), "factor of one fall")?;
    let documentation = "evaluations in a row without getting better after which the rate falls";
    let patience = reader.count("patience", 5, 1.., documentation)?;
    let documentation = "by how much the loss has to get better to count";
    let min_delta = reader.number("min_delta", 0.0, Range::NotNegative, documentation)?;
    let documentation = "the rate never falls below this";
    let min_learning_rate = reader.number("min_learning_rate", 0.0, Range::NotNegative, documentation)?;
    Ok(Box::new(Plateau { factor, patience, min_delta, min_learning_rate }))
}
