//! The progress of a run as people see it: a bar on a terminal, a line every 10 seconds elsewhere.

use std::{io::IsTerminal, time::Duration};

use coordinator::progress::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{sync::watch, time};

use crate::exit::say;

/// Time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows a run until it is over.
pub async fn show(mut progress: watch::Receiver<Progress>) {
    if !std::io::stderr().is_terminal() {
        return lines(progress).await;
    }
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len}  {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    while progress.changed().await.is_ok() {
        let now = progress.borrow_and_update().clone();
        bar.set_length(now.steps);
        bar.set_position(now.step);
        bar.set_prefix(now.state);
        bar.set_message(describe(&now));
    }
    bar.finish_and_clear();
}

async fn lines(mut progress: watch::Receiver<Progress>) {
    let mut ticks = time::interval(LINE_EVERY);
    ticks.tick().await;
    loop {
        tokio::select! {
            changed = progress.changed() => if changed.is_err() { return },
            _ = ticks.tick() => {
                let now = progress.borrow().clone();
                say(&format!("{}: step {}/{}  {}", now.state, now.step, now.steps, describe(&now)));
            }
        }
    }
}

fn describe(now: &Progress) -> String {
    let mut parts = vec![format!("{} workers", now.workers.len()), format!("{:.0} rows/s", now.rows_per_second)];
    parts.extend(now.losses.iter().take(6).map(|(task, loss)| format!("{task} {loss:.4}")));
    parts.extend(now.skill.map(|skill| format!("skill {skill:.3}")));
    parts.join("  ")
}
