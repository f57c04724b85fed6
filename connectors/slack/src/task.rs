//! Sends messages, at the pace that Slack allows.

use connect_api::{
    Check, Error, ErrorClass, Rendered, Rendering, Result, SinkContext, SinkRecord, SinkTask, SinkTrial,
    TopicPartition, async_trait,
};
use connector_http::{Client, Keys, Method, Progress, Url, header::CONTENT_TYPE};
use tokio::time::{Instant, sleep_until};

use crate::{
    config::{SlackConfig, SlackSettings},
    message::{Messages, class_of},
};

const KEYS: Keys = Keys { url: "slack.webhook.url", credentials: "slack.webhook.url" };

/// A running task.
#[derive(Debug)]
pub struct SlackTask {
    settings: SlackSettings,
    context: SinkContext,
    client: Client,
    url: Url,
    messages: Messages,
    /// When the channel may get its next message.
    next: Instant,
    progress: Progress,
}

impl SlackTask {
    /// Makes the task ready. Nothing is sent.
    pub fn new(config: SlackConfig, context: SinkContext) -> Result<Self> {
        let settings = config.own;
        let url = Url::parse(settings.url.reveal());
        let url = url.map_err(|e| Error::fatal("reading slack.webhook.url").caused_by(e))?;
        let messages = Messages::new(&settings.raised, &settings.cleared)?;
        // Some servers name the path that they do not know.
        let client = Client::new(&config.with, KEYS)?.hiding(&settings.url).hiding_text(url.path());
        Ok(Self { settings, context, client, url, messages, next: Instant::now(), progress: Progress::new() })
    }

    fn body(&self, record: &SinkRecord) -> Result<String> {
        Ok(serde_json::json!({ "text": self.messages.text(record)? }).to_string())
    }

    async fn post(&mut self, record: &SinkRecord) -> Result<()> {
        let doing = format!("posting a message to slack at {}", self.client.place(&self.url));
        let body = self.body(record)?;
        let stopping = self.context.stopping().clone();
        if stopping.run_until_cancelled(sleep_until(self.next)).await.is_none() {
            return Err(Error::retriable(doing).caused_by("the task is stopping"));
        }
        let request = self.client.request(Method::POST, self.url.clone());
        let request = request.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body);
        let answer = self.client.send(request, || doing.clone()).await;
        self.next = Instant::now() + self.settings.interval.0;
        let answer = answer?;
        if answer.is_success() {
            return Ok(());
        }
        if let Some(delay) = answer.retry_after {
            self.next = Instant::now() + delay;
        }
        Err(match class_of(&answer.text) {
            Some(ErrorClass::Fatal) => {
                let text =
                    format!("{doing}: make a webhook that may post to its channel and set slack.webhook.url to it");
                answer.error_as(ErrorClass::Fatal, text)
            }
            Some(class) => answer.error_as(class, doing),
            None => answer.error(doing),
        })
    }
}

#[async_trait]
impl SinkTrial for SlackTask {
    // Whether Slack takes the webhook, only a message tells.
    async fn check(&mut self) -> Result<Check> {
        self.client.reach(&self.url).await
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        let to = format!("POST {}", self.client.place(&self.url));
        Ok(Rendering::Sent(Rendered { to, body: Some(self.body(record)?), ..Rendered::default() }))
    }
}

#[async_trait]
impl SinkTask for SlackTask {
    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.progress.forget(partitions);
        Ok(())
    }

    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        for record in records {
            if self.progress.has(record) {
                continue;
            }
            match self.post(record).await {
                Err(e) if e.class() == ErrorClass::Data => self.context.report(record, e).await?,
                posted => posted?,
            }
            self.progress.note(record);
        }
        self.progress.finished(records);
        Ok(())
    }
}
