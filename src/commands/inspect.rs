//! `trunkline inspect`: describes a run.

use std::path::{Path, PathBuf};

use coordinator::{
    checkpoint,
    journal::{self, Observation, Outcome, Record},
};
use serde_json::{Value, json};

use crate::{
    exit::Failure,
    run_dir,
    screen::{one_line, print, print_json},
};

/// Arguments of `trunkline inspect`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    run_dir: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// State of a run whose journal has no end.
const UNENDED: &str = "running or killed";

/// Prints what the run's folder says of it.
///
/// # Errors
/// It is not a run's folder, or its files can't be read.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let dir = &arguments.run_dir;
    run_dir::check(dir)?;
    let journal = dir.join("journal.jsonl");
    let reader = journal::read(&journal).map_err(Failure::refused)?;
    let mut facts = serde_json::Map::new();
    facts.insert("run_dir".into(), json!(dir));
    facts.insert("state".into(), UNENDED.into());
    let mut step = 0;
    for record in reader {
        match record.map_err(Failure::failed)? {
            Record::Result { outcome: Outcome::Metrics { step: at, .. }, .. } => step = step.max(at),
            Record::Result { outcome: Outcome::Tags { tags }, .. } => {
                facts.insert("tags".into(), json!(tags));
            }
            Record::Result { outcome: Outcome::Summary { selected, parameters, parameters_sha256, .. }, .. } => {
                facts.insert("selected".into(), json!(selected));
                facts.insert("parameters".into(), json!(parameters));
                facts.insert("parameters_sha256".into(), json!(parameters_sha256));
            }
            Record::Observed { observation: Observation::Started { version, epoch, .. }, .. } => {
                facts.insert("version".into(), json!(version));
                facts.insert("epoch".into(), json!(epoch));
                facts.insert("state".into(), UNENDED.into());
                facts.remove("reason");
            }
            Record::Observed { observation: Observation::Launched { command, host, .. }, .. } => {
                facts.insert("command".into(), json!(command));
                facts.insert("host".into(), json!(host));
            }
            Record::Observed { observation: Observation::Finished { status, message, .. }, .. } => {
                facts.insert("state".into(), json!(status));
                facts.insert("reason".into(), json!(message));
            }
            _ => {}
        }
    }
    if facts["state"] == UNENDED {
        let state = if run_dir::is_in_use(dir) { "running" } else { "killed" };
        facts.insert("state".into(), json!(state));
    }
    facts.retain(|_, fact| !fact.is_null());
    facts.insert("step".into(), json!(step));
    let steps = checkpoint::steps(dir).map_err(Failure::failed)?;
    facts.insert("checkpoints".into(), steps.iter().map(|step| describe(dir, *step)).collect());
    let (newest, passed_over) = checkpoint::newest_good(dir, Some(&journal)).map_err(Failure::failed)?;
    facts.insert("passed_over".into(), passed_over.iter().map(|passed| passed.reason.to_string()).collect());
    // Resuming is refused if no checkpoint can be used and one of them may still be whole.
    let refused = newest.is_none() && passed_over.iter().any(|passed| passed.reason.may_be_put_right());
    let step = newest.map_or(0, |found| found.checkpoint.step);
    facts.insert("resumes_from".into(), json!((!refused).then_some(step)));
    facts.insert("best".into(), json!(checkpoint::best(dir).map_err(Failure::failed)?));
    let facts = Value::Object(facts);
    if arguments.json {
        return print_json(&facts).map_err(Failure::failed);
    }
    print(&lines("", &facts));
    Ok(())
}

/// A checkpoint with its state, or the reason why it can't be used.
fn describe(dir: &Path, step: u64) -> Value {
    match checkpoint::load(&checkpoint::path_of(dir, step)) {
        Ok(found) => json!({
            "step": step,
            "good": true,
            "epoch": found.epoch,
            "best": found.best,
            "parameters_sha256": checkpoint::parameters_sha256(&found.parameters),
            "journal_bytes": found.journal_bytes,
            "states": found.states,
        }),
        Err(error) => json!({"step": step, "good": false, "reason": error.to_string()}),
    }
}

fn lines(indent: &str, value: &Value) -> String {
    let Value::Object(members) = value else { return value.to_string() };
    let line = |(key, value): (&String, &Value)| match value {
        Value::Object(_) => format!("{indent}{}\n{}", one_line(key), lines(&format!("{indent}  "), value)),
        Value::Array(items) if !items.is_empty() => {
            let items: Vec<String> = items.iter().map(|item| format!("{indent}  {}", plain(item))).collect();
            format!("{indent}{}\n{}", one_line(key), items.join("\n"))
        }
        other => format!("{indent}{:<20} {}", one_line(key), plain(other)),
    };
    members.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A value as text on one line.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::String(text) => one_line(text).into_owned(),
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            members.map(|(key, value)| format!("{} {}", one_line(key), plain(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
