//! `trunkline affinity`: which tasks of a run help each other, and which to train together.

use std::path::{Path, PathBuf};

use aggregation::affinity::{Affinity, EXACT_MAX, Grouping, grouping};
use clap::ValueEnum;
use serde_json::json;

use crate::{
    exit::{Failure, print, write},
    picture::{Files, HeatMap, Scene, heat_map},
    recorded::{self, Recorded},
    table,
};

/// Arguments of `trunkline affinity`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The run's folder.
    run_dir: PathBuf,
    /// What the picture shows.
    #[arg(long, value_enum, default_value_t = Measure::Cosine)]
    measure: Measure,
    /// Write both measures as CSV.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    picture: Files,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A measure of what one task is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// The mean cosine of their gradients.
    Cosine,
    /// By what share a step along one task's gradient lowers the other's loss, to first order.
    Transfer,
}

type Matrix = Vec<Vec<Option<f64>>>;

/// Measures.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let recorded = recorded::read(&arguments.run_dir)?;
    recorded.check_gramians(&arguments.run_dir)?;
    let tasks = recorded.tasks();
    let affinity = measure(&recorded, tasks.len())?;
    let (cosines, transfers) = (affinity.cosines(), affinity.transfers());
    let grouping = grouping(&cosines);
    if let Some(path) = &arguments.csv {
        write(path, csv(&tasks, &cosines, &transfers).as_bytes())?;
    }
    arguments.picture.write(|| draw(arguments, &tasks, &affinity))?;
    let names = |group: &Vec<usize>| group.iter().map(|task| tasks[*task]).collect::<Vec<_>>();
    if arguments.json {
        let groups: Vec<_> = grouping.groups.iter().map(names).collect();
        let object = json!({
            "run_dir": arguments.run_dir, "steps": affinity.steps(), "tasks": tasks, "cosine": cosines, "transfer": transfers,
            "groups": groups, "search": if grouping.is_best { "exact" } else { "greedy" },
        });
        print(&object.to_string());
        return Ok(());
    }
    print(&shown_cosines(&tasks, &affinity));
    let heading = "first-order transfer: the share of a column's loss that a step along a row's gradient takes away";
    print(&format!("{heading}\n{}", matrix(&tasks, &transfers, |value| format!("{value:.2e}"))));
    print(&recommendation(&tasks, &grouping));
    Ok(())
}

/// The mean cosines of a finished run's tasks, and which to train together, where the run computed gradients by task.
///
/// # Errors
/// The run's records can't be read.
pub fn summary(run_dir: &Path) -> Result<Option<String>, Failure> {
    let recorded = recorded::read(run_dir)?;
    let tasks = recorded.tasks();
    if recorded.check_gramians(run_dir).is_err() || tasks.len() < 2 {
        return Ok(None);
    }
    let affinity = measure(&recorded, tasks.len())?;
    let cosines = affinity.cosines();
    Ok(Some(format!("{}\n{}", shown_cosines(&tasks, &affinity), recommendation(&tasks, &grouping(&cosines)))))
}

fn measure(recorded: &Recorded, tasks: usize) -> Result<Affinity, Failure> {
    let mut affinity = Affinity::new(tasks);
    for record in &recorded.records {
        if let Some(gramian) = recorded::gramian(record)? {
            let present = recorded.present(record)?;
            affinity.add(&present, &gramian, &recorded::numbers(&record.losses), record.learning_rate.0);
        }
    }
    Ok(affinity)
}

fn shown_cosines(tasks: &[&str], affinity: &Affinity) -> String {
    let steps = affinity.steps();
    let steps = if steps == 1 { "one recorded step".to_owned() } else { format!("{steps} recorded steps") };
    let cosines = matrix(tasks, &affinity.cosines(), |value| format!("{value:.3}"));
    format!("mean cosine of the gradients over {steps}\n{cosines}")
}

/// Names that take more than this over the columns stand at the rows only, with numbers that the columns have.
const NAMES_WIDE: usize = 100;

fn matrix(tasks: &[&str], values: &Matrix, shown: impl Fn(f64) -> String) -> comfy_table::Table {
    let is_wide = tasks.iter().map(|name| name.len() + 3).sum::<usize>() > NAMES_WIDE;
    let numbers: Vec<String> = (1..=tasks.len()).map(|number| number.to_string()).collect();
    let columns =
        numbers.iter().map(String::as_str).zip(tasks).map(|(number, name)| if is_wide { number } else { name });
    let mut rows = table::new(&std::iter::once("").chain(columns).collect::<Vec<_>>());
    for ((number, name), values) in numbers.iter().zip(tasks).zip(values) {
        let row = if is_wide { format!("{number} {name}") } else { (*name).to_owned() };
        let values = values.iter().map(|value| value.map_or_else(|| "-".to_owned(), &shown));
        rows.add_row(std::iter::once(row).chain(values));
    }
    rows
}

