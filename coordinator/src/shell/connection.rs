//! What the shell knows of one worker's connection.

use std::{collections::BTreeMap, io, sync::Arc};

use bytes::Bytes;
use proto::{
    convert,
    message::{Chunk, CoordinatorMessage, Envelope, Hello, Slot, Work, WorkResult},
    payload::VectorAssembler,
    shared_memory::Region,
};

use crate::{
    run::{Assignment, WorkerId},
    server::Outbox,
};

/// Slots for vectors of one worker: more nodes than that in one step travel in chunks.
pub(crate) const RESULT_SLOTS: u32 = 4;

/// One worker's connection.
pub(crate) struct Connection {
    pub hello: Hello,
    pub accepted: bool,
    pub works_done: u64,
    /// What it was asked for and has not answered yet.
    pub asked: BTreeMap<u64, Assignment>,
    /// The region that it writes vectors to, and whether it does.
    pub results: Option<(Arc<Region>, bool)>,
    /// The version of the parameters that it was sent last.
    pub sent_version: Option<u64>,
    /// Vectors that come in chunks.
    pub assembling: BTreeMap<u64, (WorkResult, VectorAssembler)>,
    outbox: Outbox,
}

/// The worker does not read what it is sent, or is gone.
#[derive(Debug)]
pub(crate) struct Unreachable;

impl Connection {
    pub(crate) fn new(hello: Hello, outbox: Outbox) -> Connection {
        Connection {
            hello,
            accepted: false,
            works_done: 0,
            asked: BTreeMap::new(),
            results: None,
            sent_version: None,
            assembling: BTreeMap::new(),
            outbox,
        }
    }

    /// Offers shared memory for results, where the worker is on this machine.
    pub(crate) fn offer_results(&mut self, elements: usize) -> io::Result<Option<String>> {
        if !self.hello.local {
            return Ok(None);
        }
        let region = Region::create(RESULT_SLOTS as usize, elements)?;
        let path = region.path().to_string_lossy().into_owned();
        self.results = Some((Arc::new(region), false));
        Ok(Some(path))
    }

    /// The region, if the worker writes to it.
    pub(crate) fn shared_results(&self) -> Option<&Arc<Region>> {
        self.results.as_ref().filter(|(_, used)| *used).map(|(region, _)| region)
    }

    /// Queues a message; never waits.
    pub(crate) fn send(&self, envelope: Envelope, message: CoordinatorMessage) -> Result<(), Unreachable> {
        let message = convert::coordinator_message_out(envelope, message);
        self.outbox.try_send(Ok(message)).map_err(|_| Unreachable)
    }

    /// Queues something long in chunks.
    pub(crate) fn send_chunks(
        &self,
        envelope: &Envelope,
        chunks: impl Iterator<Item = Chunk>,
    ) -> Result<(), Unreachable> {
        for chunk in chunks {
            self.send(envelope.clone(), CoordinatorMessage::Chunk(chunk))?;
        }
        Ok(())
    }

    /// Queues work, and the parameters that it needs where the worker does not read them from shared memory.
    pub(crate) fn assign(
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

    /// The slot of an assignment, where the worker writes to shared memory.
    pub(crate) fn slot(&self, assignment: &Assignment) -> Option<Slot> {
        self.shared_results().and(assignment.slot)
    }
}

/// A worker's name for people and for the journal.
pub(crate) fn name(id: WorkerId, hello: &Hello) -> String {
    format!("worker {} ({}:{})", id.0, hello.host, hello.pid)
}
