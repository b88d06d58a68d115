//! What workers say, checked before the machine hears of it.

use std::sync::Arc;

use proto::{
    memory,
    message::{
        Chunk, ChunkOf, CoordinatorMessage, Envelope, Hello, Ready, Refusal, RefusalKind, Share, SharedMemory, Slot,
        Welcome, WorkResult, WorkerMessage,
    },
    payload::{self, VectorAssembler},
};

use super::{
    Shell, answer,
    connection::{Assembling, Connection, name},
    cool_down::Identity,
};
use crate::{
    compute::{Contribution, Place},
    journal::{Observation, Reason},
    parameters,
    run::{self, Departure, Event, Fault, Phase, WorkerId, divide},
    server::Inbound,
};

/// How many leases nothing may get through to a worker that owes an answer and has nothing to do.
const STUCK_LEASES: u32 = 2;

impl Shell {
    pub(crate) fn on_inbound(&mut self, inbound: Inbound) {
        match inbound {
            Inbound::Hello { worker, address, hello, outbox } => {
                self.on_hello(worker, Connection::new(address, hello, outbox));
            }
            Inbound::Message { worker, envelope, message, room: _room } => self.on_message(worker, &envelope, message),
            Inbound::Garbled { worker, kind: RefusalKind::Damaged, reason } => self.cut_off(worker, reason),
            Inbound::Garbled { worker, kind, reason } => self.put_aside(worker, kind, reason),
            Inbound::Disconnected(worker) => {
                if self.connections.remove(&worker).is_some() {
                    self.tell(Event::Lost(worker, Departure::Disconnected));
                }
            }
            Inbound::Beat { beat, known } => {
                let worker = WorkerId(beat.lease);
                let is_known =
                    beat.run == self.run_id && beat.epoch == self.epoch && self.connections.contains_key(&worker);
                // Whoever is gone by now needs no answer.
                let _ = known.send(is_known);
                if is_known {
                    let now = self.started.elapsed();
                    if let Some(connection) = self.connections.get_mut(&worker) {
                        connection.note_activity(now, beat.heard, beat.busy);
                    }
                    self.note_memory(worker, beat.resident_bytes);
                    self.tell(Event::Beat(worker));
                }
            }
        }
    }

    pub(crate) fn envelope(&self, worker: WorkerId) -> Envelope {
        Envelope {
            run: self.run_id.clone(),
            epoch: self.epoch,
            lease: worker.0,
            step: self.run.done(),
            phase: self.run.phase().number(),
        }
    }

    fn note_memory(&mut self, worker: WorkerId, bytes: u64) {
        let peak = self.peaks.entry(worker).or_default();
        *peak = bytes.max(*peak);
    }

    fn on_hello(&mut self, worker: WorkerId, connection: Connection) {
        let identity = Identity::new(&connection.address, &connection.hello);
        if let Some(remaining) = self.cool_down.remaining(self.started.elapsed(), &identity) {
            let seconds = remaining.as_secs() + 1;
            let reason = format!("the worker was sent away for a fault of its own: it may come back in {seconds} s");
            return self.turn_away(worker, &connection, RefusalKind::CoolDown, reason);
        }
        if let Some((kind, reason)) = self.unfit(&connection.hello) {
            return self.turn_away(worker, &connection, kind, reason);
        }
        self.connections.insert(worker, connection);
        self.tell(Event::Joined(worker));
        let welcome = self.welcome(worker);
        let envelope = self.envelope(worker);
        let plan = payload::chunks(ChunkOf::Plan, self.plan_json.clone());
        let connection = &self.connections[&worker];
        let sent = connection
            .send(envelope.clone(), CoordinatorMessage::Welcome(Box::new(welcome)))
            .and_then(|()| connection.send_chunks(&envelope, plan));
        if sent.is_err() {
            self.drop_worker(worker, Departure::Disconnected);
        }
    }

    /// Refuses a worker before it has a place; a flood of them is one record.
    fn turn_away(&mut self, worker: WorkerId, connection: &Connection, kind: RefusalKind, reason: String) {
        self.turned_away.add(kind, &name(worker, &connection.hello), reason.clone());
        self.last_refusal = Some(format!("{} ({})", reason, kind.name()));
        let _ = connection.send(self.envelope(worker), CoordinatorMessage::Refused(Refusal { kind, reason }));
    }

