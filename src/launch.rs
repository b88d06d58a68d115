//! Launching a run: the arguments that `train` and `coordinator` share, and what leads from them to
//! the run's report.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Instant,
};

use coordinator::{
    CoordinatorError, Listener, Options, RunRequest, Start,
    disk::LocalDisk,
    extend::extend,
    folder::{FolderError, RunFolder},
    progress::Progress,
    report::Report,
    resume::ResumableRun,
    setup::Setup,
    tracking,
};
use experiment::Loaded;
use indexmap::IndexMap;
use model::Device;
use tokio::sync::{mpsc, watch};

use crate::{
    affinity,
    exit::Failure,
    progress,
    screen::{self, print, print_json, say},
    signals::Signals,
    table,
};

/// The device if none is given.
const DEVICE: &str = "flex";
/// The folder of runs that are given no folder of their own.
const RUNS: &str = "runs";

/// Arguments of a command that carries out a run.
#[derive(clap::Args)]
pub struct Arguments {
    /// Experiment file. It is not needed to resume a run.
    #[arg(required_unless_present = "resume")]
    file: Option<PathBuf>,
    /// Device to compute on: flex (or cpu), libtorch, libtorch:cuda:N, cuda:N or wgpu [default:
    /// flex, or the resumed run's].
    #[arg(long)]
    device: Option<String>,
    /// Folder of the run [default: a new one in `runs`].
    #[arg(long, value_name = "FOLDER")]
    run_dir: Option<PathBuf>,
    /// Continue the run in this folder from its newest good checkpoint. `auto` continues the run in
    /// --run-dir, or begins it there.
    #[arg(long, value_name = "RUN|auto")]
    resume: Option<Resume>,
    /// Go on from the state of the run that --resume names in a new run with another value of a
    /// key, such as `train.epochs=40`. It can be given several times.
    #[arg(long = "extend", value_name = "KEY=VALUE", requires = "resume")]
    extensions: Vec<String>,
    /// Override a key of the experiment, such as `train.steps=50`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// The run to continue.
#[derive(Clone)]
enum Resume {
    /// The run in `--run-dir`, if there is one.
    Auto,
    /// The run in this folder.
    Run(PathBuf),
}

impl FromStr for Resume {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Resume, Self::Err> {
        Ok(if text == "auto" { Resume::Auto } else { Resume::Run(text.into()) })
    }
}

/// A run that is ready for its workers.
pub struct Launch {
    /// What the run needs before its first worker.
    pub setup: Setup,
    start: Start,
    started: Instant,
    json: bool,
}

impl Arguments {
    /// Adds an override, as `--set` does.
    pub fn set(&mut self, key: &str, value: impl std::fmt::Display) {
        self.sets.push(format!("{key}={value}"));
    }

    /// Prepares the run: begins it, or finds where it continues.
    ///
    /// # Errors
    /// The experiment, its data or the run's folder are refused.
    pub fn launch(self, started: Instant, signals: &Signals) -> Result<Launch, Failure> {
        let (setup, start) = match (&self.resume, &self.run_dir) {
            (resume, _) if !self.extensions.is_empty() => match (resume, &self.file) {
                (Some(Resume::Run(run_dir)), None) => self.extend(run_dir, started, signals)?,
                _ => {
                    let message =
                        "`--extend` goes with `--resume RUN` and the run's own experiment; leave out the file";
                    return Err(Failure::Refused(message.into()));
                }
            },
            (None, _) => self.begin(false, signals)?,
            (Some(Resume::Auto), None) => {
                return Err(Failure::Refused("`--resume auto` needs the run's folder; give --run-dir too".into()));
            }
            (Some(Resume::Auto), Some(run_dir)) if RunFolder::has_run(run_dir) => self.go_on(run_dir, signals)?,
            (Some(Resume::Auto), Some(_)) => self.begin(true, signals)?,
            (Some(Resume::Run(_)), Some(_)) => {
                let message = "`--resume RUN` names the run's folder; leave out --run-dir, or give `--resume auto`";
                return Err(Failure::Refused(message.into()));
            }
            (Some(Resume::Run(run_dir)), None) => self.go_on(run_dir, signals)?,
        };
        Ok(Launch { setup, start, started, json: self.json })
    }

