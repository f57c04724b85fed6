//! The sinks that send over HTTP, in each of their ways, and how they are driven.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use connect_api::{ErrorClass, Result, Settings, SinkConnector, SinkRecord, SinkTask, TopicPartition, config::Config};
use connect_testkit::{
    Host,
    sink::{deliver, flush, record},
};
use connector_alarm::{Alarm, Priority};
use connector_influxdb::InfluxSink;
use connector_prometheus::PrometheusSink;
use connector_slack::SlackSink;
use connector_webhook_sink::WebhookSink;
use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::Instant;

use crate::server::{Server, Success};

/// What receivers know sinks by.
pub const SECRET: &str = "s3cret-of-the-receiver";
/// No case takes longer.
const LIMIT: Duration = Duration::from_secs(60);
const TOPIC: &str = "active-alarms";

/// What a sink makes of an answer that says that all is well, with a page for people in its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The status is the answer.
    Taken,
    /// Somebody else than the receiver has answered.
    Refused,
}

/// What a sink makes of an answer with status 200 whose text is not what the receiver says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The records are stored: the status is the answer.
    Stored,
    /// Nobody knows: they are sent again, and may come twice.
    Again,
    /// It was not the receiver: the task fails.
    Fails,
}

/// A way to run a sink.
pub struct Sink {
    /// What it is called in failures.
    pub name: &'static str,
    /// Its settings but for those of all.
    settings: &'static [(&'static str, &'static str)],
    /// The setting of the URL, and what stands behind the server's.
    url: (&'static str, &'static str),
    /// What its receiver answers.
    pub success: Success,
    /// What it makes of a page.
    pub page: Page,
    /// What it makes of a text that never ends, one that hardly comes, and one that breaks off.
    pub texts: [Told; 3],
    /// What stands in its requests for a secret.
    pub shows: fn(&str) -> String,
    /// What its receiver answers to another one.
    pub denial: (u16, &'static str),
    start: fn(Settings, Arc<Host>) -> Starting,
}

/// A task that is made ready.
type Starting = BoxFuture<'static, Result<Box<dyn SinkTask>>>;

fn start<C: SinkConnector>(settings: Settings, host: Arc<Host>) -> Starting {
    async move {
        let (context, _) = host.sink(&settings);
        C::start_task(C::Config::parse(&settings).expect("settings"), context).await
    }
    .boxed()
}

const BODY: (&str, &str) = ("webhook.body", "{\"is\": {{key}}}");
const TOKEN: (&str, &str) = ("http.token", "s3cret-of-the-receiver");

fn bearer(secret: &str) -> String {
    format!("Bearer {secret}")
}

/// All of them.
pub const SINKS: [Sink; 11] = [
    Sink {
        name: "influxdb 1",
        settings: &[
            ("influxdb.database", "d"),
            ("influxdb.username", "u"),
            ("influxdb.password", "s3cret-of-the-receiver"),
            LINES,
        ],
        url: ("influxdb.url", ""),
        success: (204, ""),
        page: Page::Refused,
        texts: [Told::Fails, Told::Again, Told::Again],
        shows: |secret| format!("Basic {}", STANDARD.encode(format!("u:{secret}"))),
        denial: (401, "no entry"),
        start: start::<InfluxSink>,
    },
    Sink {
        name: "influxdb 2",
        settings: &[
            ("influxdb.version", "2"),
            ("influxdb.bucket", "b"),
            ("influxdb.token", "s3cret-of-the-receiver"),
            LINES,
        ],
        url: ("influxdb.url", ""),
        success: (204, ""),
        page: Page::Refused,
        texts: [Told::Fails, Told::Again, Told::Again],
        shows: |secret| format!("Token {secret}"),
        denial: (401, "no entry"),
        start: start::<InfluxSink>,
    },
    Sink {
        name: "influxdb 3",
        settings: &[
            ("influxdb.version", "3"),
            ("influxdb.database", "d"),
            ("influxdb.token", "s3cret-of-the-receiver"),
            LINES,
        ],
        url: ("influxdb.url", ""),
        success: (204, ""),
        page: Page::Refused,
        texts: [Told::Fails, Told::Again, Told::Again],
        shows: bearer,
        denial: (401, "no entry"),
        start: start::<InfluxSink>,
    },
    Sink {
        name: "slack webhook",
        settings: &[SLACK_PACE, SLACK_DIGEST],
        url: ("slack.webhook.url", "/services/T00/B00/s3cret-of-the-receiver"),
        success: (200, "ok"),
        page: Page::Refused,
        texts: [Told::Fails, Told::Fails, Told::Stored],
        shows: str::to_owned,
        denial: (403, "invalid_token"),
        start: start::<SlackSink>,
    },
    Sink {
        name: "slack api",
        settings: &[("slack.token", "s3cret-of-the-receiver"), ("slack.channel", "#alarms"), SLACK_PACE, SLACK_DIGEST],
        url: ("slack.api.url", "/api"),
        success: (200, r##"{"ok": true, "channel": "C1", "ts": "1.1"}"##),
        page: Page::Refused,
        texts: [Told::Again, Told::Again, Told::Again],
        shows: bearer,
        denial: (200, r#"{"ok": false, "error": "token_revoked"}"#),
        start: start::<SlackSink>,
    },
    Sink {
        name: "webhook",
        settings: &[BODY, TOKEN],
        url: ("webhook.url", "/hook"),
        success: (200, "ok"),
        page: Page::Taken,
        texts: [Told::Stored; 3],
        shows: bearer,
        denial: (401, "no entry"),
        start: start::<WebhookSink>,
    },
    Sink {
        name: "webhook batch",
        settings: &[BODY, TOKEN, ("webhook.batch.format", "array"), ("webhook.batch.max.records", "4")],
        url: ("webhook.url", "/hook"),
        success: (200, "ok"),
        page: Page::Taken,
        texts: [Told::Stored; 3],
        shows: bearer,
        denial: (401, "no entry"),
        start: start::<WebhookSink>,
    },
    Sink {
        name: "webhook alertmanager",
        settings: &[("webhook.preset", "alertmanager"), TOKEN],
        url: ("webhook.url", ""),
        success: (200, ""),
        page: Page::Refused,
        texts: [Told::Stored; 3],
        shows: bearer,
        denial: (401, "no entry"),
        start: start::<WebhookSink>,
    },
    Sink {
        name: "webhook pagerduty",
        settings: &[("webhook.preset", "pagerduty"), ("webhook.pagerduty.routing.key", "s3cret-of-the-receiver")],
        url: ("webhook.url", "/v2/enqueue"),
        success: (202, r#"{"status": "success", "message": "Event processed"}"#),
        page: Page::Refused,
        texts: [Told::Stored; 3],
        shows: str::to_owned,
        denial: (400, r#"{"status": "invalid event", "errors": ["Invalid routing key"]}"#),
        start: start::<WebhookSink>,
    },
    Sink {
        name: "webhook teams",
        settings: &[("webhook.preset", "teams")],
        url: ("webhook.url", "/workflows/1/paths/invoke?sig=s3cret-of-the-receiver"),
        success: (202, ""),
        page: Page::Refused,
        texts: [Told::Stored; 3],
        shows: str::to_owned,
        denial: (401, "no entry"),
        start: start::<WebhookSink>,
    },
    Sink {
        name: "prometheus",
        settings: &[
            (
                "prometheus.metrics",
                r#"[{"name": "records_total", "type": "counter", "help": "Records.", "labels": {"is": "{{key}}"}}]"#,
            ),
            ("prometheus.remote.write.interval.ms", "20"),
            TOKEN,
        ],
        url: ("prometheus.remote.write.url", "/api/v1/write"),
        success: (204, ""),
        page: Page::Refused,
        texts: [Told::Stored; 3],
        shows: bearer,
        denial: (401, "no entry"),
        start: start::<PrometheusSink>,
    },
];

// Several requests for the records of a case.
const LINES: (&str, &str) = ("influxdb.batch.lines", "4");
const SLACK_PACE: (&str, &str) = ("slack.interval.ms", "1");
const SLACK_DIGEST: (&str, &str) = ("slack.digest.after", "0");

impl Sink {
    /// Whether each request tells of all records, however often.
    pub fn repeats(&self) -> bool {
        matches!(self.name, "prometheus" | "webhook alertmanager")
    }

    /// Settings as a file has them, for a server.
    pub fn settings(&self, url: &str) -> Settings {
        let all: Settings = self.settings.iter().copied().collect();
        let all = all.with(self.url.0, format!("{url}{}", self.url.1));
        all.with("http.proxy", "none").with("http.request.timeout.ms", "1500")
    }

    /// The running sink.
    pub async fn run(&self, server: &Server) -> Running {
        let host = Host::new();
        let task = (self.start)(self.settings(server.url()), host.clone()).await;
        let mut task = task.unwrap_or_else(|e| panic!("{}: {e:?}", self.name));
        let partition = TopicPartition { topic: TOPIC.into(), partition: 0 };
        task.open(&[partition]).await.unwrap_or_else(|e| panic!("{}: {e:?}", self.name));
        Running { name: self.name, task, host }
    }
}

/// A sink with its host.
pub struct Running {
    name: &'static str,
    /// The task.
    pub task: Box<dyn SinkTask>,
    /// Its host.
    pub host: Arc<Host>,
}

impl Running {
    /// Puts records and calls the task whenever it is due until `done`; an error is one that is fatal.
    pub async fn deliver(&mut self, records: &[SinkRecord], done: impl Fn(&Host) -> bool) -> Result<()> {
        let until = Instant::now() + LIMIT;
        deliver(&mut *self.task, records, &self.host).await?;
        // Totals are told once they are stored.
        flush(&mut *self.task, records).await?;
        while !done(&self.host) {
            assert!(Instant::now() < until, "{}: waited {} s", self.name, LIMIT.as_secs());
            let due = self.task.due().unwrap_or_else(|| panic!("{}: nothing is due, and not all is done", self.name));
            tokio::time::sleep_until(due.min(until)).await;
            match self.task.put(&[]).await {
                Err(e) if e.class() == ErrorClass::Retriable => {
                    tokio::time::sleep(e.delay().unwrap_or(Duration::from_millis(20))).await;
                }
                called => called?,
            }
        }
        Ok(())
    }

    /// Up to which offset the task says that records are safe, of as many as these.
    pub async fn safe(&mut self, records: &[SinkRecord]) -> i64 {
        let safe = flush(&mut *self.task, records).await.unwrap_or_else(|e| panic!("{}: {e:?}", self.name));
        safe.first().map_or(0, |safe| safe.offset)
    }
}

/// What records say of themselves, in all requests about them.
pub fn token(offset: i64) -> String {
    format!("rec{offset}x")
}

/// Active alarms.
pub fn records(count: i64) -> Vec<SinkRecord> {
    let one = |offset| {
        let alarm = Alarm { message: token(offset), ..Alarm::new(Priority::Property) };
        record(TOPIC, offset, token(offset), alarm.to_value())
    };
    (0..count).map(one).collect()
}
