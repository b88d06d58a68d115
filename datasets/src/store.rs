//! A worker's view of the data.

use std::path::Path;
use std::sync::Arc;

use experiment::SplitName;

use crate::{Batch, DataError, Plan};

/// Loads partitions on demand, verifies them against the plan, and keeps them encoded.
#[derive(Debug)]
pub struct Store {
    plan: Arc<Plan>,
}

impl Store {
    /// Opens the plan's tables below `base`, the experiment file's folder (on a worker elsewhere: its data root).
    pub fn open(plan: Arc<Plan>, base: &Path) -> Result<Store, DataError> {
        let _ = base;
        Ok(Store { plan })
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Reads and verifies a partition, unless it is there.
    pub fn load_partition(&self, feed: usize, v: u32) -> Result<(), DataError> {
        self.load_partitions(feed, v..v + 1)
    }

    /// Reads and verifies several partitions in one pass over the table.
    pub fn load_partitions(&self, feed: usize, partitions: std::ops::Range<u32>) -> Result<(), DataError> {
        let _ = (feed, partitions);
        todo!()
    }

    /// The rows of a feed's microbatch in a step. Loads the partition if it is not there.
    pub fn batch(&self, feed: usize, step: u64, microbatch: u32) -> Result<Batch, DataError> {
        let _ = (feed, step, microbatch);
        todo!()
    }

    /// One evaluation chunk: rows `[1024 chunk, 1024 (chunk + 1))` of a split in the file's order.
    pub fn chunk(&self, feed: usize, split: SplitName, chunk: u32) -> Result<Batch, DataError> {
        let _ = (feed, split, chunk);
        todo!()
    }

    /// Drops a partition's rows.
    pub fn forget(&self, feed: usize, v: u32) {
        let _ = (feed, v);
    }

    /// Bytes of encoded rows that are held.
    pub fn resident_bytes(&self) -> u64 {
        0
    }
}
