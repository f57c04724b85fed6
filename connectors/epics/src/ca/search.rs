//! Finding out who serves a channel: when to search for what, and the search over UDP.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, warn};

use super::protocol::{self, MAX_DATAGRAM, Reply};

/// The time to the second search; it doubles from there.
const FIRST_PERIOD: Duration = Duration::from_millis(32);
/// The time between two bursts, unless all of the first was answered before.
const BURST_INTERVAL: Duration = Duration::from_millis(30);
/// The most datagrams in a burst, to each target: what fits the default receive buffer of a server several times.
const BURST: usize = 16;
/// How soon all that is missing is searched for when a server has appeared.
const HURRY: Duration = Duration::from_secs(1);

/// What the search is asked for.
#[derive(Debug)]
pub enum Request {
    /// Search for a channel until told otherwise.
    Find {
        /// The client's number of the channel.
        id: u32,
        /// The channel's name, which must fit a datagram.
        name: Arc<str>,
        /// How long to wait before the first search.
        delay: Duration,
    },
    /// Stop searching for a channel.
    Forget {
        /// The client's number of the channel.
        id: u32,
    },
    /// A server has appeared that may have more than the channel it was asked for: search for all the others soon.
    Hurry,
}

/// A server has a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The client's number of the channel.
    pub id: u32,
    /// The server's TCP address.
    pub server: SocketAddr,
}

impl Found {
    /// What `reply` from `sender` says about a channel, if it is the answer to a search.
    pub fn from_reply(reply: &Reply, sender: IpAddr) -> Option<Found> {
        match *reply {
            Reply::Found { cid, address, port } if port != 0 => {
                let server = SocketAddr::new(address.map_or(sender, IpAddr::V4), port);
                Some(Found { id: cid, server })
            }
            _ => None,
        }
    }
}

/// When to search for which channel. Pure: the caller has the clock.
///
/// The time between two searches for a channel doubles up to a longest period. It is shortened by up to a quarter, by a
/// part that differs between channels, so that channels that went missing together spread out.
#[derive(Debug)]
pub struct Schedule {
    missing: HashMap<u32, Missing>,
    queue: BTreeSet<(Instant, u32)>,
    max_period: Duration,
}

#[derive(Debug)]
struct Missing {
    name: Arc<str>,
    due: Instant,
    period: Duration,
}

impl Schedule {
    /// An empty schedule with a longest time between two searches.
    pub fn new(max_period: Duration) -> Schedule {
        Schedule { missing: HashMap::new(), queue: BTreeSet::new(), max_period }
    }

    /// Adds a channel that is first due at `due`, or moves it there.
    pub fn find(&mut self, id: u32, name: Arc<str>, due: Instant) {
        self.forget(id);
        let period = FIRST_PERIOD.min(self.max_period);
        self.missing.insert(id, Missing { name, due, period });
        self.queue.insert((due, id));
    }

    /// Removes a channel.
    pub fn forget(&mut self, id: u32) {
        if let Some(missing) = self.missing.remove(&id) {
            self.queue.remove(&(missing.due, id));
        }
        if self.missing.is_empty() {
            // All that were searched for at the start have been found.
            self.missing.shrink_to(1024);
        }
    }

    /// Makes everything due within a second.
    pub fn hurry(&mut self, now: Instant) {
        for (id, missing) in &mut self.missing {
            let due = now + HURRY.mul_f64(spread(*id));
            if missing.due > due {
                self.queue.remove(&(missing.due, *id));
                missing.due = due;
                missing.period = HURRY.min(self.max_period);
                self.queue.insert((due, *id));
            }
        }
    }

