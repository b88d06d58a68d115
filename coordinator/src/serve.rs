//! Carries out a run, from its first worker to its last record.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    checkpoint::Keeper,
    compute::{Executor, Trainer},
    door::{Listener, TurnedAway},
    error::CoordinatorError,
    folder::RunFolder,
    journal,
    options::Options,
    progress::Progress,
    report::Report,
    request::Request,
    server::{Service, listen},
    setup::Setup,
    shell::Shell,
    start::{RunState, Start},
    tracking,
};

/// Messages of all workers together that may wait for the loop.
const INBOX: usize = 1024;
/// Short messages that may wait for one worker. The chunks of a plan and of parameters have room of
/// their own.
const OUTBOX: usize = 256;
/// How long the gRPC server may take to end.
const SERVER_WAIT: Duration = Duration::from_secs(2);
/// How long the tracker may take to deliver its last records once the run is over.
const TRACKING_WAIT: Duration = Duration::from_secs(10);
/// How long the tracker may take for that if it has failed before.
const TRACKING_WAIT_IN_TROUBLE: Duration = Duration::from_secs(1);

/// Carries out a run with the workers that come to `listener`, until it is over or a request ends
/// it.
///
/// # Errors
/// [`CoordinatorError`] if the coordinator itself fails. A run that fails (because of a loss that
/// is not finite, for example) is not an error: its [`Report`] says so.
pub async fn serve(
    setup: Setup,
    start: Start,
    options: Options,
    listener: Listener,
    progress: watch::Sender<Progress>,
    requests: mpsc::Receiver<Request>,
) -> Result<Report, CoordinatorError> {
    let open = start.open(&setup, &options)?;
    let run_id = open.run_id();
    let mut tracker = start_tracker(&setup, &options, &open.folder, &run_id)?;
    let (state, updater) = RunState::of(&setup, open.checkpoint())?;
    let keep = setup.loaded.experiment.train.checkpoint.keep as usize;
    let spared = open.spared.iter().copied();
    let keeper = Keeper::new(Arc::clone(&open.disk), open.folder.path(), keep, open.found.as_ref(), spared);
    let trainer = Trainer { updater, keeper };
    let (done, finished_jobs) = mpsc::unbounded_channel();
    let (executor, thread) = Executor::start(trainer, done);
    progress.send_modify(|progress| {
        progress.run = run_id;
        progress.name.clone_from(&setup.loaded.experiment.name);
        progress.steps = setup.steps;
    });
    let watched = progress.subscribe();
    let turned_away = TurnedAway::default();
    let shell = Shell::new(setup, open, state, executor, progress, turned_away.clone(), options.started);

    let (inbox_in, inbox) = mpsc::channel(INBOX);
    let outbox = OUTBOX + 3 * (shell.bytes_at_once() / proto::CHUNK_BYTES + 2);
    let service = Service::new(inbox_in, watched, outbox, turned_away.clone());
    let (close, closed) = oneshot::channel::<()>();
    let server = tokio::spawn(listen(service, listener, turned_away, closed));
    let outcome = shell.run(inbox, finished_jobs, requests, tracker.as_mut()).await;
    let _ = close.send(());
    let _ = tokio::time::timeout(SERVER_WAIT, server).await;
    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    // If this coordinator is fenced, the MLflow run belongs to another coordinator by now.
    let fenced = matches!(outcome, Err(CoordinatorError::Fenced(_)));
    if let Some(tracker) = tracker.filter(|_| !fenced) {
        end_tracking(tracker, outcome.as_ref().ok().map(|report| report.status)).await;
    }
    outcome
}

fn start_tracker(
    setup: &Setup,
    options: &Options,
    folder: &RunFolder,
    run_id: &str,
) -> Result<Option<tracking::TrackerHandle>, CoordinatorError> {
    let tracking = &setup.loaded.experiment.tracking;
    let Some(uri) = tracking.mlflow.as_ref().or(options.mlflow.as_ref()) else { return Ok(None) };
    let experiment = tracking.experiment.as_deref().unwrap_or(&setup.loaded.experiment.name);
    let config = tracking::Config::new(uri, experiment, run_id);
    Ok(Some(tracking::Tracker::spawn(config, folder.path())?))
}

/// Waits until the tracker has delivered its last records. `status` says how the run ended; `None`
/// if the coordinator failed.
async fn end_tracking(mut tracker: tracking::TrackerHandle, status: Option<&str>) {
    let status = match status {
        Some("finished") => journal::Status::Finished,
        Some("interrupted") => journal::Status::Interrupted,
        _ => journal::Status::Failed,
    };
    if let Some(reason) = tracker.try_warning() {
        tracing::warn!(reason, "the tracking server has trouble");
    }
    let warned = tracker.has_warned();
    let wait = if warned { TRACKING_WAIT_IN_TROUBLE } else { TRACKING_WAIT };
    let delivered = tracker.finish(status, wait).await;
    if !delivered.complete && !warned {
        let reason = delivered.error.unwrap_or_else(|| "it took too long".into());
        tracing::warn!(reason, "not everything reached the tracking server; the journal has it all");
    }
}
