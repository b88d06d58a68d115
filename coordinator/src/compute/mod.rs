//! The coordinator's computing thread: it does what takes time and needs no IO with workers.
//!
//! Jobs run one after the other in the order in which they come. So each job sees the state that
//! the one before it left. A message tells the shell when a job is done.

mod ahead;
mod answers;
mod executor;
mod jacobian;
mod job;
mod piece;
mod reduce;
mod report;
mod trainer;
mod updater;
mod weigher;

pub use ahead::Recipient;
pub use answers::{Gradient, Losses, StepAnswers, Sums};
pub use executor::{Executor, ExecutorEnded};
pub use job::{Done, TrainerJob};
pub use reduce::{Contribution, Missing, Place};
pub use report::{Factors, NotFinite, SkipReport, StepReport, Weighed};
pub use trainer::Trainer;
pub use updater::Updater;
