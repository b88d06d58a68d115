//! How messages are read from the network: as protobuf, after a look at what they would become.
//!
//! An empty message inside of another one is two bytes on the wire and more than a hundred in
//! memory. So a message is refused before it is decoded if it holds more messages than any worker
//! sends.

use std::marker::PhantomData;

use bytes::Buf;
use prost::Message;
use tonic::{
    Status,
    codec::{BufferSettings, DecodeBuf, Decoder},
};
use tonic_prost::{ProstDecoder, ProstEncoder};

use crate::v1;

/// The most messages inside of a worker's message. An experiment with so many tasks takes longer to
/// check than anyone waits.
pub const INNER_MESSAGES_MAX: usize = 1 << 16;

/// The most memory that an inner message takes by itself, bytes.
const INNER_BYTES_MAX: usize = 192;
/// The most memory that a byte of a message takes: a number of one byte becomes one of eight.
const BYTES_PER_BYTE_MAX: usize = 8;
/// The longest heartbeat, bytes.
const BEAT_BYTES_MAX: usize = 4096;

/// The most memory that a worker's message of so many bytes takes once it is decoded, bytes.
pub const fn decoded_bytes_max(wire_bytes: usize) -> usize {
    BYTES_PER_BYTE_MAX * wire_bytes + INNER_BYTES_MAX * INNER_MESSAGES_MAX
}

/// The memory that a worker's message takes, bytes: no more than [`decoded_bytes_max`].
pub fn decoded_bytes(message: &v1::WorkerMessage) -> usize {
    use v1::worker_message::Body;
    let inner = match &message.body {
        Some(Body::Hello(hello)) => hello.parts.len(),
        Some(Body::Result(result)) => {
            let own: usize = result.sums.iter().map(|sums| sums.own.len()).sum();
            result.losses.len() + result.sums.len() + result.vectors.len() + own
        }
        Some(Body::Chunk(chunk)) => return INNER_BYTES_MAX + chunk.data.len(),
        _ => 0,
    };
    INNER_BYTES_MAX * (1 + inner) + BYTES_PER_BYTE_MAX * message.encoded_len()
}

/// What a message may be on the wire.
pub trait Bounded: Message {
    /// The most bytes of the message.
    const BYTES_MAX: usize = usize::MAX;

    /// The number of messages inside of an encoded message. `None` if it is not protobuf, or has
    /// groups.
    fn inner_messages(_wire: &[u8]) -> Option<usize> {
        Some(0)
    }
}

impl Bounded for v1::WorkerMessage {
    fn inner_messages(wire: &[u8]) -> Option<usize> {
        const HELLO: u64 = 2;
        const RESULT: u64 = 4;
        const PARTS: u64 = 7;
        const SUMS: u64 = 4;
        const OWN: u64 = 8;
        let mut count = 0;
        for_each_inner(wire, |field, body| {
            match field {
                HELLO => for_each_inner(body, |field, _| {
                    count += usize::from(field == PARTS);
                    Some(())
                })?,
                RESULT => for_each_inner(body, |field, sums| {
                    count += 1;
                    if field == SUMS {
                        for_each_inner(sums, |field, _| {
                            count += usize::from(field == OWN);
                            Some(())
                        })?;
                    }
                    Some(())
                })?,
                _ => {}
            }
            Some(())
        })?;
        Some(count)
    }
}

impl Bounded for v1::Beat {
    const BYTES_MAX: usize = BEAT_BYTES_MAX;
}

impl Bounded for v1::StatusRequest {
    const BYTES_MAX: usize = BEAT_BYTES_MAX;
}

impl Bounded for v1::CoordinatorMessage {}
impl Bounded for v1::StatusReply {}

/// Calls `visit` with the number and the bytes of each field that has a length: messages, texts and
/// packed numbers. `None` if the bytes are not protobuf, or `visit` says so.
fn for_each_inner(mut wire: &[u8], mut visit: impl FnMut(u64, &[u8]) -> Option<()>) -> Option<()> {
    while !wire.is_empty() {
        let key = varint(&mut wire)?;
        match key & 7 {
            0 => drop(varint(&mut wire)?),
            1 => wire = wire.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut wire)?).ok()?;
                let (field, rest) = wire.split_at_checked(length)?;
                visit(key >> 3, field)?;
                wire = rest;
            }
            5 => wire = wire.get(4..)?,
            _ => return None,
        }
    }
    Some(())
}

