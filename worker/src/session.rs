//! One worker's stay in a run: the stream of work, and the way out.

use std::{
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use proto::{
    COOL_DOWN,
    address::Address,
    convert,
    message::{ChunkOf, CoordinatorMessage, Envelope, Hello, Refusal, RefusalKind, Welcome, WorkerMessage},
    payload::{Assembler, Broken, VectorAssembler},
    v1,
};
use tokio::{sync::mpsc, time};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use crate::{
    bench::{Bench, Task},
    connection::{call_failed, connect, first_call_failed},
    error::WorkerError,
    heartbeat::{self, Activity, Beating, Heartbeat},
    options::Options,
};

/// Messages that may wait to be sent. A vector travels in pieces, so this bounds memory too.
const OUTBOX: usize = 64;

/// How a worker's stay ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The run is over.
    Finished(String),
    /// The worker was asked to go.
    Stopped,
}

/// How often in a row a worker may lose the coordinator before it is accepted.
const STAYS_MAX: u32 = 10;
/// The pause before the coordinator is looked for again; each further one is twice as long, up to
/// [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// What a worker that was put aside waits beyond the time for which it is kept out.
const COOL_DOWN_MARGIN: Duration = Duration::from_secs(1);
/// How long a coordinator on another machine may take with its next message, until the worker is
/// accepted. Thereafter its signs of life tell.
const ANSWER: Duration = Duration::from_secs(30);

