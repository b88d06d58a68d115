//! Notices when the loop itself was held up. What workers said in the meantime is then still on its
//! way through the sockets, so their silence means nothing.

use std::time::Duration;

/// A tick may be late by this part of a lease, as a divisor.
const PART: u32 = 4;
/// A tick may be late by this many intervals at least.
const INTERVALS: u32 = 2;

/// Follows when ticks come.
#[derive(Debug)]
pub(super) struct Lateness {
    bound: Duration,
    last: Duration,
    let_pass: bool,
}

impl Lateness {
    /// Follows ticks that come every `interval`. A silence of `lease` is too long.
    pub fn new(now: Duration, interval: Duration, lease: Duration) -> Lateness {
        Lateness { bound: interval + (lease / PART).max(INTERVALS * interval), last: now, let_pass: false }
    }

    /// Whether to ignore the tick that comes now, so that workers are heard first. Never ignores
    /// two in a row, so that a loop that is always late dismisses silent workers all the same.
    pub fn lets_pass(&mut self, now: Duration) -> bool {
        let since = now.saturating_sub(self.last);
        self.last = now;
        self.let_pass = since > self.bound && !self.let_pass;
        self.let_pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_tick_that_is_late_by_a_part_of_the_lease_is_let_pass_and_the_next_one_is_not() {
        let mut lateness = Lateness::new(Duration::ZERO, 50 * MS, 2000 * MS);
        let passed = |at: u32, lateness: &mut Lateness| lateness.lets_pass(at * MS);
        assert!(!passed(50, &mut lateness));
        assert!(!passed(600, &mut lateness), "late by no more than a quarter of the lease");
        assert!(passed(2400, &mut lateness));
        assert!(!passed(2450, &mut lateness));
        assert!(passed(3100, &mut lateness));
        assert!(!passed(5000, &mut lateness), "late twice in a row");
        assert!(passed(7000, &mut lateness));
    }

    #[test]
    fn a_short_lease_lets_no_tick_pass_that_comes_in_time() {
        let mut lateness = Lateness::new(Duration::ZERO, 50 * MS, 20 * MS);
        assert!((1..100).all(|tick| !lateness.lets_pass(tick * 100 * MS)));
    }
}