    fn unfit(&self, hello: &Hello) -> Option<(RefusalKind, String)> {
        let ours = env!("CARGO_PKG_VERSION");
        if hello.version != ours {
            let reason = format!("the worker is version {}, the coordinator {ours}", hello.version);
            return Some((RefusalKind::Version, reason));
        }
        let cluster = &self.setup.loaded.experiment.cluster;
        let device = self.setup.device;
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

    fn welcome(&mut self, worker: WorkerId) -> Welcome {
        let elements = self.parameters.elements();
        let parameters_path = self.parameters.path();
        let slots = self.run.settings().result_slots;
        let offered = self.connections.get_mut(&worker).map(|connection| connection.offer_results(slots, elements));
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
        }
    }

    /// The partitions that the worker gets to compute if as many workers come as the experiment
    /// says.
    fn likely_shares(&self, worker: WorkerId) -> Vec<Share> {
        let expected = (self.setup.loaded.experiment.cluster.workers as usize).max(self.connections.len());
        let place = self.connections.keys().take_while(|id| **id < worker).count();
        let ranks: Vec<WorkerId> = (0..expected as u64).map(WorkerId).collect();
        let mine = WorkerId(place as u64);
        let shares = divide(self.run.settings(), &ranks).into_iter().filter(|share| share.worker == mine);
        let all = 0..self.setup.prepared.plan.feeds().len() as u32;
        let of_feeds = |share: run::Share| {
            let feeds = share.feed.map_or(all.clone(), |feed| feed..feed + 1);
            feeds.map(move |feed| Share { feed, lo: share.range.start, hi: share.range.end })
        };
        shares.flat_map(of_feeds).collect()
    }

    fn on_message(&mut self, worker: WorkerId, envelope: &Envelope, message: WorkerMessage) {
        let now = self.started.elapsed();
        let Some(connection) = self.connections.get_mut(&worker) else { return };
        connection.got_through(now);
        if envelope.run != self.run_id || envelope.epoch != self.epoch || envelope.lease != worker.0 {
            return self.refuse(worker, RefusalKind::Stale, "a message for another run, epoch or lease".into());
        }
        match message {
            WorkerMessage::Hello(_) => self.put_aside(worker, RefusalKind::Protocol, "a second hello".into()),
            WorkerMessage::Ready(ready) => self.on_ready(worker, ready),
            WorkerMessage::Result(result) => self.on_result(worker, envelope, result),
            WorkerMessage::Chunk(chunk) => self.on_chunk(worker, &chunk),
            WorkerMessage::Failure { work, reason } => {
                tracing::warn!(worker = worker.0, work, reason, "work failed");
                connection.forget(work);
                self.tell(Event::Failed { worker, work, reason });
            }
            WorkerMessage::Leave(Refusal { kind, reason }) => match kind {
                RefusalKind::Shutdown => self.drop_worker(worker, Departure::Left(reason)),
                RefusalKind::Damaged => self.cut_off(worker, reason),
                _ => self.refuse(worker, kind, reason),
            },
        }
    }

    fn on_ready(&mut self, worker: WorkerId, ready: Ready) {
        if self.connections.get(&worker).is_some_and(|connection| connection.accepted) {
            return self.put_aside(worker, RefusalKind::Protocol, "a second ready".into());
        }
        self.note_memory(worker, ready.resident_bytes);
        let mixed = self.setup.loaded.experiment.cluster.mixed;
        if self.fingerprint_is_free() {
            self.fingerprint = None;
        }
        let known = self.fingerprint.get_or_insert_with(|| ready.fingerprint.clone());
        if *known != ready.fingerprint && !mixed {
            let reason = format!(
                "the worker's fingerprint is {}, the run's {known}: it would compute other bits (`cluster.mixed = true` lets it in)",
                ready.fingerprint
            );
            return self.refuse(worker, RefusalKind::Fingerprint, reason);
        }
        if let Some(connection) = self.connections.get_mut(&worker) {
            connection.accepted = true;
            if let Some((_, used)) = &mut connection.results {
                *used = ready.shared_memory;
            }
        }
        let rank = self.run.rank(worker) as u32;
        let envelope = self.envelope(worker);
        if self.connections[&worker].send(envelope, CoordinatorMessage::Accepted { rank }).is_err() {
            return self.drop_worker(worker, Departure::Disconnected);
        }
        self.ranks.insert(worker, rank);
        let name = name(worker, &self.connections[&worker].hello);
        self.observe(Observation::WorkerJoined { rank, step: self.run.done(), name });
        self.tell(Event::Ready(worker));
    }