/// Takes part in a run until it is over, or `stop` is ready.
///
/// A coordinator that is gone is looked for again, for [`Options::wait`]: it may have been taken up
/// elsewhere, from its last checkpoint. The worker then joins anew, under a lease of its own;
/// nothing that it holds has to be kept.
///
/// # Errors
/// [`WorkerError`] says why the worker could not take part to the end.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> Result<Ended, WorkerError> {
    let mut stop = pin!(stop);
    let (mut in_vain, mut pause) = (0, PAUSE_MIN);
    #[expect(clippy::disallowed_methods, reason = "the wait is of the world's time")]
    let now = time::Instant::now;
    // Since when whoever answers at the address has not even said welcome.
    let mut unwelcome_since = None;
    loop {
        let mut came = Came::default();
        let lost = match stay(&options, stop.as_mut(), &mut came).await {
            Err(lost @ WorkerError::Disconnected(_)) => lost,
            Err(WorkerError::Refused(refusal)) if may_come_back(refusal.kind) => WorkerError::Refused(refusal),
            ended => return ended,
        };
        let is_put_aside = matches!(&lost, WorkerError::Refused(refusal) if is_kept_out(refusal.kind));
        if came.accepted {
            (in_vain, pause) = (0, PAUSE_MIN);
        }
        if came.welcome || is_put_aside {
            unwelcome_since = None;
        }
        in_vain += 1;
        let is_too_long = unwelcome_since.is_some_and(|since: time::Instant| since.elapsed() > options.wait);
        if in_vain > STAYS_MAX || is_too_long {
            return Err(lost);
        }
        if !came.welcome && !is_put_aside {
            unwelcome_since.get_or_insert_with(now);
        }
        tracing::warn!("{lost}; looking for the coordinator again");
        tokio::select! {
            () = time::sleep(if is_put_aside { COOL_DOWN + COOL_DOWN_MARGIN } else { pause }) => {}
            () = stop.as_mut() => return Ok(Ended::Stopped),
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Whether a worker that is refused for this may be let in the next time: its data are the run's,
/// and it speaks as a worker does.
fn may_come_back(kind: RefusalKind) -> bool {
    matches!(kind, RefusalKind::Stale | RefusalKind::Damaged) || is_kept_out(kind)
}

/// Whether a worker that is refused for this is kept out for a while.
fn is_kept_out(kind: RefusalKind) -> bool {
    matches!(kind, RefusalKind::CoolDown | RefusalKind::NotFinite)
}

/// How far a worker came.
#[derive(Default)]
struct Came {
    /// The coordinator has said what the run is.
    welcome: bool,
    /// The worker was given a place.
    accepted: bool,
}

/// One connection to the coordinator, from hello to its end.
async fn stay(
    options: &Options,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    came: &mut Came,
) -> Result<Ended, WorkerError> {
    let mut client = tokio::select! {
        client = connect(&options.coordinator, &options.access, options.wait) => client?,
        () = stop.as_mut() => return Ok(Ended::Stopped),
    };
    let (outbox, messages) = mpsc::channel::<v1::WorkerMessage>(OUTBOX);
    let hello = WorkerMessage::Hello(hello(options));
    let first = convert::worker_message_out(Envelope::default(), hello);
    outbox.send(first).await.map_err(|_| WorkerError::Disconnected("at once".into()))?;
    let heard = answer(&options.coordinator, client.work(ReceiverStream::new(messages))).await?;
    let failed = |status| first_call_failed(&status, &options.coordinator, &options.access);
    let replies = heard.map_err(failed)?.into_inner();
    let mut session = Session {
        bench: Bench::new(options.clone()),
        options: options.clone(),
        outbox,
        stay: None,
        receiving: None,
        heartbeat: None,
        activity: Arc::default(),
        accepted: false,
    };
    let ended = tokio::select! {
        ended = session.listen(replies) => ended,
        () = stop => {
            session.leave(RefusalKind::Shutdown, "the worker was asked to stop".into()).await;
            Ok(Ended::Stopped)
        }
    };
    *came = Came { welcome: session.stay.is_some(), accepted: session.accepted };
    ended
}

/// Waits for what a coordinator owes. One on this machine may be stopped for as long as it likes:
/// its socket tells when it is gone.
async fn answer<T>(coordinator: &Address, answer: impl Future<Output = T>) -> Result<T, WorkerError> {
    match coordinator {
        Address::Unix(_) => Ok(answer.await),
        Address::Tcp(_) => {
            let late = |_| WorkerError::Disconnected(format!("it did not answer within {} s", ANSWER.as_secs()));
            time::timeout(ANSWER, answer).await.map_err(late)
        }
    }
}

fn hello(options: &Options) -> Hello {
    Hello {
        version: env!("CARGO_PKG_VERSION").into(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid: std::process::id(),
        device: options.device.clone(),
        threads: options.threads.unwrap_or(0),
        local: matches!(options.coordinator, Address::Unix(_)),
    }
}

/// What is being received in pieces.
enum Receiving {
    Plan(Box<Welcome>, Assembler),
    Parameters(u64, VectorAssembler),
}

struct Session {
    options: Options,
    outbox: mpsc::Sender<v1::WorkerMessage>,
    bench: Bench,
    stay: Option<(Envelope, u64)>,
    receiving: Option<Receiving>,
    /// Signs of life under the present lease.
    heartbeat: Option<Heartbeat>,
    activity: Arc<Activity>,
    accepted: bool,
}

impl Session {
    async fn listen(&mut self, mut replies: tonic::Streaming<v1::CoordinatorMessage>) -> Result<Ended, WorkerError> {
        while let Some(reply) = self.next(&mut replies).await? {
            let reply = reply.map_err(|status| call_failed(&status))?;
            self.activity.heard.fetch_add(1, Ordering::Relaxed);
            let (envelope, message) = match convert::coordinator_message_in(reply) {
                Ok(message) => message,
                Err(invalid) if invalid.refusal() == RefusalKind::Damaged => {
                    self.leave(RefusalKind::Damaged, format!("from the coordinator: {invalid}")).await;
                    return Err(WorkerError::Disconnected(invalid.to_string()));
                }
                Err(invalid) => return Err(WorkerError::Protocol(invalid.to_string())),
            };
            if let Some((stay, _)) = &self.stay
                && (envelope.run != stay.run || envelope.epoch != stay.epoch || envelope.lease != stay.lease)
            {
                tracing::warn!(?envelope, "dropped a message for somebody else");
                continue;
            }
            match message {
                CoordinatorMessage::Finished { reason } => return Ok(Ended::Finished(reason)),
                CoordinatorMessage::Refused(refusal) => return Err(WorkerError::Refused(refusal)),
                other => self.take(envelope, other).await?,
            }
        }
        Err(WorkerError::Disconnected("the stream ended".into()))
    }

    /// The next message, unless the coordinator gives no sign of life.
    async fn next(
        &mut self,
        replies: &mut tonic::Streaming<v1::CoordinatorMessage>,
    ) -> Result<Option<Result<v1::CoordinatorMessage, tonic::Status>>, WorkerError> {
        if !self.accepted {
            return answer(&self.options.coordinator, replies.next()).await;
        }
        let lost = async {
            match &mut self.heartbeat {
                Some(heartbeat) => heartbeat.lost().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            reply = replies.next() => Ok(reply),
            reason = lost => Err(WorkerError::Disconnected(reason)),
        }
    }

    async fn take(&mut self, envelope: Envelope, message: CoordinatorMessage) -> Result<(), WorkerError> {
        match message {
            CoordinatorMessage::Welcome(welcome) => {
                self.stay = Some((envelope.clone(), welcome.parameters));
                let interval = Duration::from_millis(welcome.heartbeat_ms.max(1));
                let lease = Duration::from_millis(welcome.lease_ms.max(1));
                let activity = Arc::clone(&self.activity);
                let (address, access) = (self.options.coordinator.clone(), self.options.access.clone());
                self.heartbeat =
                    Some(heartbeat::start(Beating { address, access, envelope, activity, interval, lease }));
                let plan = Assembler::new(ChunkOf::Plan, welcome.plan_bytes);
                self.receiving = Some(Receiving::Plan(welcome, plan));
            }
            CoordinatorMessage::Chunk(chunk) => {
                let broken = |e: Broken| WorkerError::Protocol(e.to_string());
                if let ChunkOf::Parameters(version) = chunk.of
                    && chunk.offset == 0
                {
                    let elements = self.stay.as_ref().map_or(0, |(_, parameters)| *parameters) as usize;
                    self.receiving = Some(Receiving::Parameters(version, VectorAssembler::new(chunk.of, elements)));
                }
                match self.receiving.take() {
                    Some(Receiving::Plan(welcome, mut plan)) => {
                        if plan.push(&chunk).map_err(broken)? {
                            let plan = plan.into_bytes();
                            self.compute(envelope, Task::SetUp { welcome, plan }).await?;
                        } else {
                            self.receiving = Some(Receiving::Plan(welcome, plan));
                        }
                    }
                    Some(Receiving::Parameters(version, mut vector)) => {
                        if vector.push(&chunk).map_err(broken)? {
                            let vector = vector.into_vector();
                            self.compute(envelope, Task::Parameters { version, vector }).await?;
                        } else {
                            self.receiving = Some(Receiving::Parameters(version, vector));
                        }
                    }
                    None => return Err(WorkerError::Protocol("a chunk of nothing that was announced".into())),
                }
            }
            CoordinatorMessage::Work(work) => self.compute(envelope, Task::Work(work)).await?,
            CoordinatorMessage::Accepted { rank } => {
                tracing::debug!(rank, "accepted");
                self.accepted = true;
            }
            CoordinatorMessage::Finished { .. } | CoordinatorMessage::Refused(_) => {}
        }
        Ok(())
    }

    /// Computes, here and now, and sends what came of it; messages carry the envelope of what they
    /// answer.
    async fn compute(&mut self, envelope: Envelope, task: Task) -> Result<(), WorkerError> {
        self.activity.busy.store(true, Ordering::Relaxed);
        let messages = match self.bench.take(task) {
            Ok(messages) => messages,
            Err(refusal) => {
                self.leave(refusal.kind, refusal.reason.clone()).await;
                return Err(WorkerError::Unfit(refusal));
            }
        };
        for message in messages {
            let message = convert::worker_message_out(envelope.clone(), message);
            let sent = self.outbox.send(message).await;
            sent.map_err(|_| WorkerError::Disconnected("the coordinator does not listen any more".into()))?;
        }
        self.activity.busy.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Tells the coordinator before going, so that its work is handed on at once.
    async fn leave(&mut self, kind: RefusalKind, reason: String) {
        let Some((envelope, _)) = &self.stay else { return };
        let leave = WorkerMessage::Leave(Refusal { kind, reason });
        let message = convert::worker_message_out(envelope.clone(), leave);
        // A coordinator that does not read any more finds out by the closed stream.
        let _ = time::timeout(Duration::from_secs(1), self.outbox.send(message)).await;
        let _ = time::timeout(Duration::from_secs(1), self.outbox.closed()).await;
    }
}
