//! The table of channels: who is searched for, who is on which circuit; and start and stop of everything.

use std::{
    collections::{HashMap, HashSet, hash_map},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{UdpSocket, lookup_host},
    sync::mpsc,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::{Instrument as _, warn};

use super::{
    beacon::Beacons,
    circuit::{Circuit, LostChannel, Note, Order, Place},
    name_server::NameServer,
    protocol::MAX_NAME,
    search::{Found, Request, Schedule, Search},
    settings::{Endpoint, Settings},
};
use crate::channel::{ChannelId, Event, Failure, Subscription};

/// Lets a first lot of channels gather into full datagrams.
const FIRST_SEARCH: Duration = Duration::from_millis(5);
/// The time to the search for a channel that was just lost: its server may be starting again.
const AFTER_LOSS: Duration = Duration::from_millis(100);
/// The time to the search for a channel that was found but could not be opened; it doubles with each failure.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// A running client. Dropping it stops all its tasks.
#[derive(Debug)]
pub struct Client {
    commands: mpsc::UnboundedSender<Command>,
    next_id: AtomicU32,
    tasks: TaskTracker,
    stop: DropGuard,
}

/// Why a client could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A host name has no address.
    #[error("resolving {endpoint}")]
    Resolve {
        /// The host as it was given.
        endpoint: Endpoint,
        /// What the resolver says.
        source: io::Error,
    },
    /// A host name has no IPv4 address.
    #[error("resolving {endpoint}: no IPv4 address")]
    NoIpv4 {
        /// The host as it was given.
        endpoint: Endpoint,
    },
    /// The socket for searches could not be opened.
    #[error("opening a socket for searches")]
    Socket(#[source] io::Error),
}

impl Client {
    /// Resolves the host names of `settings` and starts searching for what will be added. Must be called within a Tokio
    /// runtime.
    ///
    /// Events wait in a queue of `settings.event_queue`. When it is full, circuits stop reading and servers keep only the
    /// newest state of each channel.
    ///
    /// # Errors
    ///
    /// If a host name cannot be resolved or no socket opened.
    pub async fn start(settings: Settings) -> Result<(Client, mpsc::Receiver<Event>), StartError> {
        let targets = resolve(&settings.search_targets).await?;
        let name_server_addresses = resolve(&settings.name_servers).await?;
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.map_err(StartError::Socket)?;
        socket.set_broadcast(true).map_err(StartError::Socket)?;

        let settings = Arc::new(settings);
        let cancel = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (events, receiver) = mpsc::channel(settings.event_queue.max(1));
        let (commands, command_receiver) = mpsc::unbounded_channel();
        let (requests, request_receiver) = mpsc::unbounded_channel();
        let (found, found_receiver) = mpsc::channel(1024);
        let (notes, note_receiver) = mpsc::unbounded_channel();

        let mut name_servers = Vec::new();
        for server in name_server_addresses {
            let (searches, search_receiver) = mpsc::channel(64);
            name_servers.push(searches);
            let name_server = NameServer {
                server,
                settings: settings.clone(),
                searches: search_receiver,
                found: found.clone(),
                requests: requests.clone(),
            };
            tasks.spawn(cancel.clone().run_until_cancelled_owned(name_server.run()).in_current_span());
        }
        if let Some(port) = settings.repeater_port {
            let beacons = Beacons { port, requests: requests.clone() };
            tasks.spawn(cancel.clone().run_until_cancelled_owned(beacons.run()).in_current_span());
        }
        let schedule = Schedule::new(settings.max_search_period);
        let search = Search { schedule, socket, targets, name_servers, requests: request_receiver, found };
        tasks.spawn(cancel.clone().run_until_cancelled_owned(search.run()).in_current_span());

        let manager = Manager {
            settings,
            channels: HashMap::new(),
            circuits: HashMap::new(),
            next_generation: 0,
            duplicates: HashSet::new(),
            requests,
            notes,
            events,
            tasks: tasks.clone(),
            cancel: cancel.clone(),
        };
        tasks.spawn(manager.run(command_receiver, found_receiver, note_receiver).in_current_span());
        let client = Client { commands, next_id: AtomicU32::new(0), tasks, stop: cancel.drop_guard() };
        Ok((client, receiver))
    }

    /// Begins to monitor a channel, or to read it again and again. The same name may be added more than once; each has its own events.
    ///
    /// A name that no server can have is answered with [`Event::Failed`].
    pub fn add(&self, name: impl Into<Arc<str>>, subscription: impl Into<Subscription>) -> ChannelId {
        let id = ChannelId(self.next_id.fetch_add(1, Ordering::Relaxed));
        // After the client has stopped, for want of a receiver of events, nothing happens any more.
        let _ = self.commands.send(Command::Add { id, name: name.into(), subscription: subscription.into() });
        id
    }

    /// Ends the monitoring of a channel. Events that are already queued still come.
    pub fn remove(&self, id: ChannelId) {
        let _ = self.commands.send(Command::Remove { id });
    }

    /// Stops all tasks and waits for their end.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn resolve(endpoints: &[Endpoint]) -> Result<Vec<SocketAddr>, StartError> {
    let mut addresses = Vec::new();
    for endpoint in endpoints {
        let found = lookup_host((endpoint.host.as_str(), endpoint.port)).await;
        let mut found = found.map_err(|source| StartError::Resolve { endpoint: endpoint.clone(), source })?;
        let address = found.find(SocketAddr::is_ipv4);
        addresses.push(address.ok_or_else(|| StartError::NoIpv4 { endpoint: endpoint.clone() })?);
    }
    Ok(addresses)
}

#[derive(Debug)]
enum Command {
    Add { id: ChannelId, name: Arc<str>, subscription: Subscription },
    Remove { id: ChannelId },
}

/// Owns the table of channels. A channel is either searched for or on a circuit.
#[derive(Debug)]
struct Manager {
    settings: Arc<Settings>,
    channels: HashMap<ChannelId, Channel>,
    circuits: HashMap<Place, CircuitHandle>,
    next_generation: u64,
    /// Pairs of servers that are known to have the same channel.
    duplicates: HashSet<(SocketAddr, SocketAddr)>,
    requests: mpsc::UnboundedSender<Request>,
    notes: mpsc::UnboundedSender<Note>,
    events: mpsc::Sender<Event>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

#[derive(Debug)]
struct Channel {
    name: Arc<str>,
    subscription: Subscription,
    /// The circuit and its number; none while searched for.
    place: Option<Arc<(Place, u64)>>,
    /// How often in a row the channel was found but could not be opened.
    failures: u32,
}

#[derive(Debug)]
struct CircuitHandle {
    /// Where it leads and its number, shared by its channels.
    place: Arc<(Place, u64)>,
    orders: mpsc::UnboundedSender<Order>,
    /// How many channels are on the circuit.
    channels: usize,
}

impl Manager {
    async fn run(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut found: mpsc::Receiver<Found>,
        mut notes: mpsc::UnboundedReceiver<Note>,
    ) {
        let cancel = self.cancel.clone();
        let events = self.events.clone();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = events.closed() => return cancel.cancel(),
                Some(command) = commands.recv() => self.obey(command, &cancel).await,
                Some(found) = found.recv() => self.found(found),
                Some(note) = notes.recv() => self.note(note),
            }
        }
    }

    async fn obey(&mut self, command: Command, cancel: &CancellationToken) {
        match command {
            Command::Add { id, name, .. } if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') => {
                let failed = Event::Failed { id, why: Failure::InvalidName { limit: MAX_NAME } };
                // Whichever way this ends early, the loop ends next.
                let _ = cancel.run_until_cancelled(self.events.send(failed)).await;
            }
            Command::Add { id, name, subscription } => {
                self.request(Request::Find { id: id.0, name: name.clone(), delay: FIRST_SEARCH });
                self.channels.insert(id, Channel { name, subscription, place: None, failures: 0 });
            }
            Command::Remove { id } => match self.channels.remove(&id) {
                Some(Channel { place: Some(at), .. }) => {
                    let (place, generation) = *at;
                    self.order(place, generation, Order::Remove { id });
                    self.left(place, generation);
                }
                Some(_) => self.request(Request::Forget { id: id.0 }),
                None => {}
            },
        }
    }

    fn found(&mut self, Found { id, server }: Found) {
        let id = ChannelId(id);
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if let Some((Place { server: other, .. }, _)) = channel.place.as_deref().copied() {
            // Servers repeat themselves; two different ones, though, are worth a word to whoever runs them.
            if other != server && self.duplicates.insert((other, server)) {
                warn!(channel = %channel.name, used = %other, ignored = %server, "channel on two servers");
            }
            return;
        }
        let place = Place { server, priority: channel.subscription.priority };
        let circuit = match self.circuits.entry(place) {
            hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hash_map::Entry::Vacant(entry) => {
                let generation = self.next_generation;
                self.next_generation += 1;
                let (orders, receiver) = mpsc::unbounded_channel();
                let circuit =
                    Circuit::new(place, generation, self.settings.clone(), self.events.clone(), self.notes.clone());
                self.tasks
                    .spawn(self.cancel.clone().run_until_cancelled_owned(circuit.run(receiver)).in_current_span());
                entry.insert(CircuitHandle { place: Arc::new((place, generation)), orders, channels: 0 })
            }
        };
        let create = Order::Create { id, name: channel.name.clone(), subscription: channel.subscription };
        if circuit.orders.send(create).is_err() {
            // The circuit has ended and its note is on the way; the next reply finds a new one.
            return;
        }
        circuit.channels += 1;
        channel.place = Some(circuit.place.clone());
        self.request(Request::Forget { id: id.0 });
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Up => self.request(Request::Hurry),
            Note::Gone { place, generation, channel } => {
                if self.search_again(place, generation, channel) {
                    self.left(place, generation);
                }
            }
            Note::Ended { place, generation, channels } => {
                if self.circuits.get(&place).is_some_and(|circuit| circuit.place.1 == generation) {
                    self.circuits.remove(&place);
                }
                for channel in channels {
                    self.search_again(place, generation, channel);
                }
            }
        }
    }

    /// Has a channel searched for again, if it is still wanted and was on that circuit.
    fn search_again(&mut self, place: Place, generation: u64, lost: LostChannel) -> bool {
        let Some(channel) = self.channels.get_mut(&lost.id) else { return false };
        if channel.place.as_deref() != Some(&(place, generation)) {
            return false;
        }
        channel.place = None;
        let delay = if lost.was_open {
            channel.failures = 0;
            AFTER_LOSS
        } else {
            let delay = AFTER_FAILURE.saturating_mul(1_u32 << channel.failures.min(20));
            channel.failures = channel.failures.saturating_add(1);
            delay.min(self.settings.max_search_period)
        };
        let name = channel.name.clone();
        self.request(Request::Find { id: lost.id.0, name, delay });
        true
    }

    /// Counts a channel that left a circuit. A circuit without channels is closed.
    fn left(&mut self, place: Place, generation: u64) {
        if let hash_map::Entry::Occupied(mut entry) = self.circuits.entry(place)
            && entry.get().place.1 == generation
        {
            let circuit = entry.get_mut();
            circuit.channels -= 1;
            if circuit.channels == 0 {
                entry.remove();
            }
        }
    }

    fn order(&self, place: Place, generation: u64, order: Order) {
        if let Some(circuit) = self.circuits.get(&place).filter(|circuit| circuit.place.1 == generation) {
            // A circuit that has ended forgets its channels anyway.
            let _ = circuit.orders.send(order);
        }
    }

    fn request(&self, request: Request) {
        // The search ends before its manager only when everything is being stopped.
        let _ = self.requests.send(request);
    }
}
