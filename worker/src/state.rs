//! The worker's state: it does one command after another and answers with messages.

use bytes::Bytes;
use proto::{
    memory,
    message::{ChunkOf, Ready, Refusal, RefusalKind, Welcome, Work, WorkResult, WorkerMessage},
    payload,
};

use crate::{
    loaded::{Failed, Loaded},
    options::Options,
};

/// What the coordinator tells a worker to do.
pub(crate) enum Command {
    /// Load the plan's data and build the model.
    Load { welcome: Box<Welcome>, plan: Vec<u8> },
    /// Keep a version of the parameters that came in chunks.
    SetParameters { version: u64, parameters: Vec<f32> },
    /// Compute losses, gradients or evaluation sums.
    Compute(Work),
}

/// A worker's state: nothing is loaded until the first [`Command::Load`].
pub(crate) struct WorkerState {
    options: Options,
    loaded: Option<Loaded>,
}

impl WorkerState {
    /// A worker that has loaded nothing.
    pub(crate) fn new(options: Options) -> WorkerState {
        WorkerState { options, loaded: None }
    }

    /// Does a command and returns the messages to send.
    ///
    /// # Errors
    /// The reason why the worker must leave the run.
    pub(crate) fn run(&mut self, command: Command) -> Result<Vec<WorkerMessage>, Refusal> {
        match command {
            Command::Load { welcome, plan } => {
                let loaded = Loaded::load(&self.options, &welcome, &plan)?;
                let fingerprint = loaded
                    .network()
                    .fingerprint()
                    .map_err(|error| Refusal { kind: RefusalKind::Fingerprint, reason: error.to_string() })?;
                let ready = Ready {
                    fingerprint,
                    shared_memory: loaded.has_shared_memory(),
                    resident_bytes: memory::resident().peak_bytes,
                };
                self.loaded = Some(loaded);
                Ok(vec![WorkerMessage::Ready(ready)])
            }
            Command::SetParameters { version, parameters } => {
                if let Some(loaded) = &mut self.loaded {
                    loaded.receive_parameters(version, parameters);
                }
                Ok(Vec::new())
            }
            Command::Compute(work) => self.compute(&work),
        }
    }

    fn compute(&mut self, work: &Work) -> Result<Vec<WorkerMessage>, Refusal> {
        let failure = |reason| vec![WorkerMessage::Failure { work: work.id, reason }];
        let Some(loaded) = &mut self.loaded else {
            return Ok(failure("the work came before the worker had loaded its data".to_owned()));
        };
        match loaded.compute(work) {
            Ok((result, vectors)) => Ok(messages(result, vectors)),
            Err(Failed::Data(reason)) => Err(Refusal { kind: RefusalKind::Data, reason }),
            Err(Failed::Work(reason)) => Ok(failure(reason)),
            Err(Failed::Asked(reason)) => Err(Refusal { kind: RefusalKind::Protocol, reason }),
        }
    }
}

/// A result, then the chunks of each vector that does not travel through shared memory.
fn messages(result: WorkResult, vectors: Vec<Bytes>) -> Vec<WorkerMessage> {
    let work = result.work;
    let chunks = vectors
        .into_iter()
        .zip(0..)
        .flat_map(|(bytes, index)| payload::chunks(ChunkOf::Result { work, index }, bytes))
        .map(WorkerMessage::Chunk);
    std::iter::once(WorkerMessage::Result(result)).chain(chunks).collect()
}
