//! Conversions between [`crate::message`] and the generated [`crate::v1`].
//!
//! A conversion to the wire can't fail, and adds the checksum. A conversion from the wire refuses a
//! damaged message, and one that no peer of this version sends: a message without a body, an empty
//! node, an unknown kind.

use crate::{
    checksum,
    invalid::{Invalid, required, text_in},
    message::{
        Beat, Chunk, CoordinatorMessage, Envelope, Hello, Ready, Refusal, Welcome, Work, WorkResult, WorkerMessage,
    },
    v1,
};

/// Cuts a text to the length that [`text_in`] allows.
fn text_out(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(crate::TEXT_BYTES_MAX));
    text
}

/// Converts a worker's message to the wire.
pub fn worker_message_out(envelope: Envelope, message: WorkerMessage) -> v1::WorkerMessage {
    use v1::worker_message::Body;
    let body = match message {
        WorkerMessage::Hello(hello) => Body::Hello(hello.into()),
        WorkerMessage::Ready(ready) => Body::Ready(ready.into()),
        WorkerMessage::Result(result) => Body::Result(result.into()),
        WorkerMessage::Chunk(chunk) => Body::Chunk(chunk.into()),
        WorkerMessage::Failure { work, reason } => Body::Failure(v1::Failure { work, reason: text_out(reason) }),
        WorkerMessage::Leave(Refusal { kind, reason }) => {
            Body::Leave(v1::Leave { kind: kind.name().into(), reason: text_out(reason) })
        }
    };
    checksum::sealed(v1::WorkerMessage { envelope: Some(envelope.into()), body: Some(body), checksum: 0 })
}

/// Converts a worker's message from the wire.
///
/// # Errors
/// [`Invalid`] if the message is damaged, or no worker of this version sends it.
pub fn worker_message_in(message: v1::WorkerMessage) -> Result<(Envelope, WorkerMessage), Invalid> {
    use v1::worker_message::Body;
    let message = checksum::opened(message)?;
    let mut envelope = Envelope::from(required(message.envelope, "envelope")?);
    envelope.run = text_in(envelope.run)?;
    let message = match required(message.body, "body")? {
        Body::Hello(hello) => WorkerMessage::Hello(Hello::try_from(hello)?),
        Body::Ready(ready) => WorkerMessage::Ready(Ready::try_from(ready)?),
        Body::Result(result) => WorkerMessage::Result(WorkResult::try_from(result)?),
        Body::Chunk(chunk) => WorkerMessage::Chunk(Chunk::try_from(chunk)?),
        Body::Failure(v1::Failure { work, reason }) => WorkerMessage::Failure { work, reason: text_in(reason)? },
        Body::Leave(v1::Leave { kind, reason }) => WorkerMessage::Leave(Refusal::from_wire(&kind, text_in(reason)?)),
    };
    Ok((envelope, message))
}

/// Converts a coordinator's message to the wire.
pub fn coordinator_message_out(envelope: Envelope, message: CoordinatorMessage) -> v1::CoordinatorMessage {
    use v1::coordinator_message::Body;
    let body = match message {
        CoordinatorMessage::Welcome(welcome) => Body::Welcome((*welcome).into()),
        CoordinatorMessage::Refused(refusal) => Body::Refused(refusal.into()),
        CoordinatorMessage::Accepted { rank } => Body::Accepted(v1::Accepted { rank }),
        CoordinatorMessage::Chunk(chunk) => Body::Chunk(chunk.into()),
        CoordinatorMessage::Work(work) => Body::Work(work.into()),
        CoordinatorMessage::Finished { reason } => Body::Finished(v1::Finished { reason }),
    };
    checksum::sealed(v1::CoordinatorMessage { envelope: Some(envelope.into()), body: Some(body), checksum: 0 })
}

