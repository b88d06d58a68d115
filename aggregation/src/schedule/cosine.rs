//! `cosine`: the rate at step s of n is eta_min + (b - eta_min) (1 + cos(pi s / n)) / 2, b the base
//! rate.

use settings::{Entry, Invalid, Range, Reader};

use super::{Read, Shape, falling_cosine, progress};

pub(super) const ENTRY: Entry<Read> = Entry::built_in("cosine", "half a cosine from the rate down to another", read);

#[derive(Debug)]
struct Cosine {
    eta_min: f64,
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Shape>, Invalid> {
    Ok(Box::new(Cosine { eta_min: reader.number("eta_min", 0.0, Range::NotNegative, "rate at the end")? }))
}

impl Shape for Cosine {
    fn rate(&self, base: f64, s: u64, n: u64) -> f64 {
        self.eta_min + (base - self.eta_min) * falling_cosine(progress(s, n))
    }
}
