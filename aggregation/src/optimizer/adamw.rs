//! AdamW: Adam with decoupled weight decay, 0.01 by default.

use settings::{Entry, Invalid, Reader};

use super::Read;
use super::adam::Adam;
use super::rule::Rule;

pub(super) const ENTRY: Entry<Read> =
    Entry::built_in("adamw", "Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019)", read);

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Rule>, Invalid> {
    Ok(Box::new(Adam { decoupled: true, ..Adam::read(reader, 0.01)? }))
}
