//! Tables of text.

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use coordinator::report::Report;
use indexmap::{IndexMap, IndexSet};

use crate::picture::without_middle;

/// A table with a header.
pub fn new(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().copied());
    table
}

/// The widest table, characters: wider ones take a shorter form.
pub const LINE_MAX: usize = 100;

/// A name shortened to 32 characters.
pub fn short_name(name: &str) -> String {
    without_middle(name, |name| name.chars().count() <= 32)
}

/// Whether a table is at most [`LINE_MAX`] characters wide.
pub fn fits(table: &Table) -> bool {
    let columns = table.column_max_content_widths();
    // A space on both sides and a border of each column, and the last border.
    columns.iter().map(|width| usize::from(*width) + 3).sum::<usize>() < LINE_MAX
}

/// Metrics by task, split and name.
type Metrics = IndexMap<String, IndexMap<&'static str, IndexMap<String, f64>>>;

/// Rows of task, metric, validation value and test value.
fn rows(tasks: &Metrics) -> Vec<[String; 4]> {
    let mut rows = Vec::new();
    for (task, splits) in tasks {
        // A metric may be undefined on one split and defined on the other.
        let names: IndexSet<&String> = splits.values().flat_map(IndexMap::keys).collect();
        for name in names {
            let value = |split: &str| splits.get(split).and_then(|metrics| metrics.get(name));
            let shown = |split| value(split).map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
            rows.push([task.clone(), name.clone(), shown("validation"), shown("test")]);
        }
    }
    rows
}

/// The result of a run as text.
pub fn report(report: &Report) -> String {
    let mut metrics = new(&["task", "metric", "validation", "test"]);
    metrics.add_rows(rows(&report.tasks));
    let early = if report.stopped_early { ", stopped early" } else { "" };
    let skipped = match report.skipped_steps {
        0 => String::new(),
        steps => format!(" ({steps} skipped: not finite)"),
    };
    format!(
        "{metrics}\n{} steps{skipped}{early}, {} parameters (of step {}: {}), {} workers, {:.1} s, {:.0} rows/s\n\
         parameters sha256 {}\nrun {}",
        report.step,
        report.parameters,
        report.selected_step,
        report.selected,
        report.world_size,
        report.seconds,
        report.rows_per_second,
        report.parameters_sha256,
        report.run_dir,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_up_to_a_line_of_its_length() {
        let of = |width: usize| {
            let mut table = new(&["a", "b"]);
            table.add_row(["x".repeat(width), "y".to_owned()]);
            (table.to_string().lines().map(|line| line.chars().count()).max(), fits(&table))
        };
        assert_eq!((of(92), of(93)), ((Some(LINE_MAX), true), (Some(LINE_MAX + 1), false)));
    }

    #[test]
    fn a_metric_that_one_split_lacks_is_shown_once_for_the_other() {
        let metrics = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 0.5)).collect();
        let splits = IndexMap::from([("validation", metrics(&["loss"])), ("test", metrics(&["loss", "auroc"]))]);
        let rows = rows(&IndexMap::from([("t".to_owned(), splits)]));
        assert_eq!(rows, [["t", "loss", "0.5000", "0.5000"], ["t", "auroc", "-", "0.5000"]]);
    }
}
