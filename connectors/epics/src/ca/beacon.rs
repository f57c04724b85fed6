//! Beacons: servers say again and again that they live. One that is new or has started again makes the search for what is
//! missing hurry.
//!
//! Servers send beacons to one port of a host, and only one program of the host can have it: the repeater, which passes
//! them on to all others. Who finds no repeater becomes it, as every Channel Access client does.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, warn};

use super::{
    protocol::{self, Header, Reply, command, datagram_replies, write_message},
    search,
};

/// The time to the search after news; more news of that time share it.
const GATHER: Duration = Duration::from_millis(50);
/// How often this client registers with a repeater, which confirms it each time.
const REGISTER_EVERY: Duration = Duration::from_secs(5);
/// How long an unconfirmed registration waits for the next.
const REGISTER_AGAIN: Duration = Duration::from_secs(1);
/// After so many registrations without an answer the repeater is gone.
const UNANSWERED: u32 = 3;
/// Servers send beacons every 15 s at least; one that was silent for longer than this is as good as new.
const SILENCE: Duration = Duration::from_secs(60);
/// So many servers are remembered, and so many clients served by the repeater.
const MOST: usize = 4096;

/// What is known of the servers. Pure: the caller has the clock.
#[derive(Debug, Default)]
pub struct Sightings {
    /// Number and time of the last beacon.
    servers: HashMap<SocketAddr, (u32, Instant)>,
}

impl Sightings {
    /// Takes a server's beacon with its number; answers whether the server has come up since it was last heard of.
    pub fn note(&mut self, server: SocketAddr, number: u32, now: Instant) -> bool {
        if self.servers.len() >= MOST {
            self.servers.retain(|_, (_, last)| now - *last <= SILENCE);
        }
        if self.servers.len() >= MOST && !self.servers.contains_key(&server) {
            return false;
        }
        let Some((before, last)) = self.servers.insert(server, (number, now)) else { return true };
        // The same one comes several times where a host has several interfaces.
        let began_anew = number.wrapping_sub(before).cast_signed() < 0;
        began_anew || now - last > SILENCE
    }
}

/// The running listener.
#[derive(Debug)]
pub struct Beacons {
    /// The port of repeaters.
    pub port: u16,
    /// Where to ask for searches. The listener ends when nobody takes them any more.
    pub requests: mpsc::UnboundedSender<search::Request>,
}

impl Beacons {
    /// Listens until nobody is searching any more.
    pub async fn run(self) {
        let mut listener =
            Listener { port: self.port, requests: self.requests, sightings: Sightings::default(), due: None };
        let mut told = false;
        while !listener.requests.is_closed() {
            let ended = match UdpSocket::bind((Ipv4Addr::UNSPECIFIED, self.port)).await {
                Ok(socket) => listener.repeat(socket).await,
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => listener.follow_repeater().await,
                Err(e) => Err(e),
            };
            if let Err(error) = ended {
                if !std::mem::replace(&mut told, true) {
                    let port = self.port;
                    warn!(port, %error, "listening to beacons; servers that come up are found by searches alone");
                }
                sleep(REGISTER_EVERY).await;
            }
        }
    }
}

struct Listener {
    port: u16,
    requests: mpsc::UnboundedSender<search::Request>,
    sightings: Sightings,
    /// When to search because of news.
    due: Option<Instant>,
}

impl Listener {
    /// Is the repeater of this host.
    async fn repeat(&mut self, socket: UdpSocket) -> io::Result<()> {
        debug!(port = self.port, "repeater of this host");
        let mut clients: HashMap<SocketAddr, UdpSocket> = HashMap::new();
        let mut datagram = vec![0; 65_536];
        while let Some((len, sender)) = self.receive(&socket, &mut datagram, None).await? {
            if len == 0 || is_registration(&datagram[..len]) {
                if clients.len() < MOST && is_here(sender.ip()).await {
                    register(&mut clients, sender).await;
                }
                continue;
            }
            self.look_at(&datagram[..len], sender);
            let passed_on = with_sender(&datagram[..len], sender);
            // A client that has gone shows when the datagram before was refused.
            let mut gone = Vec::new();
            for (client, to) in &clients {
                if to.send(&passed_on).await.is_err() {
                    gone.push(*client);
                }
            }
            gone.iter().for_each(|client| drop(clients.remove(client)));
        }
        Ok(())
    }

