//! A measure as a table, in the fullest form that fits a line.

use aggregation::affinity::{Estimate, Estimates, STEPS_MIN};

use crate::table::{Table, short_name};

/// With more tasks than this, each task's best and worst partners take the place of the matrix.
const TASKS_MAX: usize = 20;

/// A measure, and the way to write it.
pub(super) struct Measured<'a> {
    pub tasks: &'a [&'a str],
    /// [tasks, tasks].
    pub values: &'a Estimates,
    /// Writes a value if there is room.
    pub long: fn(f64) -> String,
    /// Writes a value if there is little room.
    pub short: fn(f64) -> String,
    /// Headers of the tasks that help a task most, and of those that harm it most.
    pub extremes: [&'a str; 2],
}

impl Measured<'_> {
    /// The first of these forms that fits lines of `width` characters: names over the columns and
    /// `mean ± standard error` in the cells; numbers over the columns; no standard errors; parts of
    /// the matrix one below the other. More than [`TASKS_MAX`] tasks have their extremes alone.
    pub(super) fn shown(&self, width: usize) -> String {
        let all: Vec<usize> = (0..self.tasks.len()).collect();
        let long = |estimate: Option<Estimate>| estimate.map_or_else(|| "-".to_owned(), |e| self.with_error(e));
        let short = |estimate: Option<Estimate>| estimate.map_or_else(|| "-".to_owned(), |e| self.bracketed(e));
        let full = [true, false].into_iter().map(|names| self.part(&all, names, &long));
        if let Some(table) = full.into_iter().find(|table| table.fits(width)) {
            return table.shown(width);
        }
        let text = if self.tasks.len() > TASKS_MAX {
            self.extremes(&short, width)
        } else {
            let whole = self.part(&all, true, &short);
            if whole.fits(width) { whole.shown(width) } else { self.parts(&all, &short, width) }
        };
        let is_any_insignificant = self.values.iter().flatten().flatten().any(|estimate| !estimate.is_significant());
        if is_any_insignificant {
            format!("{text}\nin brackets: within two standard errors of 0, or of fewer than {STEPS_MIN} steps")
        } else {
            text
        }
    }

    fn with_error(&self, estimate: Estimate) -> String {
        let mean = (self.long)(estimate.mean);
        // A task's cosine with itself has no error.
        match estimate.standard_error.filter(|error| *error > 0.0) {
            Some(error) => format!("{mean} ± {}", (self.long)(error)),
            None => mean,
        }
    }

    fn bracketed(&self, estimate: Estimate) -> String {
        let mean = (self.short)(estimate.mean);
        if estimate.is_significant() { mean } else { format!("({mean})") }
    }

    /// A table of some columns of the matrix.
    fn part(&self, columns: &[usize], names: bool, cell: &dyn Fn(Option<Estimate>) -> String) -> Table {
        let over = columns.iter().map(|&at| if names { self.tasks[at].to_owned() } else { (at + 1).to_string() });
        let header: Vec<String> = std::iter::once(String::new()).chain(over).collect();
        let mut rows = Table::new(header);
        for (at, (name, values)) in self.tasks.iter().zip(self.values).enumerate() {
            let row = if names { (*name).to_owned() } else { format!("{} {}", at + 1, short_name(name)) };
            rows.add_row(std::iter::once(row).chain(columns.iter().map(|&column| cell(values[column]))));
        }
        rows
    }

    /// The matrix in as few parts of equally many columns as lines allow.
    fn parts(&self, all: &[usize], cell: &dyn Fn(Option<Estimate>) -> String, width: usize) -> String {
        let tables = |parts: usize| {
            all.chunks(all.len().div_ceil(parts)).map(|part| self.part(part, false, cell)).collect::<Vec<_>>()
        };
        let fitting = (1..all.len()).map(tables).find(|parts| parts.iter().all(|part| part.fits(width)));
        let parts = fitting.unwrap_or_else(|| tables(all.len()));
        parts.iter().map(|part| part.shown(width)).collect::<Vec<_>>().join("\n")
    }

    /// For each task, the tasks that help it most and that harm it most.
    fn extremes(&self, cell: &dyn Fn(Option<Estimate>) -> String, width: usize) -> String {
        let with = |kept: usize| {
            let [good, harm] = self.extremes;
            let mut rows = Table::new(["task", good, harm]);
            for (to, name) in self.tasks.iter().enumerate() {
                let others = (0..self.tasks.len()).filter(|&from| from != to);
                let known = |from: usize| Some((from, self.values[from][to]?));
                let mut others: Vec<(usize, Estimate)> = others.filter_map(known).collect();
                others.sort_by(|a, b| b.1.mean.total_cmp(&a.1.mean));
                let shown = |(from, estimate): &(usize, Estimate)| {
                    format!("{} {}", short_name(self.tasks[*from]), cell(Some(*estimate)))
                };
                let best = others.iter().filter(|(_, e)| e.mean > 0.0).take(kept).map(shown).collect::<Vec<_>>();
                let worst = others.iter().rev().filter(|(_, e)| e.mean < 0.0).take(kept).map(shown).collect::<Vec<_>>();
                rows.add_row([short_name(name), best.join(", "), worst.join(", ")]);
            }
            rows
        };
        let table = [3, 2].into_iter().map(with).find(|table| table.fits(width)).unwrap_or_else(|| with(1));
        format!(
            "{}\nof {} tasks the extremes are shown; --csv and --json have the matrix",
            table.shown(width),
            self.tasks.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(names: &[String], standard_error: f64) -> String {
        let tasks: Vec<&str> = names.iter().map(String::as_str).collect();
        let value = |i: usize, j: usize| match (i * 7 + j * 4 + 1) % 5 {
            0 => None,
            _ if i == j => Some(Estimate { mean: 1.0, standard_error: Some(0.0), steps: 60 }),
            sign => Some(Estimate {
                mean: if sign % 2 == 0 { -0.25 } else { 0.125 },
                standard_error: Some(standard_error),
                steps: 60,
            }),
        };
        let values: Estimates = (0..tasks.len()).map(|i| (0..tasks.len()).map(|j| value(i, j)).collect()).collect();
        let (long, short) = (|value| format!("{value:.3}"), |value| format!("{value:.2}"));
        Measured { tasks: &tasks, values: &values, long, short, extremes: ["helped most by", "harmed most by"] }
            .shown(100)
    }

    fn named(name: &str, count: usize) -> Vec<String> {
        (0..count).map(|task| format!("{name}_{task}")).collect()
    }

    fn widest(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
    }

    #[test]
    fn few_tasks_have_their_names_and_standard_errors() {
        let text = shown(&named("attribute", 3), 0.5);
        assert!(text.contains("-0.250 ± 0.500") && text.contains("1.000 ") && !text.contains('('), "{text}");
        assert_eq!((text.matches("attribute_1").count(), text.contains("2 attribute_1")), (2, false), "{text}");
    }

    #[test]
    fn long_names_stand_at_the_rows_only() {
        let text = shown(&named("an_attribute_with_a_name_that_is_very_long", 3), 0.5);
        assert!(text.contains("│ 3 an_attribute_wit…_is_very_long_2 ┆") && text.contains("± 0.500"), "{text}");
        assert!(widest(&text) <= 100, "{text}");
    }

    #[test]
    fn many_tasks_have_every_value_in_lines_that_can_be_read() {
        for (count, name) in [(6, "attribute"), (12, "attribute"), (16, "an_attribute_with_a_name_that_is_very_long")] {
            let text = shown(&named(name, count), 0.2);
            assert!(widest(&text) <= 100, "{text}");
            // Every row is in every part, every column in one.
            let rows = text.lines().filter(|line| line.contains(&format!("_{} ", count - 1))).count();
            let header = text.lines().filter(|line| line.starts_with("│  ")).collect::<String>();
            assert!((1..=4).contains(&rows), "{text}");
            assert_eq!(header.split(['│', '┆']).filter(|cell| !cell.trim().is_empty()).count(), count, "{text}");
            assert!(text.contains("(0.12)") && text.contains("in brackets") && !text.contains('±'), "{text}");
        }
        assert!(!shown(&named("attribute", 12), 0.001).contains(['(', '[']), "all are clear");
    }

    #[test]
    fn very_many_tasks_have_their_extremes() {
        let text = shown(&named("attribute", 60), 0.001);
        assert!(text.lines().count() < 70 && widest(&text) <= 100, "{text}");
        assert!(text.contains("helped most by") && text.contains("--json"), "{text}");
        let line = text.lines().find(|line| line.contains("│ attribute_0 ")).expect("a row a task");
        assert!(line.contains(" 0.12, ") && line.contains(" -0.25, "), "{line}");
    }
}