fn recommendation(tasks: &[&str], grouping: &Grouping) -> String {
    let named = |group: &Vec<usize>| group.iter().map(|task| tasks[*task]).collect::<Vec<_>>().join(", ");
    let how = if grouping.is_best {
        "no other grouping has a larger sum of mean cosines".to_owned()
    } else {
        format!("groups merged while that raised the sum of mean cosines; the search is exact up to {EXACT_MAX} tasks")
    };
    match &grouping.groups[..] {
        [_] => format!("recommendation: train all tasks together ({how})"),
        groups => {
            let lines: Vec<String> = groups.iter().map(|group| format!("  {}", named(group))).collect();
            format!("recommendation: train together the tasks of a line ({how})\n{}", lines.join("\n"))
        }
    }
}

fn csv(tasks: &[&str], cosines: &Matrix, transfers: &Matrix) -> String {
    let quoted = |name: &str| {
        let plain = !name.contains(['"', ',', '\n', '\r']);
        if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
    };
    let shown = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let mut out = "from,to,cosine,transfer\n".to_owned();
    for (i, from) in tasks.iter().enumerate() {
        for (j, to) in tasks.iter().enumerate() {
            let (from, to) = (quoted(from), quoted(to));
            out += &format!("{from},{to},{},{}\n", shown(cosines[i][j]), shown(transfers[i][j]));
        }
    }
    out
}

fn draw(arguments: &Arguments, tasks: &[&str], affinity: &Affinity) -> Scene {
    let labels: Vec<String> = tasks.iter().map(|&task| task.to_owned()).collect();
    let run = arguments.run_dir.canonicalize().ok();
    let run = run.as_deref().and_then(Path::file_name).unwrap_or(arguments.run_dir.as_os_str()).to_string_lossy();
    let title = format!("Task affinity of {run}");
    let steps = affinity.steps();
    match arguments.measure {
        Measure::Cosine => heat_map(&HeatMap {
            title: &title,
            note: &[
                &format!("Mean cosine of the tasks' gradients over {steps} recorded steps:"),
                "blue where they agree, orange where they conflict",
            ],
            rows: "task",
            columns: "task",
            labels: &labels,
            values: &affinity.cosines(),
            limit: 1.0,
            legend: "mean cosine",
        }),
        Measure::Transfer => {
            let values = affinity.transfers();
            let largest = values.iter().flatten().flatten().map(|value| value.abs()).fold(0.0, f64::max);
            heat_map(&HeatMap {
                title: &title,
                note: &[
                    "Share of a column's loss that a step along a row's gradient takes away, to first order,",
                    &format!("mean over {steps} recorded steps: blue where it falls, orange where it rises"),
                ],
                rows: "step along",
                columns: "loss of",
                labels: &labels,
                values: &values,
                limit: if largest > 0.0 { largest } else { 1.0 },
                legend: "first-order transfer",
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_has_a_row_for_each_pair_and_quotes_names_that_need_it() {
        let values = vec![vec![Some(1.0), None], vec![Some(-0.5), Some(1.0)]];
        let text = csv(&["a,\"b\"", "c"], &values, &values);
        let expected = "from,to,cosine,transfer\n\"a,\"\"b\"\"\",\"a,\"\"b\"\"\",1,1\n\"a,\"\"b\"\"\",c,,\nc,\"a,\"\"b\"\"\",-0.5,-0.5\nc,c,1,1\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn names_too_long_for_a_line_stand_at_the_rows_only() {
        let names: Vec<String> = (0..12).map(|task| format!("attribute_{task}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let of = |tasks: &[&str]| {
            let values = vec![vec![Some(0.5); tasks.len()]; tasks.len()];
            matrix(tasks, &values, |value| value.to_string()).to_string()
        };
        let (few, many) = (of(&names[..2]), of(&names));
        assert_eq!((few.matches("attribute_1").count(), few.contains("1 attribute_0")), (2, false), "{few}");
        assert!(many.contains("12 attribute_11") && many.lines().all(|line| line.chars().count() < 130), "{many}");
    }

    #[test]
    fn a_recommendation_names_the_groups() {
        let grouping = |groups: Vec<Vec<usize>>, is_best| Grouping { groups, value: 1.0, is_best };
        let tasks = ["a", "b", "c"];
        assert!(recommendation(&tasks, &grouping(vec![vec![0, 1, 2]], true)).contains("all tasks together"));
        let text = recommendation(&tasks, &grouping(vec![vec![0, 2], vec![1]], false));
        assert!(text.contains("\n  a, c\n  b") && text.contains("up to 12 tasks"), "{text}");
    }
}
