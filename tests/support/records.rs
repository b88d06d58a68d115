//! Reads the records of a run that goes on or has ended.

use std::{
    collections::BTreeSet,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use serde_json::Value;

use super::wait_for;

/// The journal's records. There is at least one. A line without an end is still being written, and
/// is left out.
pub fn journal(run: &Path) -> Vec<Value> {
    let path = run.join("journal.jsonl");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = String::from_utf8_lossy(&bytes);
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    assert!(!whole.is_empty(), "{}: there is no record in it", path.display());
    let record = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    whole.lines().map(record).collect()
}

/// The journal's records so far. Empty if there is no journal yet.
pub fn journal_so_far(run: &Path) -> Vec<Value> {
    let text = std::fs::read(run.join("journal.jsonl")).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The journal's metrics and weightings, without their time stamps. There is at least one.
pub fn results(run: &Path) -> Vec<Value> {
    let metrics =
        journal(run).into_iter().filter(|record| record["kind"] == "metrics" || record["kind"] == "weighting");
    let bare = |mut record: Value| {
        record.as_object_mut().expect("an object").remove("time_ms");
        record
    };
    let results: Vec<Value> = metrics.map(bare).collect();
    assert!(!results.is_empty(), "{} has no results", run.display());
    results
}

/// The last step with results in the journal, without reading all of it.
pub fn last_step(run: &Path) -> u64 {
    let Ok(mut file) = std::fs::File::open(run.join("journal.jsonl")) else { return 0 };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut end_bytes = 8192;
    loop {
        let mut end = Vec::new();
        file.seek(SeekFrom::Start(length.saturating_sub(end_bytes))).expect("seeks");
        file.read_to_end(&mut end).expect("reads");
        let text = String::from_utf8_lossy(&end);
        let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let steps = records.filter(|record| record["kind"] == "metrics").filter_map(|record| record["step"].as_u64());
        match steps.max() {
            Some(step) => return step,
            None if end_bytes >= length => return 0,
            None => end_bytes *= 4,
        }
    }
}

/// Waits until the journal has this step.
pub fn wait_for_step(run: &Path, step: u64) {
    wait_for("a step", || (last_step(run) >= step).then_some(()));
}

/// The number of records of a kind so far.
pub fn count(run: &Path, kind: &str) -> usize {
    journal_so_far(run).iter().filter(|record| record["kind"] == kind).count()
}

/// How often this process joined as a worker.
pub fn joins(run: &Path, pid: u32) -> usize {
    let process = format!(":{pid})");
    let is_it = |record: &&Value| record["name"].as_str().is_some_and(|name| name.ends_with(&process));
    journal_so_far(run).iter().filter(|record| record["kind"] == "worker_joined").filter(is_it).count()
}

/// For a run with one coordinator: the number of workers that take part, and the number of steps
/// recorded since the last worker came or went.
pub fn company(run: &Path) -> (usize, usize) {
    let (mut workers, mut steps) = (0, BTreeSet::new());
    for record in journal_so_far(run) {
        match record["kind"].as_str() {
            Some("worker_joined") => workers += 1,
            // A worker that never took part has no rank.
            Some("worker_lost") if !record["rank"].is_null() => workers -= 1,
            Some("metrics") => {
                steps.insert(record["step"].as_u64());
                continue;
            }
            _ => continue,
        }
        steps.clear();
    }
    (workers, steps.len())
}

/// Whether a single worker takes part and makes progress, so the other worker was dropped.
pub fn goes_on_alone(run: &Path) -> bool {
    matches!(company(run), (1, 10..))
}
