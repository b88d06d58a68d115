//! `linear`: the rate at step s of n is b (1 + (end_factor - 1) s / n), b the base rate.

use settings::{Entry, Invalid, Range, Reader};

use super::{Read, Shape, progress};

pub(super) const ENTRY: Entry<Read> = Entry::built_in("linear", "a line from the rate down to a share of it", read);

#[derive(Debug)]
struct Linear {
    end_factor: f64,
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Shape>, Invalid> {
    let documentation = "share of the rate that is left at the end";
    Ok(Box::new(Linear { end_factor: reader.number("end_factor", 0.0, Range::NotNegative, documentation)? }))
}

impl Shape for Linear {
    fn rate(&self, base: f64, s: u64, n: u64) -> f64 {
        base * (1.0 + (self.end_factor - 1.0) * progress(s, n))
    }
}
