//! Measures weightings on one gradient matrix, for `scripts/bench/aggregation`.
//!
//! usage: time MATRIX TASKS REPEAT WEIGHTING...
//!
//! MATRIX is a file of little-endian f32, row by row. A WEIGHTING is one of:
//!
//! - TOML without line ends (`method = "cagrad"; c = 0.5`);
//! - `gramian` for G alone;
//! - `read` for reading the matrix once, to check that all values are finite.
//!
//! The output has a line of JSON for each of them: `{"name", "seconds": [..]}`.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use aggregation::clip::all_finite;
use aggregation::random::{Purpose, Stream};
use aggregation::weighting::{Combination, Moment, Need, Statistics};
use aggregation::{Gramian, Optimizer, Weighting, matrix};
use settings::Invalid;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, tasks, repeat, names @ ..] = arguments.as_slice() else {
        return Err("usage: time MATRIX TASKS REPEAT WEIGHTING...".into());
    };
    let (tasks, repeat): (usize, usize) = (tasks.parse()?, repeat.parse()?);
    let bytes = std::fs::read(file)?;
    let (words, _) = bytes.as_chunks::<4>();
    let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    let rows: Vec<&[f32]> = values.chunks_exact(values.len() / tasks).collect();
    for name in names {
        let mut seconds = Vec::new();
        match name.as_str() {
            "read" => time(repeat, &mut seconds, || all_finite(&values)),
            "gramian" => time(repeat, &mut seconds, || Gramian::of_rows(&rows)),
            text => {
                let weighting: Weighting = toml::from_str(&text.replace("; ", "\n"))?;
                let step = prepared(&weighting, rows.len())?;
                time(repeat, &mut seconds, || step(&rows));
            }
        }
        #[allow(clippy::print_stdout)] // the results
        {
            println!("{}", serde_json::json!({ "name": name, "seconds": seconds }));
        }
    }
    Ok(())
}

fn time<T>(repeat: usize, seconds: &mut Vec<f64>, mut work: impl FnMut() -> T) {
    black_box(work());
    for _ in 0..repeat {
        #[allow(clippy::disallowed_methods)] // this program measures
        let start = Instant::now();
        black_box(work());
        seconds.push(start.elapsed().as_secs_f64());
    }
}

/// The first step, from the gradients to the direction.
fn prepared(weighting: &Weighting, tasks: usize) -> Result<impl Fn(&[&[f32]]) -> Vec<f32>, Invalid> {
    let names: Vec<String> = (0..tasks).map(|task| format!("t{task}")).collect();
    let method = weighting.build(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
    let needs = method.needs();
    let present: Vec<usize> = (0..tasks).collect();
    let losses = vec![1.0; tasks];
    let optimizer = Optimizer::default();
    Ok(move |rows: &[&[f32]]| {
        let stream = Stream::new(0, Purpose::Weighting, &[0]);
        let moment =
            Moment { step: 0, epoch: 0, tasks, present: &present, optimizer: &optimizer, learning_rate: 1e-3, stream };
        let gramian = needs.contains(&Need::Gramian).then(|| Gramian::of_rows(rows));
        let cross = needs.contains(&Need::GramianCross).then(|| Gramian::cross(rows, rows));
        let statistics = Statistics {
            losses: Some(&losses),
            gramian: gramian.as_ref(),
            gramian_cross: cross.as_ref(),
            jacobian: Some(rows),
            ..Statistics::default()
        };
        let mut state = method.state(tasks, rows[0].len());
        let outcome = method.weigh(&moment, &statistics, &mut state).expect("the matrix is in the domain");
        match outcome.combination {
            Combination::Alpha(alpha) => matrix::combine(rows, &alpha),
            Combination::Direction(direction) => direction,
            Combination::AlphaByBlock(_) => unreachable!("weightings by block are not timed"),
        }
    })
}
