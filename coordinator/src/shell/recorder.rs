//! Writes the journal, for as long as this coordinator may.

use std::time::{Duration, Instant};

use tokio::time;

use crate::{
    clock::now_ms,
    compute::StepReport,
    door::{TurnedAway, Turns},
    error::CoordinatorError,
    folder::Fence,
    journal::{Journal, JournalError, Observation, Reason, Record},
};

/// The pauses between attempts to write the last records.
const SETTLE_MS: [u64; 6] = [100, 200, 400, 800, 1600, 3200];
/// The least time between two records of peers that were turned away for the same reason.
const TURNED_AWAY_EVERY: Duration = Duration::from_secs(10);
/// The least time between two attempts to write a journal that is behind.
const RETRY: Duration = Duration::from_secs(1);

/// Writes the journal of a run.
pub(super) struct Recorder {
    fence: Fence,
    journal: Journal,
    /// A step that is done and not in the journal yet. Workers get the next step's work first.
    unrecorded: Option<StepReport>,
    /// The first error that ends the run.
    failure: Option<CoordinatorError>,
    /// When a journal that is behind was tried last.
    tried: Option<Instant>,
    /// When peers that were turned away were recorded last.
    turned_away: Option<Instant>,
}

impl Recorder {
    pub(super) fn new(fence: Fence, journal: Journal) -> Recorder {
        Recorder { fence, journal, unrecorded: None, failure: None, tried: None, turned_away: None }
    }

    /// Writes an observation.
    pub(super) fn observe(&mut self, observation: Observation) {
        self.append(&[Record::observed(now_ms(), observation)]);
    }

    /// Writes records. If the disk does not take them, they wait. If another coordinator has taken
    /// over, or a result differs from one in the journal, the run fails.
    pub(super) fn append(&mut self, records: &[Record]) {
        if let Err(fenced) = self.fence.check() {
            return self.fail(fenced.into());
        }
        match self.journal.append_all(records) {
            Ok(_) => {}
            Err(error @ JournalError::Io { .. }) => self.fall_behind(&error),
            Err(error) => self.fail(error.into()),
        }
    }

    /// The disk does not take records: they wait, and the run goes on.
    fn fall_behind(&mut self, error: &JournalError) {
        tracing::warn!(%error, "the journal's records wait for the disk; the run goes on");
        let reason = Reason::new("journal", error.to_string());
        let warning = Record::observed(now_ms(), Observation::Warning { reason });
        // The warning waits with the others. If too many wait, the next `append` fails the run.
        let _ = self.journal.append_all(&[warning]);
    }

    /// Ends the run if the journal is not at its path any more: what comes would be lost.
    pub(super) fn check_place(&mut self) {
        if let Err(gone) = self.journal.check_place() {
            // A run folder that another coordinator has is the better explanation.
            let error = self.fence.check().err().map_or_else(|| gone.into(), CoordinatorError::from);
            self.fail(error);
        }
    }

    /// Tries to write a journal that is behind, at most once a second.
    pub(super) fn catch_up(&mut self) {
        if !self.journal.is_behind() || self.tried.is_some_and(|tried| tried.elapsed() < RETRY) {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "the shell is where time is read")]
        let now = Instant::now();
        self.tried = Some(now);
        if self.fence.check().is_ok() && self.journal.flush().is_ok() {
            tracing::warn!("the journal has caught up");
        }
    }

    /// Writes which peers were turned away: one record for each reason, however many peers there
    /// were, and not too often unless it is the `last` time.
    pub(super) fn record_turned_away(&mut self, turned_away: &TurnedAway, last: bool) {
        if !last && self.turned_away.is_some_and(|recorded| recorded.elapsed() < TURNED_AWAY_EVERY) {
            return;
        }
        let taken = turned_away.take_unrecorded();
        if taken.is_empty() {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "the shell is where time is read")]
        let now = Instant::now();
        self.turned_away = Some(now);
        for (kind, Turns { total, unrecorded: count, peer, reason }) in taken {
            let kind = kind.name();
            tracing::warn!(peer, kind, count, reason, "turned away");
            self.observe(Observation::TurnedAway { peer, reason: Reason::new(kind, reason), count, total });
        }
    }

    /// A step is done, and is to be recorded when the next step's work has left.
    pub(super) fn record_later(&mut self, report: StepReport) {
        self.unrecorded = Some(report);
    }

    /// Whether a step is done and not in the journal yet.
    pub(super) fn has_unrecorded(&self) -> bool {
        self.unrecorded.is_some()
    }

    /// The step that is done and not in the journal yet.
    pub(super) fn take_unrecorded(&mut self) -> Option<StepReport> {
        self.unrecorded.take()
    }

    /// Syncs the journal before a checkpoint is written. The inner result says whether the disk
    /// took all records.
    ///
    /// # Errors
    /// If another coordinator has taken over, or the journal is of no use any more.
    pub(super) fn sync_for_checkpoint(&mut self) -> Result<Result<(), JournalError>, CoordinatorError> {
        self.fence.check()?;
        match self.journal.sync() {
            Err(error) if !matches!(error, JournalError::Io { .. }) => Err(error.into()),
            synced => Ok(synced),
        }
    }

    /// The journal's length in bytes and its sha256, for a checkpoint.
    pub(super) fn position(&self) -> (u64, String) {
        (self.journal.length(), self.journal.sha256().unwrap_or_default())
    }

    /// Writes the last records to the disk. If the disk is full, it has a few seconds to recover.
    ///
    /// # Errors
    /// If another coordinator has taken over, or the disk does not take the records.
    pub(super) async fn settle(&mut self) -> Result<(), CoordinatorError> {
        for pause_ms in SETTLE_MS {
            match self.journal.sync() {
                Err(JournalError::Io { .. }) => {
                    self.fence.check()?;
                    time::sleep(Duration::from_millis(pause_ms)).await;
                }
                settled => return Ok(settled?),
            }
        }
        Ok(self.journal.sync()?)
    }

    /// Ends the run with an error, unless one has ended it before.
    pub(super) fn fail(&mut self, error: CoordinatorError) {
        self.failure.get_or_insert(error);
    }

    /// Whether an error ends the run.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The error that ends the run.
    pub(super) fn take_failure(&mut self) -> Option<CoordinatorError> {
        self.failure.take()
    }
}
