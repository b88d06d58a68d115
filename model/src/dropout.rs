//! Dropout masks. They are computed on the host from counters, so they are the same for every
//! division of the work and on every device.

use aggregation::random::{Purpose, Stream};

use crate::pass::{MicrobatchKey, Pass};
use crate::scope::LayerId;

/// Fills `mask` with 0 (probability `rate`) or `1 / (1 - rate)`: the elements from `first` on of
/// the rows of one feed in one microbatch.
pub(crate) fn fill(mask: &mut [f32], first: usize, key: MicrobatchKey, feed: usize, layer: LayerId, rate: f32) {
    let indices = [key.step, feed as u64, u64::from(key.microbatch), u64::from(layer.0)];
    Stream::new(key.seed, Purpose::Dropout, &indices).fill_uniform(first as u64, mask);
    let kept = 1.0 / (1.0 - rate);
    mask.iter_mut().for_each(|value| *value = if *value < rate { 0.0 } else { kept });
}

/// The key if this pass drops at that rate.
pub(crate) fn active(pass: Pass, rate: f32) -> Option<MicrobatchKey> {
    match pass {
        Pass::Training(key) if rate > 0.0 => Some(key),
        _ => None,
    }
}
