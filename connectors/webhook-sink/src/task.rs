//! Sends requests.

use connect_api::{
    Check, Rendered, Rendering, Result, SinkContext, SinkRecord, SinkTask, SinkTrial, TopicPartition, async_trait,
};
use connector_http::{
    Client, Delivery, Keys, Method, Url,
    header::{HeaderMap, HeaderValue},
    shown_url,
};

use crate::{
    config::{Tombstones, WebhookSinkConfig},
    request::Plan,
};

const KEYS: Keys =
    Keys { url: "webhook.url", credentials: "http.token, http.username and http.password, or webhook.headers" };

/// A running task.
#[derive(Debug)]
pub struct WebhookTask {
    sender: Sender,
    delivery: Delivery,
}

/// Makes requests of records.
#[derive(Debug)]
struct Sender {
    client: Client,
    plan: Plan,
    method: Method,
    headers: HeaderMap,
    tombstones: Tombstones,
}

impl WebhookTask {
    /// Makes the task ready. Nothing is sent.
    pub fn new(config: WebhookSinkConfig, context: SinkContext) -> Result<Self> {
        let sender = Sender {
            client: Client::new(&config.with, KEYS)?.with_auth(&config.own.with)?.counted_by(&context),
            plan: Plan::new(&config.url, config.body.as_deref())?,
            method: config.method.into(),
            headers: config.header_map()?,
            tombstones: config.tombstones,
        };
        Ok(Self { sender, delivery: Delivery::new(context, &config.own.own.with) })
    }
}

impl Sender {
    /// Method, URL and body of the request for a record; `None` where nothing is sent.
    fn plan(&self, record: &SinkRecord) -> Result<Option<(Method, Url, Option<String>)>> {
        let url = self.plan.url(record)?;
        Ok(match (record.value.is_null(), self.tombstones) {
            (true, Tombstones::Ignore) => None,
            (true, Tombstones::Delete) => Some((Method::DELETE, url, None)),
            _ => Some((self.method.clone(), url, Some(self.plan.body(record)?))),
        })
    }

    async fn send(&self, record: &SinkRecord) -> Result<()> {
        let Some((method, url, body)) = self.plan(record)? else { return Ok(()) };
        let to = shown_url(&url);
        let request = self.client.request(method, url);
        let request = match body {
            Some(body) => request.headers(self.headers.clone()).body(body),
            None => request,
        };
        self.client.deliver(request, || format!("sending a record to {to} (webhook.url)")).await.map(drop)
    }
}

#[async_trait]
impl SinkTrial for WebhookTask {
    // What the server says to a request, only a request tells.
    async fn check(&mut self) -> Result<Check> {
        match self.sender.plan.server() {
            Some(server) => self.sender.client.reach(&server).await,
            None => Ok(Check::NotChecked("which server it is depends on the record (webhook.url)".into())),
        }
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        let Some((method, url, body)) = self.sender.plan(record)? else {
            return Ok(Rendering::Nothing("webhook.tombstones is ignore".into()));
        };
        let shown = |value: &HeaderValue| match value.to_str() {
            Ok(text) if !value.is_sensitive() => text.to_owned(),
            _ => "[hidden]".to_owned(),
        };
        let of_body = if body.is_some() { Some(&self.sender.headers) } else { None };
        let headers = of_body.into_iter().flatten().map(|(name, value)| (name.to_string(), shown(value)));
        let to = format!("{method} {}", shown_url(&url));
        Ok(Rendering::Sent(Rendered { to, headers: headers.collect(), body }))
    }
}

#[async_trait]
impl SinkTask for WebhookTask {
    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.delivery.opened(partitions);
        Ok(())
    }

    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let sender = &self.sender;
        self.delivery.deliver(records, |_| 1, |group| async move { sender.send(group[0]).await }).await
    }
}
