//! What librdkafka tells the member of a worker's group.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    error::KafkaError,
};

use crate::client::Context;

/// What has happened to the member.
#[derive(Debug)]
pub(super) enum News {
    /// The group has been joined; the partition was assigned to this member or is another's.
    Assigned(bool),
    /// It is no member any more.
    Lost,
}

/// Context of the member's client.
pub(super) struct Member {
    client: Context,
    /// Set when it is to leave.
    leaving: Arc<AtomicBool>,
    news: Mutex<Vec<News>>,
}

impl Member {
    pub(super) fn new(leaving: Arc<AtomicBool>) -> Self {
        Self { client: Context::default(), leaving, news: Mutex::default() }
    }

    pub(super) fn client(&self) -> &Context {
        &self.client
    }

    pub(super) fn news(&self) -> Vec<News> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, news: News) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push(news);
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.client.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.error(error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.client.stats_raw(statistics);
    }
}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Revoke(_)) && !self.leaving.load(Ordering::Acquire) {
            // Before the partition is given back, which the client would otherwise follow by joining again.
            consumer.unsubscribe();
            self.tell(News::Lost);
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            // Nothing is to be read here.
            if let Err(e) = consumer.pause(partitions) {
                tracing::debug!("pausing the partition of the group: {e}");
            }
            self.tell(News::Assigned(partitions.count() > 0));
        }
    }
}
