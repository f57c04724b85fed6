//! The embedded broker and schema registry: one process shows the whole system, and tests need no servers.
//!
//! - [`Embedded`]: both, on loopback, until the value is dropped
//! - [`Broker`]: librdkafka's in-process cluster. It keeps little, in memory only, and knows no admin
//!   requests, compaction or transactions
//! - [`Registry`]: the part of Confluent's schema registry REST API that clients use, in memory

mod broker;
mod registry;

use connect_api::Result;

pub use self::{broker::Broker, registry::Registry};

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Number of brokers.
    pub brokers: u16,
    /// Port of the schema registry; 0 takes a free one.
    pub registry_port: u16,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self { brokers: 1, registry_port: 0 }
    }
}

/// A broker and a schema registry in this process; both end with the value.
#[derive(Debug)]
pub struct Embedded {
    broker: Broker,
    registry: Registry,
}

impl Embedded {
    /// Starts both. Needs a tokio runtime, which serves the registry.
    pub async fn start(options: EmbeddedOptions) -> Result<Self> {
        let broker = Broker::start(options.brokers).await?;
        let registry = Registry::start(options.registry_port).await?;
        Ok(Self { broker, registry })
    }

    /// Addresses of the brokers, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        self.broker.bootstrap()
    }

    /// Base URL of the schema registry, for `schema.registry.url`.
    pub fn registry_url(&self) -> &str {
        self.registry.url()
    }

    /// Creates a topic; one that exists stays as it is.
    ///
    /// A topic that is merely produced to is created with four partitions, librdkafka's choice.
    pub async fn create_topic(&self, name: &str, partitions: u16) -> Result<()> {
        self.broker.create_topic(name, partitions).await
    }
}
