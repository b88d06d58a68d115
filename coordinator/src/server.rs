//! The gRPC side: turns streams into messages for the shell. The only file that makes a tonic `Status`.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use proto::{
    convert,
    message::{Beat, Envelope, Hello, WorkerMessage},
    v1,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use crate::{progress::Progress, run::WorkerId};

/// What a connection hands to the shell.
#[derive(Debug)]
pub enum Inbound {
    /// A worker introduces itself.
    Hello {
        /// Its place in the run from now on.
        worker: WorkerId,
        /// Who it is.
        hello: Hello,
        /// Where messages to it go.
        outbox: Outbox,
    },
    /// A worker says something.
    Message {
        /// Who.
        worker: WorkerId,
        /// What the message belongs to.
        envelope: Envelope,
        /// The message.
        message: WorkerMessage,
    },
    /// A worker said something that can't be understood.
    Garbled {
        /// Who.
        worker: WorkerId,
        /// What is wrong with it.
        reason: String,
    },
    /// A worker's stream is over.
    Disconnected(WorkerId),
    /// A sign of life.
    Beat(Beat),
}

/// Where messages to a worker go: bounded, so that a worker that does not read costs bounded memory.
pub type Outbox = mpsc::Sender<Result<v1::CoordinatorMessage, Status>>;

/// The service.
pub struct Service {
    inbox: mpsc::Sender<Inbound>,
    progress: watch::Receiver<Progress>,
    leases: Arc<AtomicU64>,
    outbox_messages: usize,
}

impl Service {
    /// A service that hands what comes to `inbox`; `outbox_messages` may wait for one worker.
    pub fn new(inbox: mpsc::Sender<Inbound>, progress: watch::Receiver<Progress>, outbox_messages: usize) -> Service {
        Service { inbox, progress, leases: Arc::default(), outbox_messages }
    }
}

type Reply<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl v1::coordinator_server::Coordinator for Service {
    type WorkStream = Reply<v1::CoordinatorMessage>;
    type HeartbeatStream = Reply<v1::Beat>;

    async fn work(&self, request: Request<Streaming<v1::WorkerMessage>>) -> Result<Response<Self::WorkStream>, Status> {
        let mut messages = request.into_inner();
        let first = messages.message().await?.ok_or_else(|| Status::invalid_argument("no hello"))?;
        let first = convert::worker_message_in(first).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let (_, WorkerMessage::Hello(hello)) = first else {
            return Err(Status::invalid_argument("the first message has to be a hello"));
        };
        let worker = WorkerId(self.leases.fetch_add(1, Ordering::Relaxed) + 1);
        let (outbox, replies) = mpsc::channel(self.outbox_messages);
        let inbox = self.inbox.clone();
        let over = || Status::unavailable("the run is over");
        inbox.send(Inbound::Hello { worker, hello, outbox }).await.map_err(|_| over())?;
        tokio::spawn(async move {
            while let Some(Ok(message)) = messages.next().await {
                let inbound = match convert::worker_message_in(message) {
                    Ok((envelope, message)) => Inbound::Message { worker, envelope, message },
                    Err(invalid) => Inbound::Garbled { worker, reason: invalid.to_string() },
                };
                if inbox.send(inbound).await.is_err() {
                    return;
                }
            }
            let _ = inbox.send(Inbound::Disconnected(worker)).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(replies))))
    }

    async fn heartbeat(
        &self,
        request: Request<Streaming<v1::Beat>>,
    ) -> Result<Response<Self::HeartbeatStream>, Status> {
        let inbox = self.inbox.clone();
        let echoes = request.into_inner().then(move |beat| {
            let inbox = inbox.clone();
            async move {
                let beat = beat?;
                let over = |_| Status::unavailable("the run is over");
                inbox.send(Inbound::Beat(convert::beat_in(beat.clone()))).await.map_err(over)?;
                Ok(beat)
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
        }))
    }
}
