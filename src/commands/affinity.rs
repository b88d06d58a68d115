//! `trunkline affinity`: which tasks of a run help each other, and which to train together.

mod map;

use std::path::{Path, PathBuf};

use aggregation::affinity::{Affinity, Estimate, Estimates};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    affinity,
    exit::{Failure, write},
    picture::Files,
    recorded,
    screen::{self, print, print_json},
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

/// A measure of how one task affects another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Mean cosine of the tasks' gradients.
    Cosine,
    /// Share by which a step along one task's gradient lowers the other's loss, to first order.
    Transfer,
}

/// Prints the affinity of a run's tasks, and writes the files that were asked for.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let recorded = recorded::read(&arguments.run_dir)?;
    recorded.check_gramians(&arguments.run_dir)?;
    let tasks = recorded.tasks();
    let measured = affinity::measure(&recorded)?;
    if let Some(path) = &arguments.csv {
        write(path, affinity::csv(&tasks, &measured).as_bytes())?;
    }
    arguments.picture.write(|| map::draw(&arguments.run_dir, arguments.measure, &tasks, &measured))?;
    if arguments.json {
        return print_json(&json(&arguments.run_dir, &tasks, &measured)).map_err(Failure::failed);
    }
    print(&affinity::text(&tasks, &measured, screen::width()));
    Ok(())
}

fn json(run_dir: &Path, tasks: &[&str], affinity: &Affinity) -> Value {
    let (cosines, transfers) = (affinity.cosines(), affinity.transfers());
    let grouping = affinity.grouping();
    let names = |group: &Vec<usize>| group.iter().map(|task| tasks[*task]).collect::<Vec<_>>();
    let groups = grouping.as_ref().map(|grouping| grouping.groups.iter().map(names).collect::<Vec<_>>());
    let mean = |estimate: &Estimate| Some(estimate.mean);
    let error = |estimate: &Estimate| estimate.standard_error;
    json!({
        "run_dir": run_dir,
        "steps": affinity.steps(),
        "tasks": tasks,
        "cosine": each(&cosines, mean),
        "cosine_standard_error": each(&cosines, error),
        "transfer": each(&transfers, mean),
        "transfer_standard_error": each(&transfers, error),
        "pair_steps": each(&cosines, |estimate| Some(estimate.steps)),
        "groups": groups,
        "search": grouping.map(|grouping| if grouping.is_best { "exact" } else { "greedy" }),
    })
}

/// One number of each estimate: [tasks, tasks].
fn each<T>(estimates: &Estimates, part: impl Fn(&Estimate) -> Option<T>) -> Vec<Vec<Option<T>>> {
    estimates.iter().map(|row| row.iter().map(|estimate| estimate.as_ref().and_then(&part)).collect()).collect()
}
