//! Signs of life, on a thread and a connection of their own: neither a long computation nor a long
//! vector delays them. The coordinator echoes them; a worker that hears no echo is cut off, even
//! where its stream does not say so.

use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use proto::{
    address::Address,
    convert, memory,
    message::{Beat, Envelope},
    v1,
};
use tokio::{
    sync::oneshot,
    time::{self, MissedTickBehavior},
};
use tokio_stream::{StreamExt, wrappers::IntervalStream};
use tonic::Streaming;

use crate::{
    access::Access,
    connection::{call_failed, connect},
    error::WorkerError,
};

/// The pause before a connection that broke is made anew.
const PAUSE: Duration = Duration::from_millis(50);
/// How many leases a worker waits for an echo: a coordinator that is busy for one has lost nobody
/// yet.
const LEASES: u32 = 2;

/// What a worker's signs of life say of its stream: a coordinator that waits for an answer sees by
/// it whether anything gets through.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Messages that have come.
    pub heard: AtomicU64,
    /// It computes, or has something to send.
    pub busy: AtomicBool,
}

/// Where signs of life go, and what they say.
pub(crate) struct Beating {
    pub address: Address,
    pub access: Access,
    /// What the worker's stay is known by.
    pub envelope: Envelope,
    /// What it does.
    pub activity: Arc<Activity>,
    /// Time between two of them.
    pub interval: Duration,
    /// How long the coordinator waits for one; the worker waits [`LEASES`] of it for an echo.
    pub lease: Duration,
}

/// Signs of life that are being sent; they end with it.
pub(crate) struct Heartbeat {
    lost: Option<oneshot::Receiver<String>>,
    _going_on: oneshot::Sender<()>,
}

impl Heartbeat {
    /// Waits until the coordinator is out of reach, or does not know the lease any more; says
    /// which.
    pub(crate) async fn lost(&mut self) -> String {
        if let Some(lost) = &mut self.lost {
            let reason = lost.await;
            self.lost = None;
            if let Ok(reason) = reason {
                return reason;
            }
        }
        // Nobody watches: the coordinator's stream tells alone.
        future::pending().await
    }
}

/// Sends a beat every `interval` until the coordinator is lost, or the heartbeat is dropped.
pub(crate) fn start(beating: Beating) -> Heartbeat {
    let (going_on, over) = oneshot::channel::<()>();
    let (lose, lost) = oneshot::channel();
    thread::spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::warn!(%error, "no signs of life: the lease will run out"),
        };
        runtime.block_on(async {
            tokio::select! {
                reason = beating.until_lost() => drop(lose.send(reason)),
                _ = over => {}
            }
        });
    });
    Heartbeat { lost: Some(lost), _going_on: going_on }
}

/// The coordinator says that it does not know the lease.
struct Unknown(String);

impl Beating {
    async fn until_lost(self) -> String {
        let mut echoes = None;
        loop {
            let echo = self.echo(&mut echoes);
            // A socket of this machine is not cut in silence, and its coordinator may be stopped
            // for as long as it likes.
            let heard = match self.address {
                Address::Unix(_) => Ok(echo.await),
                Address::Tcp(_) => time::timeout(LEASES * self.lease, echo).await,
            };
            match heard {
                Ok(Ok(())) => {}
                Ok(Err(Unknown(reason))) => return reason,
                Err(_) => return format!("no sign of life from it for {:?}", LEASES * self.lease),
            }
        }
    }

    /// Waits for the next echo; makes a connection that broke anew.
    async fn echo(&self, echoes: &mut Option<Streaming<v1::Beat>>) -> Result<(), Unknown> {
        loop {
            match self.try_echo(echoes).await {
                Ok(()) => return Ok(()),
                Err(WorkerError::Refused(refusal)) => return Err(Unknown(refusal.reason)),
                Err(error) => tracing::debug!(%error, "signs of life were cut off; once more"),
            }
            *echoes = None;
            time::sleep(PAUSE).await;
        }
    }

    async fn try_echo(&self, echoes: &mut Option<Streaming<v1::Beat>>) -> Result<(), WorkerError> {
        let echoes = match echoes {
            Some(echoes) => echoes,
            None => {
                let mut client = connect(&self.address, &self.access, self.lease).await?;
                let call = client.heartbeat(self.beats()).await.map_err(|status| call_failed(&status))?;
                echoes.insert(call.into_inner())
            }
        };
        let echo = echoes.message().await.map_err(|status| call_failed(&status))?;
        let echo = echo.ok_or_else(|| WorkerError::Disconnected("the stream ended".into()))?;
        convert::beat_in(echo).map(drop).map_err(|invalid| WorkerError::Disconnected(invalid.to_string()))
    }

    fn beats(&self) -> impl tokio_stream::Stream<Item = v1::Beat> + Send + use<> {
        let mut sequence = 0;
        let (envelope, activity) = (self.envelope.clone(), Arc::clone(&self.activity));
        let mut ticks = time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        IntervalStream::new(ticks).map(move |_| {
            sequence += 1;
            convert::beat_out(Beat {
                run: envelope.run.clone(),
                epoch: envelope.epoch,
                lease: envelope.lease,
                sequence,
                resident_bytes: memory::resident().peak_bytes,
                heard: activity.heard.load(Ordering::Relaxed),
                busy: activity.busy.load(Ordering::Relaxed),
            })
        })
    }
}
