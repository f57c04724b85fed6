//! Messages that are not settled with the broker yet, by packet identifier; pure.
//!
//! Identifiers belong to the session, not to the connection: after a reconnection the broker sends what was not
//! acknowledged again, under its old identifier and marked as a duplicate. What is on its way to Kafka, or there already,
//! is then not handed over a second time but acknowledged on the new connection. Every message that is handed over has a
//! ticket of its own, so that a late receipt cannot acknowledge another message that has the identifier by then.

use std::{
    collections::{HashMap, VecDeque, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
};

use crate::packet::{Message, Short};

/// Stands for one message that was handed over.
pub type Ticket = u64;

/// What is to be done with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is handed over. Without a ticket it is not acknowledged.
    New(Option<Ticket>),
    /// It was handed over before.
    Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Kafka has not got it yet.
    Waiting,
    /// Kafka has it.
    Stored,
    /// Of quality 2: the broker was told so, and has not released it yet.
    Received,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    ticket: Ticket,
    digest: u64,
    twice: bool,
    stage: Stage,
    /// Whether this connection has brought it, and owes an acknowledgement.
    owed: bool,
}

/// Messages of quality 1 and 2 of a session.
#[derive(Debug, Default)]
pub struct Inflight {
    issued: Ticket,
    entries: HashMap<u16, Entry>,
    ids: HashMap<Ticket, u16>,
    /// What this connection has brought and is not acknowledged on it, in order.
    order: VecDeque<(u16, Ticket)>,
}

impl Inflight {
    /// A connection begins. A session that was not resumed has forgotten everything.
    pub fn connected(&mut self, resumed: bool) {
        self.order.clear();
        self.entries.values_mut().for_each(|entry| entry.owed = false);
        if !resumed {
            self.entries.clear();
            self.ids.clear();
        }
    }

    /// A message has come.
    pub fn arrived(&mut self, message: &Message) -> Arrival {
        if message.qos == 0 {
            return Arrival::New(None);
        }
        let digest = digest(message);
        if let Some(entry) = self.entries.get_mut(&message.id) {
            // A broker that has lost its memory may give the identifier to another message.
            if message.duplicate && entry.digest == digest {
                if entry.stage == Stage::Received {
                    entry.stage = Stage::Stored;
                }
                if !std::mem::replace(&mut entry.owed, true) {
                    self.order.push_back((message.id, entry.ticket));
                }
                return Arrival::Known;
            }
            self.ids.remove(&entry.ticket);
        }
        self.issued += 1;
        let ticket = self.issued;
        let entry = Entry { ticket, digest, twice: message.qos == 2, stage: Stage::Waiting, owed: true };
        self.entries.insert(message.id, entry);
        self.ids.insert(ticket, message.id);
        self.order.push_back((message.id, ticket));
        Arrival::New(Some(ticket))
    }

    /// Kafka has the message.
    pub fn stored(&mut self, ticket: Ticket) {
        let Some(id) = self.ids.remove(&ticket) else { return };
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.stage = Stage::Stored;
        }
    }

    /// The message was not handed over: the connection broke first. It is a new one when it comes again.
    pub fn dropped(&mut self, ticket: Ticket) {
        if let Some(id) = self.ids.remove(&ticket) {
            self.entries.remove(&id);
        }
    }

    /// What can be acknowledged now: in the order in which the messages came, as the protocol demands.
    pub fn acknowledgements(&mut self) -> Vec<Short> {
        let mut all = Vec::new();
        while let Some(&(id, ticket)) = self.order.front() {
            match self.entries.get_mut(&id).filter(|entry| entry.ticket == ticket) {
                Some(entry) if entry.stage == Stage::Waiting => break,
                Some(entry) if entry.twice => {
                    // Until it is released the broker may ask again, and gets the same answer.
                    (entry.stage, entry.owed) = (Stage::Received, false);
                    all.push(Short::Receive(id));
                }
                Some(_) => {
                    // From here on the broker may use the identifier for another message.
                    self.entries.remove(&id);
                    all.push(Short::Acknowledge(id));
                }
                // Another message has taken its place.
                None => {}
            }
            self.order.pop_front();
        }
        all
    }

    /// The broker will not send a message of quality 2 again. It gets an answer also where nothing is known of it, as
    /// after a restart, or it would ask for ever.
    pub fn released(&mut self, id: u16) -> Short {
        if self.entries.get(&id).is_some_and(|entry| entry.stage == Stage::Received) {
            self.entries.remove(&id);
        }
        Short::Complete(id)
    }

    /// How many messages are not settled.
    pub fn unsettled(&self) -> usize {
        self.entries.len()
    }
}