    /// Has beacons passed on by the repeater of this host, until that is gone.
    async fn follow_repeater(&mut self) -> io::Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mut registration = BytesMut::new();
        protocol::Request::RegisterWithRepeater { address: Ipv4Addr::LOCALHOST }.write(&mut registration);
        let mut datagram = vec![0; 65_536];
        let (mut again, mut unanswered) = (Instant::now(), 0);
        loop {
            if again <= Instant::now() {
                if unanswered == UNANSWERED {
                    return Ok(());
                }
                socket.send_to(&registration, (Ipv4Addr::LOCALHOST, self.port)).await?;
                unanswered += 1;
                again = Instant::now() + REGISTER_AGAIN;
            }
            let Some((len, sender)) = self.receive(&socket, &mut datagram, Some(again)).await? else {
                if self.requests.is_closed() {
                    return Ok(());
                }
                continue;
            };
            if self.look_at(&datagram[..len], sender) {
                (again, unanswered) = (Instant::now() + REGISTER_EVERY, 0);
            }
        }
    }

    /// The next datagram; none at the deadline, or when nobody is searching any more. Searches as news demand meanwhile.
    async fn receive(
        &mut self,
        socket: &UdpSocket,
        datagram: &mut [u8],
        deadline: Option<Instant>,
    ) -> io::Result<Option<(usize, SocketAddr)>> {
        loop {
            let (due, until) = (self.due, deadline);
            tokio::select! {
                received = socket.recv_from(datagram) => match received {
                    Ok(received) => return Ok(Some(received)),
                    // What an earlier datagram of ours met; this socket is none the worse for it.
                    Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                    Err(e) => return Err(e),
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.due = None;
                    if self.requests.send(search::Request::Hurry).is_err() {
                        return Ok(None);
                    }
                }
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => return Ok(None),
                () = self.requests.closed() => return Ok(None),
            }
        }
    }

    /// Takes the beacons of a datagram; answers whether it confirms a registration.
    fn look_at(&mut self, datagram: &[u8], sender: SocketAddr) -> bool {
        let now = Instant::now();
        let mut confirmed = false;
        for reply in datagram_replies(datagram) {
            match reply {
                Reply::Beacon { address, port, id } if port != 0 => {
                    let server = SocketAddr::new(address.map_or(sender.ip(), IpAddr::V4), port);
                    if self.sightings.note(server, id, now) {
                        debug!(%server, "server has come up");
                        self.due = self.due.or(Some(now + GATHER));
                    }
                }
                Reply::RepeaterConfirmed => confirmed = true,
                _ => {}
            }
        }
        confirmed
    }
}

async fn register(clients: &mut HashMap<SocketAddr, UdpSocket>, client: SocketAddr) {
    let mut confirmation = BytesMut::new();
    let header = Header { command: command::REPEATER_CONFIRM, p2: Ipv4Addr::LOCALHOST.to_bits(), ..Header::default() };
    write_message(&mut confirmation, header, &[]);
    let connected = async {
        // A connected socket is told when nobody listens at the other end.
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        socket.connect(client).await?;
        socket.send(&confirmation).await?;
        io::Result::Ok(socket)
    };
    match connected.await {
        Ok(socket) => drop(clients.insert(client, socket)),
        Err(error) => debug!(%client, %error, "registering with this repeater"),
    }
}

fn is_registration(datagram: &[u8]) -> bool {
    Header::parse(datagram).is_some_and(|(header, _)| header.command == command::REPEATER_REGISTER)
}

/// Whether an address is one of this host: others have repeaters of their own.
async fn is_here(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).await.is_ok()
}

