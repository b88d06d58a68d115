//! `step`: the rate at step s is b gamma^floor(s / step_size), b the base rate.

use settings::{Entry, Invalid, Range, Reader};

use super::{Read, Shape};

pub(super) const ENTRY: Entry<Read> = Entry::built_in("step", "a fall by a factor every so many steps", read);

#[derive(Debug)]
struct Step {
    step_size: u64,
    gamma: f64,
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Shape>, Invalid> {
    let step_size = reader.required_count("step_size", 1.., "steps between two falls")?;
    let gamma = reader.number("gamma", 0.1, Range::LeftOpen(0.0, 1.0), "factor of one fall")?;
    Ok(Box::new(Step { step_size, gamma }))
}

impl Shape for Step {
    fn rate(&self, base: f64, s: u64, _: u64) -> f64 {
        base * libm::pow(self.gamma, (s / self.step_size) as f64)
    }
}
