//! The training rows that have a label, and the labelled rows of each step and each chunk.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use experiment::SplitName;

use crate::partition::Draw;
use crate::plan::Plan;

/// For each task, which training rows have a label, and how many rows of each chunk of the other
/// splits.
#[derive(Debug, Clone)]
pub struct Labels {
    plan: Arc<Plan>,
    by_task: Vec<TaskLabels>,
}

/// One task's labels.
#[derive(Debug, Clone, Default)]
pub(crate) struct TaskLabels {
    /// By partition.
    pub bits: Vec<Bits>,
    /// Labelled rows by chunk.
    pub chunks: BTreeMap<SplitName, Vec<u64>>,
}

/// A bit for each row of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    rows: u64,
    unset: u64,
}

impl Bits {
    pub fn push(&mut self, bit: bool) {
        if self.rows.is_multiple_of(64) {
            self.words.push(0);
        }
        *self.words.last_mut().expect("there is a word") |= u64::from(bit) << (self.rows % 64);
        self.rows += 1;
        self.unset += u64::from(!bit);
    }

    fn get(&self, row: u64) -> bool {
        self.words[(row / 64) as usize] >> (row % 64) & 1 == 1
    }
}

impl Labels {
    pub(crate) fn new(plan: Arc<Plan>, mut by_task: Vec<TaskLabels>) -> Self {
        // If every row has a label, counting is enough.
        for bits in by_task.iter_mut().flat_map(|labels| &mut labels.bits).filter(|bits| bits.unset == 0) {
            bits.words = Vec::new();
        }
        Self { plan, by_task }
    }

    /// n_t: labelled rows of a task in the whole batch of a step.
    pub fn labelled(&self, task: usize, step: u64) -> u64 {
        (0..self.plan.microbatches()).map(|v| self.labelled_in(task, step, v)).sum()
    }

    /// Labelled rows of a task in one microbatch of a step.
    pub fn labelled_in(&self, task: usize, step: u64, v: u32) -> u64 {
        let draw = self.plan.draw(self.plan.tasks()[task].feed, step, v);
        let bits = &self.by_task[task].bits[v as usize];
        if bits.unset == 0 {
            return draw.count;
        }
        let mut count = 0;
        draw.each(|row| count += u64::from(bits.get(row)));
        count
    }

    /// Labelled rows of a task in evaluation chunks of a split; training rows have no chunks.
    ///
    /// # Panics
    /// The split has fewer chunks ([`Plan::chunks`]).
    pub fn labelled_in_chunks(&self, task: usize, split: SplitName, chunks: Range<u32>) -> u64 {
        let counts = &self.by_task[task].chunks[&split];
        counts[chunks.start as usize..chunks.end as usize].iter().sum()
    }
}

impl Plan {
    /// The rows of partition `v` that a feed's microbatch takes in a step.
    pub(crate) fn draw(&self, feed: usize, step: u64, v: u32) -> Draw {
        let batch_size = u64::from(self.batch_size(feed));
        Draw {
            seed: self.written.seed,
            feed,
            v,
            rows: self.partition_rows(feed, v),
            start: crate::partition::position(batch_size, self.microbatches(), step, v),
            count: self.microbatch_rows(feed, step, v),
        }
    }
}
