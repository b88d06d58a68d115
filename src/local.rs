//! Worker processes on this machine, and the socket by which they reach the coordinator.

use std::{
    env,
    ffi::{CStr, OsStr},
    fs::{self, File, Permissions},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use coordinator::progress::Progress;
use proto::address::Address;
use rustix::{
    fs::{FlockOperation, Mode, flock},
    process::umask,
};
use tempfile::TempDir;
use tokio::{net::UnixListener, process::Command, sync::watch, task::JoinSet, time};

use crate::{exit::Failure, screen::say};

/// How long workers may take to end by themselves after the run.
const END_WAIT: time::Duration = time::Duration::from_secs(3);

/// The program that runs, with all parts of its catalogue. Its file may have been replaced or
/// removed since.
const SELF: &str = "/proc/self/exe";
/// The name of worker processes.
const NAME: &CStr = c"trunkline";

/// The pause before a worker that died is replaced. Each further pause is twice as long, up to
/// [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause before a worker is replaced.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Deaths and failed starts that are allowed for each worker while the run completes no step.
const DEATHS_MAX: u32 = 5;

/// The longest path of a socket, bytes.
const SOCKET_PATH_MAX: usize = 107;

/// The start of the name of a socket's folder.
const FOLDER_PREFIX: &str = "trunkline-";
/// The name of a socket in its folder.
const SOCKET: &str = "coordinator.sock";
/// The mode of a socket's folder: only its user can enter.
const FOLDER_MODE: u32 = 0o700;
/// A folder of another process is left alone for this long: that process may be about to lock it.
const FOLDER_AGE_MIN: Duration = Duration::from_secs(60);

/// A socket in a folder of its own, which only this user can enter. The folder is removed when this
/// is dropped. It is locked until then, so that another process can tell whether it was left
/// behind.
pub struct Socket {
    folder: TempDir,
    _lock: File,
}

impl Socket {
    /// The socket's path.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }
}

/// Makes the socket in the folder for temporary files. Removes what processes that were killed have
/// left there.
///
/// # Errors
/// The folder can't be written to, or its path is too long.
pub fn listen() -> Result<(Socket, UnixListener), Failure> {
    let place = env::temp_dir();
    let failed = |error| Failure::Failed(format!("can't make a socket in {}: {error}", place.display()));
    remove_abandoned(&place);
    let mode = Permissions::from_mode(FOLDER_MODE);
    let folder = tempfile::Builder::new().prefix(FOLDER_PREFIX).permissions(mode).tempdir_in(&place).map_err(failed)?;
    let lock = File::open(folder.path()).map_err(failed)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
    let socket = Socket { folder, _lock: lock };
    let path = socket.path();
    let bytes = path.as_os_str().len();
    if bytes > SOCKET_PATH_MAX {
        return Err(Failure::Refused(format!(
            "{}: a socket's path has at most {SOCKET_PATH_MAX} bytes, and this one has {bytes}; set TMPDIR to a folder \
             with a shorter path, such as /tmp",
            path.display()
        )));
    }
    let listener = bind_privately(&path).map_err(failed)?;
    Ok((socket, listener))
}

/// Binds a socket that only this user can connect to from its first moment on.
///
/// # Errors
/// The system's error.
pub fn bind_privately(path: &Path) -> io::Result<UnixListener> {
    let before = umask(Mode::XUSR | Mode::RWXG | Mode::RWXO);
    let bound = UnixListener::bind(path);
    umask(before);
    bound
}

/// Removes the folders of sockets whose processes were killed. What can't be removed stays.
fn remove_abandoned(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        if entry.file_name().as_bytes().starts_with(FOLDER_PREFIX.as_bytes()) && is_abandoned(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a folder is one that [`listen`] has made for this user, some time ago, and no process
/// holds any more.
fn is_abandoned(path: &Path) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return false };
    let is_ours = found.is_dir()
        && found.uid() == rustix::process::geteuid().as_raw()
        && found.permissions().mode() & 0o7777 == FOLDER_MODE;
    let is_old = found.modified().ok().and_then(|at| at.elapsed().ok()).is_some_and(|age| age > FOLDER_AGE_MIN);
    let holds_nothing_else = || {
        let mut names = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.all(|name| name == SOCKET)
    };
    let is_free =
        || File::open(path).is_ok_and(|folder| flock(folder, FlockOperation::NonBlockingLockExclusive).is_ok());
    is_ours && is_old && holds_nothing_else() && is_free()
}

/// Worker processes. They end when this process ends, also when it is killed.
pub struct Workers {
    coordinator: Address,
    device: String,
    count: u32,
    children: JoinSet<io::Result<ExitStatus>>,
}

/// The workers' deaths since the run last completed a step.
struct Deaths {
    count: u32,
    max: u32,
    pause: Duration,
    step: u64,
}

impl Deaths {
    /// The pause before another worker is started; `None` if too many have died.
    fn one_more(&mut self, step: u64) -> Option<Duration> {
        if step > self.step {
            (self.count, self.pause, self.step) = (0, PAUSE_MIN, step);
        }
        self.count += 1;
        let pause = self.pause;
        self.pause = (2 * self.pause).min(PAUSE_MAX);
        (self.count <= self.max).then_some(pause)
    }
}

impl Workers {
    /// Starts `count` workers.
    ///
    /// # Errors
    /// A process can't be started.
    pub fn start(coordinator: Address, device: String, count: u32) -> io::Result<Workers> {
        let mut workers = Workers { coordinator, device, count, children: JoinSet::new() };
        (0..count).try_for_each(|_| workers.add())?;
        Ok(workers)
    }

    fn add(&mut self) -> io::Result<()> {
        let mut child = Command::new(SELF)
            .arg0(OsStr::from_bytes(NAME.to_bytes()))
            .args(["worker", "--with-parent", "--device", &self.device])
            .args(["--coordinator", &self.coordinator.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Signals from a terminal go to this process, which ends its workers in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        self.children.spawn(async move { child.wait().await });
        Ok(())
    }

    /// Replaces workers that die, after a pause, as long as the run completes steps. Returns the
    /// reason why no worker is left.
    ///
    /// A worker that ends by itself is not replaced: it has printed the reason, and another worker
    /// would end for the same one.
    pub async fn keep(&mut self, progress: watch::Receiver<Progress>) -> String {
        let mut deaths = Deaths { count: 0, max: DEATHS_MAX * self.count, pause: PAUSE_MIN, step: 0 };
        let mut last = String::from("no worker was started");
        while let Some(ended) = self.children.join_next().await {
            let status = match ended {
                Ok(Ok(status)) => status,
                Ok(Err(error)) => return format!("can't wait for the workers: {error}"),
                Err(error) => return format!("can't wait for the workers: {error}"),
            };
            last = format!("all {} workers have ended, one of them with {status}", self.count);
            if has_died(status) {
                let fell = self.replace(&mut deaths, status, &progress).await.err();
                last = fell.unwrap_or(last);
            }
        }
        last
    }

    /// Starts another worker in the place of one that died.
    ///
    /// # Errors
    /// The reason in words, if too many have died or did not start.
    async fn replace(
        &mut self,
        deaths: &mut Deaths,
        status: ExitStatus,
        progress: &watch::Receiver<Progress>,
    ) -> Result<(), String> {
        let mut what = format!("a worker died ({status})");
        loop {
            let Some(pause) = deaths.one_more(progress.borrow().step) else {
                let last =
                    format!("{} workers died in a row while the run completed no step; the last: {what}", deaths.count);
                say(&format!("warning: {last}; it is not replaced"));
                return Err(last);
            };
            say(&format!("warning: {what}; another takes its place"));
            time::sleep(pause).await;
            match self.add() {
                Ok(()) => return Ok(()),
                Err(error) => what = format!("a worker can't be started: {error}"),
            }
        }
    }

    /// Waits for the workers, which the coordinator has told that the run is over. Kills those that
    /// stay.
    pub async fn end(&mut self) {
        let all = async { while self.children.join_next().await.is_some() {} };
        if time::timeout(END_WAIT, all).await.is_err() {
            self.children.shutdown().await;
        }
    }
}

/// Gives this process the name [`NAME`]. A worker that [`Workers`] started has none of its own.
pub fn take_name() {
    // The worker works without a name, too.
    let _ = rustix::thread::set_name(NAME);
}

/// Whether a worker was killed or crashed. Other workers have ended by their own decision.
fn has_died(status: ExitStatus) -> bool {
    const PANIC: i32 = 101;
    status.code().is_none_or(|code| code == PANIC)
}
