//! Sends requests.

use connect_api::{ErrorClass, Result, SinkContext, SinkRecord, SinkTask, TopicPartition, async_trait};
use connector_http::{Client, Keys, Method, Progress, header::HeaderMap, shown_url};

use crate::{
    config::{Tombstones, WebhookSinkConfig},
    request::Plan,
};

const KEYS: Keys =
    Keys { url: "webhook.url", credentials: "http.token, http.username and http.password, or webhook.headers" };

/// A running task.
#[derive(Debug)]
pub struct WebhookTask {
    context: SinkContext,
    client: Client,
    plan: Plan,
    method: Method,
    headers: HeaderMap,
    tombstones: Tombstones,
    progress: Progress,
}

impl WebhookTask {
    /// Makes the task ready. Nothing is sent.
    pub fn new(config: WebhookSinkConfig, context: SinkContext) -> Result<Self> {
        Ok(Self {
            context,
            client: Client::new(&config.with, KEYS)?.with_auth(&config.own.with)?,
            plan: Plan::new(&config.url, config.body.as_deref())?,
            method: config.method.into(),
            headers: config.header_map()?,
            tombstones: config.tombstones,
            progress: Progress::new(),
        })
    }

    async fn send(&self, record: &SinkRecord) -> Result<()> {
        let url = self.plan.url(record)?;
        let to = shown_url(&url);
        let request = match (record.value.is_null(), self.tombstones) {
            (true, Tombstones::Ignore) => return Ok(()),
            (true, Tombstones::Delete) => self.client.request(Method::DELETE, url),
            _ => {
                let body = self.plan.body(record)?;
                self.client.request(self.method.clone(), url).headers(self.headers.clone()).body(body)
            }
        };
        self.client.deliver(request, || format!("sending a record to {to} (webhook.url)")).await.map(drop)
    }
}

#[async_trait]
impl SinkTask for WebhookTask {
    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.progress.forget(partitions);
        Ok(())
    }

    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        for record in records {
            if self.progress.has(record) {
                continue;
            }
            match self.send(record).await {
                Err(e) if e.class() == ErrorClass::Data => self.context.report(record, e).await?,
                sent => sent?,
            }
            self.progress.note(record);
        }
        self.progress.finished(records);
        Ok(())
    }
}
