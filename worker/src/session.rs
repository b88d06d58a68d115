//! One session of a worker with a coordinator: from the hello to the end of the stream.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use model::PARAMETERS_MAX;
use proto::{
    address::Address,
    convert,
    message::{Chunk, ChunkOf, CoordinatorMessage, Envelope, Hello, Refusal, RefusalKind, Welcome, WorkerMessage},
    payload::{Assembler, Broken, VectorAssembler},
    v1,
};
use tokio::{sync::mpsc, time};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

use crate::{
    connection::{call_failed, connect, first_call_failed},
    ended::Ended,
    error::WorkerError,
    heartbeat::{self, Activity, Beating, Heartbeat},
    options::Options,
    state::{Command, WorkerState},
};

/// The most messages that wait to be sent. Vectors travel in chunks, so this bounds memory too.
const OUTBOX: usize = 64;
/// How long a coordinator on another machine may take with its next message at most, until the
/// worker is accepted. From then on its heartbeats tell whether it lives. A worker that is told to
/// wait less for its coordinator waits less for this too, but no less than [`REPLY_TIMEOUT_MIN`].
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// The shortest time that a coordinator has for a message.
const REPLY_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// The longest plan that a worker takes, bytes.
const PLAN_BYTES_MAX: u64 = 1 << 30;
/// How long a worker waits at its end until its last message is sent.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// How far a session came.
#[derive(Default)]
pub(crate) struct Progress {
    /// The coordinator sent its welcome.
    pub(crate) welcome: bool,
    /// The worker took part.
    pub(crate) accepted: bool,
}

/// Connects to the coordinator and takes part in its run until the session ends.
///
/// # Errors
/// [`WorkerError`] says why the session ended before the run.
pub(crate) async fn run(
    options: &Options,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    progress: &mut Progress,
) -> Result<Ended, WorkerError> {
    let mut client = tokio::select! {
        client = connect(&options.coordinator, &options.access, options.wait) => client?,
        () = stop.as_mut() => return Ok(Ended::Stopped),
    };
    let (outbox, messages) = mpsc::channel::<v1::WorkerMessage>(OUTBOX);
    let hello = WorkerMessage::Hello(hello(options));
    let first = convert::worker_message_out(Envelope::default(), hello);
    outbox.send(first).await.map_err(|_| WorkerError::Disconnected("the stream ended at once".into()))?;
    let call = reply(options, client.work(ReceiverStream::new(messages))).await?;
    let failed = |status| first_call_failed(&status, &options.coordinator, &options.access);
    let replies = call.map_err(failed)?.into_inner();
    let mut session = Session {
        state: WorkerState::new(options.clone()),
        options: options.clone(),
        outbox,
        joined: None,
        receiving: None,
        heartbeat: None,
        activity: Arc::default(),
        accepted: false,
    };
    let ended = tokio::select! {
        ended = session.listen(replies) => ended,
        () = stop => {
            session.leave(RefusalKind::Shutdown, "the worker was told to stop".into()).await;
            Ok(Ended::Stopped)
        }
    };
    *progress = Progress { welcome: session.joined.is_some(), accepted: session.accepted };
    ended
}

