//! A hand-made worker, which sends what a test says.
#![allow(dead_code)] // each test file uses a part

use std::{path::Path, sync::Arc, time::Duration};

use proto::{
    CHUNK_BYTES, MESSAGE_BYTES_MAX,
    address::Address,
    checksum,
    shared_memory::{Region, Writer},
    v1::{self, coordinator_message::Body as Said, worker_message::Body},
};
use tokio::{runtime::Runtime, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use worker::{access::Access, compute::Computer, connection::connect};

use crate::support::Coordinator;

/// A hand-made worker. It can do all that a real worker does, and sends what the test says.
pub struct Peer {
    pub runtime: Arc<Runtime>,
    pub to: mpsc::Sender<v1::WorkerMessage>,
    from: tonic::Streaming<v1::CoordinatorMessage>,
    /// The run, epoch and lease of its session, from the welcome on.
    pub session: v1::Envelope,
    /// The secret of its lease.
    pub secret: u64,
    pub parameters: Vec<f32>,
    /// The coordinator's parameters and this worker's vectors, if both are on one machine.
    shared: Option<(Region, Region)>,
}

/// A piece of work that a peer was asked for.
pub struct Asked {
    pub envelope: v1::Envelope,
    pub work: v1::Work,
}

pub fn runtime() -> Arc<Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    Arc::new(runtime.expect("a runtime"))
}

pub fn hello(pid: u32) -> v1::Hello {
    let version = env!("CARGO_PKG_VERSION").into();
    let host = "elsewhere".into();
    v1::Hello { version, host, pid, device: "flex".into(), threads: 1, local: true, parts: Vec::new() }
}

impl Peer {
    /// Opens the stream with this message.
    pub fn open(
        coordinator: &Coordinator,
        runtime: &Arc<Runtime>,
        first: v1::WorkerMessage,
    ) -> Result<Peer, tonic::Status> {
        let address: Address = coordinator.address.parse().expect("an address");
        runtime.block_on(async {
            let client = connect(&address, &Access::default(), Duration::from_secs(20)).await;
            let mut client = client.expect("connects").max_encoding_message_size(2 * MESSAGE_BYTES_MAX);
            let (to, messages) = mpsc::channel(64);
            to.send(first).await.expect("there is room");
            let from = client.work(ReceiverStream::new(messages)).await?.into_inner();
            let session = v1::Envelope::default();
            Ok(Peer {
                runtime: Arc::clone(runtime),
                to,
                from,
                session,
                parameters: Vec::new(),
                secret: 0,
                shared: None,
            })
        })
    }

    pub fn hello(coordinator: &Coordinator, runtime: &Arc<Runtime>, hello: v1::Hello) -> Peer {
        let first = message(v1::Envelope::default(), Body::Hello(hello));
        Peer::open(coordinator, runtime, first).expect("is heard")
    }

    /// Joins as a real worker does, with the fingerprint of this processor.
    pub fn join(coordinator: &Coordinator, runtime: &Arc<Runtime>) -> (Peer, Computer) {
        Peer::join_with(coordinator, runtime, None)
    }

    /// Joins with this fingerprint.
    pub fn join_with(coordinator: &Coordinator, runtime: &Arc<Runtime>, fingerprint: Option<&str>) -> (Peer, Computer) {
        let mut peer = Peer::hello(coordinator, runtime, hello(1));
        let (envelope, Said::Welcome(welcome)) = peer.hear().expect("an answer") else { panic!("a welcome") };
        (peer.session, peer.secret) = (envelope.clone(), welcome.secret);
        let is_local = coordinator.address.starts_with("unix:");
        assert_eq!(welcome.shared_memory.is_some(), is_local, "a peer over TCP is not local, whatever it says");
        let parameters = welcome.parameters as usize;
        let map = |writer, path: &str, slots: u32| {
            Region::open(writer, Path::new(path), slots as usize, parameters).expect("is mapped")
        };
        peer.shared = welcome.shared_memory.as_ref().map(|shared| {
            let parameters = map(Writer::Creator, &shared.parameters_path, shared.parameters_slots);
            (parameters, map(Writer::Opener, &shared.results_path, shared.results_slots))
        });
        let mut plan = Vec::new();
        while plan.len() < welcome.plan_bytes as usize {
            let Some((_, Said::Chunk(chunk))) = peer.hear() else { panic!("the plan") };
            plan.extend_from_slice(&chunk.data);
        }
        let loaded = model::parse(&welcome.experiment, Path::new("experiment.toml"), &[]).expect("is right");
        let plan: datasets::Plan = serde_json::from_slice(&plan).expect("is a plan");
        let store = datasets::Store::open(Arc::new(plan), Path::new(&welcome.base)).expect("opens");
        let computer = Computer::new(&loaded.experiment, store, &model::Device::Flex).expect("is built");
        let own = computer.network().fingerprint().expect("is computed");
        let fingerprint = fingerprint.map_or(own, str::to_owned);
        peer.say(envelope, Body::Ready(v1::Ready { fingerprint, shared_memory: is_local, ..Default::default() }));
        let Some((_, Said::Accepted(_))) = peer.hear() else { panic!("accepted") };
        (peer, computer)
    }

    pub fn say(&self, envelope: v1::Envelope, body: Body) {
        // A coordinator that has refused the peer reads no more.
        let _ = self.runtime.block_on(self.to.send(message(envelope, body)));
    }

    pub fn hear(&mut self) -> Option<(v1::Envelope, Said)> {
        let message = async { tokio::time::timeout(Duration::from_secs(60), self.from.message()).await };
        let heard = self.runtime.block_on(message);
        let message = heard.expect("something comes").ok()??;
        Some((message.envelope?, message.body?))
    }