fn varint(wire: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = wire.split_first()?;
        *wire = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Encodes `T` and decodes `U`, which is looked at first.
#[derive(Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Codec<T, U> {
        Codec(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Bounded + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> BoundedDecoder<U> {
        BoundedDecoder(ProstDecoder::default())
    }
}

/// Decodes messages that are not beyond their bounds.
#[derive(Debug)]
pub struct BoundedDecoder<U>(ProstDecoder<U>);

impl<U: Bounded + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, wire: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = wire.remaining();
        if bytes > U::BYTES_MAX {
            let message = format!("a message of {bytes} bytes, where at most {} are allowed", U::BYTES_MAX);
            return Err(Status::invalid_argument(message));
        }
        // The buffer is in one piece. The decoder would accept groups, and would allocate all that
        // comes before a broken field. So what can't be counted is refused here, as damaged.
        let Some(count) = U::inner_messages(wire.chunk()) else {
            return Err(Status::internal("the message is not protobuf, or it has groups, which no message here has"));
        };
        if count > INNER_MESSAGES_MAX {
            let message = format!("a message with {count} messages in it, more than {INNER_MESSAGES_MAX}");
            return Err(Status::invalid_argument(message));
        }
        self.0.decode(wire)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}

#[cfg(test)]
mod tests {
    use v1::worker_message::Body;

    use super::*;

    fn message(body: Body) -> v1::WorkerMessage {
        v1::WorkerMessage { envelope: Some(v1::Envelope::default()), body: Some(body), checksum: 7 }
    }

    #[test]
    fn the_messages_inside_of_a_message_are_counted() {
        let own = |count| vec![v1::OwnSums { metric: "m".into(), sums: vec![1.0] }; count];
        let result = v1::Result {
            losses: vec![v1::LossSum::default(); 3],
            sums: vec![v1::TaskSums { counts: vec![300, 1], own: own(2), ..Default::default() }; 5],
            vectors: vec![v1::Vector::default(); 7],
            node: Some(v1::Node { lo: 0, hi: 300 }),
            ..Default::default()
        };
        // The node is one more.
        let wire = message(Body::Result(result.clone())).encode_to_vec();
        assert_eq!(v1::WorkerMessage::inner_messages(&wire), Some(1 + 3 + 5 + 5 * 2 + 7));
        let hello = v1::Hello { host: "h".into(), parts: vec![v1::Part::default(); 9], ..Default::default() };
        let wire = message(Body::Hello(hello)).encode_to_vec();
        assert_eq!(v1::WorkerMessage::inner_messages(&wire), Some(9));
        assert_eq!(v1::WorkerMessage::inner_messages(&wire[..wire.len() - 7]), None);
        assert!(decoded_bytes(&message(Body::Result(result))) > 26 * 100);
    }

    #[test]
    fn a_message_with_a_group_before_many_messages_is_not_counted() {
        // Field 15 begins and ends a group. Many empty sums of a result come after it.
        let losses = vec![v1::LossSum::default(); 100_000];
        let result = message(Body::Result(v1::Result { losses, ..Default::default() })).encode_to_vec();
        let wire = [&[0x7b, 0x7c][..], &result].concat();
        assert_eq!(v1::WorkerMessage::inner_messages(&result), Some(100_000));
        assert_eq!(v1::WorkerMessage::inner_messages(&wire), None);
    }

    #[test]
    fn no_inner_message_takes_more_than_is_counted_for_it() {
        assert!(size_of::<v1::TaskSums>() <= INNER_BYTES_MAX);
        assert!(size_of::<v1::Vector>() <= INNER_BYTES_MAX);
        assert!(size_of::<v1::LossSum>() <= INNER_BYTES_MAX);
        assert!(size_of::<v1::OwnSums>() <= INNER_BYTES_MAX);
        assert!(size_of::<v1::Part>() <= INNER_BYTES_MAX);
    }

    #[test]
    fn a_number_that_never_ends_is_no_number() {
        assert_eq!(varint(&mut &[0xac, 0x02][..]), Some(300));
        assert_eq!(varint(&mut &[0x80; 20][..]), None);
        assert_eq!(varint(&mut &[][..]), None);
    }
}
