//! Runs jobs: on the computing thread, or at once if that is faster.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc as blocking,
    },
    thread,
};

use tokio::sync::mpsc;

use super::{
    job::{Done, TrainerJob},
    piece::ALONE_ELEMENTS,
    trainer::Trainer,
};

/// Runs jobs: on the computing thread, or at once if that is faster. In both cases a message tells
/// when a job is done.
pub struct Executor {
    trainer: Arc<Mutex<Trainer>>,
    jobs: blocking::Sender<TrainerJob>,
    done: mpsc::UnboundedSender<Done>,
    queued: Arc<AtomicUsize>,
    /// Whether jobs of a step run at once: the model is so small that waking a thread takes longer.
    at_once: bool,
}

/// The computing thread has ended, or nobody receives its messages.
#[derive(Debug)]
pub struct ExecutorEnded;

impl Executor {
    /// Starts the computing thread, which ends when the executor is dropped.
    pub fn start(trainer: Trainer, done: mpsc::UnboundedSender<Done>) -> (Executor, thread::JoinHandle<()>) {
        let (jobs, asked) = blocking::channel();
        let at_once = trainer.updater.parameters().elements() <= ALONE_ELEMENTS;
        let trainer = Arc::new(Mutex::new(trainer));
        let queued = Arc::new(AtomicUsize::new(0));
        let executor =
            Executor { trainer: Arc::clone(&trainer), jobs, done: done.clone(), queued: Arc::clone(&queued), at_once };
        let thread = thread::spawn(move || {
            let _reporter = CrashReporter(done.clone());
            for job in asked {
                let mut trainer = lock(&trainer);
                let said = trainer.run(job);
                queued.fetch_sub(1, Ordering::Release);
                if done.send(said).is_err() {
                    return;
                }
                trainer.updater.look_ahead();
            }
        });
        (executor, thread)
    }

    /// Orders a job. It runs after those that were ordered before.
    ///
    /// # Errors
    /// The thread has ended.
    pub fn order(&self, job: TrainerJob) -> Result<(), ExecutorEnded> {
        let idle = self.queued.load(Ordering::Acquire) == 0;
        if self.at_once && idle && job.is_of_step() {
            let said = lock(&self.trainer).run(job);
            return self.done.send(said).map_err(|_| ExecutorEnded);
        }
        self.queued.fetch_add(1, Ordering::Release);
        self.jobs.send(job).map_err(|_| ExecutorEnded)
    }

    /// Counts the labelled rows of the next steps, after an update that ran at once. The thread
    /// does so by itself.
    pub fn look_ahead(&self) {
        if self.at_once && self.queued.load(Ordering::Acquire) == 0 {
            lock(&self.trainer).updater.look_ahead();
        }
    }
}

/// Sends [`Done::Crashed`] if its thread panics. Otherwise the shell would wait for ever.
struct CrashReporter(mpsc::UnboundedSender<Done>);

impl Drop for CrashReporter {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.0.send(Done::Crashed);
        }
    }
}

/// Locks the trainer. A poisoned lock is not a problem: a job that panics ends the run
/// ([`CrashReporter`]), and nobody reads the state that it left.
fn lock(trainer: &Mutex<Trainer>) -> MutexGuard<'_, Trainer> {
    trainer.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_says_so_and_one_that_ends_does_not() {
        let ends_with = |panics: bool| {
            let (done, mut heard) = mpsc::unbounded_channel();
            let thread = thread::spawn(move || {
                let _reporter = CrashReporter(done);
                assert!(!panics, "a mistake of our own");
            });
            assert_eq!(thread.join().is_err(), panics);
            heard.try_recv()
        };
        assert!(matches!(ends_with(true), Ok(Done::Crashed)));
        assert!(ends_with(false).is_err());
    }
}
