//! Worker processes of this machine, and the socket by which they reach the coordinator.

use std::{
    env,
    ffi::{CStr, OsStr},
    io,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use coordinator::progress::Progress;
use proto::address::Address;
use tempfile::TempDir;
use tokio::{net::UnixListener, process::Command, sync::watch, task::JoinSet, time};

use crate::exit::{Failure, say};

/// How long workers may take to end by themselves once the run is over.
const END_WAIT: time::Duration = time::Duration::from_secs(3);

/// The program that runs, whatever lies at its path by now: it may have been replaced or removed.
const SELF: &str = "/proc/self/exe";
/// What its processes are called.
const NAME: &CStr = c"trunkline";

/// The pause before a worker that died is replaced; each further one is twice as long, up to
/// [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How many may die or not start, for each worker, without a step of the run being done in between.
const DEATHS_MAX: u32 = 5;

/// The longest path that a socket can have, bytes.
const SOCKET_PATH_MAX: usize = 107;

/// A socket in a folder of its own, which goes with it.
pub struct Socket(TempDir);

impl Socket {
    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.0.path().join("coordinator.sock")
    }
}

/// Makes the socket, in the folder for temporary files.
///
/// # Errors
/// That folder can't be written to, or its path is too long.
pub fn listen() -> Result<(Socket, UnixListener), Failure> {
    let failed = |error| Failure::Failed(format!("no socket can be made in {}: {error}", env::temp_dir().display()));
    let socket = Socket(tempfile::Builder::new().prefix("trunkline-").tempdir().map_err(failed)?);
    let path = socket.path();
    let bytes = path.as_os_str().len();
    if bytes > SOCKET_PATH_MAX {
        return Err(Failure::Refused(format!(
            "{}: a socket's path has {SOCKET_PATH_MAX} bytes at most, and this one {bytes}: set TMPDIR to a folder with a shorter \
             path, such as /tmp",
            path.display()
        )));
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    Ok((socket, listener))
}

/// Worker processes that end with this one, also when it is killed.
pub struct Workers {
    coordinator: Address,
    device: String,
    count: u32,
    children: JoinSet<io::Result<ExitStatus>>,
}

/// What the workers' deaths have come to since the run last got on.
struct Deaths {
    count: u32,
    max: u32,
    pause: Duration,
    step: u64,
}

impl Deaths {
    /// The pause after which another one is started; none where too many have died.
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
    /// When a process can't be started.
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

    /// Replaces workers that die, after a pause, as long as the run gets on; returns why no worker
    /// is left.
    ///
    /// A worker that ends by itself has said why, and another would do the same: it is not
    /// replaced.
    pub async fn keep(&mut self, progress: watch::Receiver<Progress>) -> String {
        let mut deaths = Deaths { count: 0, max: DEATHS_MAX * self.count, pause: PAUSE_MIN, step: 0 };
        let mut last = String::from("no worker was started");
        while let Some(ended) = self.children.join_next().await {
            let status = match ended {
                Ok(Ok(status)) => status,
                Ok(Err(error)) => return format!("the workers can't be waited for: {error}"),
                Err(error) => return format!("the workers can't be waited for: {error}"),
            };
            last = format!("all {} workers have ended, one of them with {status}", self.count);
            if has_died(status) {
                let fell = self.replace(&mut deaths, status, &progress).await.err();
                last = fell.unwrap_or(last);
            }
        }
        last
    }

    /// Starts another worker in the place of one that died; why not, where too many have died, or
    /// did not start.
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
                    format!("{} workers died in a row without a step being done, the last: {what}", deaths.count);
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

    /// Waits for the workers, which the coordinator has told that the run is over; kills those that
    /// stay.
    pub async fn end(&mut self) {
        let all = async { while self.children.join_next().await.is_some() {} };
        if time::timeout(END_WAIT, all).await.is_err() {
            self.children.shutdown().await;
        }
    }
}

/// Names this process as its program is, which a worker that [`Workers`] has started is not by
/// itself.
pub fn take_name() {
    // Without a name it works as well.
    let _ = rustix::thread::set_name(NAME);
}

/// Whether a worker was killed or crashed, rather than ended by its own decision.
fn has_died(status: ExitStatus) -> bool {
    const PANIC: i32 = 101;
    status.code().is_none_or(|code| code == PANIC)
}
