//! The end of a worker's session: what the worker is told, whether it may come back at once, and
//! what the state machine is told.

use proto::message::RefusalKind;

use crate::run::Departure;

/// How the session of a worker ends.
#[derive(Debug)]
pub(super) struct Ending {
    /// What the worker is told.
    pub tell: Tell,
    /// Whether the worker is banned for a while.
    pub ban: bool,
    /// What the state machine is told. `None`: it knows.
    pub departure: Option<Departure>,
}

/// What the worker is told.
#[derive(Debug)]
pub(super) enum Tell {
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
