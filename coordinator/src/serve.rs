//! A run from its first worker to its last record.

use std::{io, sync::Arc, time::Instant};

use aggregation::weighting::Need;
use experiment::{OnNonfinite, Train};
use indexmap::IndexMap;
use proto::{CONNECTION_WINDOW_BYTES, MESSAGE_BYTES_MAX, STREAM_WINDOW_BYTES, v1};
use tokio::sync::{mpsc, oneshot, watch};
use tonic::{service::interceptor::InterceptedService, transport::Server};

use crate::{
    checkpoint::{CheckpointError, Keeper},
    compute::{self, Executor, Trainer},
    disk::Disk,
    door::{Listener, TurnedAway},
    folder::{Fenced, FolderError, RunFolder},
    journal::{self, JournalError},
    progress::Progress,
    report::Report,
    run::{Mode, Settings, TaskGradients},
    server::Service,
    setup::Setup,
    shell::Shell,
    start::{RunState, Start},
    tracking,
};

/// Messages of all workers that may wait for the loop.
const INBOX: usize = 1024;
/// Short messages that may wait for one worker, beside the chunks of a plan and of parameters.
const OUTBOX: usize = 256;
/// A worker is late with a piece of work beyond this multiple of the usual time...
const STRAGGLER_MULTIPLE: f64 = 4.0;
/// ...and not before.
const PATIENCE_MIN: std::time::Duration = std::time::Duration::from_millis(250);
/// Calls at a time on one connection; a worker makes one.
const STREAMS_MAX: u32 = 16;
/// The longest header of a call.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// How long the tracker may take to deliver what is left once the run is over.
const TRACKING_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// The same where it has been in trouble already.
const TRACKING_WAIT_IN_TROUBLE: std::time::Duration = std::time::Duration::from_secs(1);

/// What someone may ask of a run while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To write a checkpoint and go on.
    Save,
    /// To write a checkpoint and end.
    Interrupt,
    /// To end, because it can't go on for this reason.
    GiveUp(String),
}

/// How a run is to be carried out, beside what the experiment says.
#[derive(Debug, Clone)]
pub struct Options {
    /// The tracking server where the experiment names none.
    pub mlflow: Option<String>,
    /// Tags beside those that every run has.
    pub tags: IndexMap<String, String>,
    /// When the program was started.
    pub started: Instant,
    /// What writes to the run's folder.
    pub disk: Arc<dyn Disk>,
}

/// Why a run could not be carried out. Everything that workers do is dealt with and no error.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// The run folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Another coordinator has taken the run up.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// The checkpoints.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The checkpoint holds, and does not fit the experiment: it was edited, or is another run's.
    #[error("the checkpoint of step {step} does not fit this run: {reason}")]
    Misfit {
        /// Its step.
        step: u64,
        /// What does not fit.
        reason: String,
    },
    /// The tracker could not be started.
    #[error(transparent)]
    Tracking(#[from] tracking::TrackingError),
    /// The system has no memory, thread or socket to give.
    #[error("{what}: {error}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// A thread of the coordinator ended: our own mistake.
    #[error("the coordinator's computing thread ended")]
    Crashed,
    /// The first step can't be begun.
    #[error(transparent)]
    NotFinite(#[from] compute::NotFinite),
}

/// Carries out a run with the workers that come to `listener`, until it is over or a request ends
/// it.
///
/// # Errors
/// [`CoordinatorError`]; a run that failed by itself (a loss that is not finite, say) is a
/// [`Report`] of that.
pub async fn serve(
    setup: Setup,
    start: Start,
    options: Options,
    listener: Listener,
    progress: watch::Sender<Progress>,
    requests: mpsc::Receiver<Request>,
) -> Result<Report, CoordinatorError> {
    let opened = start.open(&setup, &options)?;
    let run_id = opened.run_id();
    let mut tracker = start_tracker(&setup, &options, &opened.folder, &run_id)?;
    let (position, updater) = RunState::of(&setup, opened.checkpoint())?;
    let keep = setup.loaded.experiment.train.checkpoint.keep as usize;
    let disk = Arc::clone(&opened.disk);
    let spared = opened.spared.iter().copied();
    let keeper = Keeper::new(disk, opened.folder.path(), keep, opened.found.as_ref(), spared);
    let trainer = Trainer { updater, keeper };
    let (done, finished_jobs) = mpsc::unbounded_channel();
    let (executor, thread) = Executor::start(trainer, done);
    progress.send_modify(|progress| {
        progress.run.clone_from(&run_id);
        progress.name.clone_from(&setup.loaded.experiment.name);
        progress.steps = setup.steps;
    });
    let turned_away = TurnedAway::default();
    let shell = Shell::new(setup, opened, position, executor, progress, turned_away.clone(), options.started);

    let (inbox_in, inbox) = mpsc::channel(INBOX);
    let chunks = (shell.parameters.elements() * size_of::<f32>() + shell.plan_json.len()) / proto::CHUNK_BYTES;
    let outbox = OUTBOX + 3 * (chunks + 2);
    let service = Service::new(inbox_in, shell.progress.subscribe(), outbox, turned_away.clone());
    let (close, closed) = oneshot::channel::<()>();
    let server = tokio::spawn(listen(service, listener, turned_away, closed));
    let outcome = shell.run(inbox, finished_jobs, requests, tracker.as_mut()).await;
    let _ = close.send(());
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), server).await;
    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    // The MLflow run of a coordinator that is fenced is another coordinator's by now.
    let fenced = matches!(outcome, Err(CoordinatorError::Fenced(_)));
    if let Some(tracker) = tracker.filter(|_| !fenced) {
        end_tracking(tracker, outcome.as_ref().ok().map(|report| report.status)).await;
    }
    outcome
}

