//! How a worker leaves: its session ends, and everyone concerned is told.

use proto::message::{CoordinatorMessage, Refusal, RefusalKind};

use super::{
    Shell,
    ending::{Ending, Tell},
};
use crate::{
    journal::{Observation, Reason},
    run::{Event, WorkerId},
};

impl Shell {
    /// Ends the session of a worker. Does nothing if the worker is not connected.
    pub(super) fn end(&mut self, worker: WorkerId, Ending { tell, ban, departure }: Ending) {
        if ban {
            self.connections.ban(self.started.elapsed(), worker);
        }
        let Some(connection) = self.connections.remove(worker) else { return };
        // A worker that can't be told finds its stream closed.
        let send = |kind, reason| {
            let refusal = Refusal { kind, reason };
            let _ = connection.send(self.envelope(worker), CoordinatorMessage::Refused(refusal));
        };
        match tell {
            Tell::Nothing => {}
            Tell::LeaseOver(reason) => send(RefusalKind::Stale, reason),
            Tell::Refused(kind, reason) => {
                let name = connection.name(worker);
                tracing::warn!(worker = name, kind = kind.name(), reason, "refused");
                send(kind, reason.clone());
                self.connections.count_refused(kind, &reason);
                self.recorder.observe(Observation::WorkerRefused { name, reason: Reason::new(kind.name(), reason) });
            }
        }
        if let Some(departure) = departure {
            self.tell(Event::Lost(worker, departure));
        }
    }
}