    fn begin(&self, again: bool, signals: &Signals) -> Result<(Setup, Start), Failure> {
        let file = self.file.as_ref();
        let file = file.ok_or_else(|| {
            Failure::Refused("there is no run to resume; give an experiment file to begin one".into())
        })?;
        let setup = prepare(file, &self.sets, self.device.as_deref().unwrap_or(DEVICE))?;
        signals.run_begins();
        let folder = match &self.run_dir {
            Some(path) if again => RunFolder::create_again(path).map_err(refused)?,
            _ => self.new_folder(&setup)?,
        };
        Ok((setup, Start::New(folder)))
    }

    /// The empty folder of a new run.
    fn new_folder(&self, setup: &Setup) -> Result<RunFolder, Failure> {
        let folder = match &self.run_dir {
            Some(path) => RunFolder::create_at(path),
            None => RunFolder::create(Path::new(RUNS), &setup.loaded.experiment.name, now_ms()),
        };
        folder.map_err(refused)
    }

    /// Makes a new run that goes on from the state of the run in `run_dir`.
    fn extend(&self, run_dir: &Path, started: Instant, signals: &Signals) -> Result<(Setup, Start), Failure> {
        let past = ResumableRun::find(RunFolder::open(run_dir).map_err(refused)?).map_err(Failure::refused)?;
        let sets = [&self.sets[..], &self.extensions].concat();
        let loaded = past.experiment(&sets).map_err(Failure::refused)?;
        past.check_extension(&loaded).map_err(Failure::refused)?;
        let device = self.device.as_deref().or(past.device()).unwrap_or(DEVICE);
        let setup = prepare_loaded(loaded, device)?;
        past.check(&setup).and_then(|()| past.check_length(setup.steps)).map_err(Failure::refused)?;
        signals.run_begins();
        let (folder, step) = (self.new_folder(&setup)?, past.step());
        let to = folder.path().display().to_string();
        let begun = extend(past, folder, &setup, &options(started)).map_err(Failure::failed)?;
        say(&format!("{to} goes on from step {step} of {}", run_dir.display()));
        Ok((setup, Start::Resumed(Box::new(begun))))
    }

    fn go_on(&self, run_dir: &Path, signals: &Signals) -> Result<(Setup, Start), Failure> {
        let folder = RunFolder::open(run_dir).map_err(refused)?;
        let past = ResumableRun::find(folder).map_err(Failure::refused)?;
        let loaded = match &self.file {
            Some(file) => model::load(file, &self.sets).map_err(Failure::refused)?,
            None => past.experiment(&self.sets).map_err(Failure::refused)?,
        };
        past.check_experiment(&loaded).map_err(Failure::refused)?;
        if self.device.is_none() && past.device().is_none() {
            say(&format!(
                "warning: the run was stopped before it recorded its device; it continues on {DEVICE} unless --device is given"
            ));
        }
        let device = self.device.as_deref().or(past.device()).unwrap_or(DEVICE);
        let setup = prepare_loaded(loaded, device)?;
        past.check(&setup).map_err(Failure::refused)?;
        signals.run_begins();
        let from =
            if past.checkpoint().is_some() { "the checkpoint of" } else { "the beginning (no good checkpoint)," };
        say(&format!("continuing {} from {from} step {}", run_dir.display(), past.step()));
        Ok((setup, Start::Resumed(Box::new(past))))
    }
}

impl Launch {
    /// The experiment's number of workers.
    pub fn workers(&self) -> u32 {
        self.setup.loaded.experiment.cluster.workers
    }

    /// Carries the run out with the workers that come to `listener`, and shows its progress.
    ///
    /// # Errors
    /// The run could not be carried out. A run that failed by itself has a report.
    pub async fn carry_out(
        self,
        listener: Listener,
        progress: watch::Sender<Progress>,
        requests: mpsc::Receiver<RunRequest>,
    ) -> Result<Report, Failure> {
        let bar = tokio::spawn(progress::show(progress.subscribe()));
        let options = options(self.started);
        let report = coordinator::serve(self.setup, self.start, options, listener, progress, requests).await;
        let _ = bar.await;
        report.map_err(|error| match error {
            CoordinatorError::Folder(error) => refused(error),
            other => Failure::failed(other),
        })
    }

    /// Removes the folder of a run that could not begin. One that could not go on stays.
    pub fn abandon(self) {
        match self.start {
            Start::New(folder) => folder.remove_unused(),
            Start::Resumed(past) => {
                say(&format!("the run is as it was: go on with `--resume {}`", past.folder.path().display()));
            }
        }
    }

