//! `trunkline check`: the plan of an experiment, without training anything.

use std::path::PathBuf;

use coordinator::{run::divide, setup::Setup};
use experiment::SplitName;
use serde_json::{Value, json};

use crate::{
    exit::{Failure, print},
    table, train,
};

/// Arguments of `trunkline check`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The experiment file.
    file: PathBuf,
    /// Overrides a key of the experiment, such as `train.steps=50`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// flex, libtorch, libtorch:cuda:N, cuda:N or wgpu.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Checks.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let setup = train::prepare(&arguments.file, &arguments.sets, &arguments.device)?;
    if arguments.json {
        print(&plan(&setup).to_string());
    } else {
        print(&describe(&setup));
    }
    Ok(())
}

/// Multiply-adds of a step's gradient: forward, and about twice that backward.
fn multiply_adds(setup: &Setup) -> u64 {
    let plan = &setup.prepared.plan;
    let feeds = plan.feeds().iter().enumerate();
    feeds.map(|(i, feed)| 3 * u64::from(feed.batch_size) * setup.network.multiply_adds(i, &feed.tasks)).sum()
}

/// By worker: microbatches, nodes, rows held, bytes held, bytes up a step.
fn shares(setup: &Setup) -> Vec<(u32, usize, u64, u64, u64)> {
    let plan = &setup.prepared.plan;
    let count = u64::from(setup.loaded.experiment.cluster.workers);
    let ranks: Vec<_> = (0..count).map(coordinator::run::WorkerId).collect();
    let division = divide(plan.microbatches(), &ranks);
    let parameters = setup.network.layout().len() as u64;
    ranks
        .iter()
        .map(|rank| {
            let nodes: Vec<_> = division.iter().filter(|(worker, _)| worker == rank).map(|(_, node)| *node).collect();
            let microbatches: u32 = nodes.iter().map(|node| node.len()).sum();
            let (mut rows, mut bytes) = (0, 0);
            for feed in 0..plan.feeds().len() {
                let held: u64 = nodes.iter().flat_map(|n| n.lo..n.hi).map(|v| plan.partition_rows(feed, v)).sum();
                rows += held;
                bytes += held * plan.row_bytes(feed);
            }
            (microbatches, nodes.len(), rows, bytes, 4 * parameters * nodes.len() as u64)
        })
        .collect()
}

fn plan(setup: &Setup) -> Value {
    let layout = setup.network.layout();
    let blocks = layout.blocks().iter().map(|b| json!({"name": b.name, "shape": b.shape, "shared": b.is_shared()}));
    let workers = shares(setup).into_iter().map(|(microbatches, nodes, rows, bytes, up)| {
        json!({"microbatches": microbatches, "nodes": nodes, "rows": rows, "bytes": bytes, "bytes_up": up,
            "bytes_down": 4 * layout.len()})
    });
    json!({
        "name": setup.loaded.experiment.name,
        "steps": setup.steps,
        "rows_per_step": setup.rows_per_step(),
        "data": setup.prepared.summary,
        "model": {"parameters": layout.len(), "blocks": blocks.collect::<Vec<_>>()},
        "multiply_adds_per_step": multiply_adds(setup),
        "workers": workers.collect::<Vec<_>>(),
    })
}

fn describe(setup: &Setup) -> String {
    let summary = &setup.prepared.summary;
    let mut text = format!("experiment {}: {} steps\n", setup.loaded.experiment.name, setup.steps);
    let mut tables =
        table::new(&["dataset", "format", "rows", "train", "validation", "test", "columns", "nulls", "size"]);
    for t in &summary.tables {
        let rows = |split| t.splits.get(&split).copied().unwrap_or(0).to_string();
        tables.add_row([
            t.name.clone(),
            t.format.clone(),
            t.rows.to_string(),
            rows(SplitName::Train),
            rows(SplitName::Validation),
            rows(SplitName::Test),
            t.columns.len().to_string(),
            t.columns.iter().filter_map(|c| c.nulls).sum::<u64>().to_string(),
            bytes(t.bytes),
        ]);
    }
    let mut feeds = table::new(&["feed", "dataset", "features", "width", "rows a step", "tasks"]);
    for f in &summary.feeds {
        feeds.add_row([
            f.name.clone(),
            f.dataset.clone(),
            f.features.len().to_string(),
            f.width.to_string(),
            f.batch_size.to_string(),
            f.tasks.join(", "),
        ]);
    }
    let mut tasks =
        table::new(&["task", "kind", "target", "labels train/validation/test", "classes", "constant's loss"]);
    for t in &summary.tasks {
        let labels: Vec<String> = t.labelled.values().map(u64::to_string).collect();
        let classes: Vec<&str> = t.classes.iter().map(|(name, _)| name.as_str()).take(12).collect();
        let baseline = t.baseline_loss.get(&SplitName::Validation).or_else(|| t.baseline_loss.get(&SplitName::Train));
        tasks.add_row([
            t.name.clone(),
            t.kind.clone(),
            t.targets.join(", "),
            labels.join("/"),
            classes.join(", "),
            baseline.map_or_else(String::new, |loss| format!("{loss:.4}")),
        ]);
    }
    let mut model = table::new(&["part", "parameters", "reached by"]);
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
        model.add_row([part, count.to_string(), format!("{tasks} tasks")]);
    }
    model.add_row(["all".to_owned(), layout.len().to_string(), String::new()]);
    let mut workers = table::new(&["worker", "microbatches", "rows held", "data", "up a step", "down a step"]);
    for (rank, (microbatches, _, rows, held, up)) in shares(setup).into_iter().enumerate() {
        let cells = [rank.to_string(), microbatches.to_string(), rows.to_string(), bytes(held), bytes(up)];
        workers.add_row(cells.into_iter().chain([bytes(4 * layout.len() as u64)]));
    }
    for table in [tables, feeds, tasks, model, workers] {
        text.push_str(&format!("{table}\n"));
    }
    let work = multiply_adds(setup) as f64 / 1e6;
    text.push_str(&format!("{} rows and {work:.1} million multiply-adds a step", setup.rows_per_step()));
    text
}

fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}
