//! The snapshot of the run that people see.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::progress::Progress;

/// The least time between two snapshots.
const SHOW: Duration = Duration::from_millis(100);
/// The time over which rows a second are measured.
const WINDOW: Duration = Duration::from_secs(2);

/// Refreshes the snapshot of the run.
#[derive(Debug)]
pub(super) struct Display {
    progress: watch::Sender<Progress>,
    shown: Option<Instant>,
    /// When the present window began, and at which step.
    window: Option<(Instant, u64)>,
}

impl Display {
    pub(super) fn new(progress: watch::Sender<Progress>) -> Display {
        Display { progress, shown: None, window: None }
    }

    /// Whether the last snapshot is old enough for a new one.
    pub(super) fn is_due(&self) -> bool {
        self.shown.is_none_or(|shown| shown.elapsed() >= SHOW)
    }

    /// Takes a new snapshot, which `fill` completes. `step` updates of `rows` rows each are done.
    pub(super) fn show(&mut self, step: u64, rows: u64, fill: impl FnOnce(&mut Progress)) {
        #[expect(clippy::disallowed_methods, reason = "the shell is where time is read")]
        let now = Instant::now();
        self.shown = Some(now);
        let rate = match self.window {
            Some((since, from)) if step > from => {
                (step - from) as f64 * rows as f64 / now.duration_since(since).as_secs_f64()
            }
            _ => 0.0,
        };
        self.progress.send_modify(|progress| {
            progress.step = step;
            if rate > 0.0 {
                progress.rows_per_second = rate;
            }
            fill(progress);
        });
        if self.window.is_none_or(|(since, _)| since.elapsed() > WINDOW) {
            self.window = Some((now, step));
        }
    }

    /// Shows the training losses of a step, by task.
    pub(super) fn show_losses(&mut self, losses: Vec<(String, f64)>) {
        self.progress.send_modify(|progress| progress.losses.extend(losses));
    }

    /// Shows `validation.skill` of an evaluation.
    pub(super) fn show_skill(&mut self, skill: Option<f64>) {
        self.progress.send_modify(|progress| progress.skill = skill);
    }
}
