//! Signals to a command that carries out a run. A thread of its own watches them from the command's
//! first moment on.
//!
//! SIGUSR1 asks for a checkpoint. The first SIGINT or SIGTERM asks for an end after a checkpoint,
//! the second ends at once. Before the run has a folder there is nothing to save: SIGUSR1 waits for
//! the run, and SIGINT or SIGTERM ends at once.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use coordinator::RunRequest;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::{exit::INTERRUPTED, screen::say};

/// Requests to the run, from signals and from this program.
pub struct Signals {
    /// Sends the run a request.
    pub ask: mpsc::Sender<RunRequest>,
    /// Receives the run's requests.
    pub requests: mpsc::Receiver<RunRequest>,
    has_begun: Arc<Mutex<bool>>,
}

struct Watch {
    interrupt: Signal,
    terminate: Signal,
    save: Signal,
}

impl Signals {
    /// Watches from now on. If that fails, a warning says that signals end the program at once.
    pub fn watch() -> Signals {
        let (ask, requests) = mpsc::channel(4);
        let has_begun = Arc::new(Mutex::new(false));
        let watching = match begin() {
            Ok((runtime, watch)) => {
                let (ask, has_begun) = (ask.clone(), Arc::clone(&has_begun));
                thread::Builder::new().spawn(move || runtime.block_on(watch.pass_on(&ask, &has_begun))).map(drop)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = watching {
            say(&format!("warning: signals will end the run at once, without a checkpoint: {error}"));
        }
        Signals { ask, requests, has_begun }
    }

    /// From now on a signal asks the run to end, so that its folder can be resumed.
    pub fn run_begins(&self) {
        *self.has_begun.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

/// Installs the signal handlers.
fn begin() -> io::Result<(Runtime, Watch)> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    let save = signal(SignalKind::user_defined1())?;
    drop(entered);
    Ok((runtime, Watch { interrupt, terminate, save }))
}

impl Watch {
    async fn pass_on(mut self, ask: &mpsc::Sender<RunRequest>, has_begun: &Mutex<bool>) {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
                _ = self.save.recv() => {
                    // A request that waits already serves as well. One place is kept for a request
                    // to end.
                    if ask.capacity() > 1 {
                        let _ = ask.try_send(RunRequest::Save);
                    }
                    continue;
                }
            }
            end_unless_begun(has_begun);
            if asked {
                std::process::exit(INTERRUPTED.into());
            }
            asked = true;
            say("stopping, after a checkpoint if the run is not over; send the signal again to stop at once");
            let _ = ask.send(RunRequest::Interrupt).await;
        }
    }
}

fn end_unless_begun(has_begun: &Mutex<bool>) {
    // The lock is held until the program has ended, so that no run begins in between.
    let has_begun = has_begun.lock().unwrap_or_else(PoisonError::into_inner);
    if !*has_begun {
        say("error: interrupted before the run began");
        std::process::exit(INTERRUPTED.into());
    }
}
