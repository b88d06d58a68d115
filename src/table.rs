//! Tables of text.

use comfy_table::{ColumnConstraint, ContentArrangement, Width, presets::UTF8_FULL_CONDENSED};
use coordinator::report::Report;
use indexmap::{IndexMap, IndexSet};

use crate::{amount::counted, picture::without_middle, screen::one_line};

/// With more tasks than this, the end of a run shows one split of each.
const TASKS_MAX: usize = 6;

/// A table with a header. A cell has one line of its own: line feeds in it are escaped.
pub struct Table {
    table: comfy_table::Table,
    /// The longest word of each column, characters.
    words: Vec<usize>,
}

impl Table {
    /// A table without rows.
    pub fn new<T: AsRef<str>>(header: impl IntoIterator<Item = T>) -> Table {
        let mut table = comfy_table::Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        let header = cells(header);
        let words = header.iter().map(|cell| longest_word(cell)).collect();
        table.set_header(header);
        Table { table, words }
    }

    /// Adds a row.
    pub fn add_row<T: AsRef<str>>(&mut self, row: impl IntoIterator<Item = T>) {
        let row = cells(row);
        for (longest, cell) in self.words.iter_mut().zip(&row) {
            *longest = longest_word(cell).max(*longest);
        }
        self.table.add_row(row);
    }

    /// Whether each cell has a single line if the table is at most `width` characters wide.
    pub fn fits(&self, width: usize) -> bool {
        let columns = self.table.column_max_content_widths();
        is_within(width, columns.into_iter().map(usize::from))
    }

    /// The table in lines of at most `width` characters. Cells that are too wide have several
    /// lines. Words are broken only if there is no room for them, and long ones first.
    pub fn shown(&self, width: usize) -> String {
        let mut table = self.table.clone();
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        if self.fits(width) {
            return table.to_string();
        }
        let bounds = |longest: usize| self.words.iter().map(move |word| *word.min(&longest));
        let longest = self.words.iter().copied().max().unwrap_or(0);
        let longest = (0..=longest).rev().find(|longest| is_within(width, bounds(*longest))).unwrap_or(0);
        for (column, bound) in table.column_iter_mut().zip(bounds(longest)) {
            let bound = u16::try_from(bound).unwrap_or(u16::MAX).saturating_add(column.padding_width());
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(bound)));
        }
        table.to_string()
    }
}

/// The cells of a row, each on one line.
fn cells<T: AsRef<str>>(row: impl IntoIterator<Item = T>) -> Vec<String> {
    row.into_iter().map(|cell| one_line(cell.as_ref()).into_owned()).collect()
}

fn longest_word(cell: &str) -> usize {
    cell.split(' ').map(|word| word.chars().count()).max().unwrap_or(0)
}

/// Whether columns of these widths make a table of at most `width` characters.
fn is_within(width: usize, columns: impl Iterator<Item = usize>) -> bool {
    // A space on both sides and a border of each column, and the last border.
    columns.map(|width| width + 3).sum::<usize>() < width
}

/// A name shortened to 32 characters.
pub fn short_name(name: &str) -> String {
    without_middle(name, |name| name.chars().count() <= 32)
}

/// The metrics of a task on a split, by name.
pub struct Measured<'a> {
    pub task: &'a str,
    pub split: &'a str,
    pub metrics: &'a IndexMap<String, f64>,
}

/// Metrics as text: a row for each task and split, a column for each metric. If that is too wide,
/// tasks with other metrics have a table of their own.
pub fn metrics(measured: &[Measured<'_>], width: usize) -> String {
    let all: Vec<&Measured<'_>> = measured.iter().collect();
    let whole = rows(&all);
    if whole.fits(width) {
        return whole.shown(width);
    }
    let mut groups: IndexMap<Vec<&String>, Vec<&Measured<'_>>> = IndexMap::new();
    for one in &all {
        let of_task: Vec<&Measured<'_>> = all.iter().copied().filter(|other| other.task == one.task).collect();
        groups.entry(names(&of_task)).or_default().push(one);
    }
    let tables: Vec<String> = groups.values().map(|group| rows(group).shown(width)).collect();
    tables.join("\n")
}

/// The names of all metrics. A metric may be undefined on one split and defined on the other.
fn names<'a>(measured: &[&Measured<'a>]) -> Vec<&'a String> {
    let names: IndexSet<&String> = measured.iter().flat_map(|one| one.metrics.keys()).collect();
    names.into_iter().collect()
}

