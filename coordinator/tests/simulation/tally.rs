//! What happened in a seed.

/// How often each thing happened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub coordinators_killed: u64,
    pub powers_lost: u64,
    pub disks_failed: u64,
    pub workers_killed: u64,
    pub workers_stopped: u64,
    pub partitions: u64,
    pub messages_lost: u64,
    pub messages_doubled: u64,
    pub works_failed: u64,
    pub hostile_deeds: u64,
    pub results_dropped: u64,
    pub stragglers: u64,
    pub resumed: u64,
    pub steps_skipped: u64,
    pub workers_banned: u64,
    pub saves_asked: u64,
    pub interrupted: u64,
    pub improved: u64,
    pub best_owed: u64,
}

impl Tally {
    /// The sums of both tallies.
    pub fn plus(self, other: Tally) -> Tally {
        Tally {
            coordinators_killed: self.coordinators_killed + other.coordinators_killed,
            powers_lost: self.powers_lost + other.powers_lost,
            disks_failed: self.disks_failed + other.disks_failed,
            workers_killed: self.workers_killed + other.workers_killed,
            workers_stopped: self.workers_stopped + other.workers_stopped,
            partitions: self.partitions + other.partitions,
            messages_lost: self.messages_lost + other.messages_lost,
            messages_doubled: self.messages_doubled + other.messages_doubled,
            works_failed: self.works_failed + other.works_failed,
            hostile_deeds: self.hostile_deeds + other.hostile_deeds,
            results_dropped: self.results_dropped + other.results_dropped,
            stragglers: self.stragglers + other.stragglers,
            resumed: self.resumed + other.resumed,
            steps_skipped: self.steps_skipped + other.steps_skipped,
            workers_banned: self.workers_banned + other.workers_banned,
            saves_asked: self.saves_asked + other.saves_asked,
            interrupted: self.interrupted + other.interrupted,
            improved: self.improved + other.improved,
            best_owed: self.best_owed + other.best_owed,
        }
    }

    /// The least count, without the one that needs a full disk at the right moment.
    pub fn least(&self) -> u64 {
        let all = [
            self.coordinators_killed,
            self.powers_lost,
            self.disks_failed,
            self.workers_killed,
            self.workers_stopped,
            self.partitions,
            self.messages_lost,
            self.messages_doubled,
            self.works_failed,
            self.hostile_deeds,
            self.results_dropped,
            self.stragglers,
            self.resumed,
            self.steps_skipped,
            self.workers_banned,
            self.saves_asked,
            self.interrupted,
            self.improved,
        ];
        all.into_iter().min().unwrap_or_default()
    }
}
