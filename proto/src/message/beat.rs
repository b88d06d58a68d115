//! A worker's heartbeat.

use crate::v1;

/// A heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beat {
    /// The run's identity.
    pub run: String,
    /// The coordinator's epoch.
    pub epoch: u64,
    /// The worker's lease.
    pub lease: u64,
    /// Number of the heartbeat.
    pub sequence: u64,
    /// The worker's peak memory, bytes.
    pub resident_bytes: u64,
    /// Number of messages that came to the worker on its stream.
    pub heard: u64,
    /// Whether the worker computes, or has something to send.
    pub busy: bool,
    /// The secret of the lease, by which others can't speak for its worker.
    pub secret: u64,
}

impl From<Beat> for v1::Beat {
    fn from(beat: Beat) -> v1::Beat {
        let Beat { run, epoch, lease, sequence, resident_bytes, heard, busy, secret } = beat;
        v1::Beat { run, epoch, lease, sequence, resident_bytes, heard, busy, secret, checksum: 0 }
    }
}

impl From<v1::Beat> for Beat {
    fn from(beat: v1::Beat) -> Beat {
        let v1::Beat { run, epoch, lease, sequence, resident_bytes, heard, busy, secret, .. } = beat;
        Beat { run, epoch, lease, sequence, resident_bytes, heard, busy, secret }
    }
}
