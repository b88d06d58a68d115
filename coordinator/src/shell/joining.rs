//! How a worker joins: its hello, the welcome, and the moment when it can compute.

use proto::{
    message::{ChunkOf, CoordinatorMessage, Hello, Ready, Refusal, RefusalKind, Share, SharedMemory, Welcome},
    payload,
};

use super::{Shell, connection::WorkerConnection, ending::Ending};
use crate::{
    journal::Observation,
    parameters, parts,
    run::{self, Departure, Event, Phase, WorkerId, divide},
    setup::Setup,
};

impl Shell {
    pub(super) fn on_hello(&mut self, worker: WorkerId, connection: WorkerConnection) {
        if let Some(remaining) = self.connections.banned_for(self.started.elapsed(), &connection) {
            let seconds = remaining.as_secs() + 1;
            let reason = format!("the worker was sent away for a fault of its own: it may come back in {seconds} s");
            return self.turn_away(worker, &connection, RefusalKind::CoolDown, reason);
        }
        if let Some((kind, reason)) = unfit(&self.setup, connection.hello()) {
            return self.turn_away(worker, &connection, kind, reason);
        }
        self.connections.insert(worker, connection);
        self.tell(Event::Joined(worker));
        let welcome = self.welcome(worker);
        let envelope = self.envelope(worker);
        let plan = payload::chunks(ChunkOf::Plan, self.plan_json.clone());
        let Some(connection) = self.connections.get(worker) else { return };
        let sent = connection
            .send(envelope.clone(), CoordinatorMessage::Welcome(Box::new(welcome)))
            .and_then(|()| connection.send_chunks(&envelope, plan));
        if sent.is_err() {
            self.end(worker, Ending::gone(Departure::Disconnected));
        }
    }

    /// Refuses a worker before it has joined. However many are refused, they make one record now
    /// and then.
    fn turn_away(&mut self, worker: WorkerId, connection: &WorkerConnection, kind: RefusalKind, reason: String) {
        self.connections.count_turned_away(worker, connection, kind, &reason);
        let _ = connection.send(self.envelope(worker), CoordinatorMessage::Refused(Refusal { kind, reason }));
    }

    fn welcome(&mut self, worker: WorkerId) -> Welcome {
        let secret = self.connections.get(worker).map_or(0, |connection| connection.secret());
        let elements = self.parameters.elements();
        let parameters_path = self.parameters.path();
        let slots = self.run.settings().result_slots;
        let offered = self.connections.get_mut(worker).map(|connection| connection.offer_results(slots, elements));
        let results_path = offered.transpose().unwrap_or_else(|error| {
            tracing::warn!(worker = worker.0, %error, "no shared memory: vectors travel over the stream");
            None
        });
        let results_path = results_path.flatten();
        let experiment = &self.setup.loaded.experiment;
        Welcome {
            experiment: experiment.to_toml(),
            base: self.setup.base().to_string_lossy().into_owned(),
            plan_bytes: self.plan_json.len() as u64,
            heartbeat_ms: experiment.cluster.heartbeat_ms,
            lease_ms: experiment.cluster.lease_ms,
            threads: experiment.cluster.threads,
            shares: self.likely_shares(worker),
            shared_memory: results_path.map(|results_path| SharedMemory {
                parameters_path,
                parameters_slots: parameters::SLOTS,
                results_path,
                results_slots: slots,
            }),
            parameters: elements as u64,
            secret,
        }
    }

    /// The partitions that the worker computes if as many workers come as the experiment says.
    fn likely_shares(&self, worker: WorkerId) -> Vec<Share> {
        let expected = (self.setup.loaded.experiment.cluster.workers as usize).max(self.connections.count());
        let ranks: Vec<WorkerId> = (0..expected as u64).map(WorkerId).collect();
        let mine = WorkerId(self.connections.place(worker) as u64);
        let shares = divide(self.run.settings(), &ranks).into_iter().filter(|share| share.worker == mine);
        let all = 0..self.setup.prepared.plan.feeds().len() as u32;
        let of_feeds = |share: run::WorkerShare| {
            let feeds = share.feed.map_or(all.clone(), |feed| feed..feed + 1);
            feeds.map(move |feed| Share { feed, lo: share.range.start, hi: share.range.end })
        };
        shares.flat_map(of_feeds).collect()
    }

    pub(super) fn on_ready(&mut self, worker: WorkerId, ready: Ready) {
        if self.connections.get(worker).is_some_and(WorkerConnection::is_accepted) {
            return self.end(worker, Ending::fault(RefusalKind::Protocol, "a second ready".into()));
        }
        self.connections.note_memory(worker, ready.resident_bytes);
        if self.fingerprint_is_free() {
            self.connections.forget_fingerprint();
        }
        let known = self.connections.fingerprint_or(&ready.fingerprint);
        if known != ready.fingerprint && !self.setup.loaded.experiment.cluster.mixed {
            let reason = format!(
                "the worker's fingerprint is {}, the run's {known}: it would compute other bits (`cluster.mixed = true` lets it in)",
                ready.fingerprint
            );
            return self.end(worker, Ending::refusal(RefusalKind::Fingerprint, reason));
        }
        let rank = self.run.rank(worker) as u32;
        let envelope = self.envelope(worker);
        let Some(connection) = self.connections.get_mut(worker) else { return };
        connection.accept(ready.shared_memory);
        let name = connection.name(worker);
        if connection.send(envelope, CoordinatorMessage::Accepted { rank }).is_err() {
            return self.end(worker, Ending::gone(Departure::Disconnected));
        }
        self.connections.set_rank(worker, rank);
        self.recorder.observe(Observation::WorkerJoined { rank, step: self.run.done(), name });
        self.tell(Event::Ready(worker));
    }

    /// Whether the next worker that is ready sets the run's fingerprint. The coordinator can't: its
    /// own processor may differ from the workers'. Until something is computed, the fingerprint
    /// goes with the last worker that has it, so that one odd worker that came first can be sent
    /// away.
    fn fingerprint_is_free(&self) -> bool {
        let asking = matches!(
            self.run.phase(),
            Phase::Start { .. } | Phase::TaskGradients(_) | Phase::LossesBefore(_) | Phase::Gradient(_)
        );
        let nothing_computed = self.run.done() == 0 && asking && self.answers.has_no_part_of_a_step();
        nothing_computed && self.connections.accepted() == 0
    }
}

/// Why a worker does not fit the run, if it does not.
fn unfit(setup: &Setup, hello: &Hello) -> Option<(RefusalKind, String)> {
    let ours = env!("CARGO_PKG_VERSION");
    if hello.version != ours {
        let reason = format!("the worker is version {}, the coordinator {ours}", hello.version);
        return Some((RefusalKind::Version, reason));
    }
    let used = setup.loaded.experiment.uses(&settings::catalogue::added());
    if let Some(refusal) = parts::unfit(&used, hello) {
        return Some(refusal);
    }
    let cluster = &setup.loaded.experiment.cluster;
    let device = setup.device;
    if cluster.mixed {
        return None;
    }
    if hello.device.parse::<model::Device>().ok().is_none_or(|theirs| theirs.kind() != device.kind()) {
        let reason = format!("the worker computes on {}, the run on {device}", hello.device);
        return Some((RefusalKind::Device, reason));
    }
    if device.depends_on_threads() && hello.threads != 0 && hello.threads != cluster.threads {
        let (theirs, ours) = (hello.threads, cluster.threads);
        let reason = format!(
            "the worker computes with {theirs} threads, the run with {ours}: on {device} the bits depend on it"
        );
        return Some((RefusalKind::Device, reason));
    }
    None
}
