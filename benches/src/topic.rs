//! Fills topics.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer},
};

/// Writes messages to a topic as fast as librdkafka takes them.
pub struct Filler<'a> {
    producer: BaseProducer,
    topic: &'a str,
}

impl<'a> Filler<'a> {
    /// With further settings of the producer.
    pub fn new(bootstrap: &str, topic: &'a str, settings: &[(&str, &str)]) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap);
        for (key, value) in settings {
            config.set(*key, *value);
        }
        Self { producer: config.create().expect("producer"), topic }
    }

    /// Writes a message, with the time of its production unless it has one; waits while the queue is full.
    pub fn write(&self, value: &[u8], time: Option<i64>) {
        let mut record = BaseRecord::<(), [u8]>::to(self.topic).payload(value);
        record.timestamp = time;
        loop {
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((e, _)) => panic!("{e}"),
            }
        }
    }

    /// Waits until all is written.
    pub fn finish(self) {
        self.producer.flush(Duration::from_secs(60)).expect("flush");
    }
}

/// Writes so many messages, a millisecond apart, the last one now: Kafka deletes what is older than a week, even if it has
/// just come. Answers how many bytes they have.
pub fn fill(bootstrap: &str, topic: &str, records: u64, message: impl Fn(u64) -> String) -> u64 {
    let filler = Filler::new(bootstrap, topic, &[("linger.ms", "20")]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis();
    let first = i64::try_from(now).expect("a time") - i64::try_from(records).expect("a number");
    let mut bytes = 0;
    for n in 0..records {
        let value = message(n);
        bytes += value.len() as u64;
        filler.write(value.as_bytes(), Some(first + i64::try_from(n).expect("a number")));
    }
    filler.finish();
    bytes
}
