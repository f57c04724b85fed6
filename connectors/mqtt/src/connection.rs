//! One connection to a broker: reads messages, writes acknowledgements, keeps alive.
//!
//! It runs beside the task. While the task takes nothing, because Kafka is slow, nothing is read from the broker either,
//! but acknowledgements and signs of life go on.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::BytesMut;
use connect_api::{CancellationToken, Error, Result, SourceContext};
use openssl::ssl::SslConnector;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use tokio_openssl::SslStream;
use tracing::Instrument as _;

use crate::{
    MqttConfig,
    address::Address,
    config::{self, Retained, Version},
    inflight::{Arrival, Inflight, Ticket},
    packet::{self, Hello, Incoming, Message, Packets, Short},
};

/// What is read from the broker at once.
const READ: usize = 65_536;
/// Beside its payload a message takes so much memory, about.
const BESIDE: usize = 256;
/// How long the last words may take.
const FAREWELL: Duration = Duration::from_millis(200);
const NAMELESS: &str = "the broker may want a client certificate (mqtt.ssl.key.store.path)";

/// What is not settled with the broker, beyond one connection.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    inflight: Mutex<Inflight>,
    changed: Notify,
}

impl Ledger {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inflight> {
        self.inflight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kafka has these messages.
    pub(crate) fn stored(&self, tickets: &[Ticket]) {
        let mut inflight = self.lock();
        tickets.iter().for_each(|ticket| inflight.stored(*ticket));
        drop(inflight);
        self.changed.notify_one();
    }
}

/// A session at the broker.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) client_id: String,
    pub(crate) clean: bool,
    pub(crate) filters: Vec<String>,
    /// What it was subscribed to before and shall not be any more.
    pub(crate) forget: Vec<String>,
    pub(crate) retained: Retained,
}

/// A message for the task.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Message,
    pub(crate) ticket: Option<Ticket>,
    /// Room that it takes in the queue.
    _room: OwnedSemaphorePermit,
}

/// A connection that stands. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// What the broker sends; closed when the connection has ended.
    messages: mpsc::Receiver<Delivery>,
    /// Whether the broker has resumed a session.
    pub(crate) resumed: bool,
    subscribed: Option<oneshot::Receiver<()>>,
    began: Instant,
    closing: CancellationToken,
    ended: JoinHandle<Error>,
}

/// What a connection brings.
#[derive(Debug)]
pub(crate) enum Next {
    /// Messages.
    Messages(Vec<Delivery>),
    /// It stands, though there is no message.
    Stands,
    /// It has ended.
    Ended,
}

/// What a connection is made of.
pub(crate) struct Making<'a> {
    pub(crate) config: &'a MqttConfig,
    pub(crate) tls: Option<&'a SslConnector>,
    pub(crate) session: &'a Session,
    pub(crate) ledger: &'a Arc<Ledger>,
    pub(crate) context: &'a SourceContext,
    /// Whether what is remembered of the session is of another broker.
    pub(crate) elsewhere: bool,
}

impl Connection {
    /// Connects and says hello; subscribing goes on behind.
    pub(crate) async fn open(address: &Address, making: Making<'_>) -> Result<Self> {
        let patience = making.config.patience();
        let nameless = address.tls && config::given(&making.config.key_store).is_none();
        let opened = timeout(patience, Self::say_hello(address, making, nameless)).await;
        let late = || Error::retriable(format!("no answer within {} s", patience.as_secs()));
        opened.unwrap_or_else(|_| Err(late())).map_err(|e| e.context(format!("connecting to {address}")))
    }

