//! Conversions between [`crate::message`] and the generated [`crate::v1`].
//!
//! Going out can't fail, and seals the message with its checksum. Coming in refuses what is
//! damaged, and what a peer of this version never sends: a message without body, a node that is no
//! range, an unknown kind.

use aggregation::tree::Node;
use experiment::SplitName;
use objectives::TaskSums;

use crate::{checksum, message as m, v1};

/// Why a message from a peer can't be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Its checksum does not hold.
    #[error(transparent)]
    Damaged(#[from] checksum::Damaged),
    /// A field that has to be there is not.
    #[error("message without `{0}`")]
    Missing(&'static str),
    /// A number that names nothing.
    #[error("`{field}` has the unknown value {value}")]
    Unknown {
        /// The field.
        field: &'static str,
        /// What stands there.
        value: i64,
    },
    /// A range that ends before it begins, or is empty.
    #[error("[{lo}, {hi}) is no range")]
    Range {
        /// First element.
        lo: u64,
        /// One past the last element.
        hi: u64,
    },
    /// A name or a reason that is longer than any is.
    #[error("a text of {bytes} bytes; {max} are the most", max = crate::TEXT_BYTES_MAX)]
    Text {
        /// Its length.
        bytes: usize,
    },
}

impl Invalid {
    /// What its sender is refused for.
    pub fn refusal(&self) -> m::RefusalKind {
        match self {
            Invalid::Damaged(_) => m::RefusalKind::Damaged,
            _ => m::RefusalKind::Protocol,
        }
    }
}

/// A text of a peer, which the coordinator keeps and writes down: short.
fn text_in(text: String) -> Result<String, Invalid> {
    if text.len() > crate::TEXT_BYTES_MAX { Err(Invalid::Text { bytes: text.len() }) } else { Ok(text) }
}

/// The beginning of a text, as long as a peer takes it.
fn text_out(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(crate::TEXT_BYTES_MAX));
    text
}

fn required<T>(value: Option<T>, field: &'static str) -> Result<T, Invalid> {
    value.ok_or(Invalid::Missing(field))
}

fn envelope_in(envelope: Option<v1::Envelope>) -> Result<m::Envelope, Invalid> {
    let v1::Envelope { run, epoch, lease, step, phase } = required(envelope, "envelope")?;
    Ok(m::Envelope { run, epoch, lease, step, phase })
}

fn envelope_out(envelope: m::Envelope) -> v1::Envelope {
    let m::Envelope { run, epoch, lease, step, phase } = envelope;
    v1::Envelope { run, epoch, lease, step, phase }
}

fn node_in(node: Option<v1::Node>) -> Result<Node, Invalid> {
    let v1::Node { lo, hi } = required(node, "node")?;
    if lo >= hi {
        return Err(Invalid::Range { lo: lo.into(), hi: hi.into() });
    }
    Ok(Node { lo, hi })
}

fn node_out(node: Node) -> v1::Node {
    v1::Node { lo: node.lo, hi: node.hi }
}

fn slot_in(slot: v1::Slot) -> m::Slot {
    m::Slot { index: slot.index, generation: slot.generation }
}

fn slot_out(slot: m::Slot) -> v1::Slot {
    v1::Slot { index: slot.index, generation: slot.generation }
}

fn refusal_in(kind: &str, reason: String) -> m::Refusal {
    m::Refusal { kind: m::RefusalKind::from_name(kind).unwrap_or(m::RefusalKind::Protocol), reason }
}

/// A worker's message as it goes on the wire.
pub fn worker_message_out(envelope: m::Envelope, message: m::WorkerMessage) -> v1::WorkerMessage {
    use v1::worker_message::Body;
    let body = match message {
        m::WorkerMessage::Hello(h) => {
            let m::Hello { version, host, pid, device, threads, local } = h;
            Body::Hello(v1::Hello { version, host, pid, device, threads, local })
        }
        m::WorkerMessage::Ready(r) => {
            let m::Ready { fingerprint, shared_memory, resident_bytes } = r;
            Body::Ready(v1::Ready { fingerprint, shared_memory, resident_bytes })
        }
        m::WorkerMessage::Result(result) => Body::Result(result_out(result)),
        m::WorkerMessage::Chunk(chunk) => Body::Chunk(chunk_out(chunk)),
        m::WorkerMessage::Failure { work, reason } => Body::Failure(v1::Failure { work, reason: text_out(reason) }),
        m::WorkerMessage::Leave(refusal) => {
            Body::Leave(v1::Leave { kind: refusal.kind.name().into(), reason: text_out(refusal.reason) })
        }
    };
    checksum::sealed(v1::WorkerMessage { envelope: Some(envelope_out(envelope)), body: Some(body), checksum: 0 })
}

