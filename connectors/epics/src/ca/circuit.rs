//! The channels of one server and priority, which share one connection: opening, subscribing or reading, updates, and
//! what goes wrong.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::{debug, info, warn};

use super::{
    dbr,
    link::{Link, LinkError},
    protocol::{DYNAMIC_COUNT_VERSION, Eca, Frame, Header, Reply, Request, command},
    settings::Settings,
};
use crate::channel::{ChannelId, Event, Failure, Mask, NativeType, Subscription};

/// How soon, after readings were missed, the next one comes at the earliest.
const MISSED: Duration = Duration::from_millis(10);
/// Marks the numbers of subscriptions to what is said about channels besides their values.
const METADATA: u32 = 1 << 31;

/// What makes two channels share a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The server.
    pub server: SocketAddr,
    /// The priority.
    pub priority: u8,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.priority {
            0 => self.server.fmt(f),
            priority => write!(f, "{} (priority {priority})", self.server),
        }
    }
}

/// What a circuit is told.
#[derive(Debug)]
pub enum Order {
    /// Open a channel and subscribe to it.
    Create {
        /// The client's number of the channel.
        id: ChannelId,
        /// The channel's name.
        name: Arc<str>,
        /// What is wanted of it.
        subscription: Subscription,
    },
    /// End the subscription and close the channel.
    Remove {
        /// The client's number of the channel.
        id: ChannelId,
    },
}

/// What a circuit tells.
#[derive(Debug)]
pub enum Note {
    /// The server accepted the connection.
    Up,
    /// The server does not have a channel (any more). The circuit has forgotten it.
    Gone {
        /// Where the circuit led.
        place: Place,
        /// The circuit's number.
        generation: u64,
        /// The channel.
        channel: LostChannel,
    },
    /// The circuit has ended. Orders after this fail.
    Ended {
        /// Where the circuit led.
        place: Place,
        /// The circuit's number.
        generation: u64,
        /// The channels that it had.
        channels: Vec<LostChannel>,
    },
}

/// A channel that needs a server again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostChannel {
    /// The client's number of the channel.
    pub id: ChannelId,
    /// Whether it was open.
    pub was_open: bool,
}

/// A connection to one server and its channels.
#[derive(Debug)]
pub struct Circuit {
    place: Place,
    generation: u64,
    settings: Arc<Settings>,
    events: mpsc::Sender<Event>,
    notes: mpsc::UnboundedSender<Note>,
    channels: HashMap<u32, Channel>,
    /// When to read which channel that is not monitored.
    readings: BTreeSet<(Instant, u32)>,
    /// The minor version of the server; 0 until it says which.
    server_version: u16,
}

#[derive(Debug)]
struct Channel {
    subscription: Subscription,
    /// Set once the server has opened the channel.
    open: Option<Open>,
    /// Whether the server permits reading, as far as it has said.
    readable: bool,
    /// Whether the receiver knows that it does not.
    denial_reported: bool,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    sid: u32,
    /// The type of the channel; none if it is unknown, as then nothing is asked for.
    native: Option<NativeType>,
    /// How many elements are asked for.
    count: u32,
    /// Whether an answer to a reading is still to come.
    is_read: bool,
}

/// Why a circuit ends before it is told to.
#[derive(Debug)]
enum End {
    Link(LinkError),
    NoReceiver,
}

impl From<LinkError> for End {
    fn from(error: LinkError) -> End {
        End::Link(error)
    }
}

impl Circuit {
    /// A circuit to `place`. `generation` tells circuits to the same place apart.
    pub fn new(
        place: Place,
        generation: u64,
        settings: Arc<Settings>,
        events: mpsc::Sender<Event>,
        notes: mpsc::UnboundedSender<Note>,
    ) -> Circuit {
        Circuit {
            place,
            generation,
            settings,
            events,
            notes,
            channels: HashMap::new(),
            readings: BTreeSet::new(),
            server_version: 0,
        }
    }

