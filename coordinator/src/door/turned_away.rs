//! Counts peers that were turned away, by reason.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use proto::message::RefusalKind;

/// Counts of peers that were turned away. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct TurnedAway(Arc<Mutex<BTreeMap<RefusalKind, Turns>>>);

/// How many peers were turned away for one reason, and the last of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Turns {
    /// Peers since this coordinator started.
    pub total: u64,
    /// Peers since the last record.
    pub unrecorded: u64,
    /// The address of the last peer.
    pub peer: String,
    /// What was wrong with the last peer, for people.
    pub reason: String,
}

impl TurnedAway {
    /// Counts a peer.
    pub fn add(&self, kind: RefusalKind, peer: &str, reason: impl Into<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = all.entry(kind).or_default();
        turns.total += 1;
        turns.unrecorded += 1;
        turns.peer = peer.to_owned();
        turns.reason = reason.into();
    }

    /// Counts a peer that has a record of its own.
    pub fn count(&self, kind: RefusalKind) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default().total += 1;
    }

    /// How many peers were turned away for each reason.
    pub fn totals(&self) -> BTreeMap<&'static str, u64> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(kind, turns)| (kind.name(), turns.total)).collect()
    }

    /// The peers that are not recorded yet. They count as recorded from now on.
    pub fn take_unrecorded(&self) -> Vec<(RefusalKind, Turns)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        for (kind, turns) in all.iter_mut().filter(|(_, turns)| turns.unrecorded > 0) {
            taken.push((*kind, turns.clone()));
            turns.unrecorded = 0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_record_with_its_count() {
        let away = TurnedAway::default();
        assert!(away.take_unrecorded().is_empty());
        for peer in 0..1000 {
            away.clone().add(RefusalKind::Token, &format!("peer {peer}"), "a wrong token");
        }
        away.add(RefusalKind::Handshake, "x", "not TLS");
        let taken = away.take_unrecorded();
        let token = taken.iter().find(|(kind, _)| *kind == RefusalKind::Token).map(|(_, turns)| turns);
        let expected = Turns { total: 1000, unrecorded: 1000, peer: "peer 999".into(), reason: "a wrong token".into() };
        assert_eq!((taken.len(), token), (2, Some(&expected)));
        assert!(away.take_unrecorded().is_empty());
        away.add(RefusalKind::Token, "y", "a wrong token");
        assert_eq!(away.take_unrecorded()[0].1.total, 1001);
        away.count(RefusalKind::Token);
        assert!(away.take_unrecorded().is_empty());
        assert_eq!(away.totals(), BTreeMap::from([("token", 1002), ("handshake", 1)]));
    }
}