    /// Does the work of all steps correctly until the coordinator asks for an evaluation.
    pub fn answer_until_evaluated(&mut self, computer: &mut Computer) -> Asked {
        loop {
            let asked = self.work();
            if asked.work.kind() == v1::WorkKind::Evaluate {
                return asked;
            }
            let (result, gradient) = asked.gradient(computer, &self.parameters);
            self.answer(asked, result, &gradient);
        }
    }

    /// Waits for work, and receives the parameters that come with it.
    pub fn work(&mut self) -> Asked {
        self.work_or_end().expect("the stream goes on")
    }

    /// Waits for work like [`Peer::work`]. `None` if the run is over.
    pub fn work_or_end(&mut self) -> Option<Asked> {
        loop {
            match self.hear()? {
                (_, Said::Refused(refused)) => panic!("refused: {} ({})", refused.reason, refused.kind),
                (_, Said::Chunk(chunk)) => {
                    if chunk.offset == 0 {
                        self.parameters.clear();
                    }
                    let elements = chunk.data.chunks_exact(4).map(|e| f32::from_le_bytes([e[0], e[1], e[2], e[3]]));
                    self.parameters.extend(elements);
                }
                (envelope, Said::Work(work)) => {
                    if let Some((parameters, _)) = &self.shared {
                        let slot = (work.version % parameters.slots() as u64) as u32;
                        let read = parameters.read(slot, work.version + 1, <[f32]>::to_vec);
                        self.parameters = read.expect("parameters of this version");
                    }
                    return Some(Asked { envelope, work });
                }
                _ => {}
            }
        }
    }

    /// Sends a result with its vector, through shared memory if there is some.
    pub fn answer(&self, asked: Asked, mut result: v1::Result, vector: &[f32]) {
        if let (Some((_, results)), Some(slot)) = (&self.shared, asked.work.slots.first()) {
            results.write(slot.index, slot.generation, |into| into.copy_from_slice(vector));
            result.vectors[0].slot = Some(*slot);
            return self.say(asked.envelope, Body::Result(result));
        }
        let bytes = bytes(vector);
        self.say(asked.envelope.clone(), Body::Result(result));
        for (i, part) in bytes.chunks(CHUNK_BYTES).enumerate() {
            self.say(asked.envelope.clone(), asked.chunk(i * CHUNK_BYTES, bytes.len(), part.to_vec()));
        }
    }

    /// The refusal that the stream ends with.
    pub fn refused(&mut self) -> v1::Refused {
        loop {
            match self.hear().expect("a refusal before the end") {
                (_, Said::Refused(refused)) => return refused,
                _ => continue,
            }
        }
    }
}

pub fn message(envelope: v1::Envelope, body: Body) -> v1::WorkerMessage {
    checksum::sealed(v1::WorkerMessage { envelope: Some(envelope), body: Some(body), checksum: 0 })
}

impl Asked {
    /// The correct answer to work for a gradient: its result and its vector.
    pub fn gradient(&self, computer: &mut Computer, parameters: &[f32]) -> (v1::Result, Vec<f32>) {
        let v1::Node { lo, hi } = self.work.node.expect("a node");
        computer.set_parameters(parameters).expect("fit");
        let mut gradient = vec![0.0; parameters.len()];
        let node = aggregation::tree::Node { lo, hi };
        let losses =
            computer.combined_gradient(self.work.step, node, &self.work.scales, &mut gradient).expect("is computed");
        let losses = losses.iter().enumerate();
        let losses = losses.map(|(task, sum)| v1::LossSum { task: task as u32, loss: sum.loss, rows: sum.rows });
        let hi = gradient.len() as u64;
        let vector = v1::Vector { node: self.work.node, lo: 0, hi, dtype: v1::DType::F32.into(), ..Default::default() };
        let (node, losses) = (self.work.node, losses.collect());
        let result = v1::Result { work: self.work.id, node, losses, vectors: vec![vector], ..Default::default() };
        (result, gradient)
    }

    pub fn chunk(&self, offset: usize, total: usize, data: Vec<u8>) -> Body {
        let of = v1::ResultVector { work: self.work.id, index: 0 };
        let of = Some(v1::chunk::Of::Result(of));
        Body::Chunk(v1::Chunk { of, offset: offset as u64, total: total as u64, data: data.into() })
    }
}

pub fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|element| element.to_le_bytes()).collect()
}

impl Asked {
    /// The correct answer to work for an evaluation.
    pub fn evaluation(&self, computer: &mut Computer, parameters: &[f32]) -> v1::Result {
        let v1::Node { lo, hi } = self.work.node.expect("a node");
        let split = match self.work.split() {
            v1::Split::Validation => experiment::SplitName::Validation,
            v1::Split::Test => experiment::SplitName::Test,
            other => panic!("no rows of {other:?} are evaluated"),
        };
        computer.set_parameters(parameters).expect("fit");
        let node = aggregation::tree::Node { lo, hi };
        let sums = computer.evaluate(self.work.feeds[0] as usize, split, node).expect("is computed");
        let sums = sums.into_iter().map(|(task, sums)| v1::TaskSums {
            task: task as u32,
            rows: sums.rows,
            loss: sums.loss,
            counts: sums.counts,
            sums: sums.sums,
            scores: sums.scores,
            labels: sums.labels,
            own: Vec::new(),
        });
        v1::Result { work: self.work.id, node: self.work.node, sums: sums.collect(), ..Default::default() }
    }
}
