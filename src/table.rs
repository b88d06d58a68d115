//! Tables for people.

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use coordinator::report::Report;

/// A table with a header.
pub fn new(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().copied());
    table
}

/// What a run came to.
pub fn report(report: &Report) -> String {
    let mut metrics = new(&["task", "metric", "validation", "test"]);
    for (task, splits) in &report.tasks {
        let mut names: Vec<&String> = splits.values().flat_map(|metrics| metrics.keys()).collect();
        names.dedup();
        names.truncate(splits.values().map(|metrics| metrics.len()).max().unwrap_or(0));
        for name in names {
            let value = |split: &str| splits.get(split).and_then(|metrics| metrics.get(name));
            let shown = |split| value(split).map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
            metrics.add_row([task.clone(), name.clone(), shown("validation"), shown("test")]);
        }
    }
    let early = if report.stopped_early { ", stopped early" } else { "" };
    format!(
        "{metrics}\n{} steps{early}, {} parameters (of step {}: {}), {} workers, {:.1} s, {:.0} rows/s\n\
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