    /// A function that prints the report in the end.
    pub fn printer(&self) -> impl FnOnce(&Report) -> Result<(), Failure> + use<> {
        let json = self.json;
        move |report| finish(report, json)
    }
}

/// Loads an experiment and prepares its data, and prints warnings.
///
/// # Errors
/// The experiment, its data or the device are refused.
pub fn prepare(file: &Path, sets: &[String], device: &str) -> Result<Setup, Failure> {
    prepare_loaded(model::load(file, sets).map_err(Failure::refused)?, device)
}

fn prepare_loaded(loaded: Loaded, device: &str) -> Result<Setup, Failure> {
    let device: Device = device.parse().map_err(Failure::refused)?;
    check_tracking(&loaded)?;
    let reading = progress::Reading::begin();
    let setup = Setup::prepare_watched(loaded, device, &|passage| reading.show(&passage));
    drop(reading);
    let setup = setup.map_err(Failure::refused)?;
    for warning in &setup.prepared.summary.warnings {
        say(&format!("warning: {warning}"));
    }
    let (workers, items) = (setup.loaded.experiment.cluster.workers, setup.work_items());
    if workers > items {
        let idle = workers - items;
        say(&format!("warning: {workers} workers for {items} microbatches: {idle} will be idle in training"));
    }
    Ok(setup)
}

/// The variable that names a tracking server, for this program as for MLflow's own.
pub const TRACKING_URI: &str = "MLFLOW_TRACKING_URI";

/// The value of [`TRACKING_URI`].
pub fn tracking_uri() -> Option<String> {
    std::env::var(TRACKING_URI).ok().filter(|uri| !uri.is_empty())
}

/// Refuses an experiment that names a tracking server by what is not its address. The environment
/// may hold such a value for other work; then a warning says that the run is not tracked.
fn check_tracking(loaded: &Loaded) -> Result<(), Failure> {
    if let Some(uri) = &loaded.experiment.tracking.mlflow {
        return tracking::check_address(uri).map_err(|error| Failure::Refused(format!("tracking.mlflow = {error}")));
    }
    if let Some(Err(error)) = tracking_uri().as_deref().map(tracking::check_address) {
        say(&format!("warning: {TRACKING_URI} is {error}. No server tracks this run; its journal is complete"));
    }
    Ok(())
}

/// An error of the disk is not the user's mistake.
fn refused(error: FolderError) -> Failure {
    match error {
        FolderError::Io { .. } => Failure::failed(error),
        other => Failure::refused(other),
    }
}

#[expect(clippy::disallowed_methods, reason = "a new run's folder is named by the time")]
fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}

/// Options of the run from the environment.
fn options(started: Instant) -> Options {
    let commit = std::process::Command::new("git").args(["rev-parse", "HEAD"]).output().ok();
    let commit = commit.filter(|output| output.status.success());
    let mut tags = IndexMap::new();
    if let Some(output) = commit {
        tags.insert("git.commit".to_owned(), String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let mlflow = tracking_uri().filter(|uri| tracking::check_address(uri).is_ok());
    let command = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let command = command.collect::<Vec<_>>().join(" ");
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    Options { mlflow, command, user, tags, started, disk: Arc::new(LocalDisk) }
}

/// Prints the result of a finished run for people: what they look for comes last.
fn show(report: &Report) -> Result<(), Failure> {
    let width = screen::width();
    let affinity = match affinity::summary(Path::new(&report.run_dir), width) {
        Ok(affinity) => affinity,
        // The run is finished either way.
        Err(Failure::Refused(why) | Failure::Failed(why)) => {
            say(&format!("warning: the affinity of the tasks is not shown: {why}"));
            affinity::Summary::default()
        }
        Err(interrupted) => return Err(interrupted),
    };
    print(&table::report(report, affinity.advice.as_deref(), width));
    if affinity.is_measured {
        print(&format!("which tasks help each other: trunkline affinity {}", report.run_dir));
    }
    Ok(())
}

/// Prints the result of a run.
fn finish(report: &Report, json: bool) -> Result<(), Failure> {
    if json {
        print_json(report).map_err(Failure::failed)?;
    } else if report.status == "finished" {
        show(report)?;
    }
    match report.status {
        "finished" => Ok(()),
        "interrupted" => {
            say(&format!(
                "stopped after step {step}; continue with `--resume {run}`",
                step = report.step,
                run = report.run_dir
            ));
            Err(Failure::Interrupted)
        }
        _ => Err(Failure::Failed(report.reason.clone().unwrap_or_else(|| "the run failed".into()))),
    }
}
