//! The coordinator's answer to a hello: what a worker needs before it can compute.

use crate::v1;

/// What a worker needs before it can compute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Welcome {
    /// The resolved experiment, TOML.
    pub experiment: String,
    /// The folder that relative paths start from.
    pub base: String,
    /// Length of the plan that follows in chunks, bytes.
    pub plan_bytes: u64,
    /// Time between two heartbeats, milliseconds.
    pub heartbeat_ms: u64,
    /// Timeout of a worker's heartbeats, milliseconds.
    pub lease_ms: u64,
    /// Number of threads that every worker computes with.
    pub threads: u32,
    /// Partitions that the worker will probably compute.
    pub shares: Vec<Share>,
    /// Shared memory for vectors; `None` for a worker on another machine.
    pub shared_memory: Option<SharedMemory>,
    /// Length of the flat parameter vector, elements.
    pub parameters: u64,
    /// What the heartbeats of this lease carry, so that others can't speak for its worker.
    pub secret: u64,
}

/// Partitions `[lo, hi)` of a feed's training rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The feed's number.
    pub feed: u32,
    /// First partition.
    pub lo: u32,
    /// One past the last partition.
    pub hi: u32,
}

/// The memory regions that coordinator and worker both map. Each slot holds one vector of the
/// layout's length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedMemory {
    /// The region of parameters, written by the coordinator.
    pub parameters_path: String,
    /// Number of slots for parameters.
    pub parameters_slots: u32,
    /// The region of results, written by this worker.
    pub results_path: String,
    /// Number of slots for results.
    pub results_slots: u32,
}

impl From<Welcome> for v1::Welcome {
    fn from(welcome: Welcome) -> v1::Welcome {
        v1::Welcome {
            experiment: welcome.experiment,
            base: welcome.base,
            plan_bytes: welcome.plan_bytes,
            heartbeat_ms: welcome.heartbeat_ms,
            lease_ms: welcome.lease_ms,
            threads: welcome.threads,
            shares: welcome.shares.into_iter().map(|Share { feed, lo, hi }| v1::Share { feed, lo, hi }).collect(),
            shared_memory: welcome.shared_memory.map(|shared| v1::SharedMemory {
                parameters_path: shared.parameters_path,
                parameters_slots: shared.parameters_slots,
                results_path: shared.results_path,
                results_slots: shared.results_slots,
            }),
            parameters: welcome.parameters,
            secret: welcome.secret,
        }
    }
}

impl From<v1::Welcome> for Welcome {
    fn from(welcome: v1::Welcome) -> Welcome {
        Welcome {
            experiment: welcome.experiment,
            base: welcome.base,
            plan_bytes: welcome.plan_bytes,
            heartbeat_ms: welcome.heartbeat_ms,
            lease_ms: welcome.lease_ms,
            threads: welcome.threads,
            shares: welcome.shares.into_iter().map(|v1::Share { feed, lo, hi }| Share { feed, lo, hi }).collect(),
            shared_memory: welcome.shared_memory.map(|shared| SharedMemory {
                parameters_path: shared.parameters_path,
                parameters_slots: shared.parameters_slots,
                results_path: shared.results_path,
                results_slots: shared.results_slots,
            }),
            parameters: welcome.parameters,
            secret: welcome.secret,
        }
    }
}
