//! The gRPC side: turns streams into messages for the shell. Only this module and the door make a
//! tonic `Status`.

mod limits;
mod listen;
mod reading;

use std::{
    convert::Infallible,
    hash::{BuildHasher, RandomState},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use proto::{
    convert,
    message::{Beat, Envelope, Hello, RefusalKind, WorkerMessage},
    v1,
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, mpsc, oneshot, watch},
    time::timeout,
};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::{
    door::{Caller, TurnedAway},
    progress::Progress,
    run::WorkerId,
};

pub(crate) use limits::message_bytes_max;
pub(crate) use listen::listen;
use reading::Room;

/// What a connection hands to the shell.
#[derive(Debug)]
pub enum Inbound {
    /// A worker says who it is.
    Hello {
        /// Its lease from now on.
        worker: WorkerId,
        /// What the heartbeats of the lease have to carry.
        secret: u64,
        /// The address that it calls from.
        address: String,
        /// What it says about itself.
        hello: Hello,
        /// Where messages to it go.
        outbox: Outbox,
    },
    /// A worker sent a message.
    Message {
        /// Who.
        worker: WorkerId,
        /// The run, epoch, lease, step and phase of the message.
        envelope: Envelope,
        /// The message.
        message: WorkerMessage,
        /// The room that the message takes in the inbox, until this is dropped.
        room: OwnedSemaphorePermit,
    },
    /// A worker sent something that can't be understood.
    Garbled {
        /// Who.
        worker: WorkerId,
        /// The kind of fault.
        kind: RefusalKind,
        /// What is wrong with it.
        reason: String,
    },
    /// A worker's stream is over.
    Disconnected(WorkerId),
    /// A sign of life.
    Beat {
        /// The beat.
        beat: Beat,
        /// Takes whether the beat's lease is known.
        known: oneshot::Sender<bool>,
    },
}

/// The queue of messages to a worker. It is bounded, so that a worker that does not read costs
/// bounded memory.
pub type Outbox = mpsc::Sender<Result<v1::CoordinatorMessage, Status>>;

/// The gRPC service.
pub struct Service {
    inbox: mpsc::Sender<Inbound>,
    room: Room,
    /// The run's runtime. A stranger's call begins on another one.
    inside: Handle,
    progress: watch::Receiver<Progress>,
    leases: Arc<AtomicU64>,
    /// Makes a secret of each lease, with keys that the system has drawn.
    secrets: RandomState,
    outbox_messages: usize,
    turned_away: TurnedAway,
}

/// How long a stream may be open before its hello.
const HELLO_WAIT: Duration = Duration::from_secs(10);

impl Service {
    /// A service that puts what comes into `inbox`, to be made on the run's runtime. Up to
    /// `outbox_messages` messages may wait for one worker. A worker's message has at most
    /// `message_bytes_max` bytes.
    pub(crate) fn new(
        inbox: mpsc::Sender<Inbound>,
        progress: watch::Receiver<Progress>,
        outbox_messages: usize,
        message_bytes_max: usize,
        turned_away: TurnedAway,
    ) -> Service {
        let (room, inside) = (Room::new(message_bytes_max), Handle::current());
        let (leases, secrets) = (Arc::default(), RandomState::new());
        Service { inbox, room, inside, progress, leases, secrets, outbox_messages, turned_away }
    }

    /// The largest message that a worker may send, bytes.
    fn message_bytes_max(&self) -> usize {
        self.room.message_bytes_max()
    }

    /// The hello with which a stream has to begin. A peer that begins otherwise is turned away.
    async fn hello(&self, messages: &mut Streaming<v1::WorkerMessage>, caller: &Caller) -> Result<Hello, Status> {
        let refuse = |kind, reason: String| {
            self.turned_away.add(kind, caller.address(), reason.clone());
            Status::invalid_argument(reason)
        };
        let protocol = |reason| refuse(RefusalKind::Protocol, reason);
        let first = {
            // The clock of the run's runtime, which outlives the stranger's.
            let _inside = self.inside.enter();
            timeout(HELLO_WAIT, self.room.next(messages))
        };
        let first = first.await.map_err(|_| protocol(format!("no hello within {} s", HELLO_WAIT.as_secs())))?;
        let (first, _room) = first.ok_or_else(|| protocol("no hello".into()))?;
        let first = first.map_err(|status| protocol(status.message().to_owned()))?;
        match convert::worker_message_in(first).map_err(|invalid| refuse(invalid.refusal(), invalid.to_string()))? {
            (_, WorkerMessage::Hello(hello)) => Ok(Hello { local: hello.local && caller.is_local(), ..hello }),
            _ => Err(protocol("the first message has to be a hello".into())),
        }
    }
}

