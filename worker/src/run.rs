//! Takes part in a run: one session after another, until the run is over.

use std::{pin::pin, time::Duration};

use proto::{COOL_DOWN, message::RefusalKind};
use tokio::time;

use crate::{
    ended::Ended,
    error::WorkerError,
    options::Options,
    session::{self, Progress},
};

/// How many sessions in a row may end before the worker is accepted.
const SESSIONS_MAX: u32 = 10;
/// The pause before the worker connects again. It doubles with each session, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How much longer than [`COOL_DOWN`] a worker waits that is in its cool-down.
const COOL_DOWN_MARGIN: Duration = Duration::from_secs(1);

/// Takes part in a run until it is over, or until `stop` is ready.
///
/// If the connection breaks, the worker connects again for up to [`Options::wait`]: another
/// coordinator may resume the run from its last checkpoint. The worker then joins with a new lease.
/// It holds no state that the run needs.
///
/// # Errors
/// [`WorkerError`] says why the worker did not take part to the end.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> Result<Ended, WorkerError> {
    let mut stop = pin!(stop);
    let (mut in_vain, mut pause) = (0, PAUSE_MIN);
    #[expect(clippy::disallowed_methods, reason = "the wait is real time")]
    let now = time::Instant::now;
    // Since when no coordinator has sent a welcome.
    let mut unwelcome_since = None;
    loop {
        let mut progress = Progress::default();
        let lost = match session::run(&options, stop.as_mut(), &mut progress).await {
            Err(lost @ WorkerError::Disconnected(_)) => lost,
            Err(WorkerError::Refused(refusal)) if may_try_again(refusal.kind) => WorkerError::Refused(refusal),
            ended => return ended,
        };
        let cools_down = matches!(&lost, WorkerError::Refused(refusal) if is_cool_down(refusal.kind));
        if progress.accepted {
            (in_vain, pause) = (0, PAUSE_MIN);
        }
        if progress.welcome || cools_down {
            unwelcome_since = None;
        }
        in_vain += 1;
        let is_too_long = unwelcome_since.is_some_and(|since: time::Instant| since.elapsed() > options.wait);
        if in_vain > SESSIONS_MAX || is_too_long {
            return Err(lost);
        }
        if !progress.welcome && !cools_down {
            unwelcome_since.get_or_insert_with(now);
        }
        tracing::warn!("{lost}; connecting to the coordinator again");
        tokio::select! {
            () = time::sleep(if cools_down { COOL_DOWN + COOL_DOWN_MARGIN } else { pause }) => {}
            () = stop.as_mut() => return Ok(Ended::Stopped),
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Whether a worker that was refused for this reason may be accepted when it tries again.
fn may_try_again(kind: RefusalKind) -> bool {
    matches!(kind, RefusalKind::Stale | RefusalKind::Damaged) || is_cool_down(kind)
}

/// Whether the coordinator refuses the worker for [`COOL_DOWN`] after this refusal.
fn is_cool_down(kind: RefusalKind) -> bool {
    matches!(kind, RefusalKind::CoolDown | RefusalKind::NotFinite)
}
