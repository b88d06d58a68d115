//! `trunkline check`: the plan of an experiment, without training anything.

mod shown;
mod split;

use std::{ops::Range, path::PathBuf};

use coordinator::{
    forecast::{self, StepPart},
    setup::Setup,
};
use serde_json::{Value, json};

use crate::{
    exit::Failure,
    launch,
    screen::{self, print, print_json},
};

/// Arguments of `trunkline check`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Experiment file.
    file: PathBuf,
    /// Override a key of the experiment, such as `train.steps=50`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Device to compute on: flex (or cpu), libtorch, libtorch:cuda:N, cuda:N or wgpu.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Write the part of each row to this file: columns dataset, row (from 1) and part. The key
    /// `split.file` of a dataset reads it.
    #[arg(long, value_name = "CSV")]
    export_split: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints the plan.
///
/// # Errors
/// The experiment, its data or the device are refused.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let setup = launch::prepare(&arguments.file, &arguments.sets, &arguments.device)?;
    if let Some(path) = &arguments.export_split {
        split::export(&setup, path)?;
    }
    if arguments.json {
        return print_json(&plan(&setup)).map_err(Failure::failed);
    }
    print(&(shown::plan(&setup, screen::width()) + &split::shown(&setup.prepared.summary)));
    Ok(())
}

/// One worker's share of a run, if all workers take part.
struct Share {
    part: StepPart,
    /// Rows of the tables that the worker reads to find its own.
    rows_read: u64,
    /// Rows that the worker holds.
    rows: u64,
    /// Bytes of the rows that the worker holds, encoded.
    bytes: u64,
}

/// The share of each worker, by rank.
fn shares(setup: &Setup) -> Vec<Share> {
    let plan = &setup.prepared.plan;
    let parts = forecast::parts(setup, setup.loaded.experiment.cluster.workers);
    let mut shares: Vec<Share> =
        parts.into_iter().map(|part| Share { part, rows_read: 0, rows: 0, bytes: 0 }).collect();
    for feed in 0..plan.feeds().len() {
        let range =
            |share: &Share| share.part.microbatches.iter().find(|(of, _)| *of == feed).map(|(_, range)| range.clone());
        let ranges: Vec<Range<u32>> = shares.iter().map(|share| range(share).unwrap_or_default()).collect();
        for ((share, range), rows_read) in shares.iter_mut().zip(&ranges).zip(plan.rows_read(feed, &ranges)) {
            let rows: u64 = range.clone().map(|v| plan.partition_rows(feed, v)).sum();
            share.rows_read += rows_read;
            share.rows += rows;
            share.bytes += rows * plan.row_bytes(feed);
        }
    }
    shares
}

/// Multiply-adds of all workers in a step.
fn multiply_adds(shares: &[Share]) -> u64 {
    shares.iter().map(|share| share.part.multiply_adds).sum()
}

fn plan(setup: &Setup) -> Value {
    let layout = setup.network.layout();
    let blocks = layout.blocks().iter().map(|b| json!({"name": b.name, "shape": b.shape, "shared": b.is_shared()}));
    let shares = shares(setup);
    let workers = shares.iter().map(|Share { part, rows_read, rows, bytes }| {
        let microbatches: usize = part.microbatches.iter().map(|(_, range)| range.len()).max().unwrap_or(0);
        json!({"microbatches": microbatches, "nodes": part.nodes, "rows_read": rows_read, "rows": rows, "bytes": bytes,
            "bytes_up": part.bytes_up, "bytes_down": part.bytes_down, "multiply_adds": part.multiply_adds,
            "measuring": {"bytes_up": part.measuring.bytes_up, "multiply_adds": part.measuring.multiply_adds}})
    });
    json!({
        "name": setup.loaded.experiment.name,
        "steps": setup.steps,
        "rows_per_step": setup.rows_per_step(),
        "data": setup.prepared.summary,
        "model": {"parameters": layout.len(), "blocks": blocks.collect::<Vec<_>>()},
        "multiply_adds_per_step": multiply_adds(&shares),
        "gramian_every": setup.gramian_interval(),
        "workers": workers.collect::<Vec<_>>(),
    })
}
