//! `one_cycle`: the rate rises from b / div_factor to the base rate b over the first `pct_start` of
//! the steps, then falls to b / div_factor / final_div_factor. As in PyTorch, the peak is at step
//! pct_start n - 1, and the last step, n - 1, has the last rate.

use settings::{Entry, Invalid, Range, Reader};

use super::{Read, Shape, falling_cosine};

pub(super) const ENTRY: Entry<Read> =
    Entry::built_in("one_cycle", "up to the rate, then down far below where it began", read);

#[derive(Debug)]
struct OneCycle {
    pct_start: f64,
    div_factor: f64,
    final_div_factor: f64,
    curve: Curve,
}

/// The curve between first rate, peak and last rate.
#[derive(Debug)]
enum Curve {
    /// Half a cosine.
    Cosine,
    /// A straight line.
    Line,
}

fn read(reader: &mut Reader<'_>) -> Result<Box<dyn Shape>, Invalid> {
    let pct_start = reader.number("pct_start", 0.3, Range::Closed(0.0, 1.0), "share of the steps on the way up")?;
    let div_factor = reader.number("div_factor", 25.0, Range::Positive, "the rate over the first rate")?;
    let documentation = "the first rate over the last rate";
    let final_div_factor = reader.number("final_div_factor", 1e4, Range::Positive, documentation)?;
    let documentation = "the curve: half a cosine or a line";
    let curve = match reader.name("anneal_strategy", "cos", &["cos", "linear"], documentation)? {
        "linear" => Curve::Line,
        _ => Curve::Cosine,
    };
    Ok(Box::new(OneCycle { pct_start, div_factor, final_div_factor, curve }))
}

impl Shape for OneCycle {
    fn rate(&self, base: f64, s: u64, n: u64) -> f64 {
        let first = base / self.div_factor;
        let last = first / self.final_div_factor;
        let (s, end) = (s.min(n - 1) as f64, (n - 1) as f64);
        let peak = (self.pct_start * n as f64 - 1.0).max(0.0);
        let (from, to, share) = if s <= peak && peak > 0.0 {
            (first, base, s / peak)
        } else if end > peak {
            (base, last, (s - peak) / (end - peak))
        } else {
            (base, last, 0.0)
        };
        match self.curve {
            Curve::Cosine => to + (from - to) * falling_cosine(share),
            Curve::Line => from + (to - from) * share,
        }
    }
}