type Reply<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl v1::coordinator_server::Coordinator for Service {
    type WorkStream = Reply<v1::CoordinatorMessage>;
    type HeartbeatStream = Reply<v1::Beat>;

    async fn work(&self, request: Request<Streaming<v1::WorkerMessage>>) -> Result<Response<Self::WorkStream>, Status> {
        let caller = caller(&request);
        let mut messages = request.into_inner();
        let hello = self.hello(&mut messages, &caller).await?;
        let address = caller.address().to_owned();
        let worker = WorkerId(self.leases.fetch_add(1, Ordering::Relaxed) + 1);
        let secret = self.secrets.hash_one(worker.0);
        let (outbox, replies) = mpsc::channel(self.outbox_messages);
        let inbox = self.inbox.clone();
        let over = || Status::unavailable("the run is over");
        inbox.send(Inbound::Hello { worker, secret, address, hello, outbox }).await.map_err(|_| over())?;
        let room = self.room.clone();
        // This is dropped with the stream of replies, so that no worker is heard after its session.
        let (replying, over) = oneshot::channel::<Infallible>();
        self.inside.spawn(async move {
            let mut over = pin!(over);
            loop {
                let message = tokio::select! {
                    message = room.next(&mut messages) => message,
                    _ = &mut over => None,
                };
                let Some((message, room)) = message else { break };
                let inbound = match message {
                    Ok(message) => match convert::worker_message_in(message) {
                        Ok((envelope, message)) => Inbound::Message { worker, envelope, message, room },
                        Err(invalid) => {
                            Inbound::Garbled { worker, kind: invalid.refusal(), reason: invalid.to_string() }
                        }
                    },
                    Err(status) => match garbled(&status) {
                        Some(kind) => Inbound::Garbled { worker, kind, reason: status.message().to_owned() },
                        None => break,
                    },
                };
                if inbox.send(inbound).await.is_err() {
                    return;
                }
            }
            let _ = inbox.send(Inbound::Disconnected(worker)).await;
        });
        let replies = ReceiverStream::new(replies).map(move |reply| {
            let _goes_with_the_stream = &replying;
            reply
        });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn heartbeat(
        &self,
        request: Request<Streaming<v1::Beat>>,
    ) -> Result<Response<Self::HeartbeatStream>, Status> {
        let (inbox, turned_away, caller) = (self.inbox.clone(), self.turned_away.clone(), caller(&request));
        let echoes = request.into_inner().then(move |beat| {
            let (inbox, turned_away, caller) = (inbox.clone(), turned_away.clone(), caller.clone());
            async move {
                let echo = beat?;
                let beat = convert::beat_in(echo.clone()).map_err(|invalid| {
                    turned_away.add(invalid.refusal(), caller.address(), invalid.to_string());
                    Status::data_loss(invalid.to_string())
                })?;
                let (known, answer) = oneshot::channel();
                let over = || Status::unavailable("the run is over");
                inbox.send(Inbound::Beat { beat, known }).await.map_err(|_| over())?;
                if answer.await.map_err(|_| over())? { Ok(echo) } else { Err(stale()) }
            }
        });
        Ok(Response::new(Box::pin(echoes)))
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusReply>, Status> {
        let progress = self.progress.borrow().clone();
        let workers = progress.workers.iter().map(|worker| v1::WorkerStatus {
            lease: worker.lease,
            host: worker.host.clone(),
            pid: worker.pid,
            state: worker.state.into(),
            works_done: worker.works_done,
            resident_bytes: worker.peak_bytes,
        });
        Ok(Response::new(v1::StatusReply {
            run: progress.run.clone(),
            name: progress.name.clone(),
            state: progress.state.into(),
            step: progress.step,
            steps: progress.steps,
            rows_per_second: progress.rows_per_second,
            workers: workers.collect(),
            refusals: progress.refusals.iter().map(|(kind, count)| refusals(kind, *count)).collect(),
        }))
    }
}

fn refusals(kind: &str, count: u64) -> v1::Refusals {
    v1::Refusals { kind: kind.to_owned(), count }
}

fn caller<T>(request: &Request<T>) -> Caller {
    request.extensions().get::<Caller>().expect("every connection comes through the door").clone()
}

/// The answer to a worker if its lease is over.
fn stale() -> Status {
    let mut status = Status::failed_precondition("the lease is over");
    let name = RefusalKind::Stale.name().parse().expect("names are plain ASCII");
    status.metadata_mut().insert(proto::REFUSAL, name);
    status
}

/// What is wrong with a message for which a stream ended, if that is why it ended.
fn garbled(status: &Status) -> Option<RefusalKind> {
    match status.code() {
        // A message that can't be decoded has no checksum, so it counts as damaged.
        Code::OutOfRange | Code::Internal | Code::Unimplemented => Some(RefusalKind::Damaged),
        // Our own decoder refuses what no worker sends.
        Code::InvalidArgument => Some(RefusalKind::Protocol),
        _ => None,
    }
}
