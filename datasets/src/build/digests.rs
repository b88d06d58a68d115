//! Digests of every partition and chunk of a feed, which training rows have labels, and how many
//! rows of each chunk: as a worker will see them.

use std::collections::BTreeMap;

use aggregation::random::Permutation;
use experiment::{Order, SplitName};

use crate::column::Column;
use crate::digest::RowDigest;
use crate::labels::{Bits, TaskLabels};
use crate::partition;
use crate::plan::{CHUNK_ROWS, ColumnPlan};
use crate::split::{Assignment, Index};

/// The columns of a feed's rows, as places in a block.
pub(super) struct Layout {
    pub features: Vec<usize>,
    /// By task of the feed: its number among all tasks, and its target's columns.
    pub tasks: Vec<(usize, Vec<usize>)>,
}

/// A feed's digests in the making. Takes the blocks of a table in order.
pub(super) struct FeedDigester {
    /// Features, then the targets of the tasks.
    columns: Vec<usize>,
    tasks: Vec<(usize, Vec<usize>)>,
    train: u64,
    /// The order that is cut into partitions; `None` is the file's.
    shuffled: Option<Permutation>,
    partitions: u32,
    /// Of partitions, then validation chunks, then test chunks.
    digests: Vec<RowDigest>,
    /// The first digest of each split's chunks.
    chunks: [usize; 3],
    /// Rows of each split that came already.
    ranks: [u64; 3],
    /// By task of the feed.
    labels: Vec<Labelled>,
}

/// A task's labels in the making.
#[derive(Clone)]
struct Labelled {
    /// Of each partition.
    bits: Vec<Bits>,
    /// Of each validation chunk, then of each test chunk: how many.
    counts: Vec<u64>,
}

/// What is in a plan of a feed's rows, and which of them have labels.
pub(super) struct FeedDigests {
    pub partitions: Vec<String>,
    pub chunks: BTreeMap<SplitName, Vec<String>>,
    /// By task, numbered among all tasks.
    pub labels: Vec<(usize, TaskLabels)>,
}

impl FeedDigester {
    /// For a feed of a table whose blocks have the columns `read`.
    pub fn new(layout: Layout, read: &[ColumnPlan], split: (&Assignment, u64), order: Order, partitions: u32) -> Self {
        let (assignment, split_seed) = split;
        let targets = layout.tasks.iter().flat_map(|(_, columns)| columns);
        let columns: Vec<usize> = layout.features.iter().chain(targets).copied().collect();
        let blank = RowDigest::new(columns.iter().map(|column| &read[*column]));
        let train = assignment.rows(SplitName::Train);
        let chunks = |split: SplitName| assignment.rows(split).div_ceil(CHUNK_ROWS) as usize;
        let validation = partitions as usize;
        let test = validation + chunks(SplitName::Validation);
        Self {
            digests: vec![blank; test + chunks(SplitName::Test)],
            labels: vec![
                Labelled {
                    bits: vec![Bits::default(); partitions as usize],
                    counts: vec![0; test + chunks(SplitName::Test) - validation],
                };
                layout.tasks.len()
            ],
            shuffled: (order == Order::Shuffled).then(|| partition::order(split_seed, train)),
            chunks: [0, validation, test],
            ranks: [0; 3],
            tasks: layout.tasks,
            columns,
            train,
            partitions,
        }
    }

    /// Takes the next block, which begins with row `first`.
    pub fn push(&mut self, first: u64, block: &[Column], index: &Index) {
        let mut rows: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for row in 0..block.first().map_or(0, Column::len) {
            let split = index.part(first + row as u64);
            let rank = self.ranks[split as usize];
            self.ranks[split as usize] += 1;
            let digest = match split {
                SplitName::Train => self.partition_of(rank),
                _ => self.chunks[split as usize] + (rank / CHUNK_ROWS) as usize,
            };
            rows.entry(digest).or_default().push(row);
        }
        let columns: Vec<&Column> = self.columns.iter().map(|column| &block[*column]).collect();
        for (digest, rows) in &rows {
            self.digests[*digest].push(&columns, rows);
        }
        let partitions = self.partitions as usize;
        for ((_, targets), labels) in self.tasks.iter().zip(&mut self.labels) {
            // Classes are taken from all rows: a value that is there is a label.
            let labelled = |row: &usize| targets.iter().all(|column| !block[*column].is_null(*row));
            for (v, rows) in rows.range(..partitions) {
                rows.iter().for_each(|row| labels.bits[*v].push(labelled(row)));
            }
            for (digest, rows) in rows.range(partitions..) {
                labels.counts[digest - partitions] += rows.iter().filter(|row| labelled(row)).count() as u64;
            }
        }
    }

    fn partition_of(&self, rank: u64) -> usize {
        let place = self.shuffled.map_or(rank, |order| order.position_of(rank));
        partition::of_place(self.train, self.partitions, place) as usize
    }

    /// All rows have come.
    pub fn finish(self) -> FeedDigests {
        let Self { mut digests, chunks: [_, validation, test], tasks, labels, .. } = self;
        let task_labels = |Labelled { bits, mut counts }| {
            let test = (SplitName::Test, counts.split_off(test - validation));
            TaskLabels { bits, chunks: BTreeMap::from([(SplitName::Validation, counts), test]) }
        };
        let labels = tasks.into_iter().map(|(task, _)| task).zip(labels.into_iter().map(task_labels)).collect();
        let halves = |digests: Vec<RowDigest>| digests.into_iter().map(RowDigest::half).collect();
        let test = (SplitName::Test, halves(digests.split_off(test)));
        let validation = (SplitName::Validation, halves(digests.split_off(validation)));
        FeedDigests {
            partitions: digests.into_iter().map(RowDigest::whole).collect(),
            chunks: BTreeMap::from([validation, test]),
            labels,
        }
    }
}
