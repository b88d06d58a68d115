//! Why a worker is refused, or leaves.

use crate::v1;

/// A typed refusal: `kind` is stable, `reason` is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal.
    pub kind: RefusalKind,
    /// Why, for people.
    pub reason: String,
}

/// Why a worker can't join, or must leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// The worker has another version of the program.
    Version,
    /// The worker's binary lacks a part that the experiment uses, or has another version of it.
    Parts,
    /// The message belongs to another run, or to a coordinator that was replaced.
    Stale,
    /// The worker's data are not those of the run.
    Data,
    /// The worker would compute other bits.
    Fingerprint,
    /// The worker's device or thread count is not the run's.
    Device,
    /// A peer of this version never sends the message.
    Protocol,
    /// The message was damaged on the network; its sender is not to blame.
    Damaged,
    /// The worker was told to stop.
    Shutdown,
    /// The connection does not speak the protocol, or its handshake failed.
    Handshake,
    /// The peer has no certificate, or one that is not trusted.
    Certificate,
    /// The peer has no join token, or a wrong one.
    Token,
    /// A process of another user of the coordinator's machine.
    User,
    /// There are too many connections.
    Connections,
    /// A result is not finite although its losses are.
    NotFinite,
    /// The worker was dropped for a fault of its own less than [`crate::COOL_DOWN`] ago.
    CoolDown,
}

impl RefusalKind {
    /// All kinds with their stable names.
    pub const ALL: [(RefusalKind, &'static str); 16] = [
        (RefusalKind::Version, "version"),
        (RefusalKind::Parts, "parts"),
        (RefusalKind::Stale, "stale"),
        (RefusalKind::Data, "data"),
        (RefusalKind::Fingerprint, "fingerprint"),
        (RefusalKind::Device, "device"),
        (RefusalKind::Protocol, "protocol"),
        (RefusalKind::Damaged, "damaged"),
        (RefusalKind::Shutdown, "shutdown"),
        (RefusalKind::Handshake, "handshake"),
        (RefusalKind::Certificate, "certificate"),
        (RefusalKind::Token, "token"),
        (RefusalKind::User, "user"),
        (RefusalKind::Connections, "connections"),
        (RefusalKind::NotFinite, "not_finite"),
        (RefusalKind::CoolDown, "cool_down"),
    ];

    /// The kind's name on the wire and in the journal.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("protocol", |(_, name)| name)
    }

    /// The kind with this name, if there is one.
    pub fn from_name(name: &str) -> Option<RefusalKind> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }
}

impl Refusal {
    /// A refusal as it came off the wire. A kind that this version does not know becomes
    /// [`RefusalKind::Protocol`].
    pub(crate) fn from_wire(kind: &str, reason: String) -> Refusal {
        Refusal { kind: RefusalKind::from_name(kind).unwrap_or(RefusalKind::Protocol), reason }
    }
}

impl From<Refusal> for v1::Refused {
    fn from(refusal: Refusal) -> v1::Refused {
        v1::Refused { kind: refusal.kind.name().into(), reason: refusal.reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_refusal_has_a_name_that_leads_back_to_it() {
        for (kind, name) in RefusalKind::ALL {
            assert_eq!(kind.name(), name);
            assert_eq!(RefusalKind::from_name(name), Some(kind));
        }
    }
}
