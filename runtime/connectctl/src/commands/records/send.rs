//! Sends records and waits until Kafka has acknowledged each.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use connect_api::{Bytes, Error};
use connect_kafka::{BatchRefused, Delivery, Outgoing, Producer, Role, producer_defaults, refused_with_others};
use connector_alarm::Audit;
use tokio::time::Instant;

use crate::{error::Failure, places::kafka::Kafka, shell};

/// How long reports may take that are due.
const REPORTS: Duration = Duration::from_secs(5);

/// A record to send.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) topic: String,
    /// None where the key decides.
    pub(crate) partition: Option<i32>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<(Arc<str>, Option<Bytes>)>,
}

impl Record {
    /// Bytes of key and value.
    pub(crate) fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// What became of one record.
#[derive(Default)]
struct Ack(Mutex<Option<Result<(i32, i64), Error>>>);

impl Ack {
    fn set(&self, outcome: Result<(i32, i64), Error>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(outcome);
    }
}

impl Delivery for Ack {
    fn delivered(&self, partition: i32, offset: i64) {
        self.set(Ok((partition, offset)));
    }

    fn failed(&self, error: Error) {
        self.set(Err(error));
    }
}

/// Lets so many records a second pass.
#[derive(Debug)]
pub(crate) struct Pace {
    every: Duration,
    next: Instant,
}

impl Pace {
    pub(crate) fn new(rate: f64) -> Self {
        Self { every: Duration::from_secs_f64(1.0 / rate), next: Instant::now() }
    }

    /// When the next record may pass. Time in which none wanted to is not made up for.
    fn due(&mut self, now: Instant) -> Instant {
        let due = self.next.max(now);
        self.next = due + self.every;
        due
    }
}

/// Sends records.
pub(crate) struct Sender {
    producer: Producer<Ack>,
    kafka: Kafka,
    limit: Duration,
}

impl Sender {
    pub(crate) fn new(kafka: &Kafka, limit: Duration) -> Result<Self, Failure> {
        let mut settings = kafka.client(Role::Producer)?;
        // A record that is not acknowledged in time is told, not waited for without end; how large one may be, the topic
        // says, which held it before.
        if !settings.native.contains_key("delivery.timeout.ms") {
            settings.or_set("message.timeout.ms", &limit.as_millis().max(1000).to_string());
        }
        settings.or_set("message.max.bytes", "104857600");
        producer_defaults(&mut settings);
        Ok(Self { producer: Producer::new(&settings)?, kafka: kafka.clone(), limit })
    }

    /// A failure of Kafka with its address.
    pub(crate) fn unreachable(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Unreachable(text) => Failure::Unreachable(format!(
                "{text}; asked was Kafka at {} (from {})",
                self.kafka.brokers(),
                self.kafka.origin
            )),
            other => other,
        }
    }

    /// Sends these and says of each in which partition and at which offset it is, or why it is not.
    pub(crate) async fn send(&self, records: &[Record], pace: Option<&mut Pace>) -> Vec<Result<(i32, i64), Error>> {
        let mut outcomes = self.together(records, pace).await;
        for (record, outcome) in records.iter().zip(&mut outcomes) {
            // Nothing may be wrong with it but the company in which it was sent.
            if let Err(e) = outcome
                && (BatchRefused::find(e).is_some() || refused_with_others(e))
                && let Some(alone) = self.together(std::slice::from_ref(record), None).await.pop()
            {
                *outcome = alone;
            }
            if let Err(e) = outcome
                && is_too_large(e)
            {
                let topic = &record.topic;
                *outcome = Err(Error::data(format!(
                    "it is larger than max.message.bytes of topic {topic} allows; \
                     connectctl topics config set {} max.message.bytes=BYTES raises that",
                    shell::word(topic)
                )));
            }
        }
        outcomes
    }

    /// Once one cannot be sent, those behind it are not sent.
    async fn together(&self, records: &[Record], mut pace: Option<&mut Pace>) -> Vec<Result<(i32, i64), Error>> {
        let mut acks: Vec<Arc<Ack>> = Vec::with_capacity(records.len());
        for record in records {
            if let Some(pace) = &mut pace {
                tokio::time::sleep_until(pace.due(Instant::now())).await;
            }
            let ack = Arc::new(Ack::default());
            acks.push(ack.clone());
            let headers: Vec<(&str, Option<&[u8]>)> =
                record.headers.iter().map(|(name, value)| (&**name, value.as_deref())).collect();
            let outgoing = Outgoing {
                topic: &record.topic,
                partition: record.partition,
                timestamp: record.timestamp,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
            };
            if let Err(e) = self.producer.send(outgoing, ack.clone()).await {
                ack.set(Err(e));
                break;
            }
        }
        let late = self.producer.flush(self.limit + REPORTS).await;
        if late.is_err() {
            // What is not acknowledged now must not be sent behind what is said of it.
            self.producer.purge();
            // What has no report after that is told as late.
            let _ = self.producer.flush(REPORTS).await;
        }
        let unsent = || Error::retriable("it was not sent, because of what happened to one before it");
        let mut outcomes: Vec<Result<(i32, i64), Error>> = Vec::with_capacity(records.len());
        for index in 0..records.len() {
            let told = acks.get(index).map(|ack| ack.0.lock().unwrap_or_else(PoisonError::into_inner).clone());
            outcomes.push(match (told, &late) {
                (Some(Some(outcome)), _) => outcome,
                (Some(None), Err(e)) => Err(e.clone()),
                (Some(None), Ok(())) => Err(Error::retriable("kafka has not said what became of it")),
                (None, _) => Err(unsent()),
            });
        }
        outcomes
    }
}

/// Whether Kafka, or librdkafka before it, refused the record for its size. There is no more to say of it than how large it may
/// be: what connectors can set, this command cannot.
fn is_too_large(e: &Error) -> bool {
    BatchRefused::find(e).is_some() || e.exception_class() == "org.apache.kafka.common.errors.RecordTooLargeException"
}

/// Who sends: the account and the machine, as the headers of alarms have them.
pub(crate) fn who() -> String {
    let Audit { user, host, .. } = Audit::of_process("connectctl".into(), None);
    format!("{user}@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_kept_and_pauses_are_not_made_up_for() {
        let mut pace = Pace::new(10.0);
        let began = pace.next;
        let due = (0..11).map(|_| pace.due(began)).last().expect("eleven");
        assert_eq!(due - began, Duration::from_secs(1));
        let later = began + Duration::from_secs(60);
        assert_eq!(pace.due(later), later);
        assert_eq!(pace.due(later) - later, Duration::from_millis(100));
    }
}