    /// Connects and serves until `orders` ends or the connection does. Then all channels are disconnected and
    /// [`Note::Ended`] hands them back.
    pub async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        match self.serve(&mut orders).await {
            Ok(()) => debug!(server = %self.place, "circuit closed"),
            Err(End::NoReceiver) => return,
            Err(End::Link(error)) => {
                warn!(server = %self.place, error = &error as &dyn std::error::Error, "circuit lost");
            }
        }
        // Orders that were given before the end must not get lost.
        orders.close();
        while let Some(order) = orders.recv().await {
            match order {
                Order::Create { id, subscription, .. } => {
                    self.channels.insert(id.0, Channel::new(subscription));
                }
                Order::Remove { id } => {
                    self.channels.remove(&id.0);
                }
            }
        }
        let channels: Vec<LostChannel> = self
            .channels
            .iter()
            .map(|(id, channel)| LostChannel { id: ChannelId(*id), was_open: channel.open.is_some() })
            .collect();
        for LostChannel { id, .. } in channels.iter().filter(|channel| channel.was_open) {
            if self.events.send(Event::Disconnected { id: *id }).await.is_err() {
                return;
            }
        }
        let (place, generation) = (self.place, self.generation);
        // Without a manager there is nobody left to search for the channels.
        let _ = self.notes.send(Note::Ended { place, generation, channels });
    }

    async fn serve(&mut self, orders: &mut mpsc::UnboundedReceiver<Order>) -> Result<(), End> {
        let mut link = Link::connect(self.place.server, self.place.priority, &self.settings).await?;
        info!(server = %self.place, "circuit connected");
        let _ = self.notes.send(Note::Up);
        let mut batch = Vec::new();
        loop {
            let reading = self.readings.first().map(|(due, _)| *due);
            tokio::select! {
                () = sleep_until(reading.unwrap_or_else(Instant::now)), if reading.is_some() => self.read(&mut link),
                received = orders.recv_many(&mut batch, 1024) => {
                    if received == 0 {
                        return Ok(());
                    }
                    for order in batch.drain(..) {
                        self.obey(&mut link, order);
                    }
                }
                exchanged = link.exchange() => {
                    exchanged?;
                    // A full event queue stops this loop, and with it reading: the server notices and keeps only the
                    // newest state of each channel.
                    while let Some(frame) = link.next_frame() {
                        match frame {
                            Frame::Message(message) => self.handle(&mut link, message.into()).await?,
                            Frame::TooLarge(header) => self.too_large(header, link.payload_limit()).await?,
                        }
                    }
                }
            }
        }
    }

    fn obey(&mut self, link: &mut Link, order: Order) {
        match order {
            Order::Create { id, name, subscription } => {
                self.channels.insert(id.0, Channel::new(subscription));
                link.send(Request::CreateChannel { cid: id.0, name: &name });
            }
            Order::Remove { id } => {
                // A channel that is still being opened is closed when the server has opened it.
                let Some(Channel { subscription, open: Some(Open { sid, native, count, .. }), .. }) =
                    self.channels.remove(&id.0)
                else {
                    return;
                };
                if let Some(native) = native {
                    if subscription.poll.is_none() {
                        let data_type = dbr::time_type(native);
                        link.send(Request::Unsubscribe { data_type, count, sid, subscription: id.0 });
                    }
                    if subscription.metadata {
                        let (data_type, subscription) = (dbr::control_type(native), id.0 | METADATA);
                        link.send(Request::Unsubscribe { data_type, count: 1, sid, subscription });
                    }
                }
                link.send(Request::ClearChannel { sid, cid: id.0 });
            }
        }
    }

    /// Reads the channels whose time has come. One that has not answered the last time is left out.
    fn read(&mut self, link: &mut Link) {
        let now = Instant::now();
        while let Some((due, cid)) = self.readings.first().copied().filter(|(due, _)| *due <= now) {
            self.readings.remove(&(due, cid));
            let Some(channel) = self.channels.get_mut(&cid) else { continue };
            let (Some(open), Some(period)) = (&mut channel.open, channel.subscription.poll) else { continue };
            let Some(native) = open.native else { continue };
            if !open.is_read {
                open.is_read = true;
                let data_type = dbr::time_type(native);
                link.send(Request::Read { data_type, count: open.count, sid: open.sid, ioid: cid });
            }
            // Readings that were missed are not made up for.
            let next = (due + period).max(now + period.min(MISSED));
            self.readings.insert((next, cid));
        }
    }

    async fn handle(&mut self, link: &mut Link, reply: Reply) -> Result<(), End> {
        match reply {
            Reply::Version { minor } => {
                self.server_version = minor;
                Ok(())
            }
            Reply::ChannelCreated { cid, sid, data_type, count } => {
                self.created(link, cid, sid, data_type, count).await
            }
            Reply::AccessRights { cid, read, .. } => {
                let Some(channel) = self.channels.get_mut(&cid) else { return Ok(()) };
                channel.readable = read;
                self.report_denial(cid).await
            }
            Reply::ReadDone { ioid, eca, data_type, count, payload } => {
                let open = self.channels.get_mut(&ioid).and_then(|channel| channel.open.as_mut());
                // A channel that was removed meanwhile is of no interest any more.
                let Some(open) = open.filter(|open| open.is_read) else { return Ok(()) };
                open.is_read = false;
                if eca == Eca::NORMAL {
                    self.granted(ioid);
                }
                self.update(ioid, eca, data_type, count, &payload).await
            }
            Reply::Update { subscription, eca, data_type, count, payload } if subscription & METADATA != 0 => {
                self.describe(subscription & !METADATA, eca, data_type, count, &payload).await
            }
            Reply::Update { subscription, eca, data_type, count, payload } => {
                self.update(subscription, eca, data_type, count, &payload).await
            }
            Reply::CreateFailed { cid } | Reply::ChannelGone { cid } => self.gone(cid).await,
            Reply::Error { cid, eca, request, text } => self.error(cid, eca, request, text).await,
            // Answers to requests that are not made here, and confirmations that nothing waits for.
            _ => Ok(()),
        }
    }

    async fn created(&mut self, link: &mut Link, cid: u32, sid: u32, data_type: u16, count: u32) -> Result<(), End> {
        let Some(channel) = self.channels.get_mut(&cid) else {
            link.send(Request::ClearChannel { sid, cid });
            return Ok(());
        };
        if channel.open.is_some() {
            return Ok(());
        }
        let id = ChannelId(cid);
        let Some(native) = NativeType::from_code(data_type) else {
            channel.open = Some(Open { sid, native: None, count, is_read: false });
            return self.send(Event::Failed { id, why: Failure::UnsupportedType(data_type) }).await;
        };
        let wanted = if self.server_version >= DYNAMIC_COUNT_VERSION { 0 } else { count };
        channel.open = Some(Open { sid, native: Some(native), count: wanted, is_read: false });
        let Subscription { mask, poll, metadata, .. } = channel.subscription;
        // First what the values mean, which servers answer in order.
        if metadata {
            let (data_type, subscription, mask) = (dbr::control_type(native), cid | METADATA, Mask::PROPERTY);
            link.send(Request::Subscribe { data_type, count: 1, sid, subscription, mask });
        }
        match poll {
            None => {
                let data_type = dbr::time_type(native);
                link.send(Request::Subscribe { data_type, count: wanted, sid, subscription: cid, mask });
            }
            Some(_) => {
                self.readings.insert((Instant::now(), cid));
            }
        }
        self.send(Event::Connected { id, native, count, server: Some(self.place.server) }).await?;
        self.report_denial(cid).await
    }

    /// Says that a channel cannot be read, once until it can be. Servers say it both for the channel and in place of each
    /// update, and for the channel before it is open.
    async fn report_denial(&mut self, cid: u32) -> Result<(), End> {
        let Some(channel) = self.channels.get_mut(&cid) else { return Ok(()) };
        if channel.readable {
            channel.denial_reported = false;
        } else if channel.open.is_some() && !channel.denial_reported {
            channel.denial_reported = true;
            return self.send(Event::Failed { id: ChannelId(cid), why: Failure::NoReadAccess }).await;
        }
        Ok(())
    }

    /// A server that denies reading says so once; that it permits it again shows in an answer.
    fn granted(&mut self, cid: u32) {
        if let Some(channel) = self.channels.get_mut(&cid) {
            (channel.readable, channel.denial_reported) = (true, false);
        }
    }

    async fn describe(&mut self, cid: u32, eca: Eca, data_type: u16, count: u32, payload: &[u8]) -> Result<(), End> {
        if !self.channels.contains_key(&cid) {
            return Ok(());
        }
        if eca != Eca::NORMAL {
            // Why it cannot be read is said about its value, too.
            debug!(server = %self.place, channel = cid, status = eca.name(), "no metadata");
            return Ok(());
        }
        let id = ChannelId(cid);
        let event = match dbr::decode_control(data_type, count, payload) {
            Ok(control) => Event::Described { id, control: Arc::new(control) },
            Err(error) => Event::Failed { id, why: Failure::Malformed(error.to_string()) },
        };
        self.send(event).await
    }

    async fn update(
        &mut self,
        subscription: u32,
        eca: Eca,
        data_type: u16,
        count: u32,
        payload: &[u8],
    ) -> Result<(), End> {
        let Some(channel) = self.channels.get_mut(&subscription) else { return Ok(()) };
        let id = ChannelId(subscription);
        if eca == Eca::NO_READ_ACCESS {
            channel.readable = false;
            return self.report_denial(subscription).await;
        }
        if eca != Eca::NORMAL {
            return self.send(Event::Failed { id, why: refused(eca, String::new()) }).await;
        }
        let event = match dbr::decode_time(data_type, count, payload) {
            Ok(sample) => Event::Update { id, sample },
            Err(error) => Event::Failed { id, why: Failure::Malformed(error.to_string()) },
        };
        self.send(event).await
    }

    async fn gone(&mut self, cid: u32) -> Result<(), End> {
        let Some(channel) = self.channels.remove(&cid) else { return Ok(()) };
        let (id, was_open) = (ChannelId(cid), channel.open.is_some());
        if was_open {
            self.send(Event::Disconnected { id }).await?;
        }
        let (place, generation) = (self.place, self.generation);
        let _ = self.notes.send(Note::Gone { place, generation, channel: LostChannel { id, was_open } });
        Ok(())
    }

    async fn error(&mut self, cid: u32, eca: Eca, request: Option<u16>, text: String) -> Result<(), End> {
        if self.channels.contains_key(&cid) {
            return self.send(Event::Failed { id: ChannelId(cid), why: refused(eca, text) }).await;
        }
        warn!(server = %self.place, status = eca.name(), request, text, "server reports an error");
        Ok(())
    }

    async fn too_large(&mut self, header: Header, limit: u32) -> Result<(), End> {
        let is_answer = matches!(header.command, command::EVENT_ADD | command::READ_NOTIFY);
        if is_answer && let Some(channel) = self.channels.get_mut(&header.p2) {
            if let Some(open) = channel.open.as_mut().filter(|_| header.command == command::READ_NOTIFY) {
                open.is_read = false;
            }
            let why = Failure::TooLarge { bytes: header.payload_len, limit };
            return self.send(Event::Failed { id: ChannelId(header.p2), why }).await;
        }
        warn!(server = %self.place, bytes = header.payload_len, limit, "message passed over");
        Ok(())
    }

    async fn send(&self, event: Event) -> Result<(), End> {
        self.events.send(event).await.map_err(|_| End::NoReceiver)
    }
}

impl Channel {
    fn new(subscription: Subscription) -> Channel {
        Channel { subscription, open: None, readable: true, denial_reported: false }
    }
}

fn refused(eca: Eca, text: String) -> Failure {
    Failure::Refused { code: eca.0, name: eca.name(), text }
}
