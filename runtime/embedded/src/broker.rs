//! A Kafka cluster in this process: librdkafka's own, made for its tests.
//!
//! It keeps up to 100,000 messages or 5 MB of a partition, gives a consumer group its first assignment
//! after 3 seconds, and answers no admin requests. Asked for the offset of a time it says of every one that there is none
//! (ListOffsets looks up only the beginning and the end); `connect_kafka::Positions` reads the records instead.

use std::{
    fmt,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use connect_api::{Error, Result};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    mocking::MockCluster,
    producer::DefaultProducerContext,
};
use tokio::sync::oneshot;

/// A running cluster. Dropping it ends it.
pub struct Broker {
    bootstrap: String,
    // The cluster cannot leave its thread, so it is told what to do; the thread ends with the sender.
    requests: Sender<CreateTopic>,
}

struct CreateTopic {
    name: String,
    partitions: u16,
    answer: oneshot::Sender<Result<()>>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Broker").field(&self.bootstrap).finish()
    }
}

impl Broker {
    /// Starts a cluster of that many brokers on free ports of 127.0.0.1.
    pub async fn start(brokers: u16) -> Result<Self> {
        let (ready, started) = oneshot::channel();
        let (requests, inbox) = channel();
        let thread = thread::Builder::new().name("embedded-broker".into());
        let thread = thread.spawn(move || match MockCluster::new(i32::from(brokers.max(1))) {
            Ok(cluster) => {
                // Nobody waits any more when the future was dropped; then the inbox is closed, too.
                let _ = ready.send(Ok(cluster.bootstrap_servers()));
                serve(&cluster, &inbox);
            }
            Err(e) => {
                let _ = ready.send(Err(Error::fatal("starting the embedded broker").caused_by(e)));
            }
        });
        thread.map_err(|e| Error::fatal("starting the thread of the embedded broker").caused_by(e))?;
        Ok(Self { bootstrap: started.await.map_err(|_| gone())??, requests })
    }

    /// Addresses of the brokers, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Creates a topic; one that exists stays as it is.
    pub async fn create_topic(&self, name: &str, partitions: u16) -> Result<()> {
        let (answer, done) = oneshot::channel();
        self.requests.send(CreateTopic { name: name.to_owned(), partitions, answer }).map_err(|_| gone())?;
        done.await.map_err(|_| gone())?
    }
}

fn gone() -> Error {
    Error::fatal("the embedded broker has ended")
}

fn serve(cluster: &MockCluster<'static, DefaultProducerContext>, inbox: &Receiver<CreateTopic>) {
    for CreateTopic { name, partitions, answer } in inbox {
        let made = match cluster.create_topic(&name, i32::from(partitions.max(1)), 1) {
            Err(KafkaError::MockCluster(RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
            other => {
                other.map_err(|e| Error::fatal(format!("creating topic {name} on the embedded broker")).caused_by(e))
            }
        };
        let _ = answer.send(made);
    }
}
