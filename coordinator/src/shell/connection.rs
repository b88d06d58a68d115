//! The connection of one worker.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use aggregation::tree::Node;
use bytes::Bytes;
use experiment::SplitName;
use proto::{
    convert,
    message::{Chunk, ChunkOf, CoordinatorMessage, Envelope, Hello, Slot, Work, WorkKind, WorkResult},
    payload,
    shared_memory::{Region, Writer},
};

use super::{
    assembly::{Assembly, VectorSpan},
    cool_down::WorkerIdentity,
};
use crate::{
    compute::{Contribution, Recipient},
    run::{Assignment, WorkerId},
    server::Outbox,
};

/// The connection of one worker.
pub(super) struct WorkerConnection {
    address: String,
    /// What heartbeats of this worker have to carry.
    secret: u64,
    hello: Hello,
    /// Whether the worker has loaded its data and takes part.
    accepted: bool,
    /// How many results of the worker have counted.
    works_done: u64,
    /// What the worker was asked for and has not answered yet, by work.
    asked: BTreeMap<u64, Asked>,
    /// Results with vectors that come in chunks, by work. Their work is in `asked` too.
    assembling: BTreeMap<u64, Assembly>,
    /// The shared memory that was offered to the worker, and whether it writes vectors there.
    results: Option<(Arc<Region>, bool)>,
    /// The version of the parameters that the worker was sent last.
    sent_version: Option<u64>,
    /// How many messages the worker has heard, by its last heartbeat.
    heard: u64,
    /// When a message last got through in either direction, or the worker was busy.
    through: Duration,
    outbox: Outbox,
}

/// What an answer has to be.
pub(super) struct Asked {
    pub step: u64,
    pub phase: u32,
    pub kind: WorkKind,
    pub feeds: Vec<u32>,
    /// The split that is evaluated.
    pub split: SplitName,
    pub node: Node,
    /// The vectors, in their order.
    pub vectors: Vec<VectorSpan>,
    /// The slots of the vectors in shared memory. Empty: they come in chunks.
    pub slots: Vec<Slot>,
}

/// The worker does not read what it is sent, or is gone.
#[derive(Debug)]
pub(super) struct Unreachable;

impl WorkerConnection {
    pub(super) fn new(address: String, secret: u64, hello: Hello, outbox: Outbox) -> WorkerConnection {
        WorkerConnection {
            address,
            secret,
            hello,
            accepted: false,
            works_done: 0,
            asked: BTreeMap::new(),
            assembling: BTreeMap::new(),
            results: None,
            sent_version: None,
            heard: 0,
            through: Duration::ZERO,
            outbox,
        }
    }

    /// What heartbeats of this worker have to carry.
    pub(super) fn secret(&self) -> u64 {
        self.secret
    }

    /// What the worker has said of itself.
    pub(super) fn hello(&self) -> &Hello {
        &self.hello
    }

    /// By what the worker is recognised when it comes back.
    pub(super) fn identity(&self) -> WorkerIdentity {
        WorkerIdentity::new(&self.address, &self.hello)
    }

    /// The worker takes part from now on. `shared_memory` says whether it writes its vectors to the
    /// shared memory that it was offered.
    pub(super) fn accept(&mut self, shared_memory: bool) {
        self.accepted = true;
        if let Some((_, used)) = &mut self.results {
            *used = shared_memory;
        }
    }

    /// Whether the worker has loaded its data and takes part.
    pub(super) fn is_accepted(&self) -> bool {
        self.accepted
    }

    /// How many results of the worker have counted.
    pub(super) fn works_done(&self) -> u64 {
        self.works_done
    }

    /// The name of the worker for people and for the journal.
    pub(super) fn name(&self, id: WorkerId) -> String {
        format!("worker {} ({}:{})", id.0, self.hello.host, self.hello.pid)
    }

    /// Creates shared memory for results and returns its path, if the worker is on this machine.
    pub(super) fn offer_results(&mut self, slots: u32, elements: usize) -> io::Result<Option<String>> {
        if !self.hello.local {
            return Ok(None);
        }
        let region = Region::create(Writer::Opener, slots as usize, elements)?;
        let path = region.path().to_string_lossy().into_owned();
        self.results = Some((Arc::new(region), false));
        Ok(Some(path))
    }

    /// The shared memory, if the worker writes its vectors there.
    pub(super) fn shared_results(&self) -> Option<&Arc<Region>> {
        self.results.as_ref().filter(|(_, used)| *used).map(|(region, _)| region)
    }

    /// Whether vectors travel over the network.
    pub(super) fn is_remote(&self) -> bool {
        self.accepted && self.shared_results().is_none()
    }

    /// Whether the worker has taken every message. If it has not, it gets no parameters before it
    /// needs them.
    pub(super) fn has_taken_all(&self) -> bool {
        self.outbox.capacity() == self.outbox.max_capacity()
    }

    /// A handle by which the computing thread sends the parameters of the next step.
    pub(super) fn recipient(&self, worker: WorkerId, envelope: Envelope) -> Recipient {
        Recipient { worker, envelope, outbox: self.outbox.clone() }
    }

    /// The worker has this version of the parameters, or gets it before any other message.
    pub(super) fn note_sent(&mut self, version: u64) {
        self.sent_version = Some(version);
    }

