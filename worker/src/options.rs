//! The options that a worker is started with.

use std::{path::PathBuf, time::Duration};

use proto::address::Address;

use crate::access::Access;

/// The options of a worker.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the coordinator listens.
    pub coordinator: Address,
    /// How the worker connects: TLS and the join token.
    pub access: Access,
    /// The device, as `--device` names it.
    pub device: String,
    /// Number of threads to compute with; `None` stands for the run's number.
    pub threads: Option<u32>,
    /// The folder that relative data paths start from; `None` stands for the experiment's folder.
    pub data_root: Option<PathBuf>,
    /// How long the worker tries to reach the coordinator, at the start and after each loss.
    pub wait: Duration,
}
