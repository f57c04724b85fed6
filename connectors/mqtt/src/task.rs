//! From connections to batches of records, and from receipts to acknowledgements.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use connect_api::{
    Check, Counter, Error, ErrorClass, Gauge, OffsetMap, Reading, Result, SourceBatch, SourceContext, SourceTask,
    SourceTrial, async_trait,
};
use openssl::ssl::SslConnector;
use serde_json::Value as Json;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    MqttConfig,
    address::{self, Address},
    config::Retained,
    connection::{Connection, Delivery, Ledger, Making, Next, Session},
    record::Mapping,
    tls,
};

/// How long a stop waits for receipts that are about to come.
const LAST_RECEIPTS: Duration = Duration::from_millis(300);
/// A connection that has ended before was none that stood.
const STANDS: Duration = Duration::from_secs(2);
/// So many connections that end so soon are no accident.
const ENDS: (usize, Duration) = (3, Duration::from_secs(30));
/// The source partition: a session at the broker.
const PARTITION: &str = "mqtt.client.id";
/// The source offset: what the session is subscribed to, so that it can be given up when the settings change.
const OFFSET: &str = "mqtt.topics";

/// The running task.
pub struct MqttTask {
    config: MqttConfig,
    context: SourceContext,
    mapping: Mapping,
    tls: Option<SslConnector>,
    session: Session,
    /// Where the session stands in the offsets, if it is kept.
    place: Option<(Arc<OffsetMap>, OffsetMap)>,
    ledger: Arc<Ledger>,
    connection: Option<Connection>,
    /// The broker of the last connection, and which to try first next time.
    last: Option<Address>,
    next: usize,
    /// Whether the last poll has failed, so that the next one is to succeed as soon as it can.
    failed: bool,
    /// When the last connections ended.
    ends: VecDeque<Instant>,
    /// Received, and not handed over yet.
    taken: VecDeque<Delivery>,
    receipts: JoinSet<()>,
    meters: Meters,
}

struct Meters {
    connections: Counter,
    unsettled: Gauge,
}

impl MqttTask {
    /// Prepares a task, which connects when it is polled.
    pub async fn start(config: MqttConfig, context: SourceContext) -> Result<Self> {
        let filters = config.filters(context.task());
        let client_id = config.client_id(context.connector(), context.task());
        let mut session =
            Session { client_id, clean: config.clean, filters, forget: Vec::new(), retained: config.retained };
        let mut place = None;
        if !config.clean {
            let partition = OffsetMap::from_iter([(PARTITION.to_owned(), Json::from(session.client_id.as_str()))]);
            let before = context.offset(&partition).await?;
            let before =
                before.as_ref().and_then(|offset| offset.get(OFFSET)).and_then(Json::as_str).unwrap_or_default();
            let gone =
                before.split(',').filter(|filter| !filter.is_empty() && !session.filters.iter().any(|f| f == filter));
            session.forget = gone.map(str::to_owned).collect();
            let offset = OffsetMap::from_iter([(OFFSET.to_owned(), Json::from(session.filters.join(",")))]);
            place = Some((Arc::new(partition), offset));
        }
        Self::of(config, context, session, place)
    }

    /// Connects with a session of its own that goes with the connection, so that nobody misses a message.
    pub async fn try_out(config: MqttConfig, context: SourceContext) -> Result<SourceTrial> {
        let client_id = format!("{}-trial-{:x}", config.client_id(context.connector(), 0), now_nanos());
        // As a member of a group it would take messages from the others.
        let filters: Vec<String> = config.topics.iter().map(|filter| address::alone(filter).to_owned()).collect();
        let session = Session { client_id, clean: true, filters, forget: Vec::new(), retained: Retained::Always };
        let mut task = Self::of(config, context, session, None)?;
        task.connect().await?;
        if let Some(connection) = &mut task.connection {
            connection.subscribed().await?;
        }
        let broker = task.last.as_ref().map(Address::to_string).unwrap_or_default();
        let filters = task.session.filters.join(", ");
        let check = Check::Passed(format!("{broker} grants subscriptions to {filters}"));
        Ok(SourceTrial { check, reading: Reading::Task(Box::new(task)) })
    }

    fn of(
        config: MqttConfig,
        context: SourceContext,
        session: Session,
        place: Option<(Arc<OffsetMap>, OffsetMap)>,
    ) -> Result<Self> {
        let tls = config.addresses().iter().any(|address| address.tls);
        Ok(Self {
            tls: if tls { Some(tls::connector(&config)?) } else { None },
            mapping: Mapping::new(&config, context.connector().clone()),
            session,
            place,
            ledger: Arc::default(),
            connection: None,
            last: None,
            next: 0,
            failed: false,
            ends: VecDeque::new(),
            taken: VecDeque::new(),
            receipts: JoinSet::new(),
            meters: Meters {
                connections: context.counter("mqtt_connections_total", "Connections to the broker.", &[]),
                unsettled: context.gauge(
                    "mqtt_unsettled_messages",
                    "Messages of quality of service 1 and 2 that are not settled with the broker.",
                    &[],
                ),
            },
            config,
            context,
        })
    }

