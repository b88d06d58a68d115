//! Worker processes of this machine, and signals to this one.

use std::{io, process::Stdio};

use coordinator::Stop;
use proto::address::Address;
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time,
};

use crate::exit::say;

/// How long workers may take to end by themselves once the run is over.
const END_WAIT: time::Duration = time::Duration::from_secs(3);

/// Where a run is told to stop.
pub fn stop_channel() -> (mpsc::Sender<Stop>, mpsc::Receiver<Stop>) {
    mpsc::channel(4)
}

/// The first SIGINT or SIGTERM asks for an end after a checkpoint, the second ends at once.
pub fn stop_on_signals(stop: mpsc::Sender<Stop>) {
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        let mut asked = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked {
                std::process::exit(130);
            }
            asked = true;
            say("stopping after a checkpoint; once more to stop at once");
            let _ = stop.send(Stop::Interrupt).await;
        }
    });
}

/// Worker processes that end with this one, also when it is killed.
pub struct Workers {
    children: Vec<Child>,
}

impl Workers {
    /// Starts `count` workers.
    ///
    /// # Errors
    /// When a process can't be started.
    pub fn start(coordinator: &Address, device: &str, count: u32) -> io::Result<Workers> {
        let program = std::env::current_exe()?;
        let spawn = |_| {
            Command::new(&program)
                .args(["worker", "--with-parent", "--device", device, "--coordinator", &coordinator.to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                // Signals from a terminal go to this process, which ends its workers in order.
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
        };
        Ok(Workers { children: (0..count).map(spawn).collect::<io::Result<_>>()? })
    }

    /// Waits until no worker is left; says how the last one ended.
    pub async fn all_gone(&mut self) -> String {
        let mut last = String::from("no worker was started");
        let count = self.children.len();
        for child in &mut self.children {
            last = match child.wait().await {
                Ok(status) => format!("all {count} workers have ended, one of them with {status}"),
                Err(error) => format!("the workers can't be waited for: {error}"),
            };
        }
        last
    }

    /// Waits for the workers, which the coordinator has told that the run is over; kills those that stay.
    pub async fn end(&mut self) {
        let all = async {
            for child in &mut self.children {
                let _ = child.wait().await;
            }
        };
        if time::timeout(END_WAIT, all).await.is_err() {
            for child in &mut self.children {
                let _ = child.kill().await;
            }
        }
    }
}
