//! Any bytes of a peer are refused, or are a message that survives another way over the wire.
//! Chunks take no more memory than was agreed on.
//!
//! Each message gets its right checksum first, so the code behind that check is reached too.

use prost::Message;
use proto::{
    checksum, convert,
    message::{Chunk, ChunkOf, CoordinatorMessage, WorkerMessage},
    payload::{Assembler, VectorAssembler},
    v1,
};

/// The length that the receiver of a chunk expects, bytes.
const AGREED_BYTES: usize = 4096;

/// Holds for any bytes.
pub fn check(bytes: &[u8]) {
    if let Ok(message) = v1::WorkerMessage::decode(bytes)
        && let Ok((envelope, message)) = convert::worker_message_in(checksum::sealed(message))
    {
        if let WorkerMessage::Chunk(chunk) = &message {
            take(chunk);
        }
        let once = convert::worker_message_out(envelope, message).encode_to_vec();
        let again = v1::WorkerMessage::decode(&once[..]).expect("what is sent can be decoded");
        let (envelope, message) = convert::worker_message_in(again).expect("what is sent can be understood");
        assert_eq!(convert::worker_message_out(envelope, message).encode_to_vec(), once);
    }
    if let Ok(message) = v1::CoordinatorMessage::decode(bytes)
        && let Ok((envelope, message)) = convert::coordinator_message_in(checksum::sealed(message))
    {
        if let CoordinatorMessage::Chunk(chunk) = &message {
            take(chunk);
        }
        let once = convert::coordinator_message_out(envelope, message).encode_to_vec();
        let again = v1::CoordinatorMessage::decode(&once[..]).expect("what is sent can be decoded");
        let (envelope, message) = convert::coordinator_message_in(again).expect("what is sent can be understood");
        assert_eq!(convert::coordinator_message_out(envelope, message).encode_to_vec(), once);
    }
}

fn take(chunk: &Chunk) {
    for of in [ChunkOf::Plan, chunk.of] {
        let mut bytes = Assembler::new(of, AGREED_BYTES as u64);
        let mut vector = VectorAssembler::new(of, AGREED_BYTES / size_of::<f32>());
        for _ in 0..3 {
            assert_eq!(bytes.push(chunk), vector.push(chunk));
        }
        assert!(bytes.into_bytes().capacity() <= AGREED_BYTES);
    }
}
