//! What workers say, checked before the state machine hears of it.

use std::sync::Arc;

use proto::{
    message::{Beat, Chunk, ChunkOf, Envelope, Refusal, RefusalKind, Slot, WorkResult, WorkerMessage},
    payload::VectorAssembler,
};

use super::{
    Shell, answer,
    connection::{Assembling, Connection},
    ending::Ending,
};
use crate::{
    compute::{Contribution, Place},
    run::{Departure, Event, WorkerId},
    server::Inbound,
};

/// A worker is dismissed if nothing gets through to it for this many leases while it is idle and
/// owes an answer.
const STUCK_LEASES: u32 = 2;

impl Shell {
    pub(super) fn on_inbound(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Hello { worker, secret, address, hello, outbox } => {
                self.on_hello(worker, Connection::new(address, secret, hello, outbox));
            }
            Inbound::Message { worker, envelope, message, room: _room } => self.on_message(worker, &envelope, message),
            Inbound::Garbled { worker, kind: RefusalKind::Damaged, reason } => {
                self.end(worker, Ending::damaged(reason));
            }
            Inbound::Garbled { worker, kind, reason } => self.end(worker, Ending::fault(kind, reason)),
            Inbound::Disconnected(worker) => self.end(worker, Ending::gone(Departure::Disconnected)),
            Inbound::Beat { beat, known } => {
                let is_known = self.connections.knows(&beat);
                // The receiver may be gone by now.
                let _ = known.send(is_known);
                if is_known {
                    self.on_beat(&beat);
                }
            }
        }
    }

    fn on_beat(&mut self, beat: &Beat) {
        let worker = WorkerId(beat.lease);
        if let Some(connection) = self.connections.get_mut(worker) {
            connection.note_activity(self.started.elapsed(), beat.heard, beat.busy);
        }
        self.connections.note_memory(worker, beat.resident_bytes);
        self.tell(Event::Beat(worker));
    }

    fn on_message(&mut self, worker: WorkerId, envelope: &Envelope, message: WorkerMessage) {
        let Some(connection) = self.connections.get_mut(worker) else { return };
        connection.got_through(self.started.elapsed());
        if !self.connections.is_current(worker, envelope) {
            let reason = "a message for another run, epoch or lease".into();
            return self.end(worker, Ending::refusal(RefusalKind::Stale, reason));
        }
        match message {
            WorkerMessage::Hello(_) => self.end(worker, protocol_fault("a second hello")),
            WorkerMessage::Ready(ready) => self.on_ready(worker, ready),
            WorkerMessage::Result(result) => self.on_result(worker, envelope, result),
            WorkerMessage::Chunk(chunk) => self.on_chunk(worker, &chunk),
            WorkerMessage::Failure { work, reason } => {
                tracing::warn!(worker = worker.0, work, reason, "work failed");
                if let Some(connection) = self.connections.get_mut(worker) {
                    connection.forget(work);
                }
                self.tell(Event::Failed { worker, work, reason });
            }
            WorkerMessage::Leave(Refusal { kind, reason }) => {
                let ending = match kind {
                    RefusalKind::Shutdown => Ending::gone(Departure::Left(reason)),
                    RefusalKind::Damaged => Ending::damaged(reason),
                    _ => Ending::refusal(kind, reason),
                };
                self.end(worker, ending);
            }
        }
    }

    fn on_result(&mut self, worker: WorkerId, envelope: &Envelope, result: WorkResult) {
        let Some(connection) = self.connections.get_mut(worker) else { return };
        let Some(asked) = connection.asked.get(&result.work) else { return };
        if let Some(fault) = answer::fault(asked, envelope, &result, &self.setup.prepared) {
            return self.end(worker, protocol_fault(fault));
        }
        let slots: Vec<Slot> = result.vectors.iter().filter_map(|vector| vector.slot).collect();
        let work = result.work;
        let Some(first) = asked.vectors.first() else {
            return self.arrive(worker, result, Vec::new());
        };
        if slots.is_empty() {
            let next = VectorAssembler::new(ChunkOf::Result { work, index: 0 }, first.1.len());
            connection.assembling.insert(work, Assembling { result, done: Vec::new(), next });
            return;
        }
        let region = connection.shared_results().map(Arc::clone);
        let Some(region) = region.filter(|_| slots == asked.slots) else {
            return self.end(worker, protocol_fault("slots that were not given"));
        };
        let place = |slot| Place::Shared(Arc::clone(&region), slot);
        let vectors = asked.vectors.iter().zip(slots);
        let vectors =
            vectors.map(|((task, span), slot)| Contribution { task: *task, span: span.clone(), place: place(slot) });
        let vectors = vectors.collect();
        self.arrive(worker, result, vectors);
    }

    fn on_chunk(&mut self, worker: WorkerId, chunk: &Chunk) {
        let Some(connection) = self.connections.get_mut(worker) else { return };
        let ChunkOf::Result { work, .. } = chunk.of else {
            return self.end(worker, protocol_fault("a chunk that is not of a result"));
        };
        let asked = connection.asked.get(&work).map(|asked| asked.vectors.clone());
        let (Some(vectors), Some(assembling)) = (asked, connection.assembling.get_mut(&work)) else {
            return self.end(worker, protocol_fault("a chunk of a result that was not announced"));
        };
        match assembling.next.push(chunk) {
            Ok(false) => return,
            Ok(true) => {}
            Err(broken) => return self.end(worker, protocol_fault(broken.to_string())),
        }
        let index = assembling.done.len() + 1;
        let elements = vectors.get(index).map_or(0, |(_, span)| span.len());
        let of = ChunkOf::Result { work, index: index as u32 };
        let whole = std::mem::replace(&mut assembling.next, VectorAssembler::new(of, elements));
        let (task, span) = vectors[index - 1].clone();
        assembling.done.push(Contribution { task, span, place: Place::Owned(whole.into_vector()) });
        if index == vectors.len()
            && let Some(Assembling { result, done, .. }) = connection.assembling.remove(&work)
        {
            self.arrive(worker, result, done);
        }
    }

    /// A result is complete: the state machine judges whether it counts.
    fn arrive(&mut self, worker: WorkerId, result: WorkResult, vectors: Vec<Contribution>) {
        let work = result.work;
        self.answers.arrive(worker, result, vectors);
        self.tell(Event::Result { worker, work });
    }

    /// Dismisses workers that say in their signs of life that they are idle, while they owe an
    /// answer and nothing gets through to them: their stream is cut without notice.
    pub(super) fn dismiss_stuck(&mut self) {
        let patience = STUCK_LEASES * self.run.settings().lease;
        for (worker, stuck) in self.connections.stuck(self.started.elapsed(), patience) {
            self.end(worker, Ending::lease_over(Departure::Unanswered(stuck)));
        }
    }
}

fn protocol_fault(reason: impl Into<String>) -> Ending {
    Ending::fault(RefusalKind::Protocol, reason.into())
}
