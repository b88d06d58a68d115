//! Draws the rows of the next microbatch while the worker computes the present one.
//!
//! A worker computes the same microbatches step after step. So the next one can be guessed before
//! it is requested: it is the successor in the order of the step before. If the guess is wrong (the
//! nodes of a lost worker, a new division), the rows are drawn on request, which only costs time.
//!
//! Some weightings need the losses before or after the gradient, so a step reads its rows more than
//! once. Then the rows are kept until the next step.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use datasets::{Batch, DataError, Store};

/// Names the rows of a microbatch of a step, of one feed or of all feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rows {
    /// The step.
    pub step: u64,
    /// The feed; `None` stands for all feeds, in order.
    pub feed: Option<usize>,
    /// The microbatch.
    pub microbatch: u32,
}

/// One batch a feed, in order.
type Drawn = Result<Arc<Vec<Batch>>, DataError>;

/// Draws rows on a thread of its own, one microbatch ahead.
#[derive(Debug)]
pub struct Prefetch {
    store: Arc<Store>,
    requests: SyncSender<Rows>,
    drawn: Receiver<(Rows, Drawn)>,
    /// Whether the thread draws rows that were not received yet.
    pending: bool,
    order: Order,
    /// The step whose rows were requested last.
    step: Option<u64>,
    /// Rows of the present step, if steps read them more than once.
    kept: Option<BTreeMap<Rows, Arc<Vec<Batch>>>>,
}

impl Prefetch {
    /// Starts the thread. It ends when the value is dropped.
    pub fn start(store: Arc<Store>) -> Prefetch {
        let (requests, asked) = sync_channel::<Rows>(1);
        let (answer, drawn) = sync_channel(1);
        let source = Arc::clone(&store);
        thread::spawn(move || {
            for key in asked {
                if answer.send((key, draw(&source, key))).is_err() {
                    return;
                }
            }
        });
        Prefetch { store, requests, drawn, pending: false, order: Order::default(), step: None, kept: None }
    }

    /// Keeps rows until the next step from now on, since steps read them more than once.
    pub fn keep(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// Returns the rows of a microbatch, and starts to draw those of the next one.
    ///
    /// # Errors
    /// [`DataError`] if the rows can't be read, or are not those of the run.
    pub fn take(&mut self, key: Rows) -> Drawn {
        if let Some(kept) = &mut self.kept {
            kept.retain(|known, _| known.step == key.step);
            if let Some(rows) = kept.get(&key) {
                return Ok(Arc::clone(rows));
            }
        }
        if self.step.replace(key.step) != Some(key.step) {
            self.store.forget_unused(key.step);
        }
        let awaited = if std::mem::take(&mut self.pending) { self.drawn.recv().ok() } else { None };
        let rows = match awaited {
            Some((drawn, rows)) if drawn == key => rows?,
            _ => draw(&self.store, key)?,
        };
        let next = self.order.next(key);
        self.pending = self.requests.try_send(next).is_ok();
        if let Some(kept) = &mut self.kept {
            kept.insert(key, Arc::clone(&rows));
        }
        Ok(rows)
    }
}

fn draw(store: &Store, key: Rows) -> Drawn {
    let feeds = match key.feed {
        Some(feed) => feed..feed + 1,
        None => 0..store.plan().feeds().len(),
    };
    let rows: Result<_, _> = feeds.map(|feed| store.batch(feed, key.step, key.microbatch)).collect();
    Ok(Arc::new(rows?))
}

/// The order in which the microbatches of a step are requested.
#[derive(Debug, Default)]
struct Order {
    /// Requests of the step before.
    before: Vec<Rows>,
    /// Requests of the present step.
    now: Vec<Rows>,
}

impl Order {
    /// Notes a request and guesses the next one.
    fn next(&mut self, rows: Rows) -> Rows {
        if self.now.first().is_some_and(|first| first.step != rows.step) {
            self.before = std::mem::take(&mut self.now);
        }
        self.now.push(rows);
        let same = |known: &&Rows| (known.feed, known.microbatch) == (rows.feed, rows.microbatch);
        let place = self.before.iter().position(|known| same(&known));
        let successor = place.and_then(|place| self.before.get(place + 1));
        match (successor, self.before.first()) {
            (Some(successor), _) => Rows { step: rows.step, ..*successor },
            (None, Some(first)) => Rows { step: rows.step + 1, ..*first },
            (None, None) => Rows { step: rows.step + 1, ..self.now[0] },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_one_step_every_successor_is_guessed() {
        let mut order = Order::default();
        let units = [(None, 2), (None, 3), (Some(1), 2), (Some(1), 6)];
        let rows = |step| units.map(|(feed, microbatch)| Rows { step, feed, microbatch });
        let asked: Vec<Rows> = (0..3).flat_map(rows).collect();
        let guesses: Vec<Rows> = asked.iter().map(|key| order.next(*key)).collect();
        assert_eq!(guesses[4..11], asked[5..12]);
    }
}
