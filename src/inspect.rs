//! `trunkline inspect`: what a run is.

use std::path::PathBuf;

use coordinator::{
    checkpoint,
    journal::{self, Observation, Outcome, Record},
};
use serde_json::{Value, json};

use crate::exit::{Failure, print};

/// Arguments of `trunkline inspect`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The run's folder.
    run_dir: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Looks.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let dir = &arguments.run_dir;
    let reader = journal::read(&dir.join("journal.jsonl")).map_err(Failure::refused)?;
    let mut facts = serde_json::Map::new();
    facts.insert("run_dir".into(), json!(dir));
    facts.insert("state".into(), json!("running or killed"));
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
                facts.insert("state".into(), json!("running or killed"));
            }
            Record::Observed { observation: Observation::Finished { status, .. }, .. } => {
                facts.insert("state".into(), json!(status));
            }
            _ => {}
        }
    }
    facts.insert("step".into(), json!(step));
    let steps = checkpoint::steps(dir).map_err(Failure::failed)?;
    let checkpoints = steps.iter().map(|step| match checkpoint::load(&checkpoint::path_of(dir, *step)) {
        Ok(found) => {
            let hash = checkpoint::parameters_sha256(&found.parameters);
            json!({"step": step, "good": true, "parameters_sha256": hash, "fingerprint": found.states.get("fingerprint")})
        }
        Err(error) => json!({"step": step, "good": false, "reason": error.to_string()}),
    });
    facts.insert("checkpoints".into(), checkpoints.collect());
    facts.insert("best".into(), json!(checkpoint::best(dir).map_err(Failure::failed)?));
    let facts = Value::Object(facts);
    if arguments.json {
        print(&facts.to_string());
    } else {
        print(&lines("", &facts));
    }
    Ok(())
}

fn lines(indent: &str, value: &Value) -> String {
    let Value::Object(members) = value else { return value.to_string() };
    let line = |(key, value): (&String, &Value)| match value {
        Value::Object(_) => format!("{indent}{key}\n{}", lines(&format!("{indent}  "), value)),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| format!("{indent}  {item}")).collect();
            format!("{indent}{key}\n{}", items.join("\n"))
        }
        Value::String(text) => format!("{indent}{key:<20} {text}"),
        other => format!("{indent}{key:<20} {other}"),
    };
    members.iter().map(line).collect::<Vec<_>>().join("\n")
}
