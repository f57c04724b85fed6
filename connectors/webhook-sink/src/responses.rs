//! Answers of servers as records: in Kafka before the offsets of the records that they are about are committed.

use std::{
    fmt::Write,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use connect_api::{Error, Origin, Result, Settings, SinkRecord, TaskContext, Value};
use connect_kafka::{Cut, Delivery, Outgoing, Producer, Role, producer_defaults, translate};
use connector_http::{Answer, status::bounded};

/// The most of an answer that a record has, in characters.
const TEXT_LIMIT: usize = 16 * 1024;
/// How long Kafka may take for what was sent before a flush fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Topics for answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponsePlan {
    /// For those to requests that were taken.
    pub taken: Option<String>,
    /// For those to records that were refused for good.
    pub refused: Option<String>,
    /// Settings of the producer's client, such as the addresses of another cluster.
    pub client: Settings,
}

/// Writes answers.
#[derive(Debug)]
pub struct Responses {
    producer: Producer<Reports>,
    reports: Arc<Reports>,
    plan: ResponsePlan,
}

#[derive(Debug, Default)]
struct Reports {
    pending: AtomicUsize,
    failure: Mutex<Option<Error>>,
}

impl Delivery for Reports {
    fn delivered(&self, _partition: i32, _offset: i64) {
        self.pending.fetch_sub(1, Ordering::AcqRel);
    }

    fn failed(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.pending.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Responses {
    /// Connects in the background.
    pub fn new(plan: &ResponsePlan, context: &TaskContext) -> Result<Self> {
        let mut java = context.kafka_producer();
        java.extend(&plan.client);
        let mut client = translate(Role::Producer, &java).map_err(|problems| {
            let texts: Vec<String> = problems.into_iter().map(|p| format!("{}: {}", p.key, p.reason)).collect();
            Error::fatal(format!("settings of the producer for answers: {}", texts.join("; ")))
        })?;
        producer_defaults(&mut client);
        let cut = Cut::default();
        let producer = Producer::new(&client)?.cut_by(&cut);
        context.on_given_up(move || cut.cut());
        Ok(Self { producer, reports: Arc::default(), plan: plan.clone() })
    }

    /// Writes the answer to a request that took these records.
    pub async fn taken(&self, records: &[&SinkRecord], answer: &Answer, url: &str) -> Result<()> {
        self.write(self.plan.taken.as_deref(), records, answer, url).await
    }

    /// Writes the answer to a request for a record that is refused for good.
    pub async fn refused(&self, record: &SinkRecord, answer: &Answer, url: &str) -> Result<()> {
        self.write(self.plan.refused.as_deref(), &[record], answer, url).await
    }

    /// What Kafka has refused of the answers, if anything: nothing must be sent any more.
    pub fn check(&self) -> Result<()> {
        let failure = self.reports.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map_or(Ok(()), |e| {
            let topics: Vec<&str> =
                [&self.plan.taken, &self.plan.refused].into_iter().flatten().map(|t| &**t).collect();
            Err(Error::fatal(format!("writing answers to {}", topics.join(" and "))).caused_by(e.clone()))
        })
    }

    /// Waits until Kafka has all that was written.
    pub async fn flush(&self) -> Result<()> {
        if self.reports.pending.load(Ordering::Acquire) > 0 {
            self.producer.flush(PATIENCE).await?;
        }
        self.check()
    }

    async fn write(&self, topic: Option<&str>, records: &[&SinkRecord], answer: &Answer, url: &str) -> Result<()> {
        let (Some(topic), Some(first)) = (topic, records.first()) else { return Ok(()) };
        let origin = &first.origin;
        let texts = [
            ("webhook.status", answer.status.as_u16().to_string()),
            ("webhook.url", url.to_owned()),
            ("webhook.topic", origin.topic.to_string()),
            ("webhook.partition", origin.partition.to_string()),
            ("webhook.offset", origin.offset.to_string()),
            ("webhook.records", records.len().to_string()),
            ("webhook.origins", origins(records)),
        ];
        let headers: Vec<(&str, Option<&[u8]>)> =
            texts.iter().map(|(name, text)| (*name, Some(text.as_bytes()))).collect();
        let key = match (&first.key, records.len()) {
            (Value::Null, _) => None,
            (key, 1) => Some(key.to_string()),
            _ => None,
        };
        let body = bounded(&answer.text, TEXT_LIMIT);
        let record = Outgoing {
            topic,
            partition: None,
            timestamp: None,
            key: key.as_deref().map(str::as_bytes),
            value: Some(body.as_bytes()),
            headers: &headers,
        };
        self.reports.pending.fetch_add(1, Ordering::AcqRel);
        self.producer.send(record, self.reports.clone()).await.inspect_err(|_| {
            self.reports.pending.fetch_sub(1, Ordering::AcqRel);
        })
    }
}

/// Where the records come from: topic, partition and offsets, as in `t/0/5-9,t/1/3`.
fn origins(records: &[&SinkRecord]) -> String {
    let mut out = String::new();
    let mut rest = records.iter().map(|record| &record.origin).peekable();
    while let Some(first) = rest.next() {
        let mut last = first.offset;
        let follows = |next: &Origin, last: i64| {
            next.partition == first.partition && next.offset == last + 1 && next.topic == first.topic
        };
        while let Some(next) = rest.next_if(|next| follows(next, last)) {
            last = next.offset;
        }
        let comma = if out.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(out, "{comma}{}/{}/{}", first.topic, first.partition, first.offset);
        if last > first.offset {
            let _ = write!(out, "-{last}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Record, TimestampType};

    #[test]
    fn origins_are_ranges() {
        let record = |partition, offset| {
            let origin = Origin { topic: "t".into(), partition, offset, timestamp_type: TimestampType::CreateTime };
            SinkRecord { record: Record::new("renamed"), origin }
        };
        let all = [record(0, 5), record(0, 6), record(0, 7), record(1, 8), record(0, 9), record(0, 11)];
        assert_eq!(origins(&all.iter().collect::<Vec<_>>()), "t/0/5-7,t/1/8,t/0/9,t/0/11");
        assert_eq!(origins(&[&all[0]]), "t/0/5");
    }
}