    /// Connects to the first broker that takes us.
    async fn connect(&mut self) -> Result<()> {
        let addresses = self.config.addresses();
        let mut failure: Option<Error> = None;
        for i in 0..addresses.len() {
            let at = (self.next + i) % addresses.len();
            let address = &addresses[at];
            let making = Making {
                config: &self.config,
                tls: self.tls.as_ref(),
                session: &self.session,
                ledger: &self.ledger,
                context: &self.context,
                elsewhere: self.last.as_ref().is_some_and(|last| last != address),
            };
            match Connection::open(address, making).await {
                Ok(connection) => {
                    self.tell(address, connection.resumed);
                    self.meters.connections.add(1);
                    (self.last, self.next) = (Some(address.clone()), at);
                    self.connection = Some(connection);
                    return Ok(());
                }
                Err(e) => {
                    if addresses.len() > 1 {
                        tracing::info!("{}", e.one_line());
                    }
                    // One that may be back is waited for, whatever another one says.
                    if failure.as_ref().is_none_or(|first| first.class() == ErrorClass::Fatal) {
                        failure = Some(e);
                    }
                }
            }
        }
        Err(failure.unwrap_or_else(|| Error::fatal("mqtt.server.uri names no broker")))
    }

    fn tell(&self, address: &Address, resumed: bool) {
        let id = &self.session.client_id;
        match (self.session.clean, resumed, self.last.is_some()) {
            (false, true, _) => tracing::info!("connected to {address}, which goes on with the session {id}"),
            (false, false, true) => {
                tracing::warn!(
                    "{address} does not know the session {id} any more: what was published meanwhile is lost"
                );
            }
            _ => tracing::info!("connected to {address}, which begins the session {id}"),
        }
    }

    /// Waits for messages. Tells whether to go on waiting for them; after a failure no message is needed to show that all is
    /// well again.
    async fn receive(&mut self) -> Result<bool> {
        let most = usize::try_from(self.config.batch_size).unwrap_or(1);
        let Some(connection) = &mut self.connection else { return self.connect().await.map(|()| true) };
        match connection.next(most, self.failed.then_some(STANDS)).await {
            Next::Messages(taken) => {
                self.taken.extend(taken);
                return Ok(true);
            }
            Next::Stands => return Ok(false),
            Next::Ended => {}
        }
        let why = connection.ended().await;
        self.connection = None;
        // The next broker may be there.
        self.next += usize::from(why.class() == ErrorClass::Retriable);
        Err(self.of_rivals(why))
    }

    /// Why a connection has ended, with what is likely where others ended just before: few brokers say that another client
    /// has taken the session over.
    fn of_rivals(&mut self, why: Error) -> Error {
        let (most, time) = ENDS;
        self.ends.push_back(Instant::now());
        self.ends.retain(|end| end.elapsed() < time);
        if why.class() != ErrorClass::Retriable || self.ends.len() < most {
            return why;
        }
        let (count, id) = (self.ends.len(), &self.session.client_id);
        Error::retriable(format!(
            "{count} connections to the broker have ended within {} s: another client may have the same \
             mqtt.client.id={id}, which must be of this one alone",
            time.as_secs()
        ))
        .caused_by(why)
    }

    /// What has come as a batch, up to a message that is no record.
    async fn batch(&mut self) -> Result<Option<SourceBatch>> {
        let (mut records, mut tickets) = (Vec::new(), Vec::new());
        let now = now();
        while let Some(delivery) = self.taken.front() {
            match self.mapping.record(&delivery.message, now) {
                Ok(mut record) => {
                    record.source = self.place.clone();
                    records.push(record);
                    tickets.extend(delivery.ticket);
                }
                // What came before it is handed over first, so that it is safe whatever becomes of this one.
                Err(_) if !records.is_empty() => break,
                Err(why) => {
                    let topic = &delivery.message.topic;
                    let why = Error::data(format!("a message of {topic} is no record")).caused_by(why);
                    let original = self.mapping.original(&delivery.message, now);
                    self.context.report(original, why).await?;
                    self.ledger.stored(delivery.ticket.as_slice());
                }
            }
            self.taken.pop_front();
        }
        while self.receipts.try_join_next().is_some() {}
        self.meters.unsettled.set(self.ledger.lock().unsettled() as f64);
        if records.is_empty() {
            return Ok(None);
        }
        let mut batch = SourceBatch::default();
        let receipt = batch.push_with_receipt(records);
        if !tickets.is_empty() {
            let ledger = self.ledger.clone();
            self.receipts.spawn(async move {
                // The task ends with a batch that Kafka has not got, and its messages come again.
                if receipt.await.is_safe() {
                    ledger.stored(&tickets);
                }
            });
        }
        Ok(Some(batch))
    }
}

#[async_trait]
impl SourceTask for MqttTask {
    async fn poll(&mut self) -> Result<SourceBatch> {
        let polled = loop {
            match self.batch().await {
                Ok(None) => {}
                Ok(Some(batch)) => break Ok(batch),
                Err(e) => break Err(e),
            }
            match self.receive().await {
                Ok(true) => {}
                Ok(false) => break Ok(SourceBatch::default()),
                Err(e) => break Err(e),
            }
        };
        self.failed = polled.is_err();
        polled
    }

    async fn stop(&mut self) -> Result<()> {
        let receipts = &mut self.receipts;
        // What comes later is not acknowledged, and the broker sends it again.
        let _ = timeout(LAST_RECEIPTS, async { while receipts.join_next().await.is_some() {} }).await;
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
        Ok(())
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn now() -> i64 {
    i64::try_from(since_1970().as_millis()).unwrap_or(i64::MAX)
}

fn now_nanos() -> u128 {
    since_1970().as_nanos()
}