/// A worker's message as it came off the wire.
///
/// # Errors
/// [`Invalid`] for a message that no worker of this version sends.
pub fn worker_message_in(message: v1::WorkerMessage) -> Result<(m::Envelope, m::WorkerMessage), Invalid> {
    use v1::worker_message::Body;
    let message = checksum::opened(message)?;
    let mut envelope = envelope_in(message.envelope)?;
    envelope.run = text_in(envelope.run)?;
    let message = match required(message.body, "body")? {
        Body::Hello(h) => {
            let v1::Hello { version, host, pid, device, threads, local } = h;
            let (version, host, device) = (text_in(version)?, text_in(host)?, text_in(device)?);
            m::WorkerMessage::Hello(m::Hello { version, host, pid, device, threads, local })
        }
        Body::Ready(r) => {
            let v1::Ready { fingerprint, shared_memory, resident_bytes } = r;
            let fingerprint = text_in(fingerprint)?;
            m::WorkerMessage::Ready(m::Ready { fingerprint, shared_memory, resident_bytes })
        }
        Body::Result(result) => m::WorkerMessage::Result(result_in(result)?),
        Body::Chunk(chunk) => m::WorkerMessage::Chunk(chunk_in(chunk)?),
        Body::Failure(f) => m::WorkerMessage::Failure { work: f.work, reason: text_in(f.reason)? },
        Body::Leave(l) => m::WorkerMessage::Leave(refusal_in(&l.kind, text_in(l.reason)?)),
    };
    Ok((envelope, message))
}

/// A coordinator's message as it goes on the wire.
pub fn coordinator_message_out(envelope: m::Envelope, message: m::CoordinatorMessage) -> v1::CoordinatorMessage {
    use v1::coordinator_message::Body;
    let body = match message {
        m::CoordinatorMessage::Welcome(welcome) => Body::Welcome(welcome_out(*welcome)),
        m::CoordinatorMessage::Refused(refusal) => {
            Body::Refused(v1::Refused { kind: refusal.kind.name().into(), reason: refusal.reason })
        }
        m::CoordinatorMessage::Accepted { rank } => Body::Accepted(v1::Accepted { rank }),
        m::CoordinatorMessage::Chunk(chunk) => Body::Chunk(chunk_out(chunk)),
        m::CoordinatorMessage::Work(work) => Body::Work(work_out(work)),
        m::CoordinatorMessage::Finished { reason } => Body::Finished(v1::Finished { reason }),
    };
    checksum::sealed(v1::CoordinatorMessage { envelope: Some(envelope_out(envelope)), body: Some(body), checksum: 0 })
}

/// A coordinator's message as it came off the wire.
///
/// # Errors
/// [`Invalid`] for a message that no coordinator of this version sends.
pub fn coordinator_message_in(
    message: v1::CoordinatorMessage,
) -> Result<(m::Envelope, m::CoordinatorMessage), Invalid> {
    use v1::coordinator_message::Body;
    let message = checksum::opened(message)?;
    let envelope = envelope_in(message.envelope)?;
    let message = match required(message.body, "body")? {
        Body::Welcome(welcome) => m::CoordinatorMessage::Welcome(Box::new(welcome_in(welcome))),
        Body::Refused(r) => m::CoordinatorMessage::Refused(refusal_in(&r.kind, r.reason)),
        Body::Accepted(a) => m::CoordinatorMessage::Accepted { rank: a.rank },
        Body::Chunk(chunk) => m::CoordinatorMessage::Chunk(chunk_in(chunk)?),
        Body::Work(work) => m::CoordinatorMessage::Work(work_in(work)?),
        Body::Finished(f) => m::CoordinatorMessage::Finished { reason: f.reason },
    };
    Ok((envelope, message))
}