    /// When the next channel is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// The datagrams for the channels that are due, longest due first, but no more than `limit`.
    pub fn datagrams(&mut self, now: Instant, limit: usize) -> Vec<Bytes> {
        let mut full = Vec::new();
        let mut current = BytesMut::new();
        while let Some((due, id)) = self.queue.first().copied().filter(|(due, _)| *due <= now) {
            let Some(missing) = self.missing.get_mut(&id) else {
                self.queue.remove(&(due, id));
                continue;
            };
            let mut search = BytesMut::new();
            protocol::Request::Search { cid: id, name: &missing.name }.write(&mut search);
            if !current.is_empty() && current.len() + search.len() > MAX_DATAGRAM {
                full.push(current.split().freeze());
            }
            if full.len() == limit {
                return full;
            }
            if current.is_empty() {
                protocol::Request::Version { priority: 0 }.write(&mut current);
            }
            current.extend_from_slice(&search);

            self.queue.remove(&(due, id));
            missing.due = now + missing.period.mul_f64(1.0 - spread(id) / 4.0);
            missing.period = (missing.period * 2).min(self.max_period);
            self.queue.insert((missing.due, id));
        }
        if !current.is_empty() {
            full.push(current.freeze());
        }
        full
    }
}

/// A number from 0 to 1 that differs between neighbouring channels.
fn spread(id: u32) -> f64 {
    // Multiples of the golden ratio spread evenly, however many there are.
    f64::from(id.wrapping_mul(0x9e37_79b9)) / f64::from(u32::MAX)
}

/// The running search.
#[derive(Debug)]
pub struct Search {
    /// What to search for, and when.
    pub schedule: Schedule,
    /// The socket that searches go out from and replies come to.
    pub socket: UdpSocket,
    /// Where searches go to by UDP.
    pub targets: Vec<SocketAddr>,
    /// Where searches go to by TCP. A name server that is not connected or slow misses some; they are repeated.
    pub name_servers: Vec<mpsc::Sender<Bytes>>,
    /// What the search is asked for. It ends when nobody can ask any more.
    pub requests: mpsc::UnboundedReceiver<Request>,
    /// Where answers go to. They come as often as servers answer.
    pub found: mpsc::Sender<Found>,
}

impl Search {
    /// Searches until there is nobody to ask or to answer.
    pub async fn run(mut self) {
        let mut requests = Vec::new();
        let mut datagram = vec![0; 65_536];
        let mut next_burst = Instant::now();
        let mut unreachable = HashSet::new();
        // Datagrams of the last burst that no answer has come to yet.
        let mut unanswered = 0_usize;
        loop {
            let due = self.schedule.next_due();
            tokio::select! {
                received = self.requests.recv_many(&mut requests, 4096) => {
                    if received == 0 {
                        return;
                    }
                    self.take(&mut requests);
                }
                received = self.socket.recv_from(&mut datagram) => match received {
                    Ok((len, sender)) => {
                        // Servers answer datagram by datagram: who has answered them all has room for more.
                        unanswered = unanswered.saturating_sub(1);
                        if unanswered == 0 {
                            next_burst = Instant::now();
                        }
                        for reply in protocol::datagram_replies(&datagram[..len]) {
                            let Some(found) = Found::from_reply(&reply, sender.ip()) else { continue };
                            if self.found.send(found).await.is_err() {
                                return;
                            }
                        }
                    }
                    Err(error) => {
                        debug!(%error, "receiving search replies");
                        // Should the socket fail for good, this loop must not spin.
                        sleep(BURST_INTERVAL).await;
                    }
                },
                () = sleep_until(due.unwrap_or(next_burst).max(next_burst)), if due.is_some() => {
                    unanswered = self.burst(&mut unreachable).await;
                    next_burst = Instant::now() + BURST_INTERVAL;
                }
            }
        }
    }

    fn take(&mut self, requests: &mut Vec<Request>) {
        let now = Instant::now();
        for request in requests.drain(..) {
            match request {
                Request::Find { id, name, delay } => self.schedule.find(id, name, now + delay),
                Request::Forget { id } => self.schedule.forget(id),
                Request::Hurry => self.schedule.hurry(now),
            }
        }
    }

