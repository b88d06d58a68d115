//! The layers of tasks.

use settings::Range;

use super::check::{Check, between, in_range};
use crate::fault::index_key;
use crate::network::Head;

/// The widest layer. A larger number is probably a typing error, and would end in a failed
/// allocation.
const WIDTH_MAX: u64 = 1 << 20;

pub(super) fn check_head(head: &Head) -> Check {
    for (index, width) in head.hidden.iter().enumerate() {
        between(1, *width as u64, WIDTH_MAX, &["hidden", &index_key(index)])?;
    }
    in_range(Range::HalfOpen(0.0, 1.0), f64::from(head.dropout), &["dropout"])
}