fn digest(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&message.topic, &message.payload, message.cut, message.qos, message.retained).hash(&mut hasher);
    (&message.content_type, &message.response_topic, &message.correlation, &message.properties).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u16, qos: u8, payload: &'static str) -> Message {
        Message { topic: "t".into(), payload: payload.into(), qos, id, ..Message::default() }
    }

    fn again(message: &Message) -> Message {
        Message { duplicate: true, ..message.clone() }
    }

    fn ticket(arrival: Arrival) -> Ticket {
        match arrival {
            Arrival::New(Some(ticket)) => ticket,
            other => panic!("no ticket: {other:?}"),
        }
    }

    #[test]
    fn acknowledgements_keep_the_order_of_arrival() {
        let mut inflight = Inflight::default();
        let tickets: Vec<_> =
            [(5, 1), (3, 2), (4, 1)].map(|(id, qos)| ticket(inflight.arrived(&message(id, qos, "x")))).into();
        inflight.stored(tickets[1]);
        inflight.stored(tickets[2]);
        assert_eq!(inflight.acknowledgements(), []);
        inflight.stored(tickets[0]);
        assert_eq!(inflight.acknowledgements(), [Short::Acknowledge(5), Short::Receive(3), Short::Acknowledge(4)]);
        assert_eq!(inflight.acknowledgements(), []);
        assert_eq!(inflight.released(3), Short::Complete(3));
        assert_eq!(inflight.unsettled(), 0);
        assert_eq!(inflight.arrived(&message(0, 0, "x")), Arrival::New(None));
    }

    #[test]
    fn what_is_under_way_is_not_handed_over_again_and_is_acknowledged_on_the_new_connection() {
        for qos in [1, 2] {
            let mut inflight = Inflight::default();
            let (first, second) = (message(1, qos, "a"), message(2, qos, "b"));
            let tickets = (ticket(inflight.arrived(&first)), ticket(inflight.arrived(&second)));
            inflight.connected(true);
            inflight.stored(tickets.0);
            assert_eq!(inflight.acknowledgements(), [], "nothing came on this connection yet");
            assert_eq!(inflight.arrived(&again(&first)), Arrival::Known);
            assert_eq!(inflight.arrived(&again(&second)), Arrival::Known);
            assert_eq!(inflight.acknowledgements().len(), 1);
            inflight.stored(tickets.1);
            assert_eq!(inflight.acknowledgements().len(), 1);
        }
    }

    #[test]
    fn quality_2_is_remembered_until_it_is_released() {
        let mut inflight = Inflight::default();
        let first = message(1, 2, "a");
        let one = ticket(inflight.arrived(&first));
        inflight.stored(one);
        assert_eq!(inflight.acknowledgements(), [Short::Receive(1)]);
        inflight.connected(true);
        assert_eq!(inflight.arrived(&again(&first)), Arrival::Known);
        assert_eq!(inflight.acknowledgements(), [Short::Receive(1)]);
        assert_eq!(inflight.released(1), Short::Complete(1));
        assert_eq!(inflight.released(1), Short::Complete(1), "nothing is known of it and the broker has its answer");
        ticket(inflight.arrived(&again(&first)));
    }

    #[test]
    fn an_identifier_that_was_acknowledged_is_another_message() {
        let mut inflight = Inflight::default();
        let first = message(1, 1, "on");
        let one = ticket(inflight.arrived(&first));
        inflight.stored(one);
        assert_eq!(inflight.acknowledgements(), [Short::Acknowledge(1)]);
        inflight.connected(true);
        // It may be the next message, which was lost on its first way.
        assert_ne!(ticket(inflight.arrived(&again(&first))), one);
    }

    #[test]
    fn what_was_not_handed_over_is_new_when_it_comes_again() {
        for qos in [1, 2] {
            let mut inflight = Inflight::default();
            let (first, second) = (message(1, qos, "a"), message(2, qos, "b"));
            let kept = ticket(inflight.arrived(&first));
            let lost = ticket(inflight.arrived(&second));
            inflight.dropped(lost);
            inflight.connected(true);
            assert_eq!(inflight.arrived(&again(&first)), Arrival::Known);
            let handed = ticket(inflight.arrived(&again(&second)));
            inflight.stored(kept);
            inflight.stored(lost);
            assert_eq!(inflight.acknowledgements().len(), 1);
            inflight.stored(handed);
            assert_eq!(inflight.acknowledgements().len(), 1);
        }
    }

    #[test]
    fn a_late_receipt_does_not_acknowledge_another_message() {
        let mut inflight = Inflight::default();
        let old = ticket(inflight.arrived(&message(1, 1, "old")));
        inflight.connected(true);
        let new = ticket(inflight.arrived(&again(&message(1, 1, "new"))));
        inflight.stored(old);
        assert_eq!(inflight.acknowledgements(), []);
        inflight.stored(new);
        assert_eq!(inflight.acknowledgements(), [Short::Acknowledge(1)]);

        let lost = ticket(inflight.arrived(&message(2, 2, "x")));
        inflight.connected(false);
        inflight.stored(lost);
        let fresh = ticket(inflight.arrived(&again(&message(2, 2, "x"))));
        assert_eq!(inflight.acknowledgements(), []);
        inflight.stored(fresh);
        assert_eq!(inflight.acknowledgements(), [Short::Receive(2)]);
    }
}
