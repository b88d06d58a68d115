//! Random numbers, drawn from a seed.

use std::time::Duration;

use aggregation::random::{Purpose, Stream};

/// A sequence of random numbers.
#[derive(Debug)]
pub struct Dice {
    stream: Stream,
    drawn: u64,
}

impl Dice {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Dice {
        Dice { stream: Stream::new(seed, Purpose::Synthetic, &[]), drawn: 0 }
    }

    /// A whole number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.drawn += 1;
        self.stream.u64_at(self.drawn) % n.max(1)
    }

    /// A whole number from `low` to `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A duration between two durations in microseconds.
    pub fn micros(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.between(low, high))
    }

    /// One of several values.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
