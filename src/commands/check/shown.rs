//! The plan as text: tables of the datasets, columns, feeds, tasks, the model and the workers.

use std::collections::BTreeMap;
use std::ops::Range;

use coordinator::{forecast::StepPart, setup::Setup};
use datasets::{ColumnSummary, Summary, TableSummary, TaskSummary};
use experiment::SplitName;

use super::{Share, multiply_adds, shares};
use crate::{
    amount::{bytes, count},
    table::Table,
};

/// More neighbouring columns of one kind than this are shown as a range.
const COLUMNS_SHOWN: usize = 8;
/// Names that are listed; the rest is counted.
const NAMES_SHOWN: usize = 4;

/// All tables, in lines of at most `width` characters.
pub fn plan(setup: &Setup, width: usize) -> String {
    let summary = &setup.prepared.summary;
    let shares = shares(setup);
    let [holds, does] = workers(summary, &shares);
    let tables = [datasets(summary), columns(summary), feeds(summary), tasks(summary), model(setup), holds, does];
    let tables: String = tables.iter().map(|table| table.shown(width) + "\n").collect();
    format!(
        "experiment {}: {} steps\n{tables}{}{} rows and {} multiply-adds a step{}{}",
        setup.loaded.experiment.name,
        setup.steps,
        in_order(summary),
        setup.rows_per_step(),
        count(multiply_adds(&shares)),
        measuring(setup, &shares),
        robust(setup, &shares)
    )
}

/// The cost of a robust sum in words; empty if the run has none.
fn robust(setup: &Setup, shares: &[Share]) -> String {
    let Some(robust) = &setup.loaded.experiment.train.robust else { return String::new() };
    let vectors = shares.iter().map(|share| share.part.bytes_up).sum();
    format!(
        "\nrobust {robust}: workers send one gradient a microbatch, {} a step, and the coordinator holds all of them",
        bytes(vectors)
    )
}

/// The cost of per-task gradients that are only recorded, in words; empty if there are none.
fn measuring(setup: &Setup, shares: &[Share]) -> String {
    let Some(every) = setup.gramian_interval().filter(|_| !setup.is_per_task()) else { return String::new() };
    let all = |of: fn(&Share) -> u64| shares.iter().map(of).sum::<u64>();
    format!(
        "\nevery {every} steps also per-task gradients, for the journal: {} up and {} multiply-adds more",
        bytes(all(|share| share.part.measuring.bytes_up)),
        count(all(|share| share.part.measuring.multiply_adds))
    )
}

fn datasets(summary: &Summary) -> Table {
    let mut shown = Table::new(["dataset", "files", "size", "rows", "train", "validation", "test"]);
    for table in &summary.tables {
        let rows = |split| table.splits.get(&split).copied().unwrap_or(0).to_string();
        shown.add_row([
            table.name.clone(),
            format!("{} {}", table.files.len(), table.format),
            bytes(table.bytes),
            table.rows.to_string(),
            rows(SplitName::Train),
            rows(SplitName::Validation),
            rows(SplitName::Test),
        ]);
    }
    shown
}

/// The datasets that are not shuffled, in words; empty if all are.
fn in_order(summary: &Summary) -> String {
    let in_order = summary.tables.iter().filter(|table| table.order == "file");
    let names: Vec<&str> = in_order.map(|table| table.name.as_str()).collect();
    match names.len() {
        0 => String::new(),
        _ => format!("partitions are ranges of the files, in their order: {}\n", listed(names.into_iter())),
    }
}