/// Has what is left of the records delivered; `status` is how the run ended, if it did.
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

pub(crate) fn settings(setup: &Setup) -> Settings {
    let experiment = &setup.loaded.experiment;
    let train = &experiment.train;
    let needs = experiment.weighting.needs();
    let is_per_task = setup.is_per_task();
    let tasks = setup.prepared.plan.shapes().tasks.len();
    let feeds = || setup.feed_work();
    let (mode, task_gradients) = if is_per_task {
        (Mode::PerTask { feeds: feeds(), halves: needs.contains(&Need::GramianCross) }, None)
    } else {
        (Mode::Combined, setup.gramian_interval().map(|every| TaskGradients { every, feeds: feeds() }))
    };
    let vectors = if is_per_task || task_gradients.is_some() { tasks } else { 1 };
    Settings {
        microbatches: setup.prepared.plan.microbatches(),
        steps: setup.steps,
        chunks: setup.chunks(),
        evaluate_every: Some(train.evaluation_interval(setup.steps)),
        save_every: Some(train.checkpoint_interval(setup.steps)),
        min_workers: experiment.cluster.min_workers as usize,
        lease: std::time::Duration::from_millis(experiment.cluster.lease_ms),
        result_slots: crate::shell::result_slots(vectors, train.robust.map(|_| setup.prepared.plan.microbatches())),
        one_vector_per_microbatch: train.robust.is_some(),
        straggler_multiple: STRAGGLER_MULTIPLE,
        patience_min: PATIENCE_MIN,
        losses_before: !is_per_task && needs.contains(&Need::LossesBefore),
        losses_after: needs.contains(&Need::LossesAfter),
        mode,
        task_gradients,
        tries_max: 3,
        skips_max: (train.on_nonfinite == OnNonfinite::SkipStep).then_some(Train::SKIPS_MAX),
    }
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

async fn listen(service: Service, listener: Listener, turned_away: TurnedAway, closed: oneshot::Receiver<()>) {
    let doorkeeper = listener.doorkeeper(&turned_away);
    let service = v1::coordinator_server::CoordinatorServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<v1::coordinator_server::CoordinatorServer<Service>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .build_v1();
    // Whether the coordinator is up is no secret: the health service asks for nothing.
    let mut router = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .add_service(InterceptedService::new(service, doorkeeper.clone()))
        .add_service(health_service);
    match reflection {
        Ok(reflection) => router = router.add_service(InterceptedService::new(reflection, doorkeeper)),
        Err(error) => tracing::warn!(%error, "no reflection"),
    }
    let closed = async {
        let _ = closed.await;
    };
    let connections = listener.connections(turned_away);
    if let Err(error) = router.serve_with_incoming_shutdown(connections, closed).await {
        tracing::warn!(%error, "the server ended");
    }
}
