//! What a worker is told when it is started.

use std::{path::PathBuf, time::Duration};

use proto::address::Address;

use crate::access::Access;

/// What a worker is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the coordinator listens.
    pub coordinator: Address,
    /// What the coordinator is shown, and asked for.
    pub access: Access,
    /// The device, as `--device` names it.
    pub device: String,
    /// Threads to compute with; the run says how many where this is not given.
    pub threads: Option<u32>,
    /// The folder that relative paths of data start from; default: the experiment's.
    pub data_root: Option<PathBuf>,
    /// How long to look for the coordinator, at the start and whenever it is gone.
    pub wait: Duration,
}