/// Waits for the coordinator's reply, with a timeout if it is on another machine. The socket of a
/// coordinator on this machine tells when it is gone, and one that is suspended may wake up again.
async fn reply<T>(options: &Options, reply: impl Future<Output = T>) -> Result<T, WorkerError> {
    match options.coordinator {
        Address::Unix(_) => Ok(reply.await),
        Address::Tcp(_) => {
            let wait = options.wait.clamp(REPLY_TIMEOUT_MIN, REPLY_TIMEOUT);
            let late = |_| WorkerError::Disconnected(format!("the coordinator did not reply within {wait:?}"));
            time::timeout(wait, reply).await.map_err(late)
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
        parts: settings::catalogue::added(),
    }
}

/// Who the worker is to the coordinator, from its welcome on.
struct Joined {
    /// Names the run, the epoch and the lease.
    envelope: Envelope,
    /// Length of the flat parameter vector, elements.
    parameters: usize,
}

/// Something that is being received in chunks.
enum Receiving {
    Plan(Box<Welcome>, Assembler),
    Parameters(u64, VectorAssembler),
}

struct Session {
    options: Options,
    outbox: mpsc::Sender<v1::WorkerMessage>,
    state: WorkerState,
    joined: Option<Joined>,
    receiving: Option<Receiving>,
    /// The heartbeats of the session's lease.
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
                    self.leave(RefusalKind::Damaged, format!("a message of the coordinator: {invalid}")).await;
                    return Err(WorkerError::Disconnected(invalid.to_string()));
                }
                Err(invalid) => return Err(WorkerError::Protocol(invalid.to_string())),
            };
            if self.joined.as_ref().is_some_and(|joined| !is_same_lease(&joined.envelope, &envelope)) {
                tracing::warn!(?envelope, "dropped a message for another lease");
                continue;
            }
            match message {
                CoordinatorMessage::Finished { reason } => return Ok(Ended::Finished(reason)),
                CoordinatorMessage::Refused(refusal) => return Err(WorkerError::Refused(refusal)),
                CoordinatorMessage::Welcome(welcome) => self.join(envelope, welcome)?,
                CoordinatorMessage::Chunk(chunk) => self.receive(envelope, &chunk).await?,
                CoordinatorMessage::Work(work) => self.run(envelope, Command::Compute(work)).await?,
                CoordinatorMessage::Accepted { rank } => {
                    tracing::debug!(rank, "accepted");
                    self.accepted = true;
                }
            }
        }
        Err(WorkerError::Disconnected("the stream ended".into()))
    }

    /// Waits for the next message, or until the coordinator's heartbeats are lost.
    async fn next(
        &mut self,
        replies: &mut tonic::Streaming<v1::CoordinatorMessage>,
    ) -> Result<Option<Result<v1::CoordinatorMessage, tonic::Status>>, WorkerError> {
        if !self.accepted {
            return reply(&self.options, replies.next()).await;
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

    /// Starts the heartbeats, and waits for the plan.
    fn join(&mut self, envelope: Envelope, welcome: Box<Welcome>) -> Result<(), WorkerError> {
        if self.joined.is_some() {
            return Err(WorkerError::Protocol("a second welcome".into()));
        }
        let (plan_bytes, parameters) = (welcome.plan_bytes, welcome.parameters);
        if plan_bytes > PLAN_BYTES_MAX || parameters > PARAMETERS_MAX as u64 {
            let message = format!("a plan of {plan_bytes} bytes for {parameters} parameters is too large");
            return Err(WorkerError::Protocol(message));
        }
        self.heartbeat = Some(heartbeat::start(Beating {
            address: self.options.coordinator.clone(),
            access: self.options.access.clone(),
            envelope: envelope.clone(),
            secret: welcome.secret,
            activity: Arc::clone(&self.activity),
            interval: Duration::from_millis(welcome.heartbeat_ms.max(1)),
            lease: Duration::from_millis(welcome.lease_ms.max(1)),
        }));
        self.joined = Some(Joined { envelope, parameters: welcome.parameters as usize });
        let plan = Assembler::new(ChunkOf::Plan, welcome.plan_bytes);
        self.receiving = Some(Receiving::Plan(welcome, plan));
        Ok(())
    }

    /// Takes a chunk of the plan or of parameters. Once all chunks are there, the worker loads or
    /// sets them.
    async fn receive(&mut self, envelope: Envelope, chunk: &Chunk) -> Result<(), WorkerError> {
        let broken = |e: Broken| WorkerError::Protocol(e.to_string());
        if let ChunkOf::Parameters(version) = chunk.of
            && chunk.offset == 0
        {
            // The plan is loaded by then, and the number of parameters is the model's.
            let is_loaded = !matches!(self.receiving, Some(Receiving::Plan(..)));
            let elements = self.joined.as_ref().filter(|_| is_loaded);
            let elements = elements.map(|joined| joined.parameters);
            let too_soon = || WorkerError::Protocol("parameters came before the plan".into());
            let elements = elements.ok_or_else(too_soon)?;
            self.receiving = Some(Receiving::Parameters(version, VectorAssembler::new(chunk.of, elements)));
        }
        let command = match self.receiving.take() {
            Some(Receiving::Plan(welcome, mut plan)) => {
                if !plan.push(chunk).map_err(broken)? {
                    self.receiving = Some(Receiving::Plan(welcome, plan));
                    return Ok(());
                }
                Command::Load { welcome, plan: plan.into_bytes() }
            }
            Some(Receiving::Parameters(version, mut vector)) => {
                if !vector.push(chunk).map_err(broken)? {
                    self.receiving = Some(Receiving::Parameters(version, vector));
                    return Ok(());
                }
                Command::SetParameters { version, parameters: vector.into_vector() }
            }
            None => return Err(WorkerError::Protocol("a chunk came that nothing announced".into())),
        };
        self.run(envelope, command).await
    }

    /// Runs a command on this thread, and sends the messages that answer it. They carry the
    /// envelope of the command.
    async fn run(&mut self, envelope: Envelope, command: Command) -> Result<(), WorkerError> {
        self.activity.busy.store(true, Ordering::Relaxed);
        let messages = match self.state.run(command) {
            Ok(messages) => messages,
            Err(refusal) => {
                self.leave(refusal.kind, told(&refusal, &self.options.coordinator)).await;
                return Err(WorkerError::Unfit(refusal));
            }
        };
        for message in messages {
            let message = convert::worker_message_out(envelope.clone(), message);
            let sent = self.outbox.send(message).await;
            sent.map_err(|_| WorkerError::Disconnected("the coordinator has closed the stream".into()))?;
        }
        self.activity.busy.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Tells the coordinator that the worker leaves, so that its work goes to others at once.
    async fn leave(&mut self, kind: RefusalKind, reason: String) {
        let Some(Joined { envelope, .. }) = &self.joined else { return };
        let leave = WorkerMessage::Leave(Refusal { kind, reason });
        let message = convert::worker_message_out(envelope.clone(), leave);
        // A coordinator that reads no more learns it from the closed stream.
        let _ = time::timeout(LEAVE_TIMEOUT, self.outbox.send(message)).await;
        let _ = time::timeout(LEAVE_TIMEOUT, self.outbox.closed()).await;
    }
}

/// What a coordinator is told of the reason why this worker leaves.
///
/// What is wrong with a table may quote a line of a file, and says which files there are. This
/// worker's user may read that, but not the user of a coordinator on another machine. That one may
/// name any path in its plan.
fn told(refusal: &Refusal, coordinator: &Address) -> String {
    match (refusal.kind, coordinator) {
        (RefusalKind::Data, Address::Tcp(_)) => {
            "the tables that this worker finds are not those of the run; its own output says what is wrong".into()
        }
        _ => refusal.reason.clone(),
    }
}

/// Whether two envelopes name the same run, epoch and lease.
fn is_same_lease(one: &Envelope, other: &Envelope) -> bool {
    (&one.run, one.epoch, one.lease) == (&other.run, other.epoch, other.lease)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinator_over_the_network_is_told_nothing_of_a_file() {
        let reason = "/etc/passwd: column `a`, row 1 (line 2): `daemon:x:1` is not a number".to_owned();
        let refusal = |kind| Refusal { kind, reason: reason.clone() };
        let (here, there): (Address, Address) = ("unix:/run/x".parse().unwrap(), "127.0.0.1:1".parse().unwrap());
        assert_eq!(told(&refusal(RefusalKind::Data), &here), reason);
        let said = told(&refusal(RefusalKind::Data), &there);
        assert!(!said.contains("passwd") && !said.contains("daemon"), "{said}");
        assert_eq!(told(&refusal(RefusalKind::Device), &there), reason);
    }
}