    async fn say_hello(address: &Address, making: Making<'_>, nameless: bool) -> Result<Self> {
        let Making { config, tls, session, ledger, context, elsewhere } = making;
        let mut stream = reach(address, config, tls).await?;
        let hello = Hello {
            client_id: &session.client_id,
            clean: session.clean,
            expiry: u32::try_from(config.session_expiry).unwrap_or(u32::MAX),
            receive_maximum: u16::try_from(config.receive_maximum).unwrap_or(u16::MAX),
            keep_alive: u16::try_from(config.keepalive).unwrap_or(u16::MAX),
            login: config.username().map(|user| (user, config.password().map_or("", |password| password.reveal()))),
        };
        let mut out = packet::connect(config.version, &hello)?;
        // A broker that wants a certificate says so by closing the connection.
        let broken = |e| if nameless { broken(e).context(NAMELESS) } else { broken(e) };
        stream.write_all_buf(&mut out).await.map_err(broken)?;
        let mut packets = Packets::new(config.version, usize::try_from(config.message_limit).unwrap_or(1));
        let mut buffer = BytesMut::with_capacity(READ);
        let (resumed, keep_alive) = loop {
            match packets.next(&mut buffer)? {
                Some(Incoming::Connected { resumed, keep_alive }) => break (resumed, keep_alive),
                Some(_) => return Err(Error::retriable("the broker says something else before it says hello")),
                None if stream.read_buf(&mut buffer).await.map_err(broken)? == 0 => return Err(closed()),
                None => {}
            }
        };
        ledger.lock().connected(resumed && !elsewhere);
        if !session.forget.is_empty() {
            out.unsplit(packet::unsubscribe(config.version, &session.forget)?);
        }
        out.unsplit(packet::subscribe(config.version, &session.filters, config.qos(), session.retained)?);
        let asked = Duration::from_secs(u64::from(config.keepalive.unsigned_abs()));
        let (to_task, messages) = mpsc::channel(usize::try_from(config.queue).unwrap_or(1));
        let room = usize::try_from(config.queue_bytes).unwrap_or(1);
        let (ready, subscribed) = oneshot::channel();
        let closing = CancellationToken::new();
        let wire = Wire {
            packets,
            buffer,
            out,
            waiting: VecDeque::new(),
            to_task,
            room: Arc::new(Semaphore::new(room)),
            most: room,
            ledger: ledger.clone(),
            session: session.clone(),
            version: config.version,
            qos: config.qos(),
            context: context.clone(),
            known: context.counter(
                "mqtt_known_messages_total",
                "Messages that the broker sent again while they were under way, and that were not handed over again.",
                &[],
            ),
            ready: Some(ready),
            patience: config.patience(),
            keep_alive: keep_alive.filter(|time| !time.is_zero()).unwrap_or(asked),
        };
        let run = wire.run(stream, closing.clone());
        let ended = tokio::spawn(run.in_current_span());
        Ok(Self { messages, resumed, subscribed: Some(subscribed), began: Instant::now(), closing, ended })
    }

    /// Waits for messages; none at the end, and none, too, when the connection has stood for so long with all
    /// subscriptions granted, if that is asked for. Cancel-safe.
    pub(crate) async fn next(&mut self, most: usize, stands: Option<Duration>) -> Next {
        let Self { messages, subscribed, began, .. } = self;
        let mut taken = Vec::new();
        let standing = async {
            let Some(time) = stands else { return std::future::pending().await };
            if let Some(granted) = subscribed {
                // Where they are not, the messages end, too.
                let refused = granted.await.is_err();
                *subscribed = None;
                if refused {
                    return std::future::pending().await;
                }
            }
            sleep_until(*began + time).await;
        };
        tokio::select! {
            biased;
            count = messages.recv_many(&mut taken, most) => match count {
                0 => Next::Ended,
                _ => Next::Messages(taken),
            },
            () = standing => Next::Stands,
        }
    }