    /// The first worker says which fingerprint the run has: this processor need not be of the
    /// workers' kind. As long as nothing was computed it goes with the last worker that has it, so
    /// that one odd worker which came first can be sent away.
    fn fingerprint_is_free(&self) -> bool {
        let asking = matches!(
            self.run.phase(),
            Phase::Start { .. } | Phase::TaskGradients(_) | Phase::LossesBefore(_) | Phase::Gradient(_)
        );
        let computed = self.run.done() > 0 || !asking || !self.gradients.is_empty() || !self.losses.is_empty();
        !computed && !self.connections.values().any(|connection| connection.accepted)
    }

    fn on_result(&mut self, worker: WorkerId, envelope: &Envelope, result: WorkResult) {
        let Some(connection) = self.connections.get_mut(&worker) else { return };
        let Some(asked) = connection.asked.get(&result.work) else { return };
        if let Some(fault) = answer::fault(asked, envelope, &result, &self.setup.prepared) {
            return self.put_aside(worker, RefusalKind::Protocol, fault);
        }
        let slots: Vec<Slot> = result.vectors.iter().filter_map(|vector| vector.slot).collect();
        let work = result.work;
        let Some(first) = asked.vectors.first() else {
            self.arrived.insert((worker, work), (result, Vec::new()));
            return self.tell(Event::Result { worker, work });
        };
        if slots.is_empty() {
            let next = VectorAssembler::new(ChunkOf::Result { work, index: 0 }, first.1.len());
            connection.assembling.insert(work, Assembling { result, done: Vec::new(), next });
            return;
        }
        let region = connection.shared_results().map(Arc::clone);
        let Some(region) = region.filter(|_| slots == asked.slots) else {
            return self.put_aside(worker, RefusalKind::Protocol, "slots that were not given".into());
        };
        let place = |slot| Place::Shared(Arc::clone(&region), slot);
        let vectors = asked.vectors.iter().zip(slots);
        let vectors =
            vectors.map(|((task, span), slot)| Contribution { task: *task, span: span.clone(), place: place(slot) });
        let vectors = vectors.collect();
        self.arrived.insert((worker, work), (result, vectors));
        self.tell(Event::Result { worker, work });
    }

    fn on_chunk(&mut self, worker: WorkerId, chunk: &Chunk) {
        let Some(connection) = self.connections.get_mut(&worker) else { return };
        let ChunkOf::Result { work, .. } = chunk.of else {
            return self.put_aside(worker, RefusalKind::Protocol, "a chunk that is not of a result".into());
        };
        let asked = connection.asked.get(&work).map(|asked| asked.vectors.clone());
        let (Some(vectors), Some(assembling)) = (asked, connection.assembling.get_mut(&work)) else {
            return self.put_aside(worker, RefusalKind::Protocol, "a chunk of a result that was not announced".into());
        };
        match assembling.next.push(chunk) {
            Ok(false) => return,
            Ok(true) => {}
            Err(broken) => return self.put_aside(worker, RefusalKind::Protocol, broken.to_string()),
        }
        let index = assembling.done.len() + 1;
        let elements = vectors.get(index).map_or(0, |(_, span)| span.len());
        let of = ChunkOf::Result { work, index: index as u32 };
        let whole = std::mem::replace(&mut assembling.next, VectorAssembler::new(of, elements));
        let (task, span) = vectors[index - 1].clone();
        assembling.done.push(Contribution { task, span, place: Place::Owned(whole.into_vector()) });
        if index == vectors.len()
            && let Some(Assembling { result, done, .. }) = connection.assembling.remove(&work)
        {
            self.arrived.insert((worker, work), (result, done));
            self.tell(Event::Result { worker, work });
        }
    }