/// The datagram with the sender's address in a beacon that leaves it open, as the next receiver cannot see it any more.
fn with_sender(datagram: &[u8], sender: SocketAddr) -> Vec<u8> {
    let mut passed_on = datagram.to_vec();
    if let (Some((header, _)), IpAddr::V4(address)) = (Header::parse(datagram), sender.ip())
        && header.command == command::BEACON
        && header.p2 == 0
    {
        passed_on[12..16].copy_from_slice(&address.octets());
    }
    passed_on
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5064);
    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test(start_paused = true)]
    async fn servers_that_come_up_are_news() {
        let mut sightings = Sightings::default();
        let mut now = Instant::now();
        let mut note = |number, after: u64| {
            now += Duration::from_secs(after);
            sightings.note(SERVER, number, now)
        };
        assert!(note(7, 0), "never heard of");
        assert!(!note(7, 0), "the same beacon over another interface");
        assert!(!note(8, 15) && !note(10, 30), "one was lost");
        assert!(note(0, 1), "it counts from the beginning");
        assert!(!note(1, 60) && note(2, 61), "it was away for long");
        let mut wrapped = Sightings::default();
        assert!(wrapped.note(SERVER, u32::MAX, now) && !wrapped.note(SERVER, 0, now), "numbers wrap");
    }

    fn beacon(number: u32) -> BytesMut {
        let mut out = BytesMut::new();
        let header = Header { command: command::BEACON, data_type: 13, count: 6064, p1: number, ..Header::default() };
        write_message(&mut out, header, &[]);
        out
    }

    async fn hurried(requests: &mut mpsc::UnboundedReceiver<search::Request>) {
        let request = timeout(LONG, requests.recv()).await.expect("in time").expect("the listener runs");
        assert!(matches!(request, search::Request::Hurry));
    }

    #[tokio::test]
    async fn the_first_listener_repeats_for_the_others_and_the_next_takes_over() {
        // A port that is free now; nobody else of this machine asks for that very one.
        let port = UdpSocket::bind(("127.0.0.1", 0)).await.and_then(|s| s.local_addr()).expect("a free port").port();
        let (first, mut first_hurries) = mpsc::unbounded_channel();
        let repeater = tokio::spawn(Beacons { port, requests: first }.run());
        let server = UdpSocket::bind(("127.0.0.1", 0)).await.expect("a socket");
        // Until it listens.
        let mut number = 1000;
        let mut send = async || {
            number -= 1;
            server.send_to(&beacon(number), ("127.0.0.1", port)).await.expect("sent");
        };
        while timeout(Duration::from_millis(100), first_hurries.recv()).await.is_err() {
            send().await;
        }
        let (second, mut second_hurries) = mpsc::unbounded_channel();
        let other = tokio::spawn(Beacons { port, requests: second }.run());
        while timeout(Duration::from_millis(100), second_hurries.recv()).await.is_err() {
            send().await;
        }
        hurried(&mut first_hurries).await;

        // Who was the repeater ends; the other notices and takes its place.
        drop(first_hurries);
        timeout(LONG, repeater).await.expect("it ends in time").expect("it ends well");
        while second_hurries.try_recv().is_ok() {}
        let begun = Instant::now();
        while timeout(Duration::from_millis(100), second_hurries.recv()).await.is_err() {
            send().await;
            assert!(begun.elapsed() < REGISTER_EVERY + LONG, "nobody repeats");
        }
        drop(second_hurries);
        timeout(LONG, other).await.expect("it ends in time").expect("it ends well");
    }

    #[test]
    fn beacons_are_passed_on_with_their_sender() {
        let passed_on = with_sender(&beacon(3), SERVER);
        assert_eq!(
            datagram_replies(&passed_on),
            [Reply::Beacon { address: Some(Ipv4Addr::new(192, 0, 2, 1)), port: 6064, id: 3 }]
        );
        let mut own = BytesMut::new();
        let header = Header { command: command::BEACON, count: 1, p2: 0x0a00_0001, ..Header::default() };
        write_message(&mut own, header, &[]);
        assert_eq!(with_sender(&own, SERVER), own, "what a server says of itself stands");
    }
}
