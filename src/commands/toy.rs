//! `trunkline toy`: runs a weighting on the papers' two-task toy problems, and shows the result as
//! a table, JSON and a picture.

mod figure;

use aggregation::{
    Weighting,
    toy::{self, Problem, Trajectory},
};
use serde_json::json;

use crate::{
    exit::Failure,
    picture::Files,
    screen::{self, print, print_json},
    table::Table,
    weighting,
};

/// Arguments of `trunkline toy`.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    weighting: weighting::Arguments,
    /// Setting: cagrad or nash.
    #[arg(long, default_value = "cagrad", value_parser = problem)]
    problem: Problem,
    /// Steps from each start [default: the paper's, 100000 for cagrad and 50000 for nash].
    #[arg(long)]
    steps: Option<u64>,
    /// Seed of the random choices.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    picture: Files,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Points of a trajectory that are kept for its picture.
const POINTS_MAX: u64 = 2000;

fn problem(text: &str) -> Result<Problem, String> {
    let found = Problem::ALL.into_iter().find(|problem| problem.name() == text);
    found.ok_or_else(|| "it must be cagrad or nash".to_owned())
}

/// Descends from every start, and shows where that leads.
///
/// # Errors
/// The weighting is refused or fails, or a file can't be written.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (weighting, method) = arguments.weighting.build(&["f1", "f2"])?;
    let (problem, seed) = (arguments.problem, arguments.seed);
    let steps = arguments.steps.unwrap_or(problem.steps());
    let trajectories = toy::trajectories(problem, method.as_ref(), steps, seed, POINTS_MAX).map_err(Failure::failed)?;
    if arguments.json {
        print_json(&object(&weighting, problem, steps, &trajectories)).map_err(Failure::failed)?;
    } else {
        print(&describe(&weighting, problem, steps, &trajectories));
    }
    // Files come last: a missing folder does not cost the answer.
    arguments.picture.write(|| figure::draw(problem, &weighting, steps, &trajectories))
}

fn object(weighting: &Weighting, problem: Problem, steps: u64, trajectories: &[Trajectory]) -> serde_json::Value {
    let starts = trajectories.iter().map(|trajectory| {
        let Trajectory { start, losses, distance, .. } = trajectory;
        json!({"start": start, "final": trajectory.end(), "f": losses, "distance": distance})
    });
    let starts: Vec<_> = starts.collect();
    json!({"method": weighting.method(), "problem": problem.name(), "steps": steps, "starts": starts})
}

fn describe(weighting: &Weighting, problem: Problem, steps: u64, trajectories: &[Trajectory]) -> String {
    let mut rows = Table::new(["start", "end", "f1", "f2", "distance to the Pareto set"]);
    let pair = |[x, y]: toy::Point| format!("({x:.3}, {y:.3})");
    for trajectory in trajectories {
        let Trajectory { start, losses: [f1, f2], distance, .. } = trajectory;
        let end = pair(trajectory.end());
        let [x, y] = start;
        rows.add_row([format!("({x}, {y})"), end, format!("{f1:.4}"), format!("{f2:.4}"), format!("{distance:.5}")]);
    }
    let reached = trajectories.iter().filter(|trajectory| trajectory.reaches()).count();
    let (all, problem) = (trajectories.len(), problem.name());
    let rows = rows.shown(screen::width());
    format!(
        "{rows}\n{weighting} in the setting {problem}: {reached} of {all} starts reach the Pareto set in {steps} steps"
    )
}
