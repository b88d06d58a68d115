//! The values that a number may have.

use std::fmt;
use std::ops::{Bound, RangeBounds};

use crate::invalid::Invalid;

/// The values that a number may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// Any finite number.
    Finite,
    /// Above 0.
    Positive,
    /// 0 or more.
    NotNegative,
    /// From the first to the second, both allowed.
    Closed(f64, f64),
    /// From the first, which is allowed, to below the second.
    HalfOpen(f64, f64),
    /// Above the first, to the second, which is allowed.
    LeftOpen(f64, f64),
    /// Between the first and the second, neither allowed.
    Open(f64, f64),
}

impl Range {
    /// Whether `value` is finite and in the range.
    pub fn contains(self, value: f64) -> bool {
        value.is_finite()
            && match self {
                Range::Finite => true,
                Range::Positive => value > 0.0,
                Range::NotNegative => value >= 0.0,
                Range::Closed(low, high) => low <= value && value <= high,
                Range::HalfOpen(low, high) => low <= value && value < high,
                Range::LeftOpen(low, high) => low < value && value <= high,
                Range::Open(low, high) => low < value && value < high,
            }
    }

    /// Refuses a value out of the range.
    ///
    /// # Errors
    /// [`Invalid`] with the key, the value and the range.
    pub fn check(self, key: &str, value: f64) -> Result<(), Invalid> {
        if self.contains(value) { Ok(()) } else { Err(Invalid::value(key, value, self)) }
    }

    /// Some number in the range: what a description takes for a number that has to be given.
    pub(crate) fn example(self) -> f64 {
        match self {
            Range::Finite | Range::Positive | Range::NotNegative => 1.0,
            Range::Closed(low, _) | Range::HalfOpen(low, _) => low,
            Range::LeftOpen(_, high) => high,
            Range::Open(low, high) => 0.5 * (low + high),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Range::Finite => write!(f, "a finite number"),
            Range::Positive => write!(f, "a number above 0"),
            Range::NotNegative => write!(f, "a number of at least 0"),
            Range::Closed(low, high) => write!(f, "a number from {low} to {high}"),
            Range::HalfOpen(low, high) => write!(f, "a number of at least {low} and below {high}"),
            Range::LeftOpen(low, high) => write!(f, "a number above {low} and at most {high}"),
            Range::Open(low, high) => write!(f, "a number above {low} and below {high}"),
        }
    }
}

/// The bounds of a whole number, both included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    least: u64,
    most: u64,
}

impl Counts {
    /// The bounds that `1..`, `0..=9` and so on stand for.
    pub fn new(bounds: &impl RangeBounds<u64>) -> Self {
        let least = match bounds.start_bound() {
            Bound::Included(least) => *least,
            Bound::Excluded(below) => below.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let most = match bounds.end_bound() {
            Bound::Included(most) => *most,
            Bound::Excluded(above) => above.saturating_sub(1),
            Bound::Unbounded => u64::MAX,
        };
        Self { least, most }
    }

    pub fn contains(self, count: u64) -> bool {
        (self.least..=self.most).contains(&count)
    }

    pub fn example(self) -> u64 {
        self.least
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.most {
            u64::MAX => write!(f, "a whole number of at least {}", self.least),
            most => write!(f, "a whole number from {} to {most}", self.least),
        }
    }
}
