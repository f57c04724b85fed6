//! What was read and waits for the task: bounded, so that memory is.
//!
//! Datagrams that find no room are dropped and counted; connections wait for room. Each of the two has a room of its
//! own, so that a flood of datagrams does not hold up connections.

use std::sync::Arc;

use connect_api::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{framing::Frame, listener::Transport, meters::Tally, record::Arrival};

/// What a message takes beside its bytes.
const OVERHEAD: usize = 200;

/// A message as it came.
#[derive(Debug)]
pub struct Received {
    /// Its bytes.
    pub bytes: Bytes,
    /// Why it is not whole.
    pub wrong: Option<String>,
    /// Where it came from.
    pub arrival: Arrival,
    /// Its place among those that wait, until it is a record.
    _room: OwnedSemaphorePermit,
}

/// Where readers put what they read.
#[derive(Debug, Clone)]
pub struct Intake {
    sender: mpsc::Sender<Received>,
    room: Arc<Semaphore>,
    size: usize,
    tally: Arc<Tally>,
}

impl Intake {
    /// Room for so many messages of so many bytes; what is put comes out of the other end.
    pub fn new(messages: usize, bytes: usize, tally: Arc<Tally>) -> (Self, mpsc::Receiver<Received>) {
        let (sender, receiver) = mpsc::channel(messages);
        let size = bytes.min(Semaphore::MAX_PERMITS);
        (Self { sender, room: Arc::new(Semaphore::new(size)), size, tally }, receiver)
    }

    /// Counts.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Puts a datagram if there is room; otherwise it is dropped and counted.
    pub fn offer(&self, bytes: &[u8], wrong: Option<String>, arrival: Arrival) {
        if bytes.is_empty() {
            return;
        }
        self.tally.received(Transport::Udp);
        let room = self.room.clone().try_acquire_many_owned(self.cost(bytes.len()));
        let place = self.sender.try_reserve();
        let (Ok(room), Ok(place)) = (room, place) else { return self.tally.dropped() };
        place.send(Received { bytes: Bytes::copy_from_slice(bytes), wrong, arrival, _room: room });
    }

    /// Puts a message of a connection when there is room; whether there is still somebody to take it.
    pub async fn put(&self, frame: Frame, arrival: Arrival) -> bool {
        let Frame { bytes, wrong } = frame;
        if bytes.is_empty() {
            return true;
        }
        self.tally.received(arrival.listener.transport);
        let Ok(room) = self.room.clone().acquire_many_owned(self.cost(bytes.len())).await else { return false };
        self.sender.send(Received { bytes, wrong, arrival, _room: room }).await.is_ok()
    }

    fn cost(&self, bytes: usize) -> u32 {
        u32::try_from((bytes + OVERHEAD).min(self.size)).unwrap_or(u32::MAX)
    }
}
