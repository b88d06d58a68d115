//! The progress of a run as people see it: a bar on a terminal, a line every 10 seconds elsewhere.
//! While tables are read there is a bar on a terminal, and nothing elsewhere.

use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

use coordinator::progress::Progress;
use datasets::{Pass, Passage};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::{sync::watch, time};

use crate::{
    amount::{bytes, count, counted},
    screen::{one_line, say, set_bar},
};

/// Time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Time between two pictures of a bar while nothing is told.
const TICK: Duration = Duration::from_millis(200);

/// Before the first worker there is nothing to count.
const WAITING: &str = "{spinner} {prefix}  {wide_msg}";
/// The message at the end is cut where the line ends.
const TRAINING: &str = "{prefix:10} {bar:16} {pos}/{len}  {eta} left  {wide_msg}";
/// How far the pass over a table is.
const READING: &str = "{prefix} {bar:16} {percent}%  {eta} left  {wide_msg}";

/// A bar on the screen, which it leaves when this is dropped.
struct Bar(ProgressBar);

impl Bar {
    /// A bar, if standard error is a terminal.
    fn begin(template: &str) -> Option<Bar> {
        if !stderr().is_terminal() {
            return None;
        }
        // A length of 0 would be shown as 100%.
        let bar = Bar(ProgressBar::new(1));
        bar.set_template(template);
        bar.0.set_prefix("starting");
        bar.0.enable_steady_tick(TICK);
        set_bar(Some(bar.0.clone()));
        Some(bar)
    }

    fn set_template(&self, template: &str) {
        self.0.set_style(ProgressStyle::with_template(template).expect("the templates above are right"));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        set_bar(None);
        self.0.finish_and_clear();
    }
}

/// The bar while tables are read.
pub struct Reading(Option<Bar>);

impl Reading {
    /// Begins to read. There is no bar unless standard error is a terminal.
    pub fn begin() -> Reading {
        Reading(Bar::begin(READING))
    }

    /// Shows how far it is.
    pub fn show(&self, passage: &Passage<'_>) {
        let Some(Bar(bar)) = &self.0 else { return };
        let Passage { dataset, pass, done, all } = *passage;
        let (what, far) = match pass {
            Pass::FindRows => ("finding rows", format!("{} of {}", bytes(done), bytes(all))),
            Pass::ReadSplit => ("reading for the split", format!("{} of {} rows", count(done), count(all))),
            Pass::Read => ("reading", format!("{} of {} rows", count(done), count(all))),
        };
        let is_other = bar.prefix() != what || done < bar.position();
        bar.set_prefix(what);
        bar.set_message(format!("{}: {far}", one_line(dataset)));
        bar.set_length(all);
        if is_other {
            // Another pass has a pace of its own.
            bar.reset();
        }
        bar.set_position(done);
    }
}

/// Shows a run until it is over.
pub async fn show(mut progress: watch::Receiver<Progress>) {
    let Some(bar) = Bar::begin(WAITING) else { return lines(progress).await };
    let mut is_training = false;
    while progress.changed().await.is_ok() {
        let now = progress.borrow_and_update().clone();
        bar.0.set_length(now.steps);
        bar.0.set_position(now.step);
        if now.step > 0 && !is_training {
            is_training = true;
            bar.set_template(TRAINING);
            // The wait for workers and the steps before a run was resumed say nothing of the pace.
            bar.0.reset_eta();
        }
        bar.0.set_prefix(now.state);
        bar.0.set_message(if is_training { describe(&now) } else { waiting(&now) });
    }
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

fn workers(now: &Progress) -> String {
    counted(now.workers.len() as u64, "worker")
}

/// The workers before the first step, and how many of them read their rows.
fn waiting(now: &Progress) -> String {
    let loading = now.workers.iter().filter(|worker| worker.state == "loading").count();
    let reading = if loading > 0 { format!(", {loading} of them reading rows") } else { String::new() };
    workers(now) + &reading
}

/// What matters most comes first: the rest is cut where a line ends.
fn describe(now: &Progress) -> String {
    let mut parts: Vec<String> = now.skill.map(|skill| format!("skill {skill:.3}")).into_iter().collect();
    parts.extend(now.losses.iter().take(2).map(|(task, loss)| format!("{} {loss:.4}", one_line(task))));
    parts.extend([format!("{:.0} rows/s", now.rows_per_second), workers(now)]);
    parts.extend(now.losses.iter().skip(2).take(4).map(|(task, loss)| format!("{} {loss:.4}", one_line(task))));
    parts.join("  ")
}
