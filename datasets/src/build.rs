//! From the experiment file to the plan.
//!
//! A table is read once, in the memory of a block: one pass fits the features on the training rows, digests every partition and chunk
//! as a worker will read them, and collects the targets. Before it there is as little as can be: rows of text files have to be
//! found, the first rows of CSV files say what the fields are, and a column that the split is made from is read alone.

mod features;
mod seal;
mod table;
mod tasks;

use std::sync::Arc;

use experiment::{Loaded, Order, SplitName};

use crate::labels::Bits;
use crate::plan::{FeedPlan, Plan, TablePlan, Written};
use crate::split::Assignment;
use crate::summary::{ColumnSummary, FeedSummary, Summary, TableSummary};
use crate::{DataError, Encoding, Labels};
use features::FittedTable;
use seal::{Layout, Seal, Sealed};
use table::Opened;
use tasks::{Draft, Feed};

/// Rows up to which partitions are shuffled where the experiment does not say.
const SHUFFLED_ROWS_MAX: u64 = 1_000_000;

/// What the coordinator gets from the data.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Everything about the data but the rows.
    pub plan: Arc<Plan>,
    /// Which training rows have a label.
    pub labels: Labels,
    /// What was found.
    pub summary: Summary,
}

/// Reads the experiment's tables, divides their rows, fits the preprocessing on the training rows, and digests every
/// partition.
///
/// # Errors
///
/// Whatever is wrong with the tables or with what the experiment asks of them; see [`DataError`].
pub fn prepare(loaded: &Loaded) -> Result<Prepared, DataError> {
    let experiment = &loaded.experiment;
    let mut warnings = Vec::new();
    let mut opened = Vec::new();
    for (name, dataset) in &experiment.datasets {
        opened.push(table::open(name, dataset, loaded)?);
    }
    let drafts = tasks::expand(loaded, &opened)?;
    let (feeds, task_feeds) = tasks::feeds(loaded, &opened, &drafts, &mut warnings)?;
    for (i, table) in opened.iter_mut().enumerate() {
        let targets = drafts.iter().filter(|draft| draft.table == i).flat_map(|draft| draft.columns.iter().copied());
        let features = feeds.iter().filter(|feed| feed.table == i).flat_map(|feed| feed.columns.iter().copied());
        table.read_only(features.collect(), targets.collect());
    }
    let microbatches = experiment.train.microbatches;
    let mut fitted = Vec::new();
    let mut sealed: Vec<Option<(Order, Sealed)>> = feeds.iter().map(|_| None).collect();
    for (i, (table, dataset)) in opened.iter().zip(experiment.datasets.values()).enumerate() {
        let split = table.assign(&dataset.split)?;
        let order = order(loaded, table, &split)?;
        let own: Vec<usize> = (0..feeds.len()).filter(|feed| feeds[*feed].table == i).collect();
        let mut seals: Vec<Seal> = own
            .iter()
            .map(|feed| {
                let layout = layout(*feed, &feeds, &drafts, &task_feeds, table);
                Seal::new(layout, &table.table.columns, (&split, dataset.split.seed), order, microbatches)
            })
            .collect();
        fitted.push(features::fit(table, split, &mut seals, &mut warnings)?);
        for (feed, seal) in own.into_iter().zip(seals) {
            sealed[feed] = Some((order, seal.finish()));
        }
    }
    let mut plans = Vec::new();
    let mut task_summaries = Vec::new();
    for (draft, feed) in drafts.iter().zip(&task_feeds) {
        let (plan, summary, more) =
            tasks::fit(loaded, draft, &opened[draft.table], &fitted[draft.table], *feed, &feeds[*feed].name)?;
        plans.push(plan);
        task_summaries.push(summary);
        warnings.extend(more);
    }
    let tables: Vec<TablePlan> = opened.iter().zip(&fitted).map(|(table, fitted)| table.plan(fitted)).collect();
    let mut bits: Vec<Vec<Bits>> = vec![Vec::new(); plans.len()];
    let mut feed_plans = Vec::new();
    for (i, (feed, sealed)) in feeds.iter().zip(sealed).enumerate() {
        let (order, sealed) = sealed.expect("every feed is on a table");
        feed_plans.push(FeedPlan {
            name: feed.name.clone(),
            table: feed.table,
            features: feed.columns.iter().map(|column| fitted[feed.table].features[column].clone()).collect(),
            tasks: (0..task_feeds.len()).filter(|task| task_feeds[*task] == i).collect(),
            batch_size: experiment.datasets[opened[feed.table].name].batch_size.unwrap_or(experiment.train.batch_size),
            order,
            partitions: sealed.partitions,
            chunks: sealed.chunks,
        });
        for (task, labels) in sealed.bits {
            bits[task] = labels;
        }
    }
    let written = Written { seed: experiment.seed, microbatches, tables, feeds: feed_plans, tasks: plans };
    let plan = Arc::new(Plan::from(written));
    let summary = Summary {
        tables: opened
            .iter()
            .zip(&fitted)
            .enumerate()
            .map(|(i, (t, f))| table_summary(&plan, t, f, i, &drafts))
            .collect(),
        feeds: (0..plan.feeds().len()).map(|feed| feed_summary(&plan, feed)).collect(),
        tasks: task_summaries,
        warnings,
    };
    Ok(Prepared { labels: Labels::new(Arc::clone(&plan), bits), plan, summary })
}

