//! The workers that are connected, and those that may not connect.

use std::{collections::BTreeMap, time::Duration};

use proto::message::{Beat, Envelope, RefusalKind};

use super::{connection::WorkerConnection, cool_down::CoolDown};
use crate::{compute::Recipient, door::TurnedAway, run::WorkerId};

/// The workers of a run, as connections.
pub(super) struct Connections {
    run_id: String,
    epoch: u64,
    by_worker: BTreeMap<WorkerId, WorkerConnection>,
    /// The ranks with which workers began to take part.
    ranks: BTreeMap<WorkerId, u32>,
    /// The peak memory of each worker, bytes, including workers that are gone.
    peaks: BTreeMap<WorkerId, u64>,
    /// The fingerprint that all workers must have. `None` until the first worker is ready.
    fingerprint: Option<String>,
    /// Peers and workers that were turned away.
    turned_away: TurnedAway,
    /// Workers that are banned for a while.
    cool_down: CoolDown,
    /// Workers that could not be written to. They are dropped once the present effects are done.
    unreachable: Vec<WorkerId>,
    /// Why the last worker was refused, for people.
    last_refusal: Option<String>,
}

impl Connections {
    /// No connections yet. `fingerprint` is the one that a resumed run has.
    pub(super) fn new(run_id: String, epoch: u64, fingerprint: Option<String>, turned_away: TurnedAway) -> Connections {
        Connections {
            run_id,
            epoch,
            by_worker: BTreeMap::new(),
            ranks: BTreeMap::new(),
            peaks: BTreeMap::new(),
            fingerprint,
            turned_away,
            cool_down: CoolDown::default(),
            unreachable: Vec::new(),
            last_refusal: None,
        }
    }

