//! Measures the rows a second of `Network::gradient` on one thread, for the workloads of the
//! benchmark, with the hand-written engine and with autodiff.
//!
//! Run `cargo run -p model --example gradient_speed [-- SECONDS [TRUNK]]`. TRUNK is further keys of
//! the trunk as JSON, such as `'{ "activation": "gelu" }'`. `scripts/bench` measures the peer on
//! the same rows.
#![allow(clippy::print_stdout, clippy::disallowed_methods)] // prints a table of times

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use aggregation::random::{Purpose, Stream};
use experiment::{Experiment, FeedShape, Head, InputShape, Kind, LossRef, Shapes, TaskShape, Units};
use model::{Batch, Device, FeedInput, MicrobatchKey, Network, Targets, device};

/// Name, features, trunk, feeds (one 10-class task each), rows of a feed in a microbatch.
const WORKLOADS: [(&str, usize, &[usize], usize, usize); 3] = [
    ("small", 64, &[128, 128], 3, 32),
    ("mid", 256, &[512, 512, 512], 4, 128),
    ("wide", 512, &[1024, 1024, 1024], 4, 128),
];
const CLASSES: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(2.0), |text| text.parse())?;
    let more: serde_json::Value = serde_json::from_str(&std::env::args().nth(2).unwrap_or_else(|| "{}".to_owned()))?;
    device::configure(1)?;
    println!(
        "{:8} {:9} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "workload", "backward", "rows/s", "ms", "forward", "backward", "set", "GFlop/s"
    );
    for (name, width, trunk, feeds, rows) in WORKLOADS {
        let (experiment, shapes) = workload(width, trunk, feeds, &more)?;
        for (backward, mut network) in [
            ("by hand", Network::new(&experiment, &shapes, &Device::Flex)?),
            ("autodiff", Network::with_autodiff(&experiment, &shapes, &Device::Flex)?),
        ] {
            let parameters = network.initial(0);
            let set = time(seconds / 8.0, || network.set_parameters(&parameters))?;
            let made: Vec<_> = (0..feeds).map(|feed| made_rows(feed, rows, width)).collect();
            let inputs: Vec<_> = made.iter().enumerate().map(|(feed, batch)| FeedInput::new(feed, batch)).collect();
            let scales = vec![1.0 / rows as f32; feeds];
            let at = MicrobatchKey { seed: 0, step: 0, microbatch: 0 };
            let mut gradient = vec![0.0; network.layout().len()];
            let forward = time(seconds / 2.0, || network.losses(at, &inputs))?;
            let whole = time(seconds, || network.combined_gradient(at, &scales, &inputs, &mut gradient))?;
            let in_entry: usize = width * trunk[0];
            let forward_work = network.multiply_adds(0, &[0]) as usize;
            let flops = 2 * (3 * forward_work - in_entry) * rows * feeds;
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            println!(
                "{name:8} {backward:9} {:10.0} {:9.3} {:9.3} {:9.3} {:9.3} {:9.1}",
                (rows * feeds) as f64 / whole.as_secs_f64(),
                ms(whole),
                ms(forward),
                ms(whole.saturating_sub(forward)),
                ms(set),
                flops as f64 / whole.as_secs_f64() / 1e9,
            );
        }
    }
    Ok(())
}

/// The duration of the fastest run of `work` within `seconds`. Other processes disturb it least.
fn time<T, E: Error + 'static>(seconds: f64, mut work: impl FnMut() -> Result<T, E>) -> Result<Duration, E> {
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed().as_secs_f64() < seconds || times.len() < 3 {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 4])
}

fn workload(
    width: usize,
    hidden: &[usize],
    feeds: usize,
    more: &serde_json::Value,
) -> Result<(Experiment, Shapes), Box<dyn Error>> {
    let mut trunk = serde_json::json!({ "hidden": hidden });
    for (key, value) in more.as_object().into_iter().flatten() {
        trunk[key] = value.clone();
    }
    let experiment = serde_json::from_value(serde_json::json!({ "name": "speed", "model": { "trunk": trunk } }))?;
    let feed = |i: usize| {
        let name = format!("feed_{i}");
        FeedShape { dataset: name.clone(), name, input: InputShape::Table, width, embeddings: Vec::new() }
    };
    let task = |i: usize| TaskShape {
        name: format!("task_{i}"),
        template: format!("task_{i}"),
        feed: i,
        kind: Kind::Multiclass,
        outputs: CLASSES,
        classes: (0..CLASSES).map(|class| class.to_string()).collect(),
        units: Units::default(),
        baseline_loss: BTreeMap::new(),
        metrics: Vec::new(),
        loss: LossRef::default_for(Kind::Multiclass),
        weight: 1.0,
        head: Head::default(),
    };
    Ok((experiment, Shapes { feeds: (0..feeds).map(feed).collect(), tasks: (0..feeds).map(task).collect() }))
}

fn made_rows(feed: usize, rows: usize, width: usize) -> Batch {
    let stream = |part| Stream::new(0, Purpose::Synthetic, &[feed as u64, part]);
    let mut dense = vec![0.0; rows * width];
    stream(0).fill_normal(0, &mut dense);
    let values = (0..rows).map(|row| (stream(1).u32_at(row as u64) % CLASSES as u32) as f32).collect();
    let targets = vec![Targets { task: feed, values, labelled: vec![true; rows] }];
    Batch { rows, dense, ids: Vec::new(), targets }
}