    /// Sends a worker away for a fault of its own, and keeps it out for a while.
    fn put_aside(&mut self, worker: WorkerId, kind: RefusalKind, reason: String) {
        self.keep_out(worker);
        self.refuse(worker, kind, reason);
    }

    fn keep_out(&mut self, worker: WorkerId) {
        if let Some(connection) = self.connections.get(&worker) {
            let identity = Identity::new(&connection.address, &connection.hello);
            self.cool_down.begin(self.started.elapsed(), identity);
        }
    }

    /// Sends a worker away whose answer the machine has found to be wrong; the machine knows that
    /// it is gone.
    pub(crate) fn put_faulty_aside(&mut self, worker: WorkerId, fault: &Fault) {
        let kind = match fault {
            Fault::NotFinite(_) => RefusalKind::NotFinite,
            Fault::Wrong(_) => RefusalKind::Protocol,
        };
        let reason = format!("step {}: {fault}", self.run.done());
        self.keep_out(worker);
        if self.connections.contains_key(&worker) {
            self.tell_refused(worker, kind, reason);
            self.connections.remove(&worker);
        } else {
            tracing::warn!(worker = worker.0, kind = kind.name(), reason, "a worker that is gone was at fault");
        }
    }

    /// Ends a worker's stay because of its line: it may come back at once. For the unit that it was
    /// computing it counts as a crash, so that a line that lets nothing through ends the run with
    /// that unit named.
    fn cut_off(&mut self, worker: WorkerId, reason: String) {
        self.send_away(worker, RefusalKind::Damaged, reason, Departure::Disconnected);
    }

    /// Tells a worker why it can't take part (any more), and writes it down.
    pub(crate) fn refuse(&mut self, worker: WorkerId, kind: RefusalKind, reason: String) {
        self.send_away(worker, kind, reason.clone(), Departure::Left(reason));
    }

    fn send_away(&mut self, worker: WorkerId, kind: RefusalKind, reason: String, departure: Departure) {
        if self.connections.contains_key(&worker) {
            self.tell_refused(worker, kind, reason);
            self.drop_worker(worker, departure);
        }
    }

    fn tell_refused(&mut self, worker: WorkerId, kind: RefusalKind, reason: String) {
        let Some(connection) = self.connections.get(&worker) else { return };
        let name = name(worker, &connection.hello);
        tracing::warn!(worker = name, kind = kind.name(), reason, "refused");
        let refusal = Refusal { kind, reason: reason.clone() };
        // A worker that can't be told finds its stream closed.
        let _ = connection.send(self.envelope(worker), CoordinatorMessage::Refused(refusal));
        self.turned_away.count(kind);
        self.observe(Observation::WorkerRefused { name, reason: Reason::new(kind.name(), reason.clone()) });
        self.last_refusal = Some(format!("{} ({})", reason, kind.name()));
    }

    /// Ends a worker's stream and gives its work to others.
    pub(crate) fn drop_worker(&mut self, worker: WorkerId, departure: Departure) {
        if self.connections.remove(&worker).is_some() {
            self.tell(Event::Lost(worker, departure));
        }
    }

    /// Gives workers up whose signs of life come, and say that they have nothing to do, while they
    /// owe an answer: their stream is cut in silence.
    pub(crate) fn dismiss_cut_off(&mut self) {
        let (now, patience) = (self.started.elapsed(), STUCK_LEASES * self.run.settings().lease);
        let stuck = self.connections.iter().filter_map(|(id, connection)| {
            Some((*id, Departure::Unanswered(connection.stuck(now).filter(|stuck| *stuck > patience)?)))
        });
        let stuck: Vec<(WorkerId, Departure)> = stuck.collect();
        for (worker, departure) in stuck {
            self.dismiss(worker, &departure);
            self.tell(Event::Lost(worker, departure));
        }
    }

    /// This process's peak memory, bytes.
    pub(crate) fn own_peak() -> u64 {
        memory::resident().peak_bytes
    }
}
