//! The memory of this process, for [`crate::message::Ready`] and [`crate::message::Beat`].

/// A process's resident memory, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resident {
    /// The present value.
    pub now_bytes: u64,
    /// The maximum since the process began.
    pub peak_bytes: u64,
}

/// This process's resident memory. Both values are 0 if the system does not tell it.
pub fn resident() -> Resident {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Resident { now_bytes: bytes("VmRSS:").unwrap_or_default(), peak_bytes: bytes("VmHWM:").unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_peak_grows_when_memory_is_touched() {
        let before = super::resident();
        let block = vec![1u8; 64 << 20];
        let after = super::resident();
        assert!(after.peak_bytes >= before.now_bytes + block.len() as u64 / 2);
    }
}
