//! What workers say, checked before the state machine hears of it.

use std::sync::Arc;

use proto::message::{Beat, Chunk, Envelope, Refusal, RefusalKind, Slot, WorkResult, WorkerMessage};

use super::{Shell, answer, connection::WorkerConnection, ending::Ending};
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
                self.on_hello(worker, WorkerConnection::new(address, secret, hello, outbox));
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
        let Some(asked) = connection.asked(result.work) else { return };
        if let Some(fault) = answer::fault(asked, envelope, &result, &self.setup.prepared) {
            return self.end(worker, protocol_fault(fault));
        }
        let slots: Vec<Slot> = result.vectors.iter().filter_map(|vector| vector.slot).collect();
        let spans = asked.vectors.clone();
        if spans.is_empty() {
            return self.arrive(worker, result, Vec::new());
        }
        if slots.is_empty() {
            return connection.expect_chunks(result, spans);
        }
        let region = connection.shared_results().filter(|_| slots == asked.slots);
        let Some(region) = region.map(Arc::clone) else {
            return self.end(worker, protocol_fault("slots that were not given"));
        };
        let contribution = |((task, span), slot)| {
            let place = Place::Shared(Arc::clone(&region), slot);
            Contribution { task, span, place }
        };
        let vectors = spans.into_iter().zip(slots).map(contribution).collect();
        self.arrive(worker, result, vectors);
    }

    fn on_chunk(&mut self, worker: WorkerId, chunk: &Chunk) {
        let Some(connection) = self.connections.get_mut(worker) else { return };
        match connection.take_chunk(chunk) {
            Ok(None) => {}
            Ok(Some((result, vectors))) => self.arrive(worker, result, vectors),
            Err(reason) => self.end(worker, protocol_fault(reason)),
        }
    }

    /// A result is complete: the state machine judges whether it counts.
    fn arrive(&mut self, worker: WorkerId, result: WorkResult, vectors: Vec<Contribution>) {
        let work = result.work;
        self.answers.arrive(worker, result, vectors);
        self.tell(Event::Result { worker, work });
    }

    /// Dismisses workers that say in their heartbeats that they are idle, while they owe an answer
    /// and nothing gets through to them: their stream is cut without notice.
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