/// Converts a coordinator's message from the wire.
///
/// # Errors
/// [`Invalid`] if the message is damaged, or no coordinator of this version sends it.
pub fn coordinator_message_in(message: v1::CoordinatorMessage) -> Result<(Envelope, CoordinatorMessage), Invalid> {
    use v1::coordinator_message::Body;
    let message = checksum::opened(message)?;
    let envelope = Envelope::from(required(message.envelope, "envelope")?);
    let message = match required(message.body, "body")? {
        Body::Welcome(welcome) => CoordinatorMessage::Welcome(Box::new(Welcome::from(welcome))),
        Body::Refused(v1::Refused { kind, reason }) => CoordinatorMessage::Refused(Refusal::from_wire(&kind, reason)),
        Body::Accepted(v1::Accepted { rank }) => CoordinatorMessage::Accepted { rank },
        Body::Chunk(chunk) => CoordinatorMessage::Chunk(Chunk::try_from(chunk)?),
        Body::Work(work) => CoordinatorMessage::Work(Work::try_from(work)?),
        Body::Finished(v1::Finished { reason }) => CoordinatorMessage::Finished { reason },
    };
    Ok((envelope, message))
}

/// Converts a heartbeat to the wire.
pub fn beat_out(beat: Beat) -> v1::Beat {
    checksum::sealed(beat.into())
}

/// Converts a heartbeat from the wire.
///
/// # Errors
/// [`Invalid`] if the heartbeat is damaged.
pub fn beat_in(beat: v1::Beat) -> Result<Beat, Invalid> {
    Ok(checksum::opened(beat)?.into())
}

#[cfg(test)]
mod tests {
    use aggregation::tree::Node;
    use experiment::SplitName;
    use objectives::TaskSums;
    use settings::catalogue::AddedPart;

    use super::*;
    use crate::message as m;

    fn part(name: &str) -> AddedPart {
        AddedPart { what: "loss".into(), name: name.into(), origin: "my-experiment 0.3.0".into() }
    }

    #[test]
    fn a_hello_with_too_many_parts_is_refused() {
        let parts =
            |count| m::WorkerMessage::Hello(m::Hello { parts: vec![part("mine"); count], ..Default::default() });
        let heard = |count| worker_message_in(worker_message_out(m::Envelope::default(), parts(count)));
        assert!(heard(crate::PARTS_MAX).is_ok());
        assert_eq!(heard(crate::PARTS_MAX + 1), Err(Invalid::Parts { count: crate::PARTS_MAX + 1 }));
    }

    #[test]
    fn a_hello_with_a_host_s_name_that_is_too_long_is_refused() {
        let named = |bytes| m::WorkerMessage::Hello(m::Hello { host: "h".repeat(bytes), ..Default::default() });
        let heard = |bytes| worker_message_in(worker_message_out(m::Envelope::default(), named(bytes)));
        assert!(heard(crate::HOST_BYTES_MAX).is_ok());
        assert_eq!(heard(crate::HOST_BYTES_MAX + 1), Err(Invalid::Host { bytes: crate::HOST_BYTES_MAX + 1 }));
    }

    #[test]
    fn worker_messages_survive_the_way_over_the_wire() {
        let envelope = m::Envelope { run: "r".into(), epoch: 3, lease: 7, step: 11, phase: 1 };
        let sums = TaskSums {
            rows: 4,
            loss: 0.5,
            counts: vec![1, 2],
            sums: vec![1.5],
            scores: vec![0.25],
            labels: vec![1],
            own: [("mine".to_owned(), vec![0.5, -1.0])].into(),
        };
        let result = m::WorkResult {
            work: 9,
            node: Node { lo: 2, hi: 4 },
            losses: vec![objectives::LossSum { task: 1, loss: 2.5, rows: 8 }],
            sums: vec![(0, sums)],
            vectors: vec![m::Vector {
                node: Node { lo: 2, hi: 4 },
                task: Some(1),
                lo: 0,
                hi: 10,
                slot: Some(m::Slot { index: 1, generation: 5 }),
            }],
            compute_us: 120,
        };
        let messages = [
            m::WorkerMessage::Hello(m::Hello {
                version: "1".into(),
                pid: 4,
                parts: vec![part("mine")],
                ..Default::default()
            }),
            m::WorkerMessage::Ready(m::Ready { fingerprint: "f".into(), shared_memory: true, resident_bytes: 1 }),
            m::WorkerMessage::Result(result),
            m::WorkerMessage::Chunk(m::Chunk {
                of: m::ChunkOf::Result { work: 9, index: 1 },
                offset: 4,
                total: 8,
                data: bytes::Bytes::from_static(&[0, 0, 0, 0]),
            }),
            m::WorkerMessage::Failure { work: 9, reason: "no".into() },
            m::WorkerMessage::Leave(m::Refusal { kind: m::RefusalKind::Data, reason: "other data".into() }),
        ];
        for message in messages {
            let wire = worker_message_out(envelope.clone(), message.clone());
            assert_eq!(worker_message_in(wire), Ok((envelope.clone(), message)));
        }
    }

