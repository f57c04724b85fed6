//! Alarms as alerts of Prometheus Alertmanager.
//!
//! Alertmanager forgets an alert that does not come again, and knows one by its labels. So the task keeps what it has sent of
//! each active alarm in the connector's state: from there alarms are sent again in time, also after a restart, and a
//! tombstone, which tells nothing but a name, resolves the alert that was raised.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use connect_api::{
    Bytes, Check, Error, ErrorClass, Rendered, Rendering, Result, SinkContext, SinkRecord, SinkTask, SinkTrial, State,
    Table, TopicPartition, async_trait, time,
};
use connector_alarm::{
    ShelvedAlarm,
    place::{self, Place},
};
use connector_http::{Client, Method, Progress, Url, header, shown_url};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};
use tokio::time::Instant;

use crate::{
    config::URL,
    plan::Plan,
    presets::Told,
    request::{Body, HeaderPlan, OnTombstone},
};

const PATH: &str = "/api/v2/alerts";
/// The name of the state.
const STATE: &str = "alertmanager";
/// Most alerts of a request.
const MOST: usize = 500;
/// An alert is over when it has not come for so many times the interval.
const LIVES: u32 = 5;

/// The URL that takes alerts, of one that may be the server's.
pub fn url(server: &str) -> String {
    let server = server.trim_end_matches('/');
    if server.ends_with(PATH) { server.to_owned() } else { format!("{server}{PATH}") }
}

/// What was sent of an active alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sent {
    /// The alert, with the time of its start.
    alert: Map<String, Json>,
    /// When it was raised, milliseconds since 1970.
    started: i64,
}

/// What a slice changes, by alarms: what was sent of them, nothing once they are over.
type Changes = HashMap<Place, Option<Sent>>;

/// A running task.
pub struct AlertTask {
    client: Client,
    alerts: Alerts,
    context: SinkContext,
    state: Arc<dyn State>,
    sent: BTreeMap<Place, Sent>,
    reported: Progress,
    shelf: Option<Table>,
    repeat: Duration,
    next: Instant,
}

/// Makes alerts and requests.
struct Alerts {
    plan: Plan,
    url: Url,
}

impl AlertTask {
    /// Makes the task ready. Nothing is sent.
    pub async fn start(plan: Plan, repeat: Duration, shelf: Option<&str>, context: SinkContext) -> Result<Self> {
        let shelf = match shelf {
            Some(topic) => Some(context.table(topic).await?),
            None => None,
        };
        Ok(Self {
            client: plan.client()?.counted_by(&context),
            alerts: Alerts::new(plan)?,
            state: context.state(STATE).await?,
            context,
            sent: BTreeMap::new(),
            reported: Progress::new(),
            shelf,
            repeat,
            next: Instant::now(),
        })
    }

    /// What a record gives: alerts to send, and what changes by them.
    fn step(&self, record: &SinkRecord, changes: &mut Changes, alerts: &mut Vec<Json>) -> Result<()> {
        Told::of(record)?;
        let place = place::of(record);
        let before = changes.get(&place).cloned().unwrap_or_else(|| self.sent.get(&place).cloned());
        let now = self.alerts.alert(record)?.map(|alert| {
            let started = match &before {
                Some(before) if before.alert.get("labels") == alert.get("labels") => before.started,
                _ => Told::of(record).map_or_else(|_| time::now_ms(), |told| told.raised),
            };
            Sent { alert, started: started.min(time::now_ms()) }
        });
        // What it was known by is over, if now it is known by other labels.
        let gone =
            |before: &&Sent| now.as_ref().is_none_or(|now| now.alert.get("labels") != before.alert.get("labels"));
        alerts.extend(before.as_ref().filter(gone).map(Sent::resolved));
        alerts.extend(now.as_ref().map(|now| now.active(self.life())));
        if before.is_some() || now.is_some() {
            changes.insert(place, now);
        }
        Ok(())
    }

    fn life(&self) -> Duration {
        self.repeat * LIVES
    }

