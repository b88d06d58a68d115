//! The connection of one worker.

use std::{collections::BTreeMap, io, ops::Range, sync::Arc, time::Duration};

use aggregation::tree::Node;
use bytes::Bytes;
use experiment::SplitName;
use proto::{
    convert,
    message::{Chunk, CoordinatorMessage, Envelope, Hello, Slot, Work, WorkKind, WorkResult},
    payload::VectorAssembler,
    shared_memory::{Region, Writer},
};

use crate::{
    compute::{Contribution, Recipient},
    run::{Assignment, WorkerId},
    server::Outbox,
};

/// The connection of one worker.
pub(super) struct Connection {
    pub address: String,
    /// What heartbeats of this worker have to carry.
    pub secret: u64,
    pub hello: Hello,
    pub accepted: bool,
    pub works_done: u64,
    /// What the worker was asked for and has not answered yet, by work.
    pub asked: BTreeMap<u64, Asked>,
    /// The shared memory that was offered to the worker, and whether it writes vectors there.
    pub results: Option<(Arc<Region>, bool)>,
    /// The version of the parameters that the worker was sent last.
    pub sent_version: Option<u64>,
    /// How many messages the worker has heard, by its last sign of life.
    heard: u64,
    /// When a message last got through in either direction, or the worker was busy.
    through: Duration,
    /// Results with vectors that come in chunks, by work.
    pub assembling: BTreeMap<u64, Assembling>,
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
    /// The task of each vector and its range in the layout.
    pub vectors: Vec<(Option<u32>, Range<usize>)>,
    /// The slots of the vectors in shared memory. Empty: they come in chunks.
    pub slots: Vec<Slot>,
}

/// A result with vectors that come in chunks, one after the other.
pub(super) struct Assembling {
    pub result: WorkResult,
    pub done: Vec<Contribution>,
    pub next: VectorAssembler,
}

/// The worker does not read what it is sent, or is gone.
#[derive(Debug)]
pub(super) struct Unreachable;

impl Connection {
    pub(super) fn new(address: String, secret: u64, hello: Hello, outbox: Outbox) -> Connection {
        Connection {
            address,
            secret,
            hello,
            accepted: false,
            works_done: 0,
            asked: BTreeMap::new(),
            results: None,
            sent_version: None,
            heard: 0,
            through: Duration::ZERO,
            assembling: BTreeMap::new(),
            outbox,
        }
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

    /// A message came from the worker, or it is asked for something while it owes nothing.
    pub(super) fn got_through(&mut self, now: Duration) {
        self.through = now;
    }

    /// Takes what a sign of life says of the stream.
    pub(super) fn note_activity(&mut self, now: Duration, heard: u64, busy: bool) {
        if busy || heard != self.heard {
            self.through = now;
        }
        self.heard = heard;
    }

    /// The worker has answered a piece of work, or has failed at it.
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
            let of = proto::message::ChunkOf::Parameters(work.version);
            self.send_chunks(&envelope, proto::payload::chunks(of, parameters()))?;
            self.sent_version = Some(work.version);
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

/// A worker's name for people and for the journal.
pub(super) fn name(id: WorkerId, hello: &Hello) -> String {
    format!("worker {} ({}:{})", id.0, hello.host, hello.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_has_failed_at_it_does_not_owe() {
        let (outbox, _inbox) = tokio::sync::mpsc::channel(1);
        let mut connection = Connection::new("here".into(), 0, Hello::default(), outbox);
        let node = Node::root(1);
        let (kind, split, feeds) = (WorkKind::Losses, SplitName::Train, vec![0]);
        let (vectors, slots) = (Vec::new(), Vec::new());
        connection.asked.insert(7, Asked { step: 0, phase: 0, kind, feeds, split, node, vectors, slots });
        assert_eq!(connection.stuck(Duration::from_secs(9)), Some(Duration::from_secs(9)));
        connection.forget(7);
        assert_eq!(connection.stuck(Duration::from_secs(9)), None);
    }

    #[test]
    fn who_has_not_taken_what_it_was_sent_has_not_taken_all() {
        let (outbox, mut inbox) = tokio::sync::mpsc::channel(2);
        let connection = Connection::new("here".into(), 0, Hello::default(), outbox);
        assert!(connection.has_taken_all());
        connection.send(Envelope::default(), CoordinatorMessage::Accepted { rank: 0 }).expect("there is room");
        assert!(!connection.has_taken_all());
        assert!(inbox.try_recv().is_ok());
        assert!(connection.has_taken_all());
    }
}
