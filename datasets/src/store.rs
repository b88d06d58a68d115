//! A worker's view of the data.
//!
//! A [`Store`] holds the encoded rows of the partitions that were loaded, and nothing else of the
//! tables but an index of two bits a row. Partitions are read block by block, so what a worker
//! needs beside them is the memory of one block. What was read is compared with the plan's digests
//! before anything is drawn from it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use experiment::{Order, SplitName};

use crate::DataError;
use crate::batch::{Batch, HeldRows};
use crate::column::Column;
use crate::digest::RowDigest;
use crate::encode::RowEncoder;
use crate::error::Part;
use crate::location;
use crate::partition;
use crate::plan::{CHUNK_ROWS, FeedPlan, Plan};
use crate::source::Table;
use crate::split::Index;

/// Bytes of evaluation chunks that are kept for the next evaluation.
const CHUNK_CACHE_BYTES: u64 = 64 << 20;
/// Evaluation chunks that are read together, unless they exceed [`READ_AHEAD_BYTES`].
const READ_AHEAD_CHUNKS: u32 = 64;
/// Steps without a draw after which a partition is dropped: by then a new division has settled, and
/// a partition that was drawn from once, for a straggler, does not stay.
pub const KEPT_STEPS: u64 = 50;
/// Bytes of chunks that are read together.
const READ_AHEAD_BYTES: u64 = 16 << 20;

/// Loads partitions on demand, verifies them against the plan, and keeps them encoded.
#[derive(Debug)]
pub struct Store {
    plan: Arc<Plan>,
    tables: Vec<Table>,
    /// By table, once it is asked for.
    splits: Vec<OnceLock<Index>>,
    /// By feed: the table's columns that are read, features first, then the targets of its tasks.
    columns: Vec<Vec<usize>>,
    partitions: Mutex<BTreeMap<(usize, u32), Held>>,
    chunks: Mutex<VecDeque<(ChunkKey, Arc<Batch>)>>,
    /// Held while rows are read, so that two threads do not read the same.
    reading: Mutex<()>,
}

type ChunkKey = (usize, SplitName, u32);

/// A partition that is held.
#[derive(Debug)]
struct Held {
    rows: Arc<HeldRows>,
    /// The last step that drew from it; `None` if none did since it was loaded.
    step: Option<u64>,
}

/// Encoded and digested rows in the making.
struct Rows<'a> {
    rows: RowEncoder<'a>,
    digest: RowDigest,
}

impl Store {
    /// Opens the plan's tables below `base`, the experiment file's folder (on a worker elsewhere:
    /// its data root).
    ///
    /// # Errors
    /// [`DataError`] if a file is missing or is not the coordinator's.
    pub fn open(plan: Arc<Plan>, base: &Path) -> Result<Store, DataError> {
        Store::open_where(plan, &|path| Ok(location::resolve(base, path)))
    }

    /// Opens the plan's tables below `root`, and reads nothing that lies outside of `root` once all
    /// links are followed: for a worker that does not trust its coordinator with the rest of its
    /// machine.
    ///
    /// # Errors
    /// [`DataError`], also if a path of the plan leads out of the root.
    pub fn open_within(plan: Arc<Plan>, root: &Path) -> Result<Store, DataError> {
        Store::open_where(plan, &|path| location::resolve_within(root, path))
    }

