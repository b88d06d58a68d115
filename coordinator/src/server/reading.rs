//! Reading workers' messages within bounded memory.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Poll, ready},
};

use proto::{
    codec::{decoded_bytes, decoded_bytes_max},
    v1,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::Stream;
use tonic::{Status, Streaming};

/// Memory of messages of all workers together that may wait for the shell, bytes.
const INBOX_BYTES: usize = 256 << 20;
/// The unit in which room is counted, bytes. A semaphore counts to 2^29 only.
const UNIT_BYTES: usize = 1 << 10;

/// The room for messages of all workers. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Room {
    free: Arc<Semaphore>,
    message_bytes_max: usize,
}

impl Room {
    /// Room for messages of at most `message_bytes_max` bytes.
    pub(super) fn new(message_bytes_max: usize) -> Room {
        Room { free: Arc::new(Semaphore::new(INBOX_BYTES / UNIT_BYTES)), message_bytes_max }
    }

    /// The largest message that a worker may send, bytes.
    pub(super) fn message_bytes_max(&self) -> usize {
        self.message_bytes_max
    }

    /// The next message of a stream, with the room that it takes until that is dropped. `None` at
    /// the end.
    ///
    /// A message is decoded only while there is room for the largest that it may become. So what
    /// all workers send together never takes more than the room.
    pub(super) async fn next(
        &self,
        messages: &mut Streaming<v1::WorkerMessage>,
    ) -> Option<(Result<v1::WorkerMessage, Status>, OwnedSemaphorePermit)> {
        let most = units(decoded_bytes_max(self.message_bytes_max));
        let mut waiting = None;
        let next = poll_fn(|context| {
            // Who has nothing to decode holds no room while it waits.
            let room = match Arc::clone(&self.free).try_acquire_many_owned(most) {
                Ok(room) => room,
                Err(_) => {
                    let wait = || Box::pin(Arc::clone(&self.free).acquire_many_owned(most));
                    let acquired = ready!(waiting.get_or_insert_with(wait).as_mut().poll(context));
                    acquired.expect("it is never closed")
                }
            };
            waiting = None;
            let message = ready!(Pin::new(&mut *messages).poll_next(context));
            Poll::Ready(message.map(|message| (message, room)))
        });
        let (message, mut room) = next.await?;
        let taken = message.as_ref().map_or(0, |message| units(decoded_bytes(message)).min(most));
        Some((message, room.split(taken as usize).unwrap_or(room)))
    }
}

/// Bytes in units of room.
fn units(bytes: usize) -> u32 {
    bytes.min(INBOX_BYTES).div_ceil(UNIT_BYTES) as u32
}
