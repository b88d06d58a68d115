//! A worker's answer to [`Welcome`](super::Welcome): it has loaded its data.

use crate::{
    invalid::{Invalid, text_in},
    v1,
};

/// A worker can compute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ready {
    /// Hash over processor features, build and a probe of the computation.
    pub fingerprint: String,
    /// Whether the shared memory is mapped.
    pub shared_memory: bool,
    /// The worker's peak memory after loading, bytes.
    pub resident_bytes: u64,
}

impl From<Ready> for v1::Ready {
    fn from(Ready { fingerprint, shared_memory, resident_bytes }: Ready) -> v1::Ready {
        v1::Ready { fingerprint, shared_memory, resident_bytes }
    }
}

impl TryFrom<v1::Ready> for Ready {
    type Error = Invalid;

    fn try_from(ready: v1::Ready) -> Result<Ready, Invalid> {
        let v1::Ready { fingerprint, shared_memory, resident_bytes } = ready;
        Ok(Ready { fingerprint: text_in(fingerprint)?, shared_memory, resident_bytes })
    }
}