    fn open_where(plan: Arc<Plan>, resolve: &dyn Fn(&str) -> Result<PathBuf, DataError>) -> Result<Store, DataError> {
        let tables = plan.tables().iter().map(|table| Table::open(table, resolve)).collect::<Result<_, _>>()?;
        let columns = plan.feeds().iter().map(|feed| plan.columns_of(feed)).collect::<Result<_, _>>()?;
        Ok(Store {
            tables,
            columns,
            splits: plan.tables().iter().map(|_| OnceLock::new()).collect(),
            plan,
            partitions: Mutex::default(),
            chunks: Mutex::default(),
            reading: Mutex::default(),
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Reads and verifies a partition, unless it is there.
    ///
    /// # Errors
    /// See [`Store::load_partitions`].
    pub fn load_partition(&self, feed: usize, v: u32) -> Result<(), DataError> {
        self.load_partitions(feed, v..v + 1)
    }

    /// Reads and verifies those of several partitions that are not there, in one pass over the
    /// table.
    ///
    /// # Errors
    /// [`DataError::Different`] if the rows are not the coordinator's; another one if they can't be
    /// read.
    pub fn load_partitions(&self, feed: usize, partitions: Range<u32>) -> Result<(), DataError> {
        let _reading = lock(&self.reading);
        let plan = self.plan.feed(feed)?;
        if partitions.end > self.plan.microbatches() {
            return Err(DataError::NotPlanned { what: format!("partition {}", partitions.end - 1) });
        }
        let missing: Vec<u32> = partitions.filter(|v| !lock(&self.partitions).contains_key(&(feed, *v))).collect();
        let (Some(first), Some(last)) = (missing.first(), missing.last()) else { return Ok(()) };
        let train = self.plan.rows(feed, SplitName::Train);
        let ranks = self.plan.ranks(feed, *first..*last + 1);
        let order = partition::order(self.plan.split_seed(plan.table), train);
        let partition_of = |rank: u64| match plan.order {
            Order::File => partition::of_place(train, self.plan.microbatches(), rank),
            Order::Shuffled => partition::of_place(train, self.plan.microbatches(), order.position_of(rank)),
        };
        let mut parts: BTreeMap<u32, Rows<'_>> = missing
            .iter()
            .map(|v| (*v, self.part(feed, self.plan.partition_rows(feed, *v), RowEncoder::to_hold)))
            .collect();
        self.scan(feed, SplitName::Train, ranks, &partition_of, &mut parts)?;
        for (v, part) in parts {
            verify(plan, Part::Partition(v), part.digest.whole(), plan.partitions.get(v as usize))?;
            let rows = Arc::new(part.rows.finish_held());
            lock(&self.partitions).insert((feed, v), Held { rows, step: None });
        }
        Ok(())
    }

    /// The rows of a feed's microbatch in a step. Loads the partition if it is not there.
    ///
    /// # Errors
    /// See [`Store::load_partitions`].
    pub fn batch(&self, feed: usize, step: u64, microbatch: u32) -> Result<Batch, DataError> {
        let partition = self.partition(feed, step, microbatch)?;
        let draw = self.plan.draw(feed, step, microbatch);
        let mut rows = Vec::with_capacity(draw.count as usize);
        draw.each(|row| rows.push(row as usize));
        Ok(partition.gather(self.plan.feed(feed)?.held_pixels(), &rows))
    }

    fn partition(&self, feed: usize, step: u64, v: u32) -> Result<Arc<HeldRows>, DataError> {
        loop {
            if let Some(held) = lock(&self.partitions).get_mut(&(feed, v)) {
                held.step = held.step.max(Some(step));
                return Ok(Arc::clone(&held.rows));
            }
            // Another thread may drop it as soon as it is loaded.
            self.load_partition(feed, v)?;
        }
    }

    /// One evaluation chunk: rows `[1024 chunk, 1024 (chunk + 1))` of a split in the file's order.
    ///
    /// # Errors
    /// See [`Store::load_partitions`]. Chunks of training rows have no digest.
    pub fn chunk(&self, feed: usize, split: SplitName, chunk: u32) -> Result<Arc<Batch>, DataError> {
        let key = (feed, split, chunk);
        let plan = self.plan.feed(feed)?;
        let chunks = self.plan.chunks(feed, split);
        if chunk >= chunks {
            return Err(DataError::NotPlanned { what: format!("{split} chunk {chunk} of feed `{}`", plan.name) });
        }
        if let Some(rows) = self.kept_chunk(key) {
            return Ok(rows);
        }
        let _reading = lock(&self.reading);
        if let Some(rows) = self.kept_chunk(key) {
            return Ok(rows);
        }
        let ahead = u32::try_from(READ_AHEAD_BYTES / (CHUNK_ROWS * self.plan.batch_row_bytes(feed)))
            .unwrap_or(READ_AHEAD_CHUNKS);
        let end = chunks.min(chunk + ahead.clamp(1, READ_AHEAD_CHUNKS));
        let mut parts: BTreeMap<u32, Rows<'_>> = (chunk..end)
            .map(|c| (c, self.part(feed, self.plan.chunk_rows(feed, split, c), RowEncoder::for_batch)))
            .collect();
        let ranks = u64::from(chunk) * CHUNK_ROWS..self.plan.rows(feed, split).min(u64::from(end) * CHUNK_ROWS);
        self.scan(feed, split, ranks, &|rank| (rank / CHUNK_ROWS) as u32, &mut parts)?;
        let mut asked = None;
        for (c, part) in parts {
            let expected = plan.chunks.get(&split).and_then(|digests| digests.get(c as usize));
            verify(plan, Part::Chunk(split, c), part.digest.half(), expected)?;
            let rows = Arc::new(part.rows.finish());
            asked.get_or_insert_with(|| rows.clone());
            self.keep_chunk((feed, split, c), rows);
        }
        Ok(asked.expect("at least one chunk was read"))
    }

    fn kept_chunk(&self, key: ChunkKey) -> Option<Arc<Batch>> {
        lock(&self.chunks).iter().find(|(kept, _)| *kept == key).map(|(_, rows)| rows.clone())
    }

    fn keep_chunk(&self, key: ChunkKey, rows: Arc<Batch>) {
        let mut chunks = lock(&self.chunks);
        let mut bytes: u64 = chunks.iter().map(|(_, rows)| rows.bytes()).sum::<u64>() + rows.bytes();
        chunks.push_back((key, rows));
        while bytes > CHUNK_CACHE_BYTES && chunks.len() > 1 {
            bytes -= chunks.pop_front().map_or(0, |(_, rows)| rows.bytes());
        }
    }

    /// Drops the partitions that no step drew from since [`KEPT_STEPS`] steps before `step`: other
    /// workers hold them now. One that is asked for again is read again.
    pub fn forget_unused(&self, step: u64) {
        lock(&self.partitions).retain(|_, held| *held.step.get_or_insert(step) + KEPT_STEPS >= step);
    }

    /// The partitions that are held, as (feed, v).
    pub fn loaded(&self) -> Vec<(usize, u32)> {
        lock(&self.partitions).keys().copied().collect()
    }

    /// Bytes of encoded rows that are held: partitions, and chunks of the last evaluation.
    pub fn resident_bytes(&self) -> u64 {
        let partitions: u64 = lock(&self.partitions).values().map(|held| held.rows.bytes()).sum();
        let chunks: u64 = lock(&self.chunks).iter().map(|(_, rows)| rows.bytes()).sum();
        partitions + chunks
    }

    fn split(&self, table: usize) -> &Index {
        self.splits[table].get_or_init(|| Index::new(&self.plan.tables()[table].split))
    }

    fn part<'a>(
        &'a self,
        feed: usize,
        rows: u64,
        encoder: fn(&'a Plan, &'a FeedPlan, usize) -> RowEncoder<'a>,
    ) -> Rows<'a> {
        let plan = &self.plan.feeds()[feed];
        let columns = self.columns[feed].iter().map(|c| &self.plan.tables()[plan.table].columns[*c]);
        Rows { rows: encoder(&self.plan, plan, rows as usize), digest: RowDigest::new(columns) }
    }

    /// Reads the rows of a split with numbers in `ranks` into those of `parts` that they belong
    /// to.
    fn scan(
        &self,
        feed: usize,
        split: SplitName,
        ranks: Range<u64>,
        part_of: &dyn Fn(u64) -> u32,
        parts: &mut BTreeMap<u32, Rows<'_>>,
    ) -> Result<(), DataError> {
        let number = self.plan.feeds()[feed].table;
        let index = self.split(number);
        let rows = index.span(split, ranks.clone());
        let mut rank = ranks.start;
        self.tables[number].scan(&self.columns[feed], rows, &mut |first, block| {
            let columns: Vec<&Column> = block.iter().collect();
            let mut rows: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
            for row in 0..columns.first().map_or(0, |column| column.len()) {
                if index.part(first + row as u64) == split {
                    rows.entry(part_of(rank)).or_default().push(row);
                    rank += 1;
                }
            }
            for (part, rows) in rows {
                if let Some(part) = parts.get_mut(&part) {
                    part.push(&columns, &rows);
                }
            }
            Ok(())
        })
    }
}

impl Rows<'_> {
    fn push(&mut self, columns: &[&Column], rows: &[usize]) {
        self.digest.push(columns, rows);
        self.rows.push(columns, rows);
    }
}

/// Refuses rows that are not the coordinator's.
fn verify(feed: &FeedPlan, part: Part, found: String, expected: Option<&String>) -> Result<(), DataError> {
    match expected {
        Some(expected) if *expected != found => {
            Err(DataError::Different { feed: feed.name.clone(), part, found, expected: expected.clone() })
        }
        _ => Ok(()),
    }
}

/// Maps are never left half-changed, so that a thread that panicked does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
