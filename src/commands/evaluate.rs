//! `trunkline evaluate`: the metrics of a trained run on a split.

use std::{path::PathBuf, sync::Arc};

use aggregation::tree::Node;
use coordinator::evaluation::{self, EvaluationPart};
use datasets::{Plan, Store};
use experiment::SplitName;
use worker::compute::Computer;

use crate::{
    exit::Failure,
    run_dir,
    screen::{self, print, print_json},
    table::{self, Measured},
};

/// Arguments of `trunkline evaluate`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    run_dir: PathBuf,
    /// Rows to evaluate: train, validation or test.
    #[arg(long, default_value = "test", value_parser = split)]
    split: SplitName,
    /// Device to compute on: flex (or cpu), libtorch, libtorch:cuda:N, cuda:N or wgpu.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Folder that relative paths of data start from [default: the experiment's].
    #[arg(long, value_name = "FOLDER")]
    data_root: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn split(text: &str) -> Result<SplitName, String> {
    let found = SplitName::ALL.into_iter().find(|split| split.name() == text);
    found.ok_or_else(|| "one of train, validation and test".to_owned())
}

/// Prints the metrics.
///
/// # Errors
/// The run, its data or the device can't be used.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (checkpoint, selected) = run_dir::selected(&arguments.run_dir)?;
    let loaded = run_dir::experiment(&arguments.run_dir)?;
    let plan: Plan = serde_json::from_str(&checkpoint.preprocessing).map_err(Failure::failed)?;
    let plan = Arc::new(plan);
    let base = arguments.data_root.clone().or_else(|| checkpoint.states.get("base").map(PathBuf::from));
    let store = Store::open(Arc::clone(&plan), &base.unwrap_or_default()).map_err(Failure::failed)?;
    let device: model::Device = arguments.device.parse().map_err(Failure::refused)?;
    model::device::configure(loaded.experiment.cluster.threads as usize).map_err(Failure::failed)?;
    let mut computer = Computer::new(&loaded.experiment, store, &device).map_err(Failure::refused)?;
    computer.set_parameters(&checkpoint.parameters).map_err(Failure::failed)?;
    let mut parts = Vec::new();
    let chunks: Vec<u32> = (0..plan.feeds().len()).map(|feed| plan.chunks(feed, arguments.split)).collect();
    for (feed, count) in chunks.iter().enumerate().filter(|(_, count)| **count > 0) {
        let node = Node::root(*count);
        let sums = computer.evaluate(feed, arguments.split, node).map_err(Failure::failed)?;
        let sums = sums.into_iter().map(|(task, sums)| (task as u32, sums)).collect();
        parts.push(EvaluationPart { feed, node, sums });
    }
    let evaluated = evaluation::metrics(plan.shapes(), arguments.split, &chunks, parts);
    if arguments.json {
        let object = serde_json::json!({
            "run_dir": arguments.run_dir, "split": arguments.split.name(), "selected": selected, "step": checkpoint.step,
            "loss": evaluated.loss, "skill": evaluated.skill, "tasks": evaluated.tasks,
        });
        return print_json(&object).map_err(Failure::failed);
    }
    let split = arguments.split.name();
    let measured: Vec<Measured<'_>> =
        evaluated.tasks.iter().map(|(task, metrics)| Measured { task, split, metrics }).collect();
    let heading = format!("metrics on the {split} rows of the parameters of step {} ({selected})", checkpoint.step);
    print(&format!("{heading}\n{}", table::metrics(&measured, screen::width())));
    Ok(())
}