fn columns(summary: &Summary) -> Table {
    let mut shown = Table::new(["dataset", "column", "type", "role", "nulls", "becomes"]);
    for table in &summary.tables {
        let encodings = encodings(summary, table);
        let becomes = |column: &ColumnSummary| encodings.get(column.name.as_str()).copied().unwrap_or("");
        // What a number becomes says more of its values than of the column.
        let same = |a: &ColumnSummary, b: &ColumnSummary| {
            let plain = |column| becomes(column).replace("constant", "standard").replace(INDICATOR, "");
            (&a.kind, &a.role, plain(a)) == (&b.kind, &b.role, plain(b))
        };
        for run in table.columns.chunk_by(same) {
            if run.len() > COLUMNS_SHOWN {
                shown.add_row([table.name.clone()].into_iter().chain(folded(run, &becomes)));
                continue;
            }
            for column in run {
                let nulls = column.nulls.map_or_else(|| "not read".to_owned(), |nulls| nulls.to_string());
                let cells = [&table.name, &column.name, &column.kind, &column.role, &nulls, becomes(column)];
                shown.add_row(cells);
            }
        }
    }
    shown
}

const INDICATOR: &str = " + null indicator";

/// What each feature of a table becomes, by column.
fn encodings<'a>(summary: &'a Summary, table: &TableSummary) -> BTreeMap<&'a str, &'a str> {
    let feeds = summary.feeds.iter().filter(|feed| feed.dataset == table.name);
    feeds.flat_map(|feed| &feed.features).map(|(column, encoding)| (column.as_str(), encoding.as_str())).collect()
}

