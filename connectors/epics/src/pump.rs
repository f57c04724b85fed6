//! From the provider's events to the board, whether anybody polls or not.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use connect_api::{Error, Result};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    board::{Board, Seen},
    channel::Event,
    notes::Notes,
};

/// How often at most it is told how many values were replaced.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// The board between the pump, which fills it, and `poll`.
pub(crate) struct Shared {
    board: Mutex<Board>,
    news: Notify,
    /// There is room again, or channels came.
    changed: Notify,
    notes: Arc<Notes>,
}

impl Shared {
    pub(crate) fn new(board: Board, notes: Arc<Notes>) -> Arc<Shared> {
        Arc::new(Shared { board: Mutex::new(board), news: Notify::new(), changed: Notify::new(), notes })
    }

    /// Always reads, so that it is the board that coalesces and not the server, which would lose changes of alarms;
    /// but not beyond what the board holds.
    pub(crate) async fn pump(self: Arc<Self>, mut events: mpsc::Receiver<Event>, stop: CancellationToken) {
        let mut batch = Vec::new();
        let (mut counted, mut count_from) = (0, Instant::now());
        let mut full_since: Option<Instant> = None;
        loop {
            let (is_full, deadline, coalesced) = self.with_board(|board| {
                self.tell_missing(board);
                match (board.is_full(), full_since) {
                    (true, None) => full_since = Some(Instant::now()),
                    // That a channel is connected may have waited to be read.
                    (false, Some(since)) => {
                        board.postpone(since.elapsed());
                        full_since = None;
                    }
                    _ => {}
                }
                (board.is_full(), board.next_deadline(), board.coalesced())
            });
            if coalesced != counted && count_from <= Instant::now() {
                self.notes.coalesced(coalesced);
                (counted, count_from) = (coalesced, Instant::now() + COUNT_EVERY);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() && !is_full => {
                    self.with_board(|board| board.expire(Instant::now()));
                }
                () = sleep_until(count_from), if coalesced != counted => {}
                count = events.recv_many(&mut batch, 256), if !is_full => {
                    if count == 0 {
                        return self.with_board(Board::end);
                    }
                    let now = Instant::now();
                    self.with_board(|board| {
                        for event in batch.drain(..) {
                            board.note(event, now);
                        }
                        // Before anybody sees what came with a connection.
                        self.tell_missing(board);
                    });
                }
            }
        }
    }

    fn tell_missing(&self, board: &mut Board) {
        if let Some(missing) = board.missing() {
            self.notes.missing(&missing);
        }
    }

    /// Adds and removes channels. No event is taken meanwhile.
    pub(crate) fn change<T>(&self, work: impl FnOnce(&mut Board) -> T) -> T {
        let done = self.with_board(|board| {
            let done = work(board);
            self.tell_missing(board);
            done
        });
        self.changed.notify_one();
        done
    }

    fn with_board<T>(&self, work: impl FnOnce(&mut Board) -> T) -> T {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(&mut board);
        if !board.is_empty() || board.has_ended() {
            self.news.notify_one();
        }
        done
    }

    /// The next entries, at least one; cancel-safe.
    pub(crate) async fn take(&self, max: usize) -> Result<Vec<Seen>> {
        loop {
            let (taken, has_ended) = self.with_board(|board| (board.take(max), board.has_ended()));
            self.changed.notify_one();
            if !taken.is_empty() {
                return Ok(taken);
            }
            if has_ended {
                return Err(Error::fatal("the provider of channels has stopped"));
            }
            self.news.notified().await;
        }
    }
}
