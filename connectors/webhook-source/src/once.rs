//! Requests that come again: each id is stored once, as far as it is remembered.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

/// A digest of an id, or of a body.
pub type Digest = [u8; 32];

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is under way.
    Open,
    /// Kafka has what it told.
    Stored,
    /// Nothing came of it; the same may be tried again.
    Failed,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Turn {
    /// It is the first of its id, or nothing came of those before: this is to be told what comes of it.
    First(Slot),
    /// It came before: this tells what becomes of that.
    Again(watch::Receiver<State>),
    /// It has the id of another body.
    Other,
}

/// The requests of a connector that are remembered: the last ones, for a time.
#[derive(Debug)]
pub struct Once {
    known: Mutex<Known>,
    window: Duration,
    entries: usize,
}

#[derive(Debug, Default)]
struct Known {
    entries: HashMap<Digest, Entry>,
    /// In the order in which they came; some may be gone or have come again.
    order: VecDeque<(Digest, u64)>,
    serial: u64,
}

#[derive(Debug)]
struct Entry {
    body: Digest,
    state: watch::Receiver<State>,
    at: Instant,
    serial: u64,
}

/// Where it is told what became of a request; dropping it says that nothing came of it.
#[derive(Debug)]
pub struct Slot {
    state: watch::Sender<State>,
    id: Digest,
    serial: u64,
    once: Arc<Once>,
}

impl Once {
    /// Remembers that many for that long.
    pub fn new(window: Duration, entries: usize) -> Arc<Self> {
        Arc::new(Self { known: Mutex::default(), window, entries })
    }

    /// Takes up a request of an id with a body, at that time.
    pub fn begin(self: &Arc<Self>, id: Digest, body: Digest, now: Instant) -> Turn {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.forget(self.window, self.entries.saturating_sub(1), now);
        if let Some(entry) = known.entries.get(&id) {
            if entry.body != body {
                return Turn::Other;
            }
            return Turn::Again(entry.state.clone());
        }
        known.serial += 1;
        let (serial, (sender, state)) = (known.serial, watch::channel(State::Open));
        known.entries.insert(id, Entry { body, state, at: now, serial });
        known.order.push_back((id, serial));
        Turn::First(Slot { state: sender, id, serial, once: self.clone() })
    }
}

impl Known {
    fn forget(&mut self, window: Duration, most: usize, now: Instant) {
        while let Some((id, serial)) = self.order.front() {
            let entry = self.entries.get(id).filter(|entry| entry.serial == *serial);
            let old = entry.is_none_or(|entry| now.saturating_duration_since(entry.at) > window);
            if !old && self.order.len() <= most {
                return;
            }
            if entry.is_some() {
                self.entries.remove(id);
            }
            self.order.pop_front();
        }
    }
}

impl Slot {
    /// Kafka has it.
    pub fn stored(self) {
        self.state.send_replace(State::Stored);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if *self.state.borrow() == State::Stored {
            return;
        }
        let mut known = self.once.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.entries.get(&self.id).is_some_and(|entry| entry.serial == self.serial) {
            known.entries.remove(&self.id);
        }
        drop(known);
        self.state.send_replace(State::Failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn digest(n: u8) -> Digest {
        [n; 32]
    }

    fn first(turn: Turn) -> Slot {
        match turn {
            Turn::First(slot) => slot,
            other => panic!("{other:?} is not the first"),
        }
    }

    fn again(turn: Turn) -> State {
        match turn {
            Turn::Again(state) => *state.borrow(),
            other => panic!("{other:?} did not come before"),
        }
    }

    #[test]
    fn what_was_stored_is_not_taken_again_and_what_failed_is() {
        let (once, now) = (Once::new(SECOND, 10), Instant::now());
        let slot = first(once.begin(digest(1), digest(9), now));
        assert_eq!(again(once.begin(digest(1), digest(9), now)), State::Open);
        drop(slot);
        let slot = first(once.begin(digest(1), digest(9), now));
        slot.stored();
        assert_eq!(again(once.begin(digest(1), digest(9), now)), State::Stored);
        assert!(matches!(once.begin(digest(1), digest(8), now), Turn::Other));
        first(once.begin(digest(1), digest(9), now + 2 * SECOND)).stored();
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let (once, now) = (Once::new(SECOND, 3), Instant::now());
        for n in 0..100 {
            first(once.begin(digest(n), digest(n), now)).stored();
            drop(first(once.begin(digest(200), digest(n), now)));
            let known = once.known.lock().expect("no panic");
            assert!(known.entries.len() <= 3 && known.order.len() <= 3, "{}", known.order.len());
        }
        assert_eq!(again(once.begin(digest(99), digest(99), now)), State::Stored);
        first(once.begin(digest(97), digest(97), now)).stored();
    }

    #[tokio::test]
    async fn who_waits_is_told_what_became_of_the_first() {
        let (once, now) = (Once::new(SECOND, 3), Instant::now());
        let slot = first(once.begin(digest(1), digest(1), now));
        let Turn::Again(mut state) = once.begin(digest(1), digest(1), now) else { panic!("it came before") };
        drop(slot);
        let settled = state.wait_for(|s| *s != State::Open).await.expect("told");
        assert_eq!(*settled, State::Failed);
    }
}
