//! Sends the next parameters to workers on other machines while the update is still running.
//!
//! Workers use them only after the step commits: only then is there work with that version. If a
//! worker's queue is full, the worker gets the parameters later, with its work.

use std::fmt;

use bytes::Bytes;
use proto::{
    CHUNK_BYTES, convert,
    message::{Chunk, ChunkOf, CoordinatorMessage, Envelope},
};

use crate::{run::WorkerId, server::Outbox};

/// A worker that gets parameters over the network.
pub struct Recipient {
    /// The worker.
    pub worker: WorkerId,
    /// The envelope of its messages.
    pub envelope: Envelope,
    /// The queue of its messages.
    pub outbox: Outbox,
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.worker.0)
    }
}

/// The recipients that have got all parts so far.
#[derive(Debug)]
pub(super) struct Ahead {
    recipients: Vec<Recipient>,
    /// The version of the parameters.
    version: u64,
    /// The vector's length in bytes.
    total: u64,
    /// Bytes sent so far.
    sent: u64,
}

impl Ahead {
    /// The state before the first part of `version`, which has `elements` elements.
    pub(super) fn new(recipients: Vec<Recipient>, version: u64, elements: usize) -> Ahead {
        Ahead { recipients, version, total: (elements * size_of::<f32>()) as u64, sent: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.recipients.is_empty()
    }

    /// Sends the next part. Never waits: a recipient with a full queue is dropped.
    pub(super) fn send(&mut self, part: &[f32]) {
        if self.recipients.is_empty() {
            return;
        }
        let bytes = Bytes::copy_from_slice(bytemuck::cast_slice(part));
        for start in (0..bytes.len()).step_by(CHUNK_BYTES) {
            let data = bytes.slice(start..bytes.len().min(start + CHUNK_BYTES));
            let (of, offset, total) = (ChunkOf::Parameters(self.version), self.sent, self.total);
            self.sent += data.len() as u64;
            self.recipients.retain(|recipient| {
                let chunk = Chunk { of, offset, total, data: data.clone() };
                let message =
                    convert::coordinator_message_out(recipient.envelope.clone(), CoordinatorMessage::Chunk(chunk));
                recipient.outbox.try_send(Ok(message)).is_ok()
            });
        }
    }

    /// The workers that got the whole vector.
    pub(super) fn into_served(self) -> Vec<WorkerId> {
        if self.sent < self.total {
            return Vec::new();
        }
        self.recipients.into_iter().map(|recipient| recipient.worker).collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn parts_arrive_as_one_vector_and_a_worker_that_does_not_read_is_left_out() {
        let elements = 3 * CHUNK_BYTES / size_of::<f32>() / 2;
        let vector: Vec<f32> = (0..elements).map(|i| i as f32).collect();
        let (outbox, mut inbox) = mpsc::channel(16);
        let (full, _kept) = mpsc::channel(1);
        let recipient = |worker, outbox| Recipient { worker: WorkerId(worker), envelope: Envelope::default(), outbox };
        let mut ahead = Ahead::new(vec![recipient(1, outbox), recipient(2, full)], 5, elements);
        let (left, right) = vector.split_at(elements - 100);
        ahead.send(left);
        ahead.send(right);
        assert_eq!(ahead.into_served(), [WorkerId(1)]);
        let mut assembler = proto::payload::VectorAssembler::new(ChunkOf::Parameters(5), elements);
        while let Ok(Ok(message)) = inbox.try_recv() {
            let Ok((_, CoordinatorMessage::Chunk(chunk))) = convert::coordinator_message_in(message) else {
                panic!("no chunk")
            };
            assembler.push(&chunk).expect("in order");
        }
        assert_eq!(assembler.into_vector(), vector);
    }

    #[test]
    fn nobody_is_served_with_half_a_vector() {
        let (outbox, _inbox) = mpsc::channel(16);
        let recipient = Recipient { worker: WorkerId(1), envelope: Envelope::default(), outbox };
        let mut ahead = Ahead::new(vec![recipient], 1, 8);
        ahead.send(&[1.0; 4]);
        assert!(ahead.into_served().is_empty());
    }
}
