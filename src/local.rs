//! Worker processes of this machine, and signals to this one.

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use coordinator::{Request, progress::Progress};
use proto::address::Address;
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinSet,
    time,
};

use crate::exit::{INTERRUPTED, say};

/// How long workers may take to end by themselves once the run is over.
const END_WAIT: time::Duration = time::Duration::from_secs(3);

/// Where a run is asked for something, by this program or by signals: SIGUSR1 asks for a checkpoint; the first SIGINT or SIGTERM
/// asks for an end after a checkpoint, the second ends at once.
pub fn requests() -> (mpsc::Sender<Request>, mpsc::Receiver<Request>) {
    let (ask, requests) = mpsc::channel(4);
    let from_signals = ask.clone();
    tokio::spawn(async move {
        if let Err(error) = pass_signals_on(&from_signals).await {
            say(&format!("warning: signals can't be watched, and end the run at once: {error}"));
        }
    });
    (ask, requests)
}

async fn pass_signals_on(ask: &mpsc::Sender<Request>) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut save = signal(SignalKind::user_defined1())?;
    let mut asked = false;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = save.recv() => {
                // Where requests wait already, one of them is as good.
                let _ = ask.try_send(Request::Save);
                continue;
            }
        }
        if asked {
            std::process::exit(INTERRUPTED.into());
        }
        asked = true;
        say("stopping after a checkpoint; once more to stop at once");
        let _ = ask.send(Request::Interrupt).await;
    }
}

/// The pause before a worker that died is replaced; each further one is twice as long, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How many may die, for each worker, without a step of the run being done in between.
const DEATHS_MAX: u32 = 5;

/// Worker processes that end with this one, also when it is killed.
pub struct Workers {
    coordinator: Address,
    device: String,
    count: u32,
    children: JoinSet<io::Result<ExitStatus>>,
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
        let mut child = Command::new(std::env::current_exe()?)
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

    /// Replaces workers that die, after a pause, as long as the run gets on; returns why no worker is left.
    ///
    /// A worker that ends by itself has said why, and another would do the same: it is not replaced.
    pub async fn keep(&mut self, progress: watch::Receiver<Progress>) -> String {
        let (mut deaths, mut pause, mut last_step) = (0, PAUSE_MIN, 0);
        let mut last = String::from("no worker was started");
        while let Some(ended) = self.children.join_next().await {
            let status = match ended {
                Ok(Ok(status)) => status,
                Ok(Err(error)) => return format!("the workers can't be waited for: {error}"),
                Err(error) => return format!("the workers can't be waited for: {error}"),
            };
            last = format!("all {} workers have ended, one of them with {status}", self.count);
            if !has_died(status) {
                continue;
            }
            let step = progress.borrow().step;
            if step > last_step {
                (deaths, pause, last_step) = (0, PAUSE_MIN, step);
            }
            deaths += 1;
            if deaths > DEATHS_MAX * self.count {
                last = format!("{deaths} workers died in a row without a step being done, the last with {status}");
                say(&format!("warning: {last}; it is not replaced"));
                continue;
            }
            say(&format!("warning: a worker died ({status}); another takes its place"));
            time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            if let Err(error) = self.add() {
                say(&format!("warning: no worker can be started: {error}"));
                last = format!("no worker can be started: {error}");
            }
        }
        last
    }

    /// Waits for the workers, which the coordinator has told that the run is over; kills those that stay.
    pub async fn end(&mut self) {
        let all = async { while self.children.join_next().await.is_some() {} };
        if time::timeout(END_WAIT, all).await.is_err() {
            self.children.shutdown().await;
        }
    }
}

/// Whether a worker was killed or crashed, rather than ended by its own decision.
fn has_died(status: ExitStatus) -> bool {
    const PANIC: i32 = 101;
    status.code().is_none_or(|code| code == PANIC)
}
