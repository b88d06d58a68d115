//! `trunkline check`: the plan of an experiment, without training anything.

mod shown;

use std::{ops::Range, path::PathBuf};

use coordinator::{run::divide, setup::Setup};
use serde_json::{Value, json};

use crate::{
    exit::{Failure, print},
    train,
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
        print(&shown::plan(&setup));
    }
    Ok(())
}

/// What one worker has to do with a run, where every worker does its part.
struct Share {
    /// Parts of a step's batch.
    microbatches: u32,
    /// Nodes of the canonical tree, for each of which it sends one vector.
    nodes: usize,
    /// Rows of the tables that it reads to get its own.
    rows_read: u64,
    /// Rows that it holds.
    rows: u64,
    /// Bytes of these rows, encoded.
    bytes: u64,
    /// Bytes that it sends a step.
    bytes_up: u64,
    /// Bytes that it gets a step.
    bytes_down: u64,
    /// Multiply-adds of its part of a step.
    multiply_adds: u64,
}

/// Multiply-adds of a feed's part of a step: forward, and about twice that backward.
fn multiply_adds(setup: &Setup, feed: usize) -> u64 {
    let plan = &setup.prepared.plan.feeds()[feed];
    3 * u64::from(plan.batch_size) * setup.network.multiply_adds(feed, &plan.tasks)
}

/// By worker.
fn shares(setup: &Setup) -> Vec<Share> {
    let plan = &setup.prepared.plan;
    let count = u64::from(setup.loaded.experiment.cluster.workers);
    let ranks: Vec<_> = (0..count).map(coordinator::run::WorkerId).collect();
    let division = divide(plan.microbatches(), &ranks);
    let nodes = |rank| division.iter().filter(move |(worker, _)| *worker == rank).map(|(_, node)| *node);
    // A worker's nodes follow each other.
    let range = |rank| {
        let lo = nodes(rank).map(|node| node.lo).min().unwrap_or(0);
        lo..nodes(rank).map(|node| node.hi).max().unwrap_or(lo)
    };
    let ranges: Vec<Range<u32>> = ranks.iter().map(|rank| range(*rank)).collect();
    let bytes_down = (size_of::<f32>() * setup.network.layout().len()) as u64;
    let mut shares: Vec<Share> = ranks
        .iter()
        .zip(&ranges)
        .map(|(rank, range)| {
            let nodes = nodes(*rank).count();
            let bytes_up = bytes_down * nodes as u64;
            let microbatches = range.end - range.start;
            Share { microbatches, nodes, rows_read: 0, rows: 0, bytes: 0, bytes_up, bytes_down, multiply_adds: 0 }
        })
        .collect();
    for feed in 0..plan.feeds().len() {
        for ((share, range), rows_read) in shares.iter_mut().zip(&ranges).zip(plan.rows_read(feed, &ranges)) {
            let rows: u64 = range.clone().map(|v| plan.partition_rows(feed, v)).sum();
            share.rows_read += rows_read;
            share.rows += rows;
            share.bytes += rows * plan.row_bytes(feed);
            share.multiply_adds +=
                multiply_adds(setup, feed) * u64::from(share.microbatches) / u64::from(plan.microbatches());
        }
    }
    shares
}

fn plan(setup: &Setup) -> Value {
    let layout = setup.network.layout();
    let blocks = layout.blocks().iter().map(|b| json!({"name": b.name, "shape": b.shape, "shared": b.is_shared()}));
    let workers = shares(setup).into_iter().map(|share| {
        json!({"microbatches": share.microbatches, "nodes": share.nodes, "rows_read": share.rows_read, "rows": share.rows,
            "bytes": share.bytes, "bytes_up": share.bytes_up, "bytes_down": share.bytes_down,
            "multiply_adds": share.multiply_adds})
    });
    let feeds = 0..setup.prepared.plan.feeds().len();
    json!({
        "name": setup.loaded.experiment.name,
        "steps": setup.steps,
        "rows_per_step": setup.rows_per_step(),
        "data": setup.prepared.summary,
        "model": {"parameters": layout.len(), "blocks": blocks.collect::<Vec<_>>()},
        "multiply_adds_per_step": feeds.map(|feed| multiply_adds(setup, feed)).sum::<u64>(),
        "workers": workers.collect::<Vec<_>>(),
    })
}