    /// Keeps what has changed.
    async fn keep(&mut self, changes: Changes) -> Result<()> {
        let (before, state) = (&self.sent, &self.state);
        let differs = |(place, now): &(&Place, &Option<Sent>)| before.get(*place) != now.as_ref();
        let puts = changes.iter().filter(differs).map(|(place, now)| {
            let text = now.as_ref().map(|sent| {
                serde_json::to_vec(sent).map(Bytes::from).map_err(|e| Error::fatal("writing an alert").caused_by(e))
            });
            async move { state.put(&place::key(place), text.transpose()?).await }
        });
        try_join_all(puts).await?;
        for (place, now) in changes {
            match now {
                Some(now) => drop(self.sent.insert(place, now)),
                None => drop(self.sent.remove(&place)),
            }
        }
        Ok(())
    }

    /// Sends all active alarms again. One that is not taken any more must not hold up the others.
    async fn again(&mut self) -> Result<()> {
        let now = time::now_ms();
        let shelved = |name: &str| {
            let row = self.shelf.as_ref().and_then(|shelf| shelf.get(name));
            row.is_some_and(|row| ShelvedAlarm::from_value(&row.value).holds_at(now))
        };
        let active = self.sent.iter().filter(|((_, name), _)| !shelved(name));
        let all: Vec<Json> = active.map(|(_, sent)| sent.active(self.life())).collect();
        let mut chunks: Vec<&[Json]> = all.chunks(MOST).rev().collect();
        while let Some(chunk) = chunks.pop() {
            match self.alerts.post(&self.client, chunk).await {
                Err(e) if e.class() == ErrorClass::Data && chunk.len() > 1 => {
                    let (first, second) = chunk.split_at(chunk.len() / 2);
                    chunks.extend([second, first]);
                }
                Err(e) if e.class() == ErrorClass::Data => {
                    tracing::warn!("an alert that was taken before is refused: {}", e.one_line());
                }
                done => done?,
            }
        }
        self.next = Instant::now() + self.repeat;
        Ok(())
    }
}

impl Alerts {
    fn new(mut plan: Plan) -> Result<Self> {
        // What is over is read from the state, not from the record.
        plan.request.tombstones = OnTombstone::Send;
        let url = plan.request.url.fixed().cloned();
        let url = url.ok_or_else(|| Error::fatal(format!("reading {URL}: expected a URL, not a template")))?;
        Ok(Self { plan, url })
    }

    /// The alert of a record; none if its alarm is over.
    fn alert(&self, record: &SinkRecord) -> Result<Option<Map<String, Json>>> {
        if Told::of(record)?.alarm.is_none() {
            return Ok(None);
        }
        let names = self.plan.request.names(record)?;
        let wrong =
            |why: &str| Error::data("making an alert for alertmanager (webhook.body)").caused_by(why.to_owned());
        let Body::Template(template) = &self.plan.request.body else { return Err(wrong("it is no template")) };
        let text = template.render_names(&names)?;
        let alert: Map<String, Json> = serde_json::from_str(&text)
            .map_err(|e| Error::data("making an alert for alertmanager (webhook.body)").caused_by(e))?;
        let labels = alert.get("labels").and_then(Json::as_object);
        if labels.is_none_or(|labels| labels.is_empty() || labels.values().any(|value| !value.is_string())) {
            return Err(wrong("expected labels, an object of texts"));
        }
        Ok(Some(alert))
    }

    async fn post(&self, client: &Client, alerts: &[Json]) -> Result<()> {
        if alerts.is_empty() {
            return Ok(());
        }
        let body = json!(alerts).to_string().into_bytes();
        let mut request = client.request(Method::POST, self.url.clone());
        request = request.header(header::CONTENT_TYPE, "application/json");
        for plan in &self.plan.request.headers {
            if let HeaderPlan::Fixed(name, value) = plan {
                request = request.header(name, value);
            }
        }
        let doing = || format!("sending {} alerts to {} ({URL})", alerts.len(), shown_url(&self.url));
        let answer = client.send(request.body(body), doing).await?;
        self.plan.verdicts.judge(&answer, doing).map_or(Ok(()), Err)
    }
}

