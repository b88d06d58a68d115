//! Heartbeats, on a thread and a connection of their own: neither a long computation nor a long
//! vector delays them. The coordinator echoes each one. A worker that gets no echo has lost its
//! coordinator, even if its stream is still open.

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

/// The pause before a broken connection is made again.
const PAUSE: Duration = Duration::from_millis(50);
/// The timeout of an echo, in leases. It is more than one, since a coordinator that was busy for
/// one lease has dropped no worker yet.
const LEASES: u32 = 2;

/// What a worker's heartbeats say about its stream. A coordinator that waits for a result sees from
/// it whether its messages arrive.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Messages that came on the stream.
    pub heard: AtomicU64,
    /// Whether the worker computes, or has something to send.
    pub busy: AtomicBool,
}

/// Where heartbeats go, and what they say.
pub(crate) struct Beating {
    /// Where the coordinator listens.
    pub address: Address,
    /// How the coordinator is called.
    pub access: Access,
    /// Names the run, the epoch and the lease.
    pub envelope: Envelope,
    /// The secret of the lease.
    pub secret: u64,
    /// What the worker does.
    pub activity: Arc<Activity>,
    /// Time between two heartbeats.
    pub interval: Duration,
    /// The coordinator's timeout for a heartbeat. The worker's timeout for an echo is [`LEASES`]
    /// times as long.
    pub lease: Duration,
}

/// A thread that sends heartbeats until this is dropped.
pub(crate) struct Heartbeat {
    lost: Option<oneshot::Receiver<String>>,
    _going_on: oneshot::Sender<()>,
}

impl Heartbeat {
    /// Waits until the coordinator does not answer, or does not know the lease any more. Returns
    /// the reason.
    pub(crate) async fn lost(&mut self) -> String {
        if let Some(lost) = &mut self.lost {
            let reason = lost.await;
            self.lost = None;
            if let Ok(reason) = reason {
                return reason;
            }
        }
        // The thread has ended, so only the stream tells whether the coordinator lives.
        future::pending().await
    }
}

/// Sends a heartbeat every [`Beating::interval`] until the coordinator is lost, or the returned
/// value is dropped.
pub(crate) fn start(beating: Beating) -> Heartbeat {
    let (going_on, over) = oneshot::channel::<()>();
    let (lose, lost) = oneshot::channel();
    thread::spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return tracing::warn!(%error, "can't send heartbeats: the coordinator will drop this worker"),
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

/// The coordinator does not know the lease any more, with its reason.
struct UnknownLease(String);

impl Beating {
    async fn until_lost(self) -> String {
        let mut echoes = None;
        loop {
            let echo = self.echo(&mut echoes);
            // The socket of a coordinator on this machine tells when it is gone, and one that is
            // suspended may wake up again.
            let heard = match self.address {
                Address::Unix(_) => Ok(echo.await),
                Address::Tcp(_) => time::timeout(LEASES * self.lease, echo).await,
            };
            match heard {
                Ok(Ok(())) => {}
                Ok(Err(UnknownLease(reason))) => return reason,
                Err(_) => return format!("it did not echo a heartbeat for {:?}", LEASES * self.lease),
            }
        }
    }

    /// Waits for the next echo, and connects again if the connection breaks.
    async fn echo(&self, echoes: &mut Option<Streaming<v1::Beat>>) -> Result<(), UnknownLease> {
        loop {
            match self.try_echo(echoes).await {
                Ok(()) => return Ok(()),
                Err(WorkerError::Refused(refusal)) => return Err(UnknownLease(refusal.reason)),
                Err(error) => tracing::debug!(%error, "the heartbeat connection broke; connecting again"),
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
        let (envelope, secret, activity) = (self.envelope.clone(), self.secret, Arc::clone(&self.activity));
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
                secret,
            })
        })
    }
}