    /// Sends a burst; answers of how many datagrams it was.
    async fn burst(&mut self, unreachable: &mut HashSet<SocketAddr>) -> usize {
        let datagrams = self.schedule.datagrams(Instant::now(), BURST);
        for datagram in &datagrams {
            for target in &self.targets {
                match self.socket.send_to(datagram, target).await {
                    Ok(_) => {
                        unreachable.remove(target);
                    }
                    // Said once for each time that it begins: searches are repeated for as long as something is missing.
                    Err(error) => {
                        if unreachable.insert(*target) {
                            warn!(%target, %error, "sending searches");
                        }
                    }
                }
            }
            for name_server in &self.name_servers {
                let _missed = name_server.try_send(datagram.clone());
            }
        }
        datagrams.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(datagram: &Bytes) -> Vec<u32> {
        let mut rest = &datagram[..];
        let mut ids = Vec::new();
        while let Some((header, len)) = protocol::Header::parse(rest) {
            if header.command == protocol::command::SEARCH {
                ids.push(header.p1);
            }
            rest = &rest[len + header.payload_len as usize..];
        }
        ids
    }

    #[tokio::test]
    async fn datagrams_begin_with_version_and_stay_small() {
        let now = Instant::now();
        let mut schedule = Schedule::new(Duration::from_secs(300));
        for id in 0..200 {
            schedule.find(id, format!("TEST:channel:{id}").into(), now);
        }
        let datagrams = schedule.datagrams(now, 100);
        let mut ids: Vec<u32> = datagrams.iter().flat_map(names).collect();
        for datagram in &datagrams {
            assert!(datagram.len() <= MAX_DATAGRAM);
            assert_eq!(datagram[..8], [0, 0, 0, 0, 0, 0, 0, 13]);
        }
        ids.sort_unstable();
        assert_eq!(ids, (0..200).collect::<Vec<_>>());
        assert!(schedule.datagrams(now, 100).is_empty(), "nothing is due twice");
    }

    #[tokio::test]
    async fn a_burst_is_bounded_and_the_rest_stays_due() {
        let now = Instant::now();
        let mut schedule = Schedule::new(Duration::from_secs(300));
        for id in 0..1000 {
            schedule.find(id, format!("TEST:channel:{id}").into(), now);
        }
        let mut ids = Vec::new();
        let mut bursts = 0;
        loop {
            let datagrams = schedule.datagrams(now, 3);
            if datagrams.is_empty() {
                break;
            }
            assert!(datagrams.len() <= 3);
            bursts += 1;
            ids.extend(datagrams.iter().flat_map(names));
        }
        assert!(bursts > 5, "{bursts} bursts");
        ids.sort_unstable();
        assert_eq!(ids, (0..1000).collect::<Vec<_>>(), "each is searched for once");
    }

    #[tokio::test]
    async fn periods_double_up_to_the_longest() {
        let mut now = Instant::now();
        let mut schedule = Schedule::new(Duration::from_secs(2));
        schedule.find(0, "T:ai0".into(), now);
        let mut periods = Vec::new();
        for _ in 0..10 {
            assert_eq!(schedule.datagrams(now, 1).len(), 1);
            let due = schedule.next_due().expect("the channel stays due");
            periods.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(periods, [32, 64, 128, 256, 512, 1024, 2000, 2000, 2000, 2000]);
    }

    #[tokio::test]
    async fn hurry_brings_everything_forward_and_forget_removes() {
        let now = Instant::now();
        let mut schedule = Schedule::new(Duration::from_secs(300));
        schedule.find(1, "T:late".into(), now + Duration::from_secs(200));
        schedule.find(2, "T:soon".into(), now);
        schedule.hurry(now);
        schedule.forget(2);
        let due = schedule.next_due().expect("the late one");
        assert!(due <= now + HURRY);
        assert_eq!(schedule.datagrams(due, 1).iter().flat_map(names).collect::<Vec<_>>(), [1]);
        schedule.forget(1);
        assert_eq!(schedule.next_due(), None);
        assert!(schedule.missing.is_empty() && schedule.queue.is_empty());
    }

    #[test]
    fn a_reply_without_address_means_its_sender() {
        let sender = IpAddr::from([192, 0, 2, 9]);
        let reply = |address| Reply::Found { cid: 7, address, port: 6064 };
        let found = |ip: [u8; 4]| Some(Found { id: 7, server: SocketAddr::from((ip, 6064)) });
        assert_eq!(Found::from_reply(&reply(None), sender), found([192, 0, 2, 9]));
        assert_eq!(Found::from_reply(&reply(Some([192, 0, 2, 1].into())), sender), found([192, 0, 2, 1]));
        assert_eq!(Found::from_reply(&Reply::Found { cid: 7, address: None, port: 0 }, sender), None);
        assert_eq!(Found::from_reply(&Reply::Echo, sender), None);
    }
}
