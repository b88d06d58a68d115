//! What was found in the tables, for people.

use std::collections::HashSet;

use experiment::{InputShape, Order, SplitName};

use super::features::FittedTable;
use super::table::OpenTable;
use super::tasks::Draft;
use crate::plan::Plan;
use crate::source::Found;
use crate::summary::{ColumnSummary, FeedSummary, TableSummary};

/// Of the table with this number.
pub(super) fn table(
    plan: &Plan,
    table: &OpenTable<'_>,
    fitted: &FittedTable,
    number: usize,
    drafts: &[Draft<'_>],
) -> TableSummary {
    let written = &plan.tables()[number];
    let feeds = plan.feeds().iter().filter(|feed| feed.table == number);
    let features: HashSet<&str> =
        feeds.flat_map(|feed| &feed.features).map(|feature| feature.column.as_str()).collect();
    let own = drafts.iter().filter(|draft| draft.table == number);
    let targets: HashSet<usize> = own.flat_map(|draft| draft.columns.iter().copied()).collect();
    let column = |(i, found): (usize, &Found)| {
        let mut roles = Vec::new();
        if features.contains(found.name.as_str()) {
            roles.push("feature");
        }
        if targets.contains(&i) {
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
        format: written.format.name().to_owned(),
        files: written.files.iter().map(|file| file.path.clone()).collect(),
        bytes: written.files.iter().map(|file| file.bytes).sum(),
        rows: table.table.rows(),
        splits: SplitName::ALL.into_iter().map(|split| (split, fitted.split.rows(split))).collect(),
        by: fitted.by.clone(),
        order: if fitted.order == Order::File { "file" } else { "shuffled" }.to_owned(),
        columns: table.found.iter().enumerate().map(column).collect(),
    }
}

/// Of the feed with this number.
pub(super) fn feed(plan: &Plan, number: usize) -> FeedSummary {
    let feed = &plan.feeds()[number];
    FeedSummary {
        name: feed.name.clone(),
        dataset: plan.tables()[feed.table].name.clone(),
        tasks: feed.tasks.iter().map(|task| plan.tasks()[*task].name.clone()).collect(),
        batch_size: feed.batch_size,
        input: match feed.input {
            InputShape::Table => "table".to_owned(),
            InputShape::Image { channels, height, width } => format!("image {channels} x {height} x {width}"),
        },
        width: feed.dense_width(),
        features: feed.features.iter().map(|feature| (feature.column.clone(), feature.encoding.shown())).collect(),
        partition_rows: (0..plan.microbatches()).map(|v| plan.partition_rows(number, v)).max().unwrap_or(0),
        row_bytes: plan.row_bytes(number),
    }
}
