//! From the experiment file to the plan.
//!
//! A table is read once, in the memory of a block: one pass fits the features on the training rows,
//! digests every partition and chunk as a worker will read them, and collects the targets. Before
//! it there is as little as can be: rows of text files have to be found, the first rows of CSV
//! files say what the fields are, and a column that the split is made from is read alone.

mod digests;
mod features;
mod found;
mod table;
mod tasks;

use std::sync::Arc;

use experiment::{Loaded, Order, SplitName};

use crate::labels::TaskLabels;
use crate::passage::Watch;
use crate::plan::{FeedPlan, Plan, TablePlan, Written};
use crate::split::Assignment;
use crate::summary::Summary;
use crate::{DataError, Labels};
use digests::{FeedDigester, Layout};
use features::FittedTable;
use table::OpenTable;
use tasks::{Draft, Feed};

/// Rows up to which partitions are shuffled by default.
const SHUFFLED_ROWS_MAX: u64 = 1_000_000;

/// What the coordinator gets from the data.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Everything about the data but the rows.
    pub plan: Arc<Plan>,
    /// The rows that have a label.
    pub labels: Labels,
    /// What was found.
    pub summary: Summary,
}

/// Reads the experiment's tables, divides their rows, fits the preprocessing on the training rows,
/// and digests every partition.
///
/// # Errors
///
/// Whatever is wrong with the tables or with what the experiment asks of them; see [`DataError`].
pub fn prepare(loaded: &Loaded) -> Result<Prepared, DataError> {
    prepare_watched(loaded, &|_| {})
}

/// [`prepare`], and `watch` is told how far it is: for each pass over a table, after each block.
///
/// # Errors
///
/// As [`prepare`].
pub fn prepare_watched(loaded: &Loaded, watch: Watch<'_>) -> Result<Prepared, DataError> {
    let experiment = &loaded.experiment;
    let mut warnings = Vec::new();
    let mut opened = Vec::new();
    for (name, dataset) in &experiment.datasets {
        opened.push(table::open(name, dataset, loaded, watch)?);
    }
    let drafts = tasks::expand(loaded, &opened)?;
    let feeds = tasks::feeds(loaded, &opened, &drafts, &mut warnings)?;
    for feed in &feeds {
        feed.columns.iter().zip(&feed.kinds).for_each(|(column, kind)| opened[feed.table].kinds[*column] = Some(*kind));
    }
    for (i, table) in opened.iter_mut().enumerate() {
        let targets = drafts.iter().filter(|draft| draft.table == i).flat_map(|draft| draft.columns.iter().copied());
        let features = feeds.iter().filter(|feed| feed.table == i).flat_map(|feed| feed.columns.iter().copied());
        table.read_only(features.collect(), targets.collect());
    }
    let mut fitted = Vec::new();
    for (i, table) in opened.iter().enumerate() {
        fitted.push(read(loaded, (table, i), &feeds, &drafts, &mut warnings, watch)?);
    }
    let (mut plans, mut summaries) = (Vec::new(), Vec::new());
    for (number, draft) in drafts.iter().enumerate() {
        let feed = feeds.iter().position(|feed| feed.tasks.contains(&number)).expect("every task is on a feed");
        let fitted = &fitted[draft.table];
        let (plan, summary, more) = tasks::fit(loaded, draft, &opened[draft.table], fitted, feed, &feeds[feed].name)?;
        plans.push(plan);
        summaries.push(summary);
        warnings.extend(more);
    }
    let tables: Vec<TablePlan> = opened.iter().zip(&fitted).map(|(table, fitted)| table.plan(fitted)).collect();
    let mut by_task = vec![TaskLabels::default(); plans.len()];
    let mut feed_plans = Vec::new();
    for (i, feed) in feeds.into_iter().enumerate() {
        let (plan, labels) = feed_plan(loaded, feed, i, &opened, &mut fitted);
        feed_plans.push(plan);
        labels.into_iter().for_each(|(task, labels)| by_task[task] = labels);
    }
    let (seed, microbatches) = (experiment.seed, experiment.train.microbatches);
    let plan = Arc::new(Plan::from(Written { seed, microbatches, tables, feeds: feed_plans, tasks: plans }));
    let tables = opened.iter().zip(&fitted).enumerate();
    let summary = Summary {
        tables: tables.map(|(i, (table, fitted))| found::table(&plan, table, fitted, i, &drafts)).collect(),
        feeds: (0..plan.feeds().len()).map(|feed| found::feed(&plan, feed)).collect(),
        tasks: summaries,
        warnings,
    };
    Ok(Prepared { labels: Labels::new(Arc::clone(&plan), by_task), plan, summary })
}

/// The pass over a table.
fn read(
    loaded: &Loaded,
    (table, number): (&OpenTable<'_>, usize),
    feeds: &[Feed],
    drafts: &[Draft<'_>],
    warnings: &mut Vec<String>,
    watch: Watch<'_>,
) -> Result<FittedTable, DataError> {
    let how = &loaded.experiment.datasets[table.name].split;
    let split = table.assign(how, watch)?;
    let order = order(loaded, table, &split)?;
    let places = |columns: &[usize]| columns.iter().map(|column| table.place(*column)).collect();
    let digester = |feed: &Feed| {
        let tasks = feed.tasks.iter().map(|task| (*task, places(&drafts[*task].columns))).collect();
        let layout = Layout { features: places(&feed.columns), tasks };
        FeedDigester::new(layout, &table.table.columns, (&split, how.seed), order, loaded.experiment.train.microbatches)
    };
    let own = feeds.iter().enumerate().filter(|(_, feed)| feed.table == number);
    let digesters = own.map(|(i, feed)| (i, digester(feed))).collect();
    features::fit(table, (split, order), digesters, warnings, watch)
}

/// How a table's training rows are cut into partitions. Fails if a partition would be empty.
fn order(loaded: &Loaded, table: &OpenTable<'_>, split: &Assignment) -> Result<Order, DataError> {
    let microbatches = loaded.experiment.train.microbatches;
    let rows = split.rows(SplitName::Train);
    if rows < u64::from(microbatches) {
        let message = format!(
            "dataset `{}` has {rows} training rows for {microbatches} microbatches; each needs one: set `train.microbatches` to at most {rows}",
            table.name
        );
        let given = ["train", "microbatches"];
        let key = if loaded.source.has(&given) { given } else { ["dataset", table.name] };
        return Err(loaded.source.error_at(&key, message).into());
    }
    let default = if rows <= SHUFFLED_ROWS_MAX { Order::Shuffled } else { Order::File };
    Ok(loaded.experiment.datasets[table.name].order.unwrap_or(default))
}

/// A feed's plan, and the labels of its tasks.
fn feed_plan(
    loaded: &Loaded,
    feed: Feed,
    number: usize,
    opened: &[OpenTable<'_>],
    fitted: &mut [FittedTable],
) -> (FeedPlan, Vec<(usize, TaskLabels)>) {
    let experiment = &loaded.experiment;
    let batch_size = experiment.datasets[opened[feed.table].name].batch_size;
    let fitted = &mut fitted[feed.table];
    let digests = fitted.digests.remove(&number).expect("the table's pass has digested its feeds");
    let plan = FeedPlan {
        name: feed.name,
        table: feed.table,
        input: feed.input,
        features: feed.columns.iter().map(|column| fitted.features[column].clone()).collect(),
        tasks: feed.tasks,
        batch_size: batch_size.unwrap_or(experiment.train.batch_size),
        order: fitted.order,
        partitions: digests.partitions,
        chunks: digests.chunks,
    };
    (plan, digests.labels)
}
