//! From the experiment file to the plan.
//!
//! A table is read once, in the memory of a block: one pass fits the features on the training rows,
//! digests every partition and chunk as a worker will read them, and collects the targets. Before
//! it there is as little as can be: rows of text files have to be found, the first rows of CSV
//! files say what the fields are, and a column that the split is made from is read alone.

mod align;
mod digests;
mod equal_rows;
mod features;
mod files;
mod fits;
mod found;
mod overlap;
mod split_file;
mod table;
mod tasks;

use std::collections::BTreeMap;
use std::sync::Arc;

use experiment::{Loaded, Order, SplitName};

use crate::labels::TaskLabels;
use crate::passage::Watch;
use crate::plan::{FeedPlan, Plan, TablePlan, Written};
use crate::split::{Assignment, GroupFolds};
use crate::summary::Summary;
use crate::{DataError, Labels};
use digests::{FeedDigester, Layout};
use features::{Division, FittedTable};
use fits::Fits;
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
    let mut feeds = tasks::feeds(loaded, &opened, &drafts, &mut warnings)?;
    align::order(loaded, &opened, &mut feeds);
    for feed in &feeds {
        feed.columns.iter().zip(&feed.kinds).for_each(|(column, kind)| opened[feed.table].kinds[*column] = Some(*kind));
    }
    for (i, table) in opened.iter_mut().enumerate() {
        let targets = drafts.iter().filter(|draft| draft.table == i).flat_map(|draft| draft.columns.iter().copied());
        let features = feeds.iter().filter(|feed| feed.table == i).flat_map(|feed| feed.columns.iter().copied());
        table.read_only(features.collect(), targets.collect());
    }
    let groups = group_folds(loaded, &opened, watch)?;
    let mut fits = Fits::new(loaded, &opened)?;
    let mut fitted = Vec::new();
    for (i, table) in opened.iter().enumerate() {
        let division = divide(loaded, table, &groups, watch)?;
        let digesters = digesters(loaded, table, i, &division, &feeds, &drafts);
        fitted.push(features::read((table, i), division, digesters, &mut fits, watch)?);
    }
    features::finish(fits, &opened, &mut fitted, &mut warnings);
    warnings.extend(overlap::warnings(&opened, &fitted));
    let mut feed_of_task = vec![0; drafts.len()];
    for (i, feed) in feeds.iter().enumerate() {
        feed.tasks.iter().for_each(|task| feed_of_task[*task] = i);
    }
    let (mut plans, mut summaries) = (Vec::new(), Vec::new());
    for (draft, feed) in drafts.iter().zip(feed_of_task) {
        let fitted = &fitted[draft.table];
        let (plan, summary, more) = tasks::fit(loaded, draft, &opened[draft.table], fitted, feed, &feeds[feed].name)?;
        plans.push(plan);
        summaries.push(summary);
        warnings.extend(more);
    }
    let tables: Vec<TablePlan> = opened.iter().zip(&fitted).map(|(table, fitted)| fitted.plan(table)).collect();
    let mut by_task = vec![TaskLabels::default(); plans.len()];
    let mut feed_plans = Vec::new();
    for (i, feed) in feeds.into_iter().enumerate() {
        let (plan, labels) = feed_plan(loaded, feed, i, &opened, &mut fitted);
        feed_plans.push(plan);
        labels.into_iter().for_each(|(task, labels)| by_task[task] = labels);
    }
    let datasets: Vec<&str> = feed_plans.iter().map(|feed| opened[feed.table].name).collect();
    align::encodings(loaded, &datasets, &mut feed_plans);
    let (seed, microbatches) = (experiment.seed, experiment.train.microbatches);
    let plan = Arc::new(Plan::from(Written { seed, microbatches, tables, feeds: feed_plans, tasks: plans }));
    let trunk_inputs = align::check(loaded, &plan)?;
    let tables = opened.iter().zip(&fitted).enumerate();
    let summary = Summary {
        tables: tables.map(|(i, (table, fitted))| found::table(&plan, table, fitted, i, &drafts)).collect(),
        feeds: (0..plan.feeds().len()).map(|feed| found::feed(&plan, feed)).collect(),
        tasks: summaries,
        trunk_inputs,
        warnings,
    };
    Ok(Prepared { labels: Labels::new(Arc::clone(&plan), by_task), plan, summary })
}

/// The folds of groups, over all datasets that are cut into folds by groups.
fn group_folds(loaded: &Loaded, tables: &[OpenTable<'_>], watch: Watch<'_>) -> Result<GroupFolds, DataError> {
    let mut groups = GroupFolds::default();
    for table in tables {
        let split = &loaded.experiment.datasets[table.name].split;
        if let (Some(_), Some(_), Some(column)) = (split.folds, &split.group, table.split_column) {
            groups.add(split, &table.whole(column, watch)?);
        }
    }
    Ok(groups)
}

/// How the rows of a table are divided.
fn divide(
    loaded: &Loaded,
    table: &OpenTable<'_>,
    groups: &GroupFolds,
    watch: Watch<'_>,
) -> Result<Division, DataError> {
    let how = &loaded.experiment.datasets[table.name].split;
    let (split, by) = table.assign(how, groups, loaded, watch)?;
    if let (Some(folds), 0) = (how.folds, split.rows(SplitName::Test)) {
        let what = if how.group.is_some() { "groups" } else { "rows" };
        let message = format!("there are fewer {what} than {folds} folds, so this fold has no rows; give fewer folds");
        return Err(loaded.source.error_at(&["dataset", table.name, "split", "folds"], message).into());
    }
    let order = order(loaded, table, &split)?;
    Ok(Division { split, by, order })
}

/// What digests the feeds of a table.
fn digesters(
    loaded: &Loaded,
    table: &OpenTable<'_>,
    number: usize,
    Division { split, order, .. }: &Division,
    feeds: &[Feed],
    drafts: &[Draft<'_>],
) -> BTreeMap<usize, FeedDigester> {
    let seed = loaded.experiment.datasets[table.name].split.seed;
    let places = |columns: &[usize]| columns.iter().map(|column| table.place(*column)).collect();
    let digester = |feed: &Feed| {
        let tasks = feed.tasks.iter().map(|task| (*task, places(&drafts[*task].columns))).collect();
        let layout = Layout { features: places(&feed.columns), tasks };
        let microbatches = loaded.experiment.train.microbatches;
        FeedDigester::new(layout, &table.table.columns, (split, seed), *order, microbatches)
    };
    let own = feeds.iter().enumerate().filter(|(_, feed)| feed.table == number);
    own.map(|(i, feed)| (i, digester(feed))).collect()
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
