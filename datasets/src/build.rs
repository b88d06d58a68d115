//! From the experiment file to the plan.
//!
//! Three passes over each table, each in the memory of a block: the first looks at what is there and reads the
//! column that the split is made from, the second fits features on the training rows and collects the targets,
//! the third digests every partition and chunk as a worker will read them.

mod features;
mod seal;
mod table;
mod tasks;

use std::sync::Arc;

use experiment::{Loaded, Order, SplitName};

use crate::plan::{FeedPlan, Plan, TablePlan, Written};
use crate::summary::{ColumnSummary, FeedSummary, Summary, TableSummary};
use crate::{DataError, Encoding, Labels};
use features::FittedTable;
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
    let mut fitted = Vec::new();
    for (table, dataset) in opened.iter().zip(experiment.datasets.values()) {
        let split = table.assign(&dataset.split)?;
        fitted.push(features::fit(table, split, &mut warnings)?);
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
    let microbatches = experiment.train.microbatches;
    let tables: Vec<TablePlan> = opened.iter().zip(&fitted).map(|(table, fitted)| table.plan(fitted)).collect();
    let mut feed_plans = Vec::new();
    for (i, feed) in feeds.iter().enumerate() {
        feed_plans.push(feed_plan(loaded, feed, &opened[feed.table], &fitted[feed.table], &task_feeds, i)?);
    }
    let mut written = Written { seed: experiment.seed, microbatches, tables, feeds: feed_plans, tasks: plans };
    let bits = seal::seal(&mut written, &opened, &fitted)?;
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

fn feed_plan(
    loaded: &Loaded,
    feed: &Feed,
    table: &Opened<'_>,
    fitted: &FittedTable,
    task_feeds: &[usize],
    number: usize,
) -> Result<FeedPlan, DataError> {
    let train = &loaded.experiment.train;
    let rows = fitted.split.rows(SplitName::Train);
    if rows < u64::from(train.microbatches) {
        let reason = format!(
            "{rows} training rows are fewer than the {} microbatches (`train.microbatches`)",
            train.microbatches
        );
        return Err(DataError::Rows { dataset: table.name.to_owned(), reason });
    }
    let dataset = &loaded.experiment.datasets[table.name];
    let default = if rows <= SHUFFLED_ROWS_MAX { Order::Shuffled } else { Order::File };
    Ok(FeedPlan {
        name: feed.name.clone(),
        table: feed.table,
        features: feed.columns.iter().map(|column| fitted.features[column].clone()).collect(),
        tasks: (0..task_feeds.len()).filter(|task| task_feeds[*task] == number).collect(),
        batch_size: dataset.batch_size.unwrap_or(train.batch_size),
        order: dataset.order.unwrap_or(default),
        partitions: Vec::new(),
        chunks: Default::default(),
    })
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
        Encoding::Standard { deviation, .. } if deviation.iter().all(|d| *d == 0.0) => "constant".to_owned(),
        Encoding::Standard { indicator: true, .. } => "standard + null indicator".to_owned(),
        Encoding::Standard { .. } => "standard".to_owned(),
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