impl Sent {
    fn active(&self, life: Duration) -> Json {
        let life = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
        self.with(time::now_ms().saturating_add(life))
    }

    fn resolved(&self) -> Json {
        self.with(time::now_ms().max(self.started.saturating_add(1)))
    }

    fn with(&self, end: i64) -> Json {
        let mut alert = self.alert.clone();
        alert.insert("startsAt".to_owned(), time::rfc3339(self.started).into());
        alert.insert("endsAt".to_owned(), time::rfc3339(end).into());
        alert.into()
    }
}

#[async_trait]
impl SinkTask for AlertTask {
    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.reported.forget(partitions);
        for (key, bytes) in self.state.entries() {
            let Some(place) = place::of_key(&key).filter(|(partition, _)| partitions.contains(partition)) else {
                continue;
            };
            let sent = serde_json::from_slice(&bytes)
                .map_err(|e| Error::fatal(format!("reading what was sent of alarm {}", place.1)).caused_by(e))?;
            self.sent.insert(place, sent);
        }
        // Nobody knows how long they have not come.
        self.next = Instant::now();
        Ok(())
    }

    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        if records.is_empty() {
            return self.again().await;
        }
        let mut rest = records;
        while !rest.is_empty() {
            let (mut changes, mut alerts, mut taken) = (Changes::new(), Vec::new(), 0);
            for record in rest {
                taken += 1;
                // A bad one that was reported when the slice was tried before.
                if self.reported.has(record) {
                    continue;
                }
                if let Err(e) = self.step(record, &mut changes, &mut alerts) {
                    self.context.report(record, e).await?;
                    self.reported.note(record);
                }
                if alerts.len() >= MOST {
                    break;
                }
            }
            self.alerts.post(&self.client, &alerts).await?;
            self.keep(changes).await?;
            rest = &rest[taken..];
        }
        self.reported.finished(records);
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        (!self.sent.is_empty()).then_some(self.next)
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.sent.retain(|(partition, _), _| !partitions.contains(partition));
        Ok(())
    }
}

/// What a test call asks.
pub struct AlertTrial {
    client: Client,
    alerts: Alerts,
}

impl AlertTrial {
    /// Asks nothing yet.
    pub fn new(plan: Plan) -> Result<Self> {
        Ok(Self { client: plan.client()?, alerts: Alerts::new(plan)? })
    }
}

#[async_trait]
impl SinkTrial for AlertTrial {
    async fn check(&mut self) -> Result<Check> {
        let url = self.alerts.url.as_str().replace(PATH, "/api/v2/status");
        let url = Url::parse(&url).map_err(|e| Error::fatal(format!("reading {URL}")).caused_by(e))?;
        let doing = || format!("asking {} ({URL})", shown_url(&url));
        let answer = self.client.deliver(self.client.request(Method::GET, url.clone()), doing).await?;
        let status: Json = serde_json::from_str(&answer.text).unwrap_or_default();
        match status["versionInfo"]["version"].as_str() {
            Some(version) => Ok(Check::Passed(format!("it is Alertmanager {version}, which takes alerts"))),
            None => Err(Error::fatal(format!("{}: it answers, but is no Alertmanager; correct {URL}", doing()))),
        }
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        let Some(alert) = self.alerts.alert(record)? else {
            let text = "the alarm is over: what was sent of it before would be sent with the time of its end";
            return Ok(Rendering::Nothing(text.into()));
        };
        let sent = Sent { alert, started: Told::of(record)?.raised };
        let mut alert = sent.active(Duration::ZERO);
        if let Some(members) = alert.as_object_mut() {
            members.remove("endsAt");
        }
        Ok(Rendering::Sent(Rendered {
            to: format!("POST {}", shown_url(&self.alerts.url)),
            headers: vec![("content-type".into(), "application/json".into())],
            body: Some(json!([alert]).to_string()),
        }))
    }
}
