//! Every message carries a checksum of itself, so that what a line does to it is noticed.
//!
//! TCP's own checksum has 16 bits, and whatever stands between two machines makes it anew; a bit
//! that flipped in a vector is a plausible gradient. The CRC-32 here goes from sender to receiver:
//! over the message's encoding without its checksum and without a chunk's data, and then over those
//! data where they lie, without copying them. (TLS notices by itself, and sooner.)

use std::{cell::RefCell, mem};

use bytes::Bytes;
use prost::Message;

use crate::v1;

/// What came is not what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("damaged on the way: the message's checksum is {said:08x}, and what came has {found:08x}")]
pub struct Damaged {
    /// The checksum in the message.
    pub said: u32,
    /// The checksum of what came.
    pub found: u32,
}

/// A message that carries a checksum of all its other fields.
pub trait Checked: Message {
    /// The checksum.
    fn checksum(&mut self) -> &mut u32;

    /// What is long: a chunk's data.
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

/// The message with its checksum.
pub fn sealed<M: Checked>(mut message: M) -> M {
    *message.checksum() = of(&mut message);
    message
}

/// The message, if its checksum holds.
///
/// # Errors
/// [`Damaged`].
pub fn opened<M: Checked>(mut message: M) -> Result<M, Damaged> {
    let said = *message.checksum();
    let found = of(&mut message);
    *message.checksum() = said;
    if said == found { Ok(message) } else { Err(Damaged { said, found }) }
}

/// What a thread keeps to encode messages in, to see their checksums: nearly all of them are
/// shorter.
const ENCODED_BYTES: usize = 64 << 10;

thread_local! {
    static ENCODED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The checksum of a message's other fields; leaves the message without one.
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
        fn a_bit_that_flips_anywhere_in_a_message_is_noticed(data in prop::collection::vec(any::<u8>(), 1..200), at in any::<usize>()) {
            let sound = sealed(chunk(data));
            prop_assert_eq!(opened(sound.clone()), Ok(sound.clone()));
            let mut bytes = sound.encode_to_vec();
            let bit = at % (8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
            // What can't be decoded is noticed too; what says the same is the same.
            if let Ok(damaged) = v1::WorkerMessage::decode(&bytes[..]) && damaged != sound {
                prop_assert!(opened(damaged).is_err());
            }
        }
    }

    #[test]
    fn what_a_thread_keeps_for_its_messages_stays_small() {
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
