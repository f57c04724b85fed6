//! What all clients share: librdkafka's log lines and errors as tracing events, and whether Kafka answers.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use connect_api::TopicPartition;
use rdkafka::{
    ClientContext,
    client::Client,
    config::RDKafkaLogLevel as Level,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use crate::{revival::Revival, settings::ClientSettings};

/// Context of every client: logs, and remembers whether brokers can be reached and answer.
#[derive(Debug, Default)]
pub struct Context {
    /// Where the client was made: librdkafka's threads know no connectors and tasks.
    place: Place,
    brokers_down: AtomicBool,
    /// When all brokers went down last.
    down_since: Mutex<Option<Instant>>,
    /// In how many statistics in a row there was no connection to any broker.
    unconnected: AtomicU64,
    answers: AtomicU64,
    brokers: Mutex<BTreeMap<String, Broker>>,
    /// Bytes sent and received.
    traffic: (AtomicU64, AtomicU64),
    bounds: Mutex<Vec<Bounds>>,
    /// Since when wanted partitions have not been read.
    stalled: Mutex<BTreeMap<TopicPartition, Instant>>,
    failure: Mutex<Option<String>>,
    revival: Revival,
}

#[derive(Debug)]
struct Place(tracing::Span);

impl Default for Place {
    fn default() -> Self {
        Self(tracing::Span::current())
    }
}

/// What a consumer knows of a partition's ends, as of the last statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// Which partition.
    pub partition: TopicPartition,
    /// Offset of the first record that Kafka has.
    pub first: i64,
    /// Offset behind the last record that may be read.
    pub end: i64,
    /// What the group has committed; none when nothing or not known.
    pub committed: Option<i64>,
    /// Whether every record before the end has been given out. The last one may stand before the end, behind it offsets
    /// without records, such as the ends of transactions.
    pub given_out: bool,
}

/// What the last statistics said of a broker.
#[derive(Debug, Default)]
struct Broker {
    answers: u64,
    waiting: bool,
    silent: bool,
}

/// How often clients look whether their brokers are there and answer.
pub(crate) const LOOK_AT_BROKERS: Duration = Duration::from_secs(3);
/// A fetch is answered within `fetch.max.wait.ms`, half a second by default.
const SILENCE: Duration = Duration::from_secs(10);

impl Context {
    /// Has the client that this belongs to ask its first brokers again should it lose all.
    pub(crate) fn of<C: ClientContext>(&self, client: &Client<C>, settings: &ClientSettings) {
        self.revival.of(client, settings);
    }

    /// Whether no broker can be reached: librdkafka said so, or there was no connection for a while. A client that has
    /// nothing to ask may have none, too.
    pub fn brokers_down(&self) -> bool {
        self.brokers_down.load(Ordering::Relaxed) || self.unconnected.load(Ordering::Relaxed) > 1
    }

    /// To be called when a request succeeded.
    pub fn reached(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        if self.brokers_down.swap(false, Ordering::Relaxed) {
            let _place = self.place.0.enter();
            tracing::info!("kafka can be reached again");
        }
    }

    /// How many requests have succeeded; only for comparison with an earlier number.
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// A broker that takes requests and answers none, as one does that hangs or is cut off by the network.
    pub fn silent_broker(&self) -> Option<String> {
        let brokers = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
        brokers.iter().find(|(_, b)| b.silent).map(|(name, _)| name.clone())
    }

    /// Why the last connection that failed did so, such as a refused password.
    pub fn last_failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many bytes were sent and received, as of the last statistics.
    pub fn traffic(&self) -> (u64, u64) {
        (self.traffic.0.load(Ordering::Relaxed), self.traffic.1.load(Ordering::Relaxed))
    }

