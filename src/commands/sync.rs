//! `trunkline sync`: sends a run's journal to a tracking server.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use coordinator::{
    journal::{self, Observation, Record, Status},
    tracking::{Config, Delivered, Patience, Tracker, TrackingError, without_login},
};
use serde_json::json;

use crate::{
    exit::Failure,
    launch, run_dir,
    screen::{print, print_json, say},
};

/// Arguments of `trunkline sync`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(value_name = "RUN")]
    run_dir: PathBuf,
    /// Address of the MLflow server [default: the experiment's, or MLFLOW_TRACKING_URI].
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A person waits for this command and can stop it. What was sent stays sent.
const PATIENCE: Patience = Patience {
    silent: Duration::from_secs(20),
    idle: Duration::from_secs(120),
    total: Duration::from_secs(7 * 24 * 3600),
};

/// Sends what the server does not have yet.
///
/// # Errors
/// It is not a run's folder, a coordinator works in it, no server is named, or the server did not
/// accept everything.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let dir = &arguments.run_dir;
    run_dir::check(dir)?;
    let refuse = |why: &str| Err(Failure::Refused(format!("{}: {why}", dir.display())));
    if run_dir::is_in_use(dir) {
        return refuse("a coordinator works in this folder; run the command again when the run has ended");
    }
    let experiment = run_dir::experiment(dir)?.experiment;
    let named = || experiment.tracking.mlflow.clone().or_else(launch::tracking_uri);
    let Some(uri) = arguments.to.clone().or_else(named) else {
        return refuse("the run names no tracking server; give its address with `--to URL`");
    };
    let status = status(dir)?;
    let run_id = std::path::absolute(dir).map_err(Failure::failed)?;
    let run_id = run_id.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let config = Config::of_run(&uri, &experiment, &run_id);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let delivered = runtime.block_on(async {
        let tracker = Tracker::spawn(config, dir).map_err(|error| match error {
            TrackingError::Uri { .. } => Failure::refused(error),
            TrackingError::Client { .. } => Failure::failed(error),
        })?;
        Ok(tracker.finish(status, &PATIENCE, |left| say(&left)).await)
    })?;
    finish(arguments, &uri, &delivered)
}

/// How the run ended. Without an end it was killed.
fn status(dir: &Path) -> Result<Status, Failure> {
    let mut found = Status::Interrupted;
    for record in journal::read(&dir.join("journal.jsonl")).map_err(Failure::refused)? {
        match record.map_err(Failure::failed)? {
            Record::Observed { observation: Observation::Finished { status, .. }, .. } => found = status,
            Record::Observed { observation: Observation::Started { .. }, .. } => found = Status::Interrupted,
            _ => {}
        }
    }
    Ok(found)
}

fn finish(arguments: &Arguments, uri: &str, delivered: &Delivered) -> Result<(), Failure> {
    if let Some(error) = &delivered.error {
        return Err(Failure::Failed(format!(
            "not everything was sent: {error}. What was sent stays; run the command again for the rest"
        )));
    }
    let run_id = delivered.run_id.as_deref().unwrap_or_default();
    if arguments.json {
        return print_json(&json!({"run_id": run_id, "refused": delivered.refused, "bytes": delivered.bytes}))
            .map_err(Failure::failed);
    }
    let refused = match delivered.refused {
        0 => String::new(),
        count => format!("; the server refused {count} values"),
    };
    print(&format!("the server at {} has the whole journal, as run {run_id}{refused}", without_login(uri)));
    Ok(())
}