fn welcome_out(welcome: m::Welcome) -> v1::Welcome {
    v1::Welcome {
        experiment: welcome.experiment,
        base: welcome.base,
        plan_bytes: welcome.plan_bytes,
        heartbeat_ms: welcome.heartbeat_ms,
        lease_ms: welcome.lease_ms,
        threads: welcome.threads,
        shares: welcome.shares.into_iter().map(|m::Share { feed, lo, hi }| v1::Share { feed, lo, hi }).collect(),
        shared_memory: welcome.shared_memory.map(|shared| v1::SharedMemory {
            parameters_path: shared.parameters_path,
            parameters_slots: shared.parameters_slots,
            results_path: shared.results_path,
            results_slots: shared.results_slots,
        }),
        parameters: welcome.parameters,
    }
}

fn welcome_in(welcome: v1::Welcome) -> m::Welcome {
    m::Welcome {
        experiment: welcome.experiment,
        base: welcome.base,
        plan_bytes: welcome.plan_bytes,
        heartbeat_ms: welcome.heartbeat_ms,
        lease_ms: welcome.lease_ms,
        threads: welcome.threads,
        shares: welcome.shares.into_iter().map(|v1::Share { feed, lo, hi }| m::Share { feed, lo, hi }).collect(),
        shared_memory: welcome.shared_memory.map(|shared| m::SharedMemory {
            parameters_path: shared.parameters_path,
            parameters_slots: shared.parameters_slots,
            results_path: shared.results_path,
            results_slots: shared.results_slots,
        }),
        parameters: welcome.parameters,
    }
}

fn work_out(work: m::Work) -> v1::Work {
    let kind = match work.kind {
        m::WorkKind::Gradient => v1::WorkKind::Gradient,
        m::WorkKind::Losses => v1::WorkKind::Losses,
        m::WorkKind::Evaluate => v1::WorkKind::Evaluate,
    };
    let split = match work.split {
        SplitName::Train => v1::Split::Train,
        SplitName::Validation => v1::Split::Validation,
        SplitName::Test => v1::Split::Test,
    };
    v1::Work {
        id: work.id,
        kind: kind.into(),
        version: work.version,
        step: work.step,
        feeds: work.feeds,
        node: Some(node_out(work.node)),
        scales: work.scales,
        by_task: work.by_task.map(|tasks| v1::ByTask { tasks }),
        split: split.into(),
        slots: work.slots.into_iter().map(slot_out).collect(),
    }
}

fn work_in(work: v1::Work) -> Result<m::Work, Invalid> {
    let kind = match v1::WorkKind::try_from(work.kind) {
        Ok(v1::WorkKind::Gradient) => m::WorkKind::Gradient,
        Ok(v1::WorkKind::Losses) => m::WorkKind::Losses,
        Ok(v1::WorkKind::Evaluate) => m::WorkKind::Evaluate,
        _ => return Err(Invalid::Unknown { field: "kind", value: work.kind.into() }),
    };
    let split = match v1::Split::try_from(work.split) {
        Ok(v1::Split::Train) => SplitName::Train,
        Ok(v1::Split::Validation) => SplitName::Validation,
        Ok(v1::Split::Test) => SplitName::Test,
        _ => return Err(Invalid::Unknown { field: "split", value: work.split.into() }),
    };
    Ok(m::Work {
        id: work.id,
        kind,
        version: work.version,
        step: work.step,
        feeds: work.feeds,
        node: node_in(work.node)?,
        scales: work.scales,
        by_task: work.by_task.map(|by_task| by_task.tasks),
        split,
        slots: work.slots.into_iter().map(slot_in).collect(),
    })
}

fn result_out(result: m::WorkResult) -> v1::Result {
    v1::Result {
        work: result.work,
        node: Some(node_out(result.node)),
        losses: result
            .losses
            .into_iter()
            .map(|m::LossSum { task, loss, rows }| v1::LossSum { task, loss, rows })
            .collect(),
        sums: result.sums.into_iter().map(|(task, sums)| sums_out(task, sums)).collect(),
        vectors: result.vectors.into_iter().map(vector_out).collect(),
        compute_us: result.compute_us,
    }
}

fn result_in(result: v1::Result) -> Result<m::WorkResult, Invalid> {
    Ok(m::WorkResult {
        work: result.work,
        node: node_in(result.node)?,
        losses: result
            .losses
            .into_iter()
            .map(|v1::LossSum { task, loss, rows }| m::LossSum { task, loss, rows })
            .collect(),
        sums: result.sums.into_iter().map(sums_in).collect(),
        vectors: result.vectors.into_iter().map(vector_in).collect::<Result<_, _>>()?,
        compute_us: result.compute_us,
    })
}