    /// The ends of the partitions that a consumer reads.
    pub fn bounds(&self) -> Vec<Bounds> {
        self.bounds.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Partitions that are to be read and have not been for at least this long although there are brokers.
    pub fn stalled(&self, at_least: Duration) -> Vec<TopicPartition> {
        let stalled = self.stalled.lock().unwrap_or_else(PoisonError::into_inner);
        stalled.iter().filter(|(_, since)| since.elapsed() >= at_least).map(|(p, _)| p.clone()).collect()
    }

    /// Takes up librdkafka's statistics (its STATISTICS.md). A broker is silent when a request has waited since
    /// the statistics before and nothing came for [`SILENCE`]; it is so until the next answer.
    fn take_up(&self, statistics: &Statistics) {
        let known = statistics.brokers.values().filter(|b| ["configured", "learned"].contains(&b.source.as_str()));
        if self.revival.look(known.count()) {
            tracing::warn!("kafka said that it has no brokers; those of bootstrap.servers are asked again");
        }
        self.traffic.0.store(statistics.tx_bytes, Ordering::Relaxed);
        self.traffic.1.store(statistics.rx_bytes, Ordering::Relaxed);
        let connected = statistics.brokers.values().any(|b| b.state == "UP");
        let unconnected = if connected { 0 } else { self.unconnected.load(Ordering::Relaxed) + 1 };
        self.unconnected.store(unconnected, Ordering::Relaxed);
        let mut brokers = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
        // Requests to the coordinator, a broker of its own here, may rightly wait for minutes.
        for now in statistics.brokers.values().filter(|b| b.source == "learned") {
            let name = now.nodename.clone();
            let known = brokers.entry(name).or_default();
            let waiting = now.state == "UP" && now.waitresp_cnt > 0;
            let idle = Duration::from_micros(u64::try_from(now.rxidle).unwrap_or(0));
            if known.answers != now.rx {
                known.silent = false;
                // librdkafka says when brokers are gone, not when they are back. What came before is no answer now.
                let down = *self.down_since.lock().unwrap_or_else(PoisonError::into_inner);
                if down.is_some_and(|since| since.elapsed() > idle) {
                    self.reached();
                }
            } else if waiting && known.waiting && idle > SILENCE {
                known.silent = true;
            }
            (known.answers, known.waiting) = (now.rx, waiting);
        }
        let mut stalled = self.stalled.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *stalled);
        // Without a broker nothing can be read, which is said elsewhere.
        let wanted = statistics.topics.iter().filter(|_| connected);
        for (topic, p) in wanted.flat_map(|(topic, of)| of.partitions.values().map(move |p| (topic, p))) {
            // A fetch that the broker refuses, as one with the leader's epoch of a topic that is gone, leaves -1.
            if p.desired && p.partition >= 0 && (p.fetch_state != "active" || p.hi_offset == -1) {
                let partition = TopicPartition { topic: topic.as_str().into(), partition: p.partition };
                let since = before.get(&partition).copied().unwrap_or_else(Instant::now);
                stalled.insert(partition, since);
            }
        }
        let partitions =
            statistics.topics.iter().flat_map(|(topic, of)| of.partitions.values().map(move |p| (topic, p)));
        let known = partitions.filter(|(_, p)| p.partition >= 0 && p.hi_offset >= 0).map(|(topic, p)| Bounds {
            partition: TopicPartition { topic: topic.as_str().into(), partition: p.partition },
            first: p.lo_offset.max(0),
            end: p.end(),
            committed: Some(p.committed_offset).filter(|o| *o >= 0),
            given_out: p.given_out(),
        });
        *self.bounds.lock().unwrap_or_else(PoisonError::into_inner) = known.collect();
    }
}

#[derive(serde::Deserialize)]
struct Statistics {
    #[serde(default)]
    tx_bytes: u64,
    #[serde(default)]
    rx_bytes: u64,
    #[serde(default)]
    brokers: BTreeMap<String, BrokerStatistics>,
    #[serde(default)]
    topics: BTreeMap<String, TopicStatistics>,
}

#[derive(serde::Deserialize)]
struct TopicStatistics {
    partitions: BTreeMap<String, PartitionStatistics>,
}

