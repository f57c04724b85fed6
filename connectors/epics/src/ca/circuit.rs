//! The channels of one server, which share one connection: opening, subscribing, updates, and what goes wrong.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::{
    dbr,
    link::{Link, LinkError},
    protocol::{DYNAMIC_COUNT_VERSION, Eca, Frame, Header, Reply, Request, command},
    settings::Settings,
};
use crate::channel::{ChannelId, Event, Failure, Mask, NativeType};

/// What a circuit is told.
#[derive(Debug)]
pub enum Order {
    /// Open a channel and subscribe to it.
    Create {
        /// The client's number of the channel.
        id: ChannelId,
        /// The channel's name.
        name: Arc<str>,
        /// The changes wanted.
        mask: Mask,
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
        /// The server.
        server: SocketAddr,
        /// The circuit's number.
        generation: u64,
        /// The channel.
        channel: LostChannel,
    },
    /// The circuit has ended. Orders after this fail.
    Ended {
        /// The server.
        server: SocketAddr,
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
    server: SocketAddr,
    generation: u64,
    settings: Arc<Settings>,
    events: mpsc::Sender<Event>,
    notes: mpsc::UnboundedSender<Note>,
    channels: HashMap<u32, Channel>,
    /// The minor version of the server; 0 until it says which.
    server_version: u16,
}

#[derive(Debug)]
struct Channel {
    mask: Mask,
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
    /// Type and count of the subscription; none if the type is unknown.
    subscription: Option<(u16, u32)>,
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
    /// A circuit to `server`. `generation` tells circuits to the same server apart.
    pub fn new(
        server: SocketAddr,
        generation: u64,
        settings: Arc<Settings>,
        events: mpsc::Sender<Event>,
        notes: mpsc::UnboundedSender<Note>,
    ) -> Circuit {
        Circuit { server, generation, settings, events, notes, channels: HashMap::new(), server_version: 0 }
    }

    /// Connects and serves until `orders` ends or the connection does. Then all channels are disconnected and
    /// [`Note::Ended`] hands them back.
    pub async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        match self.serve(&mut orders).await {
            Ok(()) => debug!(server = %self.server, "circuit closed"),
            Err(End::NoReceiver) => return,
            Err(End::Link(error)) => {
                warn!(server = %self.server, error = &error as &dyn std::error::Error, "circuit lost");
            }
        }
        // Orders that were given before the end must not get lost.
        orders.close();
        while let Some(order) = orders.recv().await {
            match order {
                Order::Create { id, mask, .. } => {
                    self.channels.insert(id.0, Channel::new(mask));
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
        let (server, generation) = (self.server, self.generation);
        // Without a manager there is nobody left to search for the channels.
        let _ = self.notes.send(Note::Ended { server, generation, channels });
    }

    async fn serve(&mut self, orders: &mut mpsc::UnboundedReceiver<Order>) -> Result<(), End> {
        let mut link = Link::connect(self.server, &self.settings).await?;
        info!(server = %self.server, "circuit connected");
        let _ = self.notes.send(Note::Up);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
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
            Order::Create { id, name, mask } => {
                self.channels.insert(id.0, Channel::new(mask));
                link.send(Request::CreateChannel { cid: id.0, name: &name });
            }
            Order::Remove { id } => {
                // A channel that is still being opened is closed when the server has opened it.
                let Some(Open { sid, subscription }) = self.channels.remove(&id.0).and_then(|channel| channel.open)
                else {
                    return;
                };
                if let Some((data_type, count)) = subscription {
                    link.send(Request::Unsubscribe { data_type, count, sid, subscription: id.0 });
                }
                link.send(Request::ClearChannel { sid, cid: id.0 });
            }
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
            channel.open = Some(Open { sid, subscription: None });
            return self.send(Event::Failed { id, why: Failure::UnsupportedType(data_type) }).await;
        };
        let time_type = dbr::time_type(native);
        let wanted = if self.server_version >= DYNAMIC_COUNT_VERSION { 0 } else { count };
        channel.open = Some(Open { sid, subscription: Some((time_type, wanted)) });
        let mask = channel.mask;
        link.send(Request::Subscribe { data_type: time_type, count: wanted, sid, subscription: cid, mask });
        self.send(Event::Connected { id, native, count, server: Some(self.server) }).await?;
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
        let (server, generation) = (self.server, self.generation);
        let _ = self.notes.send(Note::Gone { server, generation, channel: LostChannel { id, was_open } });
        Ok(())
    }

    async fn error(&mut self, cid: u32, eca: Eca, request: Option<u16>, text: String) -> Result<(), End> {
        if self.channels.contains_key(&cid) {
            return self.send(Event::Failed { id: ChannelId(cid), why: refused(eca, text) }).await;
        }
        warn!(server = %self.server, status = eca.name(), request, text, "server reports an error");
        Ok(())
    }

    async fn too_large(&mut self, header: Header, limit: u32) -> Result<(), End> {
        if header.command == command::EVENT_ADD && self.channels.contains_key(&header.p2) {
            let why = Failure::TooLarge { bytes: header.payload_len, limit };
            return self.send(Event::Failed { id: ChannelId(header.p2), why }).await;
        }
        warn!(server = %self.server, bytes = header.payload_len, limit, "message passed over");
        Ok(())
    }

    async fn send(&self, event: Event) -> Result<(), End> {
        self.events.send(event).await.map_err(|_| End::NoReceiver)
    }
}

impl Channel {
    fn new(mask: Mask) -> Channel {
        Channel { mask, open: None, readable: true, denial_reported: false }
    }
}

fn refused(eca: Eca, text: String) -> Failure {
    Failure::Refused { code: eca.0, name: eca.name(), text }
}