/// One table. The split has a column if there are several.
fn rows(measured: &[&Measured<'_>]) -> Table {
    let names = names(measured);
    let has_splits = measured.iter().any(|one| one.split != measured[0].split);
    let lead = |task: &str, split: &str| [Some(task.to_owned()), has_splits.then(|| split.to_owned())];
    let header = lead("task", "split").into_iter().flatten();
    let mut table = Table::new(header.chain(names.iter().map(|name| (*name).clone())));
    for one in measured {
        let value = |name: &&String| one.metrics.get(*name).map_or_else(String::new, |value| format!("{value:.4}"));
        table.add_row(lead(one.task, one.split).into_iter().flatten().chain(names.iter().map(value)));
    }
    table
}

/// The result of a run as text: what it was, then `advice`, then the metrics.
pub fn report(report: &Report, advice: Option<&str>, width: usize) -> String {
    let Report { run_dir, step, world_size, seconds, rows_per_second, parameters, .. } = report;
    let early = if report.stopped_early { " (stopped early)" } else { "" };
    let skipped = match report.skipped_steps {
        0 => String::new(),
        steps => format!(" ({steps} skipped: not finite)"),
    };
    let mut measured = Vec::new();
    for (task, splits) in &report.tasks {
        match splits.get_key_value("test").filter(|_| report.tasks.len() > TASKS_MAX) {
            Some((split, metrics)) => measured.push(Measured { task, split, metrics }),
            None => measured.extend(splits.iter().map(|(split, metrics)| Measured { task, split, metrics })),
        }
    }
    let left_out = report.tasks.len() > TASKS_MAX && report.tasks.values().any(|splits| splits.len() > 1);
    let of_split = match &measured[..] {
        [first, others @ ..] if others.iter().all(|one| one.split == first.split) => {
            format!(" on the {} rows", first.split)
        }
        _ => String::new(),
    };
    let mut lines = vec![
        format!("run {run_dir}"),
        format!(
            "{}{skipped}{early} in {seconds:.1} s, {}, {rows_per_second:.0} rows/s, {parameters} parameters",
            counted(*step, "step"),
            counted(*world_size as u64, "worker"),
        ),
        format!("sha256 {}", report.parameters_sha256),
    ];
    lines.extend(advice.map(str::to_owned));
    lines.push(format!("metrics{of_split} of the parameters of step {} ({})", report.selected_step, report.selected));
    if !measured.is_empty() {
        lines.push(metrics(&measured, width));
    }
    if left_out {
        lines.push(format!("on the validation rows: trunkline evaluate {run_dir} --split validation"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> IndexMap<String, f64> {
        names.iter().map(|name| ((*name).to_owned(), 0.5)).collect()
    }

    #[test]
    fn a_table_fits_up_to_the_width_that_it_is_shown_in() {
        let of = |width: usize| {
            let mut table = Table::new(["a", "b"]);
            table.add_row(["x".repeat(width), "y".to_owned()]);
            (table.shown(100).lines().map(|line| line.chars().count()).max(), table.fits(100))
        };
        assert_eq!((of(92), of(93)), ((Some(100), true), (Some(100), false)));
    }

    #[test]
    fn words_are_broken_only_if_there_is_no_room_for_them() {
        let mut table = Table::new(["labels: train, validation", "values"]);
        table.add_row(["a_name_of_a_task", "some words that take several lines"]);
        let (wide, narrow) = (table.shown(40), table.shown(20));
        for word in ["validation", "a_name_of_a_task", "several"] {
            assert!(wide.contains(word), "{wide}");
        }
        for (text, width) in [(wide, 40), (narrow, 20)] {
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
        }
    }

    #[test]
    fn text_in_a_cell_does_not_break_the_table() {
        let mut table = Table::new(["na\nme"]);
        table.add_row(["a\u{1b}[2J\nb\tc"]);
        let text = table.shown(80);
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains(r"na\nme") && text.contains(r"a\u{1b}[2J\nb\tc"), "{text}");
    }

    #[test]
    fn a_metric_that_one_split_lacks_is_blank_there() {
        let (loss, both) = (of(&["loss"]), of(&["loss", "auroc"]));
        let measured = [("validation", &loss), ("test", &both)];
        let measured = measured.map(|(split, metrics)| Measured { task: "t", split, metrics });
        let text = metrics(&measured, 80);
        assert!(text.contains("│ t    ┆ validation ┆ 0.5000 ┆        │"), "{text}");
        assert!(text.contains("│ t    ┆ test       ┆ 0.5000 ┆ 0.5000 │"), "{text}");
    }

    #[test]
    fn tasks_with_other_metrics_have_a_table_of_their_own_if_one_is_too_wide() {
        let (numbers, classes) = (of(&["loss", "rmse", "mae", "r2"]), of(&["loss", "accuracy", "auroc"]));
        let measured = |task, metrics| Measured { task, split: "test", metrics };
        let all = [measured("a", &numbers), measured("b", &classes), measured("c", &numbers)];
        let (wide, narrow) = (metrics(&all, 80), metrics(&all, 50));
        assert_eq!((wide.matches("task").count(), narrow.matches("task").count()), (1, 2), "{wide}\n{narrow}");
        assert!(!wide.contains("test") && narrow.lines().all(|line| line.chars().count() <= 50), "{narrow}");
        let line = |text: &str, task: &str| text.lines().position(|line| line.starts_with(&format!("│ {task}")));
        assert!(line(&narrow, "c") < line(&narrow, "b"), "{narrow}");
    }
}