/// A row for many columns of one kind: names, type, role, nulls, what they become.
fn folded<'a>(run: &'a [ColumnSummary], becomes: &impl Fn(&'a ColumnSummary) -> &'a str) -> [String; 5] {
    let (first, last) = (&run[0], &run[run.len() - 1]);
    let with_nulls: Vec<&str> = run.iter().filter(|c| c.nulls.unwrap_or(0) > 0).map(|c| c.name.as_str()).collect();
    let nulls = match (first.nulls, with_nulls.len()) {
        (None, _) => "not read".to_owned(),
        (_, 0) => "0".to_owned(),
        _ => format!("{} in {}", run.iter().filter_map(|c| c.nulls).sum::<u64>(), listed(with_nulls.into_iter())),
    };
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for encoding in run.iter().map(becomes).filter(|encoding| !encoding.is_empty()) {
        match counts.iter_mut().find(|(known, _)| *known == encoding) {
            Some((_, count)) => *count += 1,
            None => counts.push((encoding, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let becomes = match counts.as_slice() {
        [(encoding, _)] => (*encoding).to_owned(),
        several => several.iter().map(|(encoding, n)| format!("{n} {encoding}")).collect::<Vec<_>>().join(", "),
    };
    let names = format!("{} to {} ({})", first.name, last.name, run.len());
    [names, first.kind.clone(), first.role.clone(), nulls, becomes]
}

fn feeds(summary: &Summary) -> Table {
    let mut shown = Table::new(["feed", "input", "features", "width", "rows a step", "tasks"]);
    for feed in &summary.feeds {
        shown.add_row([
            feed.name.clone(),
            feed.input.clone(),
            feed.features.len().to_string(),
            feed.width.to_string(),
            feed.batch_size.to_string(),
            listed(feed.tasks.iter().map(String::as_str)),
        ]);
    }
    shown
}

fn tasks(summary: &Summary) -> Table {
    // Tasks that are named by their targets need no column for these.
    let is_named = |task: &TaskSummary| task.targets.len() == 1 && task.targets[0] == task.name;
    let with_targets = !summary.tasks.iter().all(is_named);
    let lead = |task: &str, kind: &str, target: String| {
        [Some(task.to_owned()), Some(kind.to_owned()), with_targets.then_some(target)].into_iter().flatten()
    };
    let header = lead("task", "kind", "target".to_owned());
    let more = ["labels: train, validation, test", "values", "constant's loss"];
    let mut shown = Table::new(header.chain(more.map(str::to_owned)));
    for task in &summary.tasks {
        let labels: Vec<String> = task.labelled.values().map(u64::to_string).collect();
        let splits = [SplitName::Validation, SplitName::Train];
        let baseline = splits.iter().find_map(|split| task.baseline_loss.get(split));
        let lead = lead(&task.name, &task.kind, listed(task.targets.iter().map(String::as_str)));
        let baseline = baseline.map_or_else(String::new, |loss| format!("{loss:.4}"));
        shown.add_row(lead.chain([labels.join(", "), values(task), baseline]));
    }
    shown
}

/// The classes with their training rows, or the targets' means and standard deviations.
fn values(task: &TaskSummary) -> String {
    if task.targets_scale.is_empty() {
        let rows = |rows: &BTreeMap<SplitName, u64>| rows.get(&SplitName::Train).copied().unwrap_or(0);
        if task.classes.len() > NAMES_SHOWN {
            let rows = || task.classes.iter().map(|(_, by)| rows(by));
            let (least, most) = (rows().min().unwrap_or(0), rows().max().unwrap_or(0));
            return format!("{} classes of {least} to {most} rows", task.classes.len());
        }
        let classes: Vec<String> = task.classes.iter().map(|(name, by)| format!("{name}: {}", rows(by))).collect();
        return classes.join(", ");
    }
    let scales = task.targets_scale.iter().map(|(mean, deviation)| format!("{mean:.4} ± {deviation:.4}"));
    listed(scales.collect::<Vec<_>>().iter().map(String::as_str))
}

fn model(setup: &Setup) -> Table {
    let mut shown = Table::new(["part", "parameters", "reached by"]);
    let layout = setup.network.layout();
    let mut parts: Vec<(String, usize, usize)> = Vec::new();
    for block in layout.blocks() {
        let part = match block.name.split('.').collect::<Vec<_>>()[..] {
            ["trunk", ..] => "trunk".to_owned(),
            [kind, name, ..] => format!("{kind}.{name}"),
            _ => block.name.clone(),
        };
        match parts.iter_mut().find(|(name, ..)| *name == part) {
            Some((_, count, _)) => *count += block.len(),
            None => parts.push((part, block.len(), block.tasks.len())),
        }
    }
    for (part, count, tasks) in parts {
        let reached = if tasks == 1 { "1 task".to_owned() } else { format!("{tasks} tasks") };
        shown.add_row([part, count.to_string(), reached]);
    }
    shown.add_row(["all".to_owned(), layout.len().to_string(), String::new()]);
    shown
}

/// What each worker holds, and what it does in a step.
fn workers(summary: &Summary, shares: &[Share]) -> [Table; 2] {
    let mut holds = Table::new(["worker", "microbatches", "rows read", "rows held", "data held"]);
    let mut does = Table::new(["worker", "up a step", "down a step", "multiply-adds a step"]);
    for (rank, share) in shares.iter().enumerate() {
        holds.add_row([
            rank.to_string(),
            microbatches(summary, &share.part),
            share.rows_read.to_string(),
            share.rows.to_string(),
            bytes(share.bytes),
        ]);
        let StepPart { bytes_up, bytes_down, multiply_adds, .. } = share.part;
        does.add_row([rank.to_string(), bytes(bytes_up), bytes(bytes_down), count(multiply_adds)]);
    }
    [holds, does]
}

/// The microbatches of a worker. Feeds are named if the worker has other microbatches of each.
fn microbatches(summary: &Summary, part: &StepPart) -> String {
    let range = |range: &Range<u32>| match range.len() {
        1 => range.start.to_string(),
        _ => format!("{} to {}", range.start, range.end - 1),
    };
    match part.microbatches.as_slice() {
        [] => "none".to_owned(),
        [(_, first), others @ ..]
            if others.len() + 1 == summary.feeds.len() && others.iter().all(|(_, r)| r == first) =>
        {
            range(first)
        }
        several => {
            let named: Vec<String> =
                several.iter().map(|(feed, r)| format!("{} of {}", range(r), summary.feeds[*feed].name)).collect();
            listed(named.iter().map(String::as_str))
        }
    }
}

/// The first [`NAMES_SHOWN`] names, and how many more there are.
fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let all = names.len();
    let mut shown = names.take(NAMES_SHOWN).collect::<Vec<_>>().join(", ");
    if all > NAMES_SHOWN {
        shown.push_str(&format!(", and {} more", all - NAMES_SHOWN));
    }
    shown
}
