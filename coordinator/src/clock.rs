//! The time that stands in records.

use jiff::Timestamp;

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "records say when something was seen; nothing depends on it")]
pub(crate) fn now_ms() -> u64 {
    Timestamp::now().as_millisecond().try_into().unwrap_or_default()
}