    /// Waits until the broker has granted all subscriptions.
    pub(crate) async fn subscribed(&mut self) -> Result<()> {
        let Some(subscribed) = self.subscribed.take() else { return Ok(()) };
        match subscribed.await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.ended().await),
        }
    }

    /// Waits for the end; says why it came.
    pub(crate) async fn ended(&mut self) -> Error {
        let ended = (&mut self.ended).await;
        ended.unwrap_or_else(|e| Error::fatal("the connection to the broker is not looked after any more").caused_by(e))
    }

    /// Acknowledges what can be, and takes leave.
    pub(crate) async fn close(mut self) {
        self.closing.cancel();
        // It is abandoned if it takes longer.
        let _ = timeout(FAREWELL + FAREWELL, &mut self.ended).await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn reach(address: &Address, config: &MqttConfig, tls: Option<&SslConnector>) -> Result<Box<dyn Stream>> {
    let tcp = TcpStream::connect((address.host.as_str(), address.port)).await;
    let tcp = tcp.map_err(|e| Error::retriable("the broker cannot be reached").caused_by(e))?;
    // Acknowledgements are small and shall not wait for each other.
    tcp.set_nodelay(true).map_err(broken)?;
    let (true, Some(tls)) = (address.tls, tls) else { return Ok(Box::new(tcp)) };
    let name = config::given(&config.server_name).unwrap_or(&address.host);
    let prepared = tls.configure().and_then(|c| c.into_ssl(name)).and_then(|ssl| SslStream::new(ssl, tcp));
    let mut stream = prepared.map_err(|e| Error::fatal("preparing TLS to the broker").caused_by(e))?;
    match Pin::new(&mut stream).connect().await {
        Ok(()) => Ok(Box::new(stream)),
        Err(e) => {
            let verified = stream.ssl().verify_result();
            let why = if verified == openssl::x509::X509VerifyResult::OK {
                "TLS fails".to_owned()
            } else {
                format!(
                    "its certificate is not trusted ({verified}): see mqtt.ssl.trust.store.path and mqtt.server.uri"
                )
            };
            Err(Error::retriable(why).caused_by(e))
        }
    }
}

fn broken(e: io::Error) -> Error {
    Error::retriable("the connection to the broker is broken").caused_by(e)
}

fn closed() -> Error {
    Error::retriable("the broker has closed the connection")
}

/// What the running connection works with.
struct Wire {
    packets: Packets,
    buffer: BytesMut,
    /// To be written.
    out: BytesMut,
    /// Read, and not handed over yet.
    waiting: VecDeque<(Message, Option<Ticket>)>,
    to_task: mpsc::Sender<Delivery>,
    room: Arc<Semaphore>,
    most: usize,
    ledger: Arc<Ledger>,
    session: Session,
    version: Version,
    qos: u8,
    context: SourceContext,
    known: connect_api::Counter,
    ready: Option<oneshot::Sender<()>>,
    patience: Duration,
    keep_alive: Duration,
}

impl Wire {
    async fn run(mut self, stream: Box<dyn Stream>, closing: CancellationToken) -> Error {
        let ended = self.exchange(stream, closing).await;
        let mut inflight = self.ledger.lock();
        self.waiting.iter().filter_map(|(_, ticket)| *ticket).for_each(|ticket| inflight.dropped(ticket));
        match ended {
            Ok(()) => Error::retriable("the connection to the broker was ended from here"),
            Err(e) => e,
        }
    }

    async fn exchange(&mut self, stream: Box<dyn Stream>, closing: CancellationToken) -> Result<()> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        // Twice as often as asked for: the broker hears of us in time, and we of it.
        let pace = (self.keep_alive / 2).max(Duration::from_millis(500));
        let mut pings = interval_at(Instant::now() + pace, pace);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut granted_by = heard + self.patience;
        loop {
            if self.waiting.is_empty() {
                while let Some(incoming) = self.packets.next(&mut self.buffer)? {
                    self.take(incoming)?;
                }
            }
            self.acknowledge();
            let reading = self.waiting.is_empty();
            if reading && self.buffer.capacity() - self.buffer.len() < READ / 8 {
                self.buffer.reserve(READ);
            }
            let size = self.waiting.front().map_or(0, |(message, _)| message.payload.len() + BESIDE);
            tokio::select! {
                biased;
                () = closing.cancelled() => {
                    self.acknowledge();
                    Short::Disconnect.write(&mut self.out);
                    // Without it the broker sees the connection break, which is all right, too.
                    let _ = timeout(FAREWELL, farewell(&mut reader, &mut writer, &mut self.out)).await;
                    return Ok(());
                }
                written = writer.write_buf(&mut self.out), if !self.out.is_empty() => {
                    written.map_err(broken)?;
                }
                () = self.ledger.changed.notified() => {}
                now = pings.tick() => {
                    if !reading {
                        // Whether the broker lives is not known while nothing is read from it.
                        (heard, granted_by) = (now, now + self.patience);
                    } else if now.duration_since(heard) > self.keep_alive + pace {
                        let silent = now.duration_since(heard).as_secs();
                        return Err(Error::retriable(format!("the broker has been silent for {silent} s")));
                    } else if self.ready.is_some() && now > granted_by {
                        return Err(Error::retriable("the broker does not answer to the subscription"));
                    }
                    Short::Ping.write(&mut self.out);
                }
                place = place(self.to_task.clone(), self.room.clone(), size.min(self.most)), if !reading => {
                    // The task is gone.
                    let Some((slot, room)) = place else { return Ok(()) };
                    if let Some((message, ticket)) = self.waiting.pop_front() {
                        slot.send(Delivery { message, ticket, _room: room });
                    }
                }
                read = reader.read_buf(&mut self.buffer), if reading => {
                    if read.map_err(broken)? == 0 {
                        return Err(closed());
                    }
                    heard = Instant::now();
                }
            }
        }
    }

    fn acknowledge(&mut self) {
        for short in self.ledger.lock().acknowledgements() {
            short.write(&mut self.out);
        }
    }

    fn take(&mut self, incoming: Incoming) -> Result<()> {
        match incoming {
            Incoming::Message(message) => {
                let mut inflight = self.ledger.lock();
                match inflight.arrived(&message) {
                    Arrival::Known => self.known.add(1),
                    Arrival::New(ticket) if message.retained && self.session.retained == Retained::Never => {
                        // Version 3.1.1 has no word for not wanting them.
                        ticket.into_iter().for_each(|ticket| inflight.stored(ticket));
                    }
                    Arrival::New(ticket) => self.waiting.push_back((*message, ticket)),
                }
            }
            Incoming::Released(id) => self.ledger.lock().released(id).write(&mut self.out),
            Incoming::Subscribed(granted) => self.subscribed(&granted)?,
            Incoming::Unsubscribed | Incoming::Alive => {}
            Incoming::Connected { .. } => return Err(Error::retriable("the broker says hello twice")),
        }
        Ok(())
    }

    fn subscribed(&mut self, granted: &[Result<u8, String>]) -> Result<()> {
        let mut less = Vec::new();
        for (filter, granted) in self.session.filters.iter().zip(granted) {
            match granted {
                Ok(qos) if *qos < self.qos => less.push(format!("{filter} (only quality {qos})")),
                Ok(_) => {}
                Err(why) => {
                    return Err(Error::fatal(format!(
                        "the broker refuses the subscription to {filter}: {why}; correct mqtt.topics or have it allowed"
                    )));
                }
            }
        }
        let note = (!less.is_empty())
            .then(|| format!("the broker grants less than mqtt.qos={}: {}", self.qos, less.join(", ")));
        if let Some(text) = &note {
            tracing::warn!("{text}");
        }
        self.context.note(note);
        tracing::info!(version = ?self.version, "subscribed to {}", self.session.filters.join(", "));
        if let Some(ready) = self.ready.take() {
            // Only a test call waits for it.
            let _ = ready.send(());
        }
        Ok(())
    }
}

/// Writes the last words, and waits until the broker has read them: where something unread is left when a connection is
/// closed, the other side loses what it has not read.
async fn farewell(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    out: &mut BytesMut,
) -> io::Result<()> {
    writer.write_all_buf(out).await?;
    writer.shutdown().await?;
    let mut unwanted = [0; 4096];
    while reader.read(&mut unwanted).await? > 0 {}
    Ok(())
}

/// A place in the task's queue; none when the task is gone.
async fn place(
    to_task: mpsc::Sender<Delivery>,
    room: Arc<Semaphore>,
    size: usize,
) -> Option<(mpsc::OwnedPermit<Delivery>, OwnedSemaphorePermit)> {
    let room = room.acquire_many_owned(u32::try_from(size).unwrap_or(u32::MAX)).await.ok()?;
    Some((to_task.reserve_owned().await.ok()?, room))
}
