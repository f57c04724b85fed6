//! What all clients share: librdkafka's log lines and errors as tracing events.

use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel as Level,
    error::{KafkaError, RDKafkaErrorCode as Code},
};

/// Context of every client: logs, and remembers whether any broker can be reached.
#[derive(Debug, Default)]
pub struct Context {
    brokers_down: AtomicBool,
}

impl Context {
    /// Whether all brokers were unreachable when librdkafka last said anything about it.
    pub fn brokers_down(&self) -> bool {
        self.brokers_down.load(Ordering::Relaxed)
    }

    /// To be called when a request succeeded.
    pub fn reached(&self) {
        if self.brokers_down.swap(false, Ordering::Relaxed) {
            tracing::info!("kafka can be reached again");
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: Level, facility: &str, message: &str) {
        match level {
            Level::Debug => tracing::trace!(target: "librdkafka", facility, "{message}"),
            // What matters of it comes as an error of a request, too.
            _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // One line per outage: librdkafka repeats itself for every connection attempt.
        match error.rdkafka_error_code() {
            Some(Code::AllBrokersDown) => {
                if !self.brokers_down.swap(true, Ordering::Relaxed) {
                    tracing::warn!("kafka cannot be reached: {reason}");
                }
            }
            Some(Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut) => {
                tracing::debug!(target: "librdkafka", "{reason}");
            }
            _ => tracing::warn!(target: "librdkafka", "{reason}"),
        }
    }
}
