//! The end of a worker's session: what the worker is told, whether it may come back at once, and
//! what the state machine is told.

use proto::message::{CoordinatorMessage, Refusal, RefusalKind};

use super::{Shell, connection::name};
use crate::{
    journal::{Observation, Reason},
    run::{Departure, Event, WorkerId},
};

/// How the session of a worker ends.
#[derive(Debug)]
pub(super) struct Ending {
    tell: Tell,
    /// Whether the worker is banned for a while.
    ban: bool,
    /// What the state machine is told. `None`: it knows.
    departure: Option<Departure>,
}

/// What the worker is told.
#[derive(Debug)]
enum Tell {
    /// Nothing: its stream is broken.
    Nothing,
    /// That its lease is over and it may join anew.
    LeaseOver(String),
    /// That it is refused. The refusal is counted and recorded.
    Refused(RefusalKind, String),
}

impl Ending {
    /// The worker is at fault: it is refused and banned.
    pub(super) fn fault(kind: RefusalKind, reason: String) -> Ending {
        Ending { ban: true, ..Ending::refusal(kind, reason) }
    }

    /// The worker does not fit the run: it is refused.
    pub(super) fn refusal(kind: RefusalKind, reason: String) -> Ending {
        let departure = Some(Departure::Left(reason.clone()));
        Ending { tell: Tell::Refused(kind, reason), ban: false, departure }
    }

    /// A message was damaged on the way: the worker may come back at once. Its work counts as
    /// failed, so that a line that damages everything ends the run and names that work.
    pub(super) fn damaged(reason: String) -> Ending {
        Ending { departure: Some(Departure::Disconnected), ..Ending::refusal(RefusalKind::Damaged, reason) }
    }

    /// The worker's lease is over. If the worker is still there, it may join anew.
    pub(super) fn lease_over(departure: Departure) -> Ending {
        let tell = Tell::LeaseOver(format!("dismissed: {departure}"));
        Ending { tell, ban: false, departure: Some(departure) }
    }

    /// The worker is gone.
    pub(super) fn gone(departure: Departure) -> Ending {
        Ending { tell: Tell::Nothing, ban: false, departure: Some(departure) }
    }

    /// This ending, if the state machine has decided on it and need not be told.
    pub(super) fn decided_by_run(self) -> Ending {
        Ending { departure: None, ..self }
    }
}

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
                let name = name(worker, &connection.hello);
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
