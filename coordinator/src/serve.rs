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
    request::RunRequest,
    server::{Service, listen, message_bytes_max},
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
    mut requests: mpsc::Receiver<RunRequest>,
) -> Result<Report, CoordinatorError> {
    let open = start.open(&setup, &options)?;
    let run_id = open.run_id();
    // The tracker works in the folder after the shell is gone.
    let _held = open.folder.hold();
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
    let message_bytes = message_bytes_max(setup.prepared.plan.shapes());
    let turned_away = TurnedAway::default();
    let shell = Shell::new(setup, open, state, executor, progress, turned_away.clone(), options.started);

    let (inbox_in, inbox) = mpsc::channel(INBOX);
    let outbox = OUTBOX + 3 * (shell.bytes_at_once() / proto::CHUNK_BYTES + 2);
    let service = Service::new(inbox_in, watched, outbox, message_bytes, turned_away.clone());
    let (close, closed) = oneshot::channel::<()>();
    let server = tokio::spawn(listen(service, listener, turned_away, closed));
    let outcome = shell.run(inbox, finished_jobs, &mut requests, tracker.as_mut()).await;
    let _ = close.send(());
    let _ = tokio::time::timeout(SERVER_WAIT, server).await;
    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    // If this coordinator is fenced, the MLflow run belongs to another coordinator by now.
    let fenced = matches!(outcome, Err(CoordinatorError::Fenced(_)));
    if let Some(tracker) = tracker.filter(|_| !fenced) {
        end_tracking(tracker, outcome.as_ref().ok(), requests).await;
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
    let config = tracking::Config::of_run(uri, &setup.loaded.experiment, run_id);
    Ok(Some(tracking::Tracker::spawn(config, folder.path())?))
}

/// Waits until the tracker has delivered its last records. Without a report the coordinator has
/// failed. An interrupt ends the wait.
async fn end_tracking(
    mut tracker: tracking::TrackerHandle,
    report: Option<&Report>,
    mut requests: mpsc::Receiver<RunRequest>,
) {
    let status = match report.map(|report| report.status) {
        Some("finished") => journal::Status::Finished,
        Some("interrupted") => journal::Status::Interrupted,
        _ => journal::Status::Failed,
    };
    if let Some(reason) = tracker.try_warning() {
        tracing::warn!(reason, "the tracking server has trouble");
    }
    let patience = tracking::Patience::default();
    let notice =
        |left| tracing::warn!(left, "the run is over and waits for the tracking server; send SIGINT to stop waiting");
    let interrupted = async {
        while let Some(request) = requests.recv().await {
            if request == RunRequest::Interrupt {
                return;
            }
        }
        std::future::pending().await
    };
    let reason = tokio::select! {
        delivered = tracker.finish(status, &patience, notice) => {
            if delivered.complete {
                return;
            }
            delivered.error.unwrap_or_default()
        }
        () = interrupted => "interrupted".to_owned(),
    };
    let run = report.map_or("RUN", |report| report.run_dir.as_str());
    tracing::warn!(
        reason,
        "not everything reached the tracking server; the journal has it all: send the rest with `trunkline sync {run}`"
    );
}