    /// The coordinator's epoch.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn get(&self, worker: WorkerId) -> Option<&WorkerConnection> {
        self.by_worker.get(&worker)
    }

    pub(super) fn get_mut(&mut self, worker: WorkerId) -> Option<&mut WorkerConnection> {
        self.by_worker.get_mut(&worker)
    }

    pub(super) fn insert(&mut self, worker: WorkerId, connection: WorkerConnection) {
        self.by_worker.insert(worker, connection);
    }

    pub(super) fn remove(&mut self, worker: WorkerId) -> Option<WorkerConnection> {
        self.by_worker.remove(&worker)
    }

    /// All connections, in the order of joining.
    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, &WorkerConnection)> {
        self.by_worker.iter().map(|(worker, connection)| (*worker, connection))
    }

    /// How many workers are connected.
    pub(super) fn count(&self) -> usize {
        self.by_worker.len()
    }

    /// How many workers have loaded their data and were accepted.
    pub(super) fn accepted(&self) -> usize {
        self.by_worker.values().filter(|connection| connection.is_accepted()).count()
    }

    /// How many workers joined before this one.
    pub(super) fn place(&self, worker: WorkerId) -> usize {
        self.by_worker.keys().take_while(|id| **id < worker).count()
    }

    /// The envelope of a message to a worker.
    pub(super) fn envelope(&self, worker: WorkerId, step: u64, phase: u32) -> Envelope {
        Envelope { run: self.run_id.clone(), epoch: self.epoch, lease: worker.0, step, phase }
    }

    /// Whether a message of this worker is for the present run, epoch and lease.
    pub(super) fn is_current(&self, worker: WorkerId, envelope: &Envelope) -> bool {
        envelope.run == self.run_id && envelope.epoch == self.epoch && envelope.lease == worker.0
    }

    /// Whether a heartbeat is for the present run and epoch, and of a worker that is connected: it
    /// has to carry the secret of the worker's lease.
    pub(super) fn knows(&self, beat: &Beat) -> bool {
        let is_current = beat.run == self.run_id && beat.epoch == self.epoch;
        let connection = self.by_worker.get(&WorkerId(beat.lease));
        is_current && connection.is_some_and(|connection| connection.secret() == beat.secret)
    }

    /// The workers on other machines that have taken everything they were sent: parameters go to
    /// them as soon as they are computed.
    pub(super) fn recipients(&self, step: u64, phase: u32) -> Vec<Recipient> {
        let ready = |connection: &WorkerConnection| connection.is_remote() && connection.has_taken_all();
        let remote = self.by_worker.iter().filter(|(_, connection)| ready(connection));
        remote.map(|(id, connection)| connection.recipient(*id, self.envelope(*id, step, phase))).collect()
    }

    /// The workers to which nothing has got through for longer than `patience` while they were idle
    /// and owed an answer, with that time.
    pub(super) fn stuck(&self, now: Duration, patience: Duration) -> Vec<(WorkerId, Duration)> {
        let stuck = |(id, connection): (&WorkerId, &WorkerConnection)| {
            Some((*id, connection.stuck(now).filter(|stuck| *stuck > patience)?))
        };
        self.by_worker.iter().filter_map(stuck).collect()
    }

    /// Notes the memory that a worker uses, bytes.
    pub(super) fn note_memory(&mut self, worker: WorkerId, bytes: u64) {
        let peak = self.peaks.entry(worker).or_default();
        *peak = bytes.max(*peak);
    }

    /// The peak memory of a worker, bytes; zero if it is not known.
    pub(super) fn peak(&self, worker: WorkerId) -> u64 {
        self.peaks.get(&worker).copied().unwrap_or_default()
    }

    /// The peak memory of each worker, bytes, in the order of joining. Workers that are gone are
    /// included.
    pub(super) fn peaks(&self) -> Vec<u64> {
        self.peaks.values().copied().collect()
    }

    /// A worker begins to take part with this rank.
    pub(super) fn set_rank(&mut self, worker: WorkerId, rank: u32) {
        self.ranks.insert(worker, rank);
    }

    /// The rank with which a worker that is gone began to take part.
    pub(super) fn take_rank(&mut self, worker: WorkerId) -> Option<u32> {
        self.ranks.remove(&worker)
    }

    /// The fingerprint that all workers must have.
    pub(super) fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// The fingerprint that all workers must have. If there is none yet, it is that of this worker.
    pub(super) fn fingerprint_or(&mut self, of_worker: &str) -> &str {
        self.fingerprint.get_or_insert_with(|| of_worker.to_owned())
    }

    /// Forgets the fingerprint: the next worker that is ready sets it.
    pub(super) fn forget_fingerprint(&mut self) {
        self.fingerprint = None;
    }

    /// A worker could not be written to.
    pub(super) fn mark_unreachable(&mut self, worker: WorkerId) {
        self.unreachable.push(worker);
    }

    /// A worker that could not be written to and is to be dropped.
    pub(super) fn take_unreachable(&mut self) -> Option<WorkerId> {
        self.unreachable.pop()
    }

    /// Bans a connected worker for a while.
    pub(super) fn ban(&mut self, now: Duration, worker: WorkerId) {
        if let Some(connection) = self.by_worker.get(&worker) {
            self.cool_down.begin(now, connection.identity());
        }
    }

    /// For how much longer the worker of a new connection is banned.
    pub(super) fn banned_for(&self, now: Duration, connection: &WorkerConnection) -> Option<Duration> {
        self.cool_down.remaining(now, &connection.identity())
    }

    /// Counts a worker that is refused before it has joined. It is recorded with others later.
    pub(super) fn count_turned_away(
        &mut self,
        worker: WorkerId,
        connection: &WorkerConnection,
        kind: RefusalKind,
        reason: &str,
    ) {
        self.turned_away.add(kind, &connection.name(worker), reason);
        self.last_refusal = Some(format!("{reason} ({})", kind.name()));
    }

    /// Counts a worker that had joined and is refused. It is recorded by itself.
    pub(super) fn count_refused(&mut self, kind: RefusalKind, reason: &str) {
        self.turned_away.count(kind);
        self.last_refusal = Some(format!("{reason} ({})", kind.name()));
    }

    /// Why the last worker was refused, for people.
    pub(super) fn take_last_refusal(&mut self) -> Option<String> {
        self.last_refusal.take()
    }

    /// Peers and workers that were turned away.
    pub(super) fn turned_away(&self) -> &TurnedAway {
        &self.turned_away
    }
}
