//! `exponential`: the rate at step s is b gamma^s, b the base rate.

use settings::{Entry, Invalid, Range, Reader};

use super::{Read, Shape};

pub(super) const ENTRY: Entry<Read> = Entry::built_in("exponential", "a fall by a factor every step", read);

#[derive(Debug)]
struct Exponential {
    gamma: f64,
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Shape>, Invalid> {
    let gamma = reader.required_number("gamma", Range::LeftOpen(0.0, 1.0), "factor of one step")?;
    Ok(Box::new(Exponential { gamma }))
}

impl Shape for Exponential {
    fn rate(&self, base: f64, s: u64, _: u64) -> f64 {
        base * libm::pow(self.gamma, s as f64)
    }
}
