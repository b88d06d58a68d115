//! Measures reading a gradient matrix, its Gramian, and every weighting from the matrix to the
//! direction, for T tasks and P parameters.
//!
//! `cargo bench -p aggregation -- T=10/P=10000` measures one size. All sizes take about a quarter
//! of an hour and 2 GB.

use std::hint::black_box;
use std::time::Duration;

use aggregation::clip::all_finite;
use aggregation::random::{Purpose, Stream};
use aggregation::weighting::{Combination, Method, Moment, Need, Outcome, Statistics};
use aggregation::{Gramian, Optimizer, Weighting, matrix};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;

/// The number of values that one thread reads at a time.
const READ_AT_ONCE: usize = 1 << 18;

/// A method as in the experiment's `[weighting]`, with values for parameters that have no default.
fn text(name: &str, tasks: usize) -> String {
    let parameters = match name {
        "constant" => format!("weights = {:?}", vec![1.0; tasks]),
        "krum" => "byzantine = 0".to_owned(),
        "trimmed_mean" => format!("trim = {}", (tasks - 1) / 4),
        _ => String::new(),
    };
    format!("method = \"{name}\"\n{parameters}")
}

struct Step<'a> {
    method: Box<dyn Method>,
    rows: &'a [&'a [f32]],
    present: Vec<usize>,
    losses: Vec<f64>,
    optimizer: Optimizer,
}

impl Step<'_> {
    /// The first step, from the gradients to the direction.
    fn direction(&self) -> Vec<f32> {
        let needs = self.method.needs();
        let gramian = needs.contains(&Need::Gramian).then(|| Gramian::of_rows(self.rows));
        let cross = needs.contains(&Need::GramianCross).then(|| Gramian::cross(self.rows, self.rows));
        let statistics = Statistics {
            losses: Some(&self.losses),
            gramian: gramian.as_ref(),
            gramian_cross: cross.as_ref(),
            jacobian: Some(self.rows),
            ..Statistics::default()
        };
        match self.weigh(&statistics).combination {
            Combination::Alpha(alpha) => matrix::combine(self.rows, &alpha),
            Combination::Direction(direction) => direction,
            Combination::AlphaByBlock(_) => unreachable!("no default is by block"),
        }
    }

    fn weigh(&self, statistics: &Statistics<'_>) -> Outcome {
        let tasks = self.rows.len();
        let moment = Moment {
            step: 0,
            epoch: 0,
            tasks,
            present: &self.present,
            optimizer: &self.optimizer,
            learning_rate: 1e-3,
            stream: Stream::new(0, Purpose::Weighting, &[0]),
        };
        let mut state = self.method.state(tasks, self.rows[0].len());
        self.method.weigh(&moment, statistics, &mut state).expect("the matrix is in the domain")
    }
}

fn weightings(criterion: &mut Criterion) {
    for (tasks, parameters) in [2, 4, 10, 40].into_iter().flat_map(|t| [10_000, 1_000_000, 10_000_000].map(|p| (t, p)))
    {
        let mut values = vec![0.0f32; tasks * parameters];
        let size = format!("T={tasks}/P={parameters}");
        let mut group = criterion.benchmark_group(&size);
        group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
        group.throughput(Throughput::Bytes(4 * values.len() as u64));
        // The matrix is made when the first benchmark of this size runs.
        let mut made = false;
        let mut make = |values: &mut Vec<f32>| {
            if !std::mem::replace(&mut made, true) {
                Stream::new(0, Purpose::Synthetic, &[]).fill_normal(0, values);
            }
        };
        group.bench_function("read", |bencher| {
            make(&mut values);
            // As a caller does who checks that all values are finite.
            bencher.iter(|| match values.len() <= READ_AT_ONCE {
                true => all_finite(black_box(&values)),
                false => black_box(&values).par_chunks(READ_AT_ONCE).all(all_finite),
            });
        });
        group.bench_function("gramian", |bencher| {
            make(&mut values);
            let rows: Vec<&[f32]> = values.chunks_exact(parameters).collect();
            bencher.iter(|| Gramian::of_rows(&rows));
        });
        for name in Weighting::names().into_iter().filter(|name| tasks > 2 || *name != "krum") {
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                make(&mut values);
                let rows: Vec<&[f32]> = values.chunks_exact(parameters).collect();
                let names: Vec<String> = (0..tasks).map(|task| format!("t{task}")).collect();
                let weighting: Weighting = toml::from_str(&text(name, tasks)).expect("is right");
                let method = weighting.build(&names.iter().map(String::as_str).collect::<Vec<_>>()).expect("fits");
                let (present, losses) = ((0..tasks).collect(), vec![1.0; tasks]);
                let step = Step { method, rows: &rows, present, losses, optimizer: Optimizer::default() };
                bencher.iter(|| step.direction());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, weightings);
criterion_main!(benches);
