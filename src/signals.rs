//! Signals to a command that carries out a run: watched from its first moment on, by a thread of
//! their own.
//!
//! SIGUSR1 asks for a checkpoint. The first SIGINT or SIGTERM asks for an end after a checkpoint,
//! the second ends at once. Before the run has a folder there is nothing to save: a request for a
//! checkpoint waits for the run, and one for an end is granted at once.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use coordinator::Request;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::exit::{INTERRUPTED, say};

/// What signals ask of the run, and what this program asks of it.
pub struct Signals {
    /// Asks the run for something.
    pub ask: mpsc::Sender<Request>,
    /// What the run is asked for.
    pub requests: mpsc::Receiver<Request>,
    has_begun: Arc<Mutex<bool>>,
}

struct Watch {
    interrupt: Signal,
    terminate: Signal,
    save: Signal,
}

impl Signals {
    /// Watches from now on. Where that can't be, signals end the program at once, which is said.
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
            say(&format!("warning: signals can't be watched, and end the run at once: {error}"));
        }
        Signals { ask, requests, has_begun }
    }

    /// From here on the run is asked to end: it has a folder, and leaves it as one that can be gone
    /// on with.
    pub fn run_begins(&self) {
        *self.has_begun.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

/// The handlers stand when this returns.
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
    async fn pass_on(mut self, ask: &mpsc::Sender<Request>, has_begun: &Mutex<bool>) {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
                _ = self.save.recv() => {
                    // Where requests wait already, one of them is as good; a place stays for one to
                    // end.
                    if ask.capacity() > 1 {
                        let _ = ask.try_send(Request::Save);
                    }
                    continue;
                }
            }
            end_unless_begun(has_begun);
            if asked {
                std::process::exit(INTERRUPTED.into());
            }
            asked = true;
            say("stopping after a checkpoint; once more to stop at once");
            let _ = ask.send(Request::Interrupt).await;
        }
    }
}

fn end_unless_begun(has_begun: &Mutex<bool>) {
    // Held until the program has ended: nothing is begun in between.
    let has_begun = has_begun.lock().unwrap_or_else(PoisonError::into_inner);
    if !*has_begun {
        say("error: interrupted before the run began");
        std::process::exit(INTERRUPTED.into());
    }
}