    #[test]
    fn coordinator_messages_survive_the_way_over_the_wire() {
        let envelope = m::Envelope { run: "r".into(), epoch: 1, lease: 2, step: 3, phase: 0 };
        let work = m::Work {
            id: 1,
            kind: m::WorkKind::Evaluate,
            version: 3,
            step: 2,
            feeds: vec![0, 2],
            node: Node { lo: 0, hi: 1 },
            scales: vec![0.5],
            by_task: Some(vec![0, 3]),
            split: SplitName::Test,
            slots: vec![m::Slot { index: 1, generation: 5 }],
        };
        let shares = vec![m::Share { feed: 1, lo: 0, hi: 4 }];
        let welcome = m::Welcome { experiment: "seed = 1".into(), parameters: 12, shares, ..Default::default() };
        let messages = [
            m::CoordinatorMessage::Welcome(Box::new(welcome)),
            m::CoordinatorMessage::Work(work),
            m::CoordinatorMessage::Accepted { rank: 4 },
            m::CoordinatorMessage::Refused(m::Refusal { kind: m::RefusalKind::Fingerprint, reason: "x".into() }),
            m::CoordinatorMessage::Finished { reason: "done".into() },
        ];
        for message in messages {
            let wire = coordinator_message_out(envelope.clone(), message.clone());
            assert_eq!(coordinator_message_in(wire), Ok((envelope.clone(), message)));
        }
    }

    #[test]
    fn a_message_without_body_or_with_an_empty_node_is_refused() {
        let envelope = Some(v1::Envelope::default());
        let bare = v1::WorkerMessage { envelope: envelope.clone(), ..Default::default() };
        assert_eq!(worker_message_in(checksum::sealed(bare)), Err(Invalid::Missing("body")));
        let work = v1::Work { kind: 1, split: 1, node: Some(v1::Node { lo: 3, hi: 3 }), ..Default::default() };
        let body = Some(v1::coordinator_message::Body::Work(work));
        let message = v1::CoordinatorMessage { envelope, body, ..Default::default() };
        assert_eq!(coordinator_message_in(checksum::sealed(message)), Err(Invalid::Range { lo: 3, hi: 3 }));
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_by_its_sender_and_refused_by_its_receiver() {
        let envelope = m::Envelope::default();
        let failure = m::WorkerMessage::Failure { work: 1, reason: "\u{e9}".repeat(crate::TEXT_BYTES_MAX) };
        let mut wire = worker_message_out(envelope, failure);
        let Ok((_, m::WorkerMessage::Failure { reason, .. })) = worker_message_in(wire.clone()) else {
            panic!("it fits");
        };
        assert_eq!(reason.len(), crate::TEXT_BYTES_MAX);
        let Some(v1::worker_message::Body::Failure(failure)) = &mut wire.body else { panic!("a failure") };
        failure.reason.push('x');
        assert_eq!(worker_message_in(checksum::sealed(wire)), Err(Invalid::Text { bytes: crate::TEXT_BYTES_MAX + 1 }));
    }
}
