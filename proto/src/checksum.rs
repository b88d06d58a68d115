//! Every message carries a checksum of itself, which finds damage on the network.
//!
//! TCP's own checksum has 16 bits, and each device between two machines computes it again. A bit
//! that flips in a vector gives another plausible gradient. So each message has a CRC-32 from its
//! sender to its receiver. It covers the message's encoding without the checksum and without a
//! chunk's data, followed by these data, which are not copied. TLS finds damage by itself, and
//! earlier.

use std::{cell::RefCell, mem};

use bytes::Bytes;
use prost::Message;

use crate::v1;

/// A message that the network has damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message was damaged on the network: its checksum should be {said:08x}, and is {found:08x}")]
pub struct Damaged {
    /// The checksum in the message.
    pub said: u32,
    /// The checksum of the bytes that were received.
    pub found: u32,
}

/// A message that carries a checksum of all its other fields.
pub trait Checked: Message {
    /// The checksum field.
    fn checksum(&mut self) -> &mut u32;

    /// The data of a chunk, which are too long to be copied.
    fn data(&mut self) -> Option<&mut Bytes> {
        None
    }
}

impl Checked for v1::WorkerMessage {
    fn checksum(&mut self) -> &mut u32 {
        &mut self.checksum
    }

    fn data(&mut self) -> Option<&mut Bytes> {
        match &mut self.body {
            Some(v1::worker_message::Body::Chunk(chunk)) => Some(&mut chunk.data),
            _ => None,
        }
    }
}

impl Checked for v1::CoordinatorMessage {
    fn checksum(&mut self) -> &mut u32 {
        &mut self.checksum
    }

    fn data(&mut self) -> Option<&mut Bytes> {
        match &mut self.body {
            Some(v1::coordinator_message::Body::Chunk(chunk)) => Some(&mut chunk.data),
            _ => None,
        }
    }
}

impl Checked for v1::Beat {
    fn checksum(&mut self) -> &mut u32 {
        &mut self.checksum
    }
}

/// Sets a message's checksum.
pub fn sealed<M: Checked>(mut message: M) -> M {
    *message.checksum() = of(&mut message);
    message
}

/// Checks a message's checksum.
///
/// # Errors
/// [`Damaged`] if the checksum is wrong.
pub fn opened<M: Checked>(mut message: M) -> Result<M, Damaged> {
    let said = *message.checksum();
    let found = of(&mut message);
    *message.checksum() = said;
    if said == found { Ok(message) } else { Err(Damaged { said, found }) }
}

/// The length of messages up to which a thread encodes into a buffer that it keeps, bytes. Nearly
/// all messages are shorter.
const ENCODED_BYTES: usize = 64 << 10;

thread_local! {
    static ENCODED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The checksum of a message's other fields. Sets the checksum field to 0.
fn of<M: Checked>(message: &mut M) -> u32 {
    *message.checksum() = 0;
    let data = message.data().map(mem::take);
    let mut hasher = crc32fast::Hasher::new();
    if message.encoded_len() <= ENCODED_BYTES {
        ENCODED.with_borrow_mut(|encoded| {
            encoded.clear();
            message.encode(encoded).expect("a vector has room");
            hasher.update(encoded);
        });
    } else {
        hasher.update(&message.encode_to_vec());
    }
    if let (Some(place), Some(data)) = (message.data(), data) {
        hasher.update(&data);
        *place = data;
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use v1::worker_message::Body;

    use super::*;

    fn chunk(data: Vec<u8>) -> v1::WorkerMessage {
        let of = Some(v1::chunk::Of::Parameters(7));
        let total = data.len() as u64;
        let body = Some(Body::Chunk(v1::Chunk { of, offset: 0, total, data: data.into() }));
        v1::WorkerMessage { body, ..Default::default() }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_anywhere_in_a_message_is_found(data in prop::collection::vec(any::<u8>(), 1..200), at in any::<usize>()) {
            let sound = sealed(chunk(data));
            prop_assert_eq!(opened(sound.clone()), Ok(sound.clone()));
            let mut bytes = sound.encode_to_vec();
            let bit = at % (8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
            // A message that can't be decoded is refused anyway. Two encodings may be one message.
            if let Ok(damaged) = v1::WorkerMessage::decode(&bytes[..]) && damaged != sound {
                prop_assert!(opened(damaged).is_err());
            }
        }
    }

    #[test]
    fn the_buffer_of_a_thread_stays_small() {
        for length in [10, ENCODED_BYTES, 8 << 20, 20] {
            let failure = v1::Failure { reason: "x".repeat(length), ..Default::default() };
            let message = v1::WorkerMessage { body: Some(Body::Failure(failure)), ..Default::default() };
            let there = sealed(message);
            assert_eq!(opened(there.clone()), Ok(there));
            assert!(ENCODED.with_borrow(Vec::capacity) <= 2 * ENCODED_BYTES, "after {length} bytes");
        }
    }

    #[test]
    fn the_data_of_a_chunk_are_not_copied() {
        let data = Bytes::from(vec![1; 4096]);
        let body = v1::coordinator_message::Body::Chunk(v1::Chunk { data: data.clone(), ..Default::default() });
        let message = v1::CoordinatorMessage { body: Some(body), ..Default::default() };
        let mut there = opened(sealed(message)).expect("sound");
        assert_eq!(there.data().expect("a chunk").as_ptr(), data.as_ptr());
    }
}