/// Offsets are negative where they are not known.
#[derive(serde::Deserialize)]
struct PartitionStatistics {
    partition: i32,
    /// Whether the application wants it.
    desired: bool,
    fetch_state: String,
    lo_offset: i64,
    hi_offset: i64,
    ls_offset: i64,
    committed_offset: i64,
    /// Where the next fetch begins.
    next_offset: i64,
    /// Records that were fetched and not given out.
    fetchq_cnt: i64,
}

impl PartitionStatistics {
    /// A consumer that has read behind the last stable offset reads what is not committed, too.
    fn end(&self) -> i64 {
        if self.ls_offset >= self.next_offset.max(0) { self.ls_offset } else { self.hi_offset }
    }

    fn given_out(&self) -> bool {
        self.next_offset >= self.end() && self.fetchq_cnt == 0
    }
}

#[derive(serde::Deserialize)]
struct BrokerStatistics {
    nodename: String,
    source: String,
    state: String,
    waitresp_cnt: i64,
    /// Answers.
    rx: u64,
    /// Microseconds since the last one.
    rxidle: i64,
}

impl ClientContext for Context {
    fn log(&self, level: Level, facility: &str, message: &str) {
        let _place = self.place.0.enter();
        if facility == "FAIL" {
            // Before it stand the thread and the broker's address with librdkafka's number.
            let text = message.split_once("]: ").map_or(message, |(_, text)| text);
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(plain_failure(text));
        }
        match level {
            Level::Debug => tracing::trace!(target: "librdkafka", facility, "{message}"),
            // What matters of it comes as an error of a request, too.
            _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let _place = self.place.0.enter();
        let parsed = serde_json::from_slice(statistics).or_else(|e| {
            // It begins with the client's id, in which librdkafka does not escape quotes.
            let text = String::from_utf8_lossy(statistics);
            let rest = text.find("\"type\":").and_then(|at| text.get(at..)).ok_or(e)?;
            serde_json::from_str(&format!("{{{rest}"))
        });
        match parsed {
            Ok(statistics) => self.take_up(&statistics),
            Err(e) => tracing::debug!("reading librdkafka's statistics: {e}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let _place = self.place.0.enter();
        // One line per outage: librdkafka repeats itself for every connection attempt.
        match Told::of(error.rdkafka_error_code()) {
            Told::Outage => {
                if !self.brokers_down.swap(true, Ordering::Relaxed) {
                    *self.down_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                    tracing::warn!("kafka cannot be reached: {reason}");
                }
            }
            Told::Attempt => tracing::debug!(target: "librdkafka", "{reason}"),
            Told::Routine => tracing::trace!(target: "librdkafka", "{reason}"),
            Told::Trouble => tracing::warn!(target: "librdkafka", "{reason}"),
        }
    }
}

/// Why a connection failed, without how long that took and how often it did; and what it means that an answer begins with a
/// length that cannot be one, where librdkafka advises to raise a limit.
fn plain_failure(text: &str) -> String {
    let text = text.rsplit_once(" (after ").map_or(text, |(text, _)| text);
    match text.split_once(": Receive failed: Invalid response size") {
        Some((place, _)) => {
            format!("{place}: what answers there does not speak Kafka's protocol, or does so in TLS only")
        }
        None => text.to_owned(),
    }
}

/// What librdkafka calls an error, as it is told of.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// No broker is left.
    Outage,
    /// One of many tries has failed.
    Attempt,
    /// It is no error: a reader of a whole topic waits for it.
    Routine,
    Trouble,
}

impl Told {
    fn of(code: Option<Code>) -> Self {
        match code {
            Some(Code::AllBrokersDown) => Self::Outage,
            Some(Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut) => Self::Attempt,
            Some(Code::PartitionEOF) => Self::Routine,
            _ => Self::Trouble,
        }
    }
}

/// Of consumers that are in no group.
impl ConsumerContext for Context {}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(context: &Context, state: &str, waiting: i64, answers: u64, idle_s: i64) -> Option<String> {
        let text = format!(
            r#"{{"brokers":{{"b:1/1":{{"nodename":"b:1","source":"learned","state":"{state}","waitresp_cnt":{waiting},"rx":{answers},"rxidle":{}}}}}}}"#,
            idle_s * 1_000_000
        );
        context.stats_raw(text.as_bytes());
        context.silent_broker()
    }

    #[test]
    fn a_failed_connection_is_told_in_few_words() {
        for (said, told) in [
            (
                "h:9/bootstrap: Connect to ipv4#h:9 failed: Connection refused (after 0ms in state CONNECT, 1 identical \
                 error(s) suppressed)",
                "h:9/bootstrap: Connect to ipv4#h:9 failed: Connection refused",
            ),
            (
                "h:80/bootstrap: Receive failed: Invalid response size 1008813135 (0..100000000): increase \
                 receive.message.max.bytes (after 0ms in state APIVERSION_QUERY)",
                "h:80/bootstrap: what answers there does not speak Kafka's protocol, or does so in TLS only",
            ),
            ("SASL authentication error: no (really)", "SASL authentication error: no (really)"),
        ] {
            assert_eq!(plain_failure(said), told);
        }
    }

    #[test]
    fn the_end_of_a_partition_is_no_trouble() {
        let codes = [Code::PartitionEOF, Code::AllBrokersDown, Code::Resolve, Code::Fatal].map(Some);
        let told = codes.map(Told::of);
        assert_eq!(told, [Told::Routine, Told::Outage, Told::Attempt, Told::Trouble]);
    }

    #[test]
    fn statistics_of_clients_with_quotes_in_their_names_are_read() {
        let context = Context::default();
        let text = r##"{ "name": "in "1"#producer-1", "client_id": "in "1"", "type": "producer", "tx_bytes": 7 }"##;
        context.stats_raw(text.as_bytes());
        assert_eq!(context.traffic(), (7, 0));
    }

    #[test]
    fn a_broker_is_silent_when_requests_wait_and_nothing_comes() {
        let context = Context::default();
        assert_eq!(look(&context, "UP", 1, 7, 0), None);
        assert_eq!(look(&context, "UP", 1, 7, 5), None);
        assert_eq!(look(&context, "UP", 1, 7, 11), Some("b:1".into()));
        // The connection times out and is made anew, which is not an answer.
        assert_eq!(look(&context, "CONNECT", 0, 7, 61), Some("b:1".into()));
        assert_eq!(look(&context, "UP", 1, 8, 0), None);
    }

    #[test]
    fn a_broker_that_nothing_was_asked_of_is_not_silent() {
        let context = Context::default();
        assert_eq!(look(&context, "UP", 0, 7, 100), None);
        assert!(!context.brokers_down());
        // Asked just now, long after its last answer.
        assert_eq!(look(&context, "UP", 1, 7, 105), None);
        assert_eq!(look(&context, "UP", 0, 8, 1), None);
        assert_eq!(look(&context, "DOWN", 0, 8, 600), None);
    }

    #[test]
    fn brokers_that_answer_are_there_again() {
        let context = Context::default();
        look(&context, "UP", 0, 7, 0);
        context.error(KafkaError::Global(Code::AllBrokersDown), "1/1 brokers are down");
        // An answer that came just before.
        look(&context, "CONNECT", 0, 8, 5);
        assert!(context.brokers_down());
        look(&context, "UP", 0, 9, 0);
        assert!(!context.brokers_down());
        // librdkafka does not always say that they are gone.
        look(&context, "CONNECT", 0, 9, 3);
        assert!(!context.brokers_down());
        look(&context, "TRY_CONNECT", 0, 9, 6);
        assert!(context.brokers_down());
        look(&context, "UP", 0, 10, 0);
        assert!(!context.brokers_down());
    }
}
