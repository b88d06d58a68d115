//! Digests of every partition and chunk, and which training rows have labels: the rows as a worker will see them.

use experiment::{Order, SplitName};

use super::features::FittedTable;
use super::table::Opened;
use crate::DataError;
use crate::column::Column;
use crate::digest::RowDigest;
use crate::labels::Bits;
use crate::partition;
use crate::plan::{CHUNK_ROWS, Plan, Written};

/// Fills in the digests of all feeds; gives, by task and partition, which rows have a label.
pub(super) fn seal(
    written: &mut Written,
    tables: &[Opened<'_>],
    fitted: &[FittedTable],
) -> Result<Vec<Vec<Bits>>, DataError> {
    let mut bits: Vec<Vec<Bits>> = vec![vec![Bits::default(); written.microbatches as usize]; written.tasks.len()];
    // The plan says which columns a feed reads; digests are not among what it is asked for.
    let plan = Plan::from(written.clone());
    for number in 0..written.feeds.len() {
        seal_feed(written, &plan, number, tables, fitted, &mut bits)?;
    }
    Ok(bits)
}

fn seal_feed(
    written: &mut Written,
    plan: &Plan,
    number: usize,
    tables: &[Opened<'_>],
    fitted: &[FittedTable],
    bits: &mut [Vec<Bits>],
) -> Result<(), DataError> {
    let feed = &plan.feeds()[number];
    let (table, index) = (&tables[feed.table], &fitted[feed.table].index);
    let columns = plan.columns_of(feed)?;
    let blank = RowDigest::new(columns.iter().map(|column| &plan.tables()[feed.table].columns[*column]));
    let train = plan.rows(number, SplitName::Train);
    let order = partition::order(plan.split_seed(feed.table), train.max(1));
    let mut partitions = vec![blank.clone(); plan.microbatches() as usize];
    let mut chunks: [Vec<RowDigest>; 3] = SplitName::ALL.map(|split| {
        vec![blank.clone(); if split == SplitName::Train { 0 } else { plan.chunks(number, split) as usize }]
    });
    let mut ranks = [0u64; 3];
    table.table.scan(&columns, 0..table.table.rows(), &mut |first, block| {
        let block: Vec<&Column> = block.iter().collect();
        let length = block.first().map_or(0, |column| column.len());
        for row in 0..length {
            let split = index.part(first + row as u64);
            let rank = ranks[split as usize];
            ranks[split as usize] += 1;
            if split != SplitName::Train {
                chunks[split as usize][(rank / CHUNK_ROWS) as usize].push(&block, row);
                continue;
            }
            let place = if feed.order == Order::File { rank } else { order.position_of(rank) };
            let v = partition::of_place(train, plan.microbatches(), place) as usize;
            partitions[v].push(&block, row);
            let mut rest = &block[feed.features.len()..];
            for task in &feed.tasks {
                let task_plan = &plan.tasks()[*task];
                let (own, others) = rest.split_at(task_plan.columns.len());
                bits[*task][v].push(task_plan.is_labelled(own, row));
                rest = others;
            }
        }
        Ok(())
    })?;
    let sealed = &mut written.feeds[number];
    sealed.partitions = partitions.into_iter().map(RowDigest::whole).collect();
    let [_, validation, test] = chunks;
    for (split, digests) in [(SplitName::Validation, validation), (SplitName::Test, test)] {
        sealed.chunks.insert(split, digests.into_iter().map(RowDigest::half).collect());
    }
    Ok(())
}