/// How a table's training rows are cut into partitions, of which each has a row at least.
fn order(loaded: &Loaded, table: &Opened<'_>, split: &Assignment) -> Result<Order, DataError> {
    let microbatches = loaded.experiment.train.microbatches;
    let rows = split.rows(SplitName::Train);
    if rows < u64::from(microbatches) {
        let message = format!(
            "dataset `{}` has {rows} training rows for {microbatches} microbatches (`train.microbatches`), which need one each",
            table.name
        );
        let given = ["train", "microbatches"];
        let key = if loaded.source.has(&given) { given } else { ["dataset", table.name] };
        return Err(loaded.source.error_at(&key, message).into());
    }
    let default = if rows <= SHUFFLED_ROWS_MAX { Order::Shuffled } else { Order::File };
    Ok(loaded.experiment.datasets[table.name].order.unwrap_or(default))
}

/// Where the columns of a feed's rows are in the blocks of its table.
fn layout(feed: usize, feeds: &[Feed], drafts: &[Draft<'_>], task_feeds: &[usize], table: &Opened<'_>) -> Layout {
    let places = |columns: &[usize]| columns.iter().map(|column| table.place(*column)).collect();
    let tasks = drafts.iter().zip(task_feeds).enumerate().filter(|(_, (_, of))| **of == feed);
    Layout {
        features: places(&feeds[feed].columns),
        tasks: tasks.map(|(task, (draft, _))| (task, places(&draft.columns))).collect(),
    }
}

fn table_summary(
    plan: &Plan,
    table: &Opened<'_>,
    fitted: &FittedTable,
    number: usize,
    drafts: &[Draft<'_>],
) -> TableSummary {
    let written = &plan.tables()[number];
    let feeds = || plan.feeds().iter().filter(move |feed| feed.table == number);
    let column = |(i, found): (usize, &crate::source::Found)| {
        let mut roles = Vec::new();
        if feeds().any(|feed| feed.features.iter().any(|feature| feature.column == found.name)) {
            roles.push("feature");
        }
        if drafts.iter().any(|draft| draft.table == number && draft.columns.contains(&i)) {
            roles.push("target");
        }
        if table.split_column == Some(i) {
            roles.push("split");
        }
        if roles.is_empty() {
            roles.push("unused");
        }
        ColumnSummary {
            name: found.name.clone(),
            kind: table.shown_kind(i),
            role: roles.join("+"),
            nulls: fitted.nulls.get(&i).copied(),
            constant: fitted.constant.contains(&i),
        }
    };
    TableSummary {
        name: table.name.to_owned(),
        format: crate::source::format_name(written.format).to_owned(),
        files: written.files.iter().map(|file| file.path.clone()).collect(),
        bytes: written.files.iter().map(|file| file.bytes).sum(),
        rows: table.table.rows(),
        splits: SplitName::ALL.into_iter().map(|split| (split, fitted.split.rows(split))).collect(),
        order: feeds()
            .map(|feed| if feed.order == Order::File { "file" } else { "shuffled" })
            .next()
            .unwrap_or("file")
            .to_owned(),
        columns: table.found.iter().enumerate().map(column).collect(),
    }
}

fn feed_summary(plan: &Plan, number: usize) -> FeedSummary {
    let feed = &plan.feeds()[number];
    let shown = |encoding: &Encoding| match encoding {
        Encoding::Standard { deviation, indicator, .. } => {
            let numbers = if deviation.iter().all(|d| *d == 0.0) { "constant" } else { "standard" };
            if *indicator { format!("{numbers} + null indicator") } else { numbers.to_owned() }
        }
        Encoding::OneHot { .. } => format!("one_hot({})", encoding.dense_width()),
        Encoding::Embedding { values, width } => format!("embedding({} x {width})", values.len() + 2),
    };
    FeedSummary {
        name: feed.name.clone(),
        dataset: plan.tables()[feed.table].name.clone(),
        tasks: feed.tasks.iter().map(|task| plan.tasks()[*task].name.clone()).collect(),
        batch_size: feed.batch_size,
        width: feed.dense_width(),
        features: feed.features.iter().map(|feature| (feature.column.clone(), shown(&feature.encoding))).collect(),
        partition_rows: (0..plan.microbatches()).map(|v| plan.partition_rows(number, v)).max().unwrap_or(0),
        row_bytes: plan.row_bytes(number),
    }
}
