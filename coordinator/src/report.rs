//! The outcome of a run: the object that `train --json` prints.

use indexmap::IndexMap;
use serde::Serialize;

/// A run's outcome.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The run's folder.
    pub run_dir: String,
    /// `finished`, `interrupted` or `failed`.
    pub status: &'static str,
    /// Why the run is interrupted or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether early stopping ended the run.
    pub stopped_early: bool,
    /// Steps done.
    pub step: u64,
    /// How many steps changed nothing, because their losses or gradients were not finite.
    pub skipped_steps: u64,
    /// The step from which the run was resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<u64>,
    /// The parameters that were evaluated for `tasks`: `best` or `last`.
    pub selected: &'static str,
    /// The step of those parameters.
    pub selected_step: u64,
    /// Workers that took part at the end.
    pub world_size: usize,
    /// Seconds from the start of the program to its end.
    pub seconds: f64,
    /// Seconds from the start of the program to the first update.
    pub startup_seconds: f64,
    /// Rows of all feeds a second, over the steps alone: without start, evaluations and
    /// checkpoints.
    pub rows_per_second: f64,
    /// Median duration of a step, milliseconds.
    pub step_ms_median: f64,
    /// The share of the steps' time in which the slowest worker of each step computed no gradient.
    pub outside_gradient_fraction: f64,
    /// Peak resident memory, by process.
    pub peak_rss_bytes: PeakMemory,
    /// How many parameters the model has.
    pub parameters: usize,
    /// The sha256 of the last parameters as little-endian f32 in layout order.
    pub parameters_sha256: String,
    /// `validation.skill` and `test.skill` of the selected parameters.
    pub skill: IndexMap<&'static str, f64>,
    /// Metrics by task, by split, by name.
    pub tasks: IndexMap<String, IndexMap<&'static str, IndexMap<String, f64>>>,
}

/// Peak resident memory, bytes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PeakMemory {
    /// Peak memory of this process.
    pub coordinator: u64,
    /// Peak memory of each worker in the order of joining, including workers that were lost.
    pub workers: Vec<u64>,
}

/// Times of the steps of a run.
#[derive(Debug, Clone, Default)]
pub struct Speed {
    step_seconds: Vec<f64>,
    rows: u64,
    gradient_seconds: f64,
}

impl Speed {
    /// Adds a step: its duration, the time that its slowest worker computed, and its rows.
    pub fn add(&mut self, seconds: f64, gradient_seconds: f64, rows: u64) {
        self.step_seconds.push(seconds);
        self.gradient_seconds += gradient_seconds;
        self.rows += rows;
    }

    /// Rows a second.
    pub fn rows_per_second(&self) -> f64 {
        ratio(self.rows as f64, self.total())
    }

    /// The share of the time in which no gradient was computed.
    pub fn outside_gradient_fraction(&self) -> f64 {
        1.0 - ratio(self.gradient_seconds, self.total()).min(1.0)
    }

    /// The median duration of a step, milliseconds.
    pub fn step_ms_median(&self) -> f64 {
        let mut sorted = self.step_seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).map_or(0.0, |seconds| seconds * 1e3)
    }

    fn total(&self) -> f64 {
        self.step_seconds.iter().sum()
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