fn vector_out(vector: m::Vector) -> v1::Vector {
    v1::Vector {
        node: Some(node_out(vector.node)),
        task: vector.task,
        lo: vector.lo,
        hi: vector.hi,
        dtype: v1::DType::F32.into(),
        slot: vector.slot.map(slot_out),
    }
}

fn vector_in(vector: v1::Vector) -> Result<m::Vector, Invalid> {
    if vector.dtype != i32::from(v1::DType::F32) {
        return Err(Invalid::Unknown { field: "dtype", value: vector.dtype.into() });
    }
    if vector.lo >= vector.hi {
        return Err(Invalid::Range { lo: vector.lo, hi: vector.hi });
    }
    Ok(m::Vector {
        node: node_in(vector.node)?,
        task: vector.task,
        lo: vector.lo,
        hi: vector.hi,
        slot: vector.slot.map(slot_in),
    })
}

fn sums_out(task: u32, sums: TaskSums) -> v1::TaskSums {
    let TaskSums { rows, loss, counts, sums, scores, labels, own } = sums;
    let own = own.into_iter().map(|(metric, sums)| v1::OwnSums { metric, sums }).collect();
    v1::TaskSums { task, rows, loss, counts, sums, scores, labels, own }
}

fn sums_in(sums: v1::TaskSums) -> (u32, TaskSums) {
    let v1::TaskSums { task, rows, loss, counts, sums, scores, labels, own } = sums;
    let own = own.into_iter().map(|v1::OwnSums { metric, sums }| (metric, sums)).collect();
    (task, TaskSums { rows, loss, counts, sums, scores, labels, own })
}

fn chunk_out(chunk: m::Chunk) -> v1::Chunk {
    use v1::chunk::Of;
    let of = match chunk.of {
        m::ChunkOf::Plan => Of::Plan(true),
        m::ChunkOf::Parameters(version) => Of::Parameters(version),
        m::ChunkOf::Result { work, index } => Of::Result(v1::ResultVector { work, index }),
    };
    v1::Chunk { of: Some(of), offset: chunk.offset, total: chunk.total, data: chunk.data }
}

fn chunk_in(chunk: v1::Chunk) -> Result<m::Chunk, Invalid> {
    use v1::chunk::Of;
    let of = match required(chunk.of, "of")? {
        Of::Plan(_) => m::ChunkOf::Plan,
        Of::Parameters(version) => m::ChunkOf::Parameters(version),
        Of::Result(v1::ResultVector { work, index }) => m::ChunkOf::Result { work, index },
    };
    Ok(m::Chunk { of, offset: chunk.offset, total: chunk.total, data: chunk.data })
}

/// A heartbeat as it goes on the wire.
pub fn beat_out(beat: m::Beat) -> v1::Beat {
    let m::Beat { run, epoch, lease, sequence, resident_bytes, heard, busy } = beat;
    checksum::sealed(v1::Beat { run, epoch, lease, sequence, resident_bytes, heard, busy, checksum: 0 })
}

/// A heartbeat as it came off the wire.
///
/// # Errors
/// [`Invalid`] for one that is damaged.
pub fn beat_in(beat: v1::Beat) -> Result<m::Beat, Invalid> {
    let v1::Beat { run, epoch, lease, sequence, resident_bytes, heard, busy, .. } = checksum::opened(beat)?;
    Ok(m::Beat { run, epoch, lease, sequence, resident_bytes, heard, busy })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_message_comes_back_as_it_went() {
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
            losses: vec![m::LossSum { task: 1, loss: 2.5, rows: 8 }],
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
            m::WorkerMessage::Hello(m::Hello { version: "1".into(), pid: 4, ..Default::default() }),
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
    fn every_coordinator_message_comes_back_as_it_went() {
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
    fn a_text_that_is_too_long_is_cut_off_where_it_is_sent_and_refused_where_it_comes() {
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

    #[test]
    fn every_kind_of_refusal_has_a_name_that_leads_back_to_it() {
        for (kind, name) in m::RefusalKind::ALL {
            assert_eq!(kind.name(), name);
            assert_eq!(m::RefusalKind::from_name(name), Some(kind));
        }
    }
}
