//! Rows of the next microbatch are drawn while the present one is computed.
//!
//! A worker computes the same microbatches step after step, so the next one is known before it is asked
//! for: it is the successor in the order of the step before. Where the guess is wrong (nodes of a lost
//! worker, a new division) the rows are drawn when they are asked for, and nothing but time is lost.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use datasets::{Batch, DataError, Store};

/// A step and a microbatch of it.
type Key = (u64, u32);
/// The rows of all feeds.
type Drawn = Result<Vec<Batch>, DataError>;

/// Draws rows on a thread of its own, one microbatch ahead.
#[derive(Debug)]
pub struct Prefetch {
    store: Arc<Store>,
    requests: SyncSender<Key>,
    drawn: Receiver<(Key, Drawn)>,
    pending: Option<Key>,
    order: Order,
}

impl Prefetch {
    /// Starts the thread; it ends when this is dropped.
    pub fn start(store: Arc<Store>) -> Prefetch {
        let (requests, asked) = sync_channel::<Key>(1);
        let (answer, drawn) = sync_channel(1);
        let source = Arc::clone(&store);
        thread::spawn(move || {
            for key in asked {
                if answer.send((key, draw(&source, key))).is_err() {
                    return;
                }
            }
        });
        Prefetch { store, requests, drawn, pending: None, order: Order::default() }
    }

    /// The rows of a microbatch, of all feeds in order; those of the next one are drawn meanwhile.
    ///
    /// # Errors
    /// When the rows can't be read, or are not those of the run.
    pub fn take(&mut self, step: u64, microbatch: u32) -> Drawn {
        let key = (step, microbatch);
        let rows = match self.pending.take().and_then(|_| self.drawn.recv().ok()) {
            Some((drawn, rows)) if drawn == key => rows,
            _ => draw(&self.store, key),
        };
        let next = self.order.next(key);
        if self.requests.try_send(next).is_ok() {
            self.pending = Some(next);
        }
        rows
    }
}

fn draw(store: &Store, (step, microbatch): Key) -> Drawn {
    (0..store.plan().feeds().len()).map(|feed| store.batch(feed, step, microbatch)).collect()
}

/// The order in which microbatches of a step are asked for.
#[derive(Debug, Default)]
struct Order {
    step: u64,
    before: Vec<u32>,
    now: Vec<u32>,
}

impl Order {
    /// Notes a request and guesses the one after it.
    fn next(&mut self, (step, microbatch): Key) -> Key {
        if step != self.step {
            self.before = std::mem::take(&mut self.now);
            self.step = step;
        }
        self.now.push(microbatch);
        let place = self.before.iter().position(|known| *known == microbatch);
        let successor = place.and_then(|place| self.before.get(place + 1));
        match (successor, self.before.first()) {
            (Some(successor), _) => (step, *successor),
            (None, Some(first)) => (step + 1, *first),
            (None, None) => (step + 1, self.now[0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_one_step_every_successor_is_guessed() {
        let mut order = Order::default();
        let asked: Vec<Key> = (0..3).flat_map(|step| [2, 3, 6].map(|microbatch| (step, microbatch))).collect();
        let guesses: Vec<Key> = asked.iter().map(|key| order.next(*key)).collect();
        assert_eq!(guesses[3..8], asked[4..9]);
    }
}