    /// A message came from the worker.
    pub(super) fn got_through(&mut self, now: Duration) {
        self.through = now;
    }

    /// Takes what a heartbeat says of the stream.
    pub(super) fn note_activity(&mut self, now: Duration, heard: u64, busy: bool) {
        if busy || heard != self.heard {
            self.through = now;
        }
        self.heard = heard;
    }

    /// The worker is asked for a piece of work. A worker that owed nothing is given time from now
    /// on.
    pub(super) fn ask(&mut self, now: Duration, work: u64, asked: Asked) {
        if self.asked.is_empty() {
            self.through = now;
        }
        self.asked.insert(work, asked);
    }

    /// What the answer to a piece of work has to be. `None` if the worker does not owe it.
    pub(super) fn asked(&self, work: u64) -> Option<&Asked> {
        self.asked.get(&work)
    }

    /// The vectors of a result, at least one, come in chunks.
    pub(super) fn expect_chunks(&mut self, result: WorkResult, spans: Vec<VectorSpan>) {
        self.assembling.insert(result.work, Assembly::new(result, spans));
    }

    /// Takes a chunk, and returns the result with its vectors once they are complete.
    ///
    /// # Errors
    /// Why a worker that follows the protocol does not send the chunk.
    pub(super) fn take_chunk(&mut self, chunk: &Chunk) -> Result<Option<(WorkResult, Vec<Contribution>)>, String> {
        let ChunkOf::Result { work, .. } = chunk.of else { return Err("a chunk that is not of a result".into()) };
        let Some(assembly) = self.assembling.get_mut(&work) else {
            return Err("a chunk of a result that was not announced".into());
        };
        let is_complete = assembly.push(chunk).map_err(|broken| broken.to_string())?;
        Ok(if is_complete { self.assembling.remove(&work).map(Assembly::finish) } else { None })
    }

    /// The worker's answer to a piece of work counts.
    pub(super) fn answered(&mut self, work: u64) {
        self.forget(work);
        self.works_done += 1;
    }

    /// The worker does not owe a piece of work any more.
    pub(super) fn forget(&mut self, work: u64) {
        self.asked.remove(&work);
        self.assembling.remove(&work);
    }

    /// For how long nothing has got through while the worker owed an answer and was idle.
    pub(super) fn stuck(&self, now: Duration) -> Option<Duration> {
        (!self.asked.is_empty()).then(|| now.saturating_sub(self.through))
    }

    /// Queues a message. Never waits.
    pub(super) fn send(&self, envelope: Envelope, message: CoordinatorMessage) -> Result<(), Unreachable> {
        let message = convert::coordinator_message_out(envelope, message);
        self.outbox.try_send(Ok(message)).map_err(|_| Unreachable)
    }

    /// Queues the chunks of something long.
    pub(super) fn send_chunks(
        &self,
        envelope: &Envelope,
        chunks: impl Iterator<Item = Chunk>,
    ) -> Result<(), Unreachable> {
        for chunk in chunks {
            self.send(envelope.clone(), CoordinatorMessage::Chunk(chunk))?;
        }
        Ok(())
    }

    /// Queues work. If the worker does not read parameters from shared memory, they go first.
    pub(super) fn assign(
        &mut self,
        envelope: Envelope,
        work: Work,
        parameters: impl FnOnce() -> Bytes,
    ) -> Result<(), Unreachable> {
        if self.shared_results().is_none() && self.sent_version != Some(work.version) {
            let of = ChunkOf::Parameters(work.version);
            self.send_chunks(&envelope, payload::chunks(of, parameters()))?;
            self.note_sent(work.version);
        }
        self.send(envelope, CoordinatorMessage::Work(work))
    }

    /// The slots of an assignment for so many vectors. Empty if the worker does not write to shared
    /// memory.
    pub(super) fn slots(&self, assignment: &Assignment, vectors: usize) -> Vec<Slot> {
        let slots = self.shared_results().and_then(|_| assignment.slots.get(..vectors));
        slots.map(<[Slot]>::to_vec).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_does_not_owe_work_that_it_failed_at() {
        let (outbox, _inbox) = tokio::sync::mpsc::channel(1);
        let mut connection = WorkerConnection::new("here".into(), 0, Hello::default(), outbox);
        let node = Node::root(1);
        let (kind, split, feeds) = (WorkKind::Losses, SplitName::Train, vec![0]);
        let (vectors, slots) = (Vec::new(), Vec::new());
        let asked = Asked { step: 0, phase: 0, kind, feeds, split, node, vectors, slots };
        connection.ask(Duration::ZERO, 7, asked);
        assert_eq!(connection.stuck(Duration::from_secs(9)), Some(Duration::from_secs(9)));
        connection.forget(7);
        assert_eq!(connection.stuck(Duration::from_secs(9)), None);
    }

    #[test]
    fn a_worker_with_unread_messages_has_not_taken_all() {
        let (outbox, mut inbox) = tokio::sync::mpsc::channel(2);
        let connection = WorkerConnection::new("here".into(), 0, Hello::default(), outbox);
        assert!(connection.has_taken_all());
        connection.send(Envelope::default(), CoordinatorMessage::Accepted { rank: 0 }).expect("there is room");
        assert!(!connection.has_taken_all());
        assert!(inbox.try_recv().is_ok());
        assert!(connection.has_taken_all());
    }
}
