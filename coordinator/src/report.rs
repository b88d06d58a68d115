//! What a run comes to: the object that `train --json` prints.

use indexmap::IndexMap;
use serde::Serialize;

/// A run's outcome.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The run's folder.
    pub run_dir: String,
    /// `finished`, `interrupted` or `failed`.
    pub status: &'static str,
    /// Why, unless it is finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether early stopping ended it.
    pub stopped_early: bool,
    /// Steps done.
    pub step: u64,
    /// How many of them changed nothing, because their losses or gradients were not finite.
    pub skipped_steps: u64,
    /// The step that a resumed run went on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed_from: Option<u64>,
    /// Which parameters `tasks` is about: `best` or `last`.
    pub selected: &'static str,
    /// The step that they are of.
    pub selected_step: u64,
    /// Workers that took part at the end.
    pub world_size: usize,
    /// From the start of the program to its end.
    pub seconds: f64,
    /// From the start of the program to the first update.
    pub startup_seconds: f64,
    /// Rows of all feeds a second, over the steps themselves: without evaluation, checkpoints and
    /// start.
    pub rows_per_second: f64,
    /// Milliseconds of a step: the median.
    pub step_ms_median: f64,
    /// The share of the steps' time in which no gradient was computed, the slowest worker of each
    /// step taken.
    pub outside_gradient_fraction: f64,
    /// Peak resident memory, by process.
    pub peak_rss_bytes: PeakMemory,
    /// How many parameters the model has.
    pub parameters: usize,
    /// Over the little-endian f32 bytes of the last parameters in layout order.
    pub parameters_sha256: String,
    /// `validation.skill` and `test.skill` of the selected parameters.
    pub skill: IndexMap<&'static str, f64>,
    /// By task, by split, by metric.
    pub tasks: IndexMap<String, IndexMap<&'static str, IndexMap<String, f64>>>,
}

/// Peak resident memory, bytes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PeakMemory {
    /// Of this process.
    pub coordinator: u64,
    /// Of the workers, in the order of joining; those that were lost included.
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
    /// Takes a step: how long it took, how long its slowest worker computed, how many rows it had.
    pub fn add(&mut self, seconds: f64, gradient_seconds: f64, rows: u64) {
        self.step_seconds.push(seconds);
        self.gradient_seconds += gradient_seconds;
        self.rows += rows;
    }

    /// Rows a second.
    pub fn rows_per_second(&self) -> f64 {
        ratio(self.rows as f64, self.total())
    }

    /// Share of the time in which no gradient was computed.
    pub fn outside_gradient_fraction(&self) -> f64 {
        1.0 - ratio(self.gradient_seconds, self.total()).min(1.0)
    }

    /// Median milliseconds of a step.
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
