//! A whole run on a disk that fails, or stops, at each of its operations in turn. The run is then
//! resumed on a good disk. Coordinator and worker run in this process, so that the test can give
//! them its disk.

mod support;

#[path = "../coordinator/tests/faulty_disk/mod.rs"]
mod faulty_disk;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use coordinator::{
    Listener, Options, RunRequest, Start, checkpoint,
    disk::{Disk, LocalDisk, Operation},
    folder::RunFolder,
    progress::Progress,
    report::Report,
    resume::ResumableRun,
    setup::Setup,
};
use faulty_disk::{Fault, FaultyDisk};
use indexmap::IndexMap;
use proto::address::Address;
use support::{journal, results};
use tokio::{
    net::UnixListener,
    runtime::Runtime,
    sync::{Notify, mpsc, watch},
};

const EXPERIMENT: &str = "
name = \"small\"
seed = 3
[dataset.diabetes]
path = \"TABLE\"
[task.progression]
dataset = \"diabetes\"
target = \"progression\"
kind = \"regression\"
[model]
trunk = { hidden = [8] }
[train]
steps = 4
batch_size = 16
microbatches = 2
evaluate_every = 2
optimizer = { kind = \"adam\" }
checkpoint = { every = 1, keep = 1, best = \"validation.loss\" }
early_stopping = { metric = \"validation.loss\", patience = 9 }
";

/// Training in which the first evaluation is the best, and most evaluations come between
/// checkpoints.
const EARLY_BEST: &str = "
steps = 9
evaluate_every = 1
optimizer = { kind = \"sgd\", learning_rate = 0.6 }
checkpoint = { every = 4, keep = 2, best = \"validation.loss\" }
early_stopping = { metric = \"validation.loss\", patience = 99 }
";

/// The number of operations that write the epoch, the experiment and the first records. A run
/// survives a full disk only after them.
const BEGUN: u64 = 12;

/// How a run is resumed.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// `train FILE --run-dir RUN --resume auto`
    Auto,
    /// `train --resume RUN`
    Named,
}

/// The circumstances of a run.
struct Scene {
    disk: Arc<dyn Disk>,
    requests: mpsc::Receiver<RunRequest>,
    /// Tells the worker to leave.
    leave: Arc<Notify>,
    /// The run's progress.
    progress: watch::Sender<Progress>,
}

impl Scene {
    /// A run without requests, whose worker stays.
    fn quiet(disk: Arc<dyn Disk>) -> Scene {
        Scene { disk, requests: mpsc::channel(1).1, leave: Arc::default(), progress: watch::Sender::default() }
    }
}

struct Stage {
    folder: tempfile::TempDir,
    runtime: Runtime,
}

impl Stage {
    fn new() -> Stage {
        Stage::of(EXPERIMENT)
    }

    fn of(experiment: &str) -> Stage {
        let folder = tempfile::tempdir().expect("a folder");
        let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/data/diabetes.csv");
        let text = experiment.replace("TABLE", &table.to_string_lossy());
        std::fs::write(folder.path().join("small.toml"), text).expect("writes");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Stage { folder, runtime: runtime.expect("a runtime") }
    }

    /// `train --run-dir RUN --resume auto`, until its end or until the disk stops.
    fn train(&self, run: &Path, disk: &Arc<FaultyDisk>) -> Option<Result<Report, String>> {
        self.take_up(Form::Auto, run, disk)
    }

    /// Begins or resumes a run in either form, until its end or until the disk stops.
    fn take_up(&self, form: Form, run: &Path, disk: &Arc<FaultyDisk>) -> Option<Result<Report, String>> {
        let dead = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(1));
            while !disk.is_dead() {
                ticks.tick().await;
            }
        };
        self.train_until(form, run, Scene::quiet(Arc::clone(disk) as _), dead)
    }

    /// Trains in these circumstances, until the run's end or until `dead`.
    fn train_until(
        &self,
        form: Form,
        run: &Path,
        Scene { disk, requests, leave, progress }: Scene,
        dead: impl Future<Output = ()>,
    ) -> Option<Result<Report, String>> {
        let loaded = model::load(&self.folder.path().join("small.toml"), &[]).expect("is right");
        let setup = Setup::prepare(loaded, model::Device::Flex).expect("is right");
        let start = if matches!(form, Form::Named) || RunFolder::has_run(run) {
            let past = ResumableRun::find(RunFolder::open(run).expect("opens")).expect("is there");
            past.check_experiment(&setup.loaded).expect("is the same");
            past.check(&setup).expect("are the same");
            Start::Resumed(Box::new(past))
        } else {
            Start::New(RunFolder::create_again(run).expect("creates"))
        };
        let socket = tempfile::tempdir().expect("a folder");
        let address = socket.path().join("socket");
        self.runtime.block_on(async {
            let listener = Listener::unix(UnixListener::bind(&address).expect("binds"));
            #[expect(clippy::disallowed_methods, reason = "when the run was started")]
            let started = std::time::Instant::now();
            let options =
                Options { mlflow: None, command: String::new(), user: None, tags: IndexMap::new(), started, disk };
            let worker = worker::Options {
                coordinator: Address::Unix(address),
                device: "flex".into(),
                threads: Some(1),
                access: Default::default(),
                data_root: None,
                wait: Duration::from_secs(10),
            };
            let worker = tokio::spawn(worker::run(worker, async move { leave.notified().await }));
            let run = coordinator::serve(setup, start, options, listener, progress, requests);
            let ended = tokio::select! {
                biased;
                () = dead => None,
                ended = run => Some(ended.map_err(|error| error.to_string())),
            };
            worker.abort();
            ended
        })
    }
}

#[test]
fn a_run_that_stops_at_any_operation_of_its_disk_goes_on_to_the_same_end() {
    let stage = Stage::new();
    let quiet = stage.folder.path().join("quiet");
    let disk = Arc::new(FaultyDisk::sound());
    let expected = stage.train(&quiet, &disk).expect("lives").expect("is carried out");
    assert_eq!(expected.status, "finished");
    let operations = disk.performed();
    assert!(operations > 80, "{operations}");
    eprintln!("{operations} operations");
    for fault in [Fault::Killed, Fault::PowerLost, Fault::BytesLost] {
        for at in 1..=operations {
            let run = stage.folder.path().join(format!("{fault:?}-{at}"));
            let ended = stage.train(&run, &Arc::new(FaultyDisk::new(at, fault)));
            assert!(ended.is_none_or(|ended| ended.is_err()), "{fault:?} at {at}: nobody noticed");
            let named = stage.folder.path().join(format!("{fault:?}-{at}-named"));
            support::copy(&run, &named);
            let done = stage.train(&run, &Arc::new(FaultyDisk::sound())).expect("lives");
            let done = done.unwrap_or_else(|error| panic!("{fault:?} at {at}: {error}"));
            if named.join("experiment.toml").is_file() {
                let other = stage.take_up(Form::Named, &named, &Arc::new(FaultyDisk::sound())).expect("lives");
                let other = other.unwrap_or_else(|error| panic!("{fault:?} at {at}: {error}"));
                let same = |report: &Report| (report.resumed_from.unwrap_or(0), report.parameters_sha256.clone());
                assert_eq!(same(&other), same(&done), "{fault:?} at {at}");
                assert_eq!(results(&named), results(&quiet), "{fault:?} at {at}");
            } else {
                let refused = RunFolder::open(&named).expect_err("there is no run");
                assert!(refused.to_string().contains("it has no experiment.toml"), "{fault:?} at {at}: {refused}");
            }
            assert_eq!(done.parameters_sha256, expected.parameters_sha256, "{fault:?} at {at}");
            assert_eq!(done.tasks, expected.tasks, "{fault:?} at {at}");
            assert_eq!(results(&run), results(&quiet), "{fault:?} at {at}");
            let passed_over = journal(&run).iter().any(|record| record["kind"] == "checkpoint_passed_over");
            assert!(!passed_over, "{fault:?} at {at}: a checkpoint was there, and not whole");
        }
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_checkpoints_and_no_result() {
    let stage = Stage::new();
    let quiet = stage.folder.path().join("quiet");
    let disk = Arc::new(FaultyDisk::sound());
    let expected = stage.train(&quiet, &disk).expect("lives").expect("is carried out");
    let mut told = 0;
    for at in BEGUN + 1..=disk.performed() {
        for refusals in [0, 4] {
            let run = stage.folder.path().join(format!("full-{at}-{refusals}"));
            let done = stage.train(&run, &Arc::new(FaultyDisk::new(at, Fault::Full(refusals)))).expect("lives");
            let done = done.unwrap_or_else(|error| panic!("{at} {refusals}: {error}"));
            assert_eq!(done.parameters_sha256, expected.parameters_sha256, "{at} {refusals}");
            assert_eq!(results(&run), results(&quiet), "{at} {refusals}");
            let codes = ["checkpoint", "checkpoints_kept", "journal"];
            let warned = |record: &serde_json::Value| codes.iter().any(|code| record["reason"]["code"] == *code);
            told += usize::from(journal(&run).iter().any(warned));
            let (found, passed_over) = checkpoint::newest_good(&run, None).expect("looks");
            assert!(passed_over.is_empty(), "{at} {refusals}: {passed_over:?}");
            assert!(found.is_some_and(|found| found.checkpoint.step >= 2), "{at} {refusals}");
        }
    }
    assert!(told > 100, "{told}");
    eprintln!("{told} times something failed and was told");
}

#[test]
fn a_disk_that_is_full_when_the_best_is_found_loses_no_checkpoint_and_no_best() {
    let (head, _) = EXPERIMENT.split_once("steps = 4").expect("is there");
    let batches = "batch_size = 16\nmicrobatches = 2";
    let stage = Stage::of(&format!("{head}{batches}{EARLY_BEST}"));
    let quiet = stage.folder.path().join("quiet");
    let disk = Arc::new(FaultyDisk::sound());
    let expected = stage.train(&quiet, &disk).expect("lives").expect("is carried out");
    let best = checkpoint::best(&quiet).expect("looks").expect("is named");
    assert!((1..4).contains(&best), "{best}");
    let evaluated = evaluate(&quiet);
    let mut owed = 0;
    for at in BEGUN + 1..=disk.performed() {
        let refusals = if at % 2 == 0 { 1 } else { 6 };
        let what = format!("{at} {refusals}");
        let run = stage.folder.path().join(format!("full-{at}-{refusals}"));
        let done = stage.train(&run, &Arc::new(FaultyDisk::new(at, Fault::Full(refusals)))).expect("lives");
        let records = journal(&run);
        let of_kind = |kind: &str| records.iter().filter(|record| record["kind"] == kind).collect::<Vec<_>>();
        let written = of_kind("checkpoint_written").iter().filter_map(|record| record["step"].as_u64()).max();
        let first = |record: &&serde_json::Value| record["reason"]["message"].to_string().contains("comes first");
        let waited = of_kind("warning").iter().any(first);
        owed += usize::from(waited);
        // If the disk stays full until the end, the run ends with an error.
        if done.is_ok() && written == Some(9) {
            assert_eq!(checkpoint::best(&run).expect("looks"), Some(best), "{what}");
            if waited && at % 4 == 1 {
                assert_eq!(evaluate(&run), evaluated, "{what}");
            }
        }
        let again = stage.train(&run, &Arc::new(FaultyDisk::sound())).expect("lives").expect("goes on");
        assert!(again.resumed_from >= written, "{what}: {:?}, and {written:?} was written", again.resumed_from);
        assert_eq!(again.parameters_sha256, expected.parameters_sha256, "{what}");
        assert_eq!(again.tasks, expected.tasks, "{what}");
        assert_eq!(results(&run), results(&quiet), "{what}");
        assert_eq!(checkpoint::best(&run).expect("looks"), Some(best), "{what}");
        let (found, passed_over) = checkpoint::newest_good(&run, None).expect("looks");
        assert!(passed_over.is_empty(), "{what}: {passed_over:?}");
        assert_eq!(found.and_then(|found| found.best).map(|(step, _)| step), Some(best), "{what}");
    }
    assert!(owed > 10, "{owed}");
    eprintln!(
        "{} operations; {owed} times the journal could not be synced before a checkpoint",
        disk.performed() - BEGUN
    );
}

/// The output of `trunkline evaluate --json`, without the run's name.
fn evaluate(run: &Path) -> serde_json::Value {
    let done = support::trunkline().arg("evaluate").arg(run).arg("--json").output().expect("starts");
    let mut said = support::report(&done);
    said.as_object_mut().expect("an object").remove("run_dir");
    said
}

/// A disk that lets another coordinator take over the run during one of its operations.
#[derive(Debug)]
struct Overtaken {
    run: PathBuf,
    at: u64,
    performed: AtomicU64,
    /// The number of operations that had begun when the other coordinator took its epoch.
    before: AtomicU64,
}

impl Disk for Overtaken {
    fn perform(&self, operation: Operation<'_>) -> io::Result<()> {
        let number = self.performed.fetch_add(1, Ordering::Relaxed) + 1;
        if number == self.at {
            std::fs::remove_file(self.run.join("lock"))?;
            RunFolder::open(&self.run).expect("opens").next_epoch(&LocalDisk).expect("takes");
            self.before.store(self.performed.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        if let Operation::Sync(_) = operation { Ok(()) } else { LocalDisk.perform(operation) }
    }
}

#[test]
fn a_coordinator_that_is_overtaken_finishes_what_it_is_in_and_nothing_else() {
    let stage = Stage::new();
    let disk = Arc::new(FaultyDisk::sound());
    stage.train(&stage.folder.path().join("quiet"), &disk).expect("lives").expect("is carried out");
    // Without the last few operations: nothing must follow them.
    for at in (BEGUN + 1..disk.performed() - 4).step_by(3) {
        let run = stage.folder.path().join(format!("overtaken-{at}"));
        let disk = Overtaken { run: run.clone(), at, performed: AtomicU64::new(0), before: AtomicU64::new(0) };
        let disk = Arc::new(disk);
        let ended = stage.train_until(Form::Auto, &run, Scene::quiet(Arc::clone(&disk) as _), std::future::pending());
        let ended = ended.expect("lives");
        let error = ended.expect_err("is fenced");
        assert!(error.contains("a coordinator of epoch 2 has taken the run up"), "{at}: {error}");
        // The journal and the checkpoints have a thread each. The other thread may have checked its
        // epoch and not begun yet.
        let [performed, before] = [&disk.performed, &disk.before].map(|count| count.load(Ordering::Relaxed));
        assert!(before >= at && performed <= before + 1, "{at}: from {before} it went on until {performed}");
    }
}

/// Everything that a test waits for comes sooner than this, or never.
const LONG: Duration = Duration::from_secs(60);

/// A disk that is slow with the checkpoint of the second step.
#[derive(Debug)]
struct Slow {
    reached: Notify,
    goes_on: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Disk for Slow {
    fn perform(&self, operation: Operation<'_>) -> io::Result<()> {
        if matches!(operation, Operation::Rename(_, to) if to.ends_with("step-000002")) {
            self.reached.notify_one();
            self.goes_on.lock().expect("whole").recv_timeout(LONG).map_err(io::Error::other)?;
        }
        LocalDisk.perform(operation)
    }
}

#[test]
fn a_worker_that_leaves_during_the_last_checkpoint_does_not_make_an_interrupt_fail() {
    let stage = Stage::new();
    for asked_to_end in [true, false] {
        let run = stage.folder.path().join(format!("slow-{asked_to_end}"));
        let (go_on, goes_on) = std::sync::mpsc::channel();
        let disk = Arc::new(Slow { reached: Notify::new(), goes_on: Mutex::new(goes_on) });
        let (ask, requests) = mpsc::channel(1);
        let leave = Arc::new(Notify::new());
        let (progress, mut shown) = watch::channel(Progress::default());
        let scene = Scene { disk: Arc::clone(&disk) as _, requests, leave: Arc::clone(&leave), progress };
        let play = async {
            disk.reached.notified().await;
            shown.wait_for(|progress| progress.workers.len() == 1).await.expect("goes on");
            if asked_to_end {
                ask.send(RunRequest::Interrupt).await.expect("is heard");
            }
            leave.notify_one();
            shown.wait_for(|progress| progress.workers.is_empty()).await.expect("goes on");
            // `train` sends this once it has no worker any more.
            ask.send(RunRequest::GiveUp("no worker is left".into())).await.expect("is heard");
            // There is room again once it was heard.
            let _ = ask.reserve().await;
            go_on.send(()).expect("waits");
            std::future::pending::<()>().await;
        };
        let late = async { drop(tokio::time::timeout(LONG, play).await) };
        let report = stage.train_until(Form::Auto, &run, scene, late).expect("ends in time").expect("is carried out");
        let checkpoint = checkpoint::newest_good(&run, None).expect("looks").0.expect("is there").checkpoint;
        if asked_to_end {
            assert_eq!((report.status, checkpoint.step), ("interrupted", 2));
        } else {
            assert_eq!(report.status, "failed");
            assert!(report.reason.is_some_and(|reason| reason.starts_with("no worker is left")));
        }
    }
}
