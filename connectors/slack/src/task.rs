//! Tells Slack of records, at the pace that it allows.

use std::collections::BTreeMap;

use connect_api::{
    Check, ErrorClass, PartitionOffset, Rendered, Rendering, Result, SinkContext, SinkRecord, SinkTask, SinkTrial,
    TopicPartition, async_trait,
};
use connector_alarm::place::{self, Place, is_active};
use serde_json::{Map, Value as Json};
use tokio::time::Instant;

use crate::{
    api::{Api, Done},
    channels::{Channels, Turn},
    config::{SlackConfig, SlackSettings, Tombstones},
    memory::{Memory, Told},
    message::{Layout, Message},
};

/// The name of the state.
const STATE: &str = "slack";

/// A running task.
pub struct SlackTask {
    settings: SlackSettings,
    context: SinkContext,
    api: Api,
    layout: Layout,
    memory: Memory,
    channels: Channels,
    assigned: Vec<TopicPartition>,
    paused: bool,
    /// The channel that the task's note says Slack holds.
    held: Option<String>,
}

/// What a test call asks.
pub struct SlackTrial {
    api: Api,
    layout: Layout,
}

impl SlackTask {
    /// Makes the task ready. Nothing is sent.
    pub async fn new(config: &SlackConfig, context: SinkContext) -> Result<Self> {
        let settings = config.own.own.clone();
        let layout = Layout::new(&settings)?;
        let api = Api::new(&settings, &config.with, &context, layout.has_one_channel())?;
        let memory = Memory::new(context.state(STATE).await?);
        let channels = Channels::default();
        Ok(Self { settings, context, api, layout, memory, channels, assigned: Vec::new(), paused: false, held: None })
    }

    async fn take(&mut self, record: &SinkRecord) -> Result<()> {
        let active = is_active(record);
        if !active && self.layout.tombstones == Tombstones::Ignore {
            return Ok(());
        }
        let name = place::of(record);
        let told = self.memory.get(&name);
        if let Some(told) = told.filter(|told| told.has(record)) {
            if told.stale && told.offset == record.origin.offset {
                let route = told.route.clone();
                self.channels.push_stale(&route, record.clone());
            }
            return Ok(());
        }
        // What is told of an alarm stays in the channel where that began.
        let known = told.filter(|told| !told.over).map(|told| told.route.clone());
        let waiting = || self.channels.channel_of(&name).map(str::to_owned);
        let channel = match known.or_else(waiting) {
            Some(channel) => channel,
            None if self.api.is_hook() => String::new(),
            // Nobody was told that it was raised.
            None if !active => return Ok(()),
            None => match self.layout.channel(record) {
                Ok(channel) => channel,
                Err(e) => return self.context.report(record, e).await,
            },
        };
        self.channels.push(&channel, record.clone());
        Ok(())
    }

    /// Gives each channel whose turn it is its next message.
    async fn tell(&mut self) -> Result<()> {
        let digest_after = usize::try_from(self.settings.digest_after).unwrap_or(0);
        for channel in self.channels.ready(Instant::now()) {
            let Some(turn) = self.channels.turn(&channel, digest_after) else { continue };
            let told = match &turn {
                Turn::One(record) => self.one(&channel, record).await,
                Turn::Stale(record) => self.refresh(record).await,
                Turn::All(records) => self.digest(&channel, records).await,
            };
            // Whatever came of it, Slack has had its request.
            self.channels.hold(&channel, self.settings.interval.0);
            match told {
                Ok(Some(Done::Held(delay))) => {
                    let which = if channel.is_empty() { String::new() } else { format!(" to channel {channel}") };
                    let text = format!("slack asks to wait {} s before the next message{which}", delay.as_secs());
                    tracing::info!("{text}");
                    self.held = Some(channel.clone());
                    self.context.note(Some(text));
                    self.channels.hold(&channel, delay);
                }
                Ok(_) => {
                    if self.held.as_ref() == Some(&channel) {
                        self.held = None;
                        self.context.note(None);
                    }
                    self.channels.done(&channel, &turn);
                }
                Err(e) if e.class() == ErrorClass::Data => {
                    match &turn {
                        Turn::One(record) => self.context.report(record, e).await?,
                        Turn::Stale(record) => {
                            self.context.report(record, e).await?;
                            let name = place::of(record);
                            if let Some(told) = self.memory.get(&name).cloned() {
                                self.memory.put(&name, Told { stale: false, ..told }).await?;
                            }
                        }
                        Turn::All(records) => {
                            for record in records {
                                self.context.report(record, e.clone()).await?;
                            }
                        }
                    }
                    self.channels.done(&channel, &turn);
                }
                Err(e) => return Err(e),
            }
        }
        if self.paused && self.channels.has_room() {
            self.paused = false;
            self.context.resume(self.assigned.clone());
        }
        Ok(())
    }

    /// Tells of one record; `Held` if Slack does not want it now.
    async fn one(&mut self, channel: &str, record: &SinkRecord) -> Result<Option<Done>> {
        let (name, active) = (place::of(record), is_active(record));
        let message = self.layout.message(record, !active)?;
        let before = self.memory.get(&name).filter(|told| !told.over).cloned();
        let Some((before, ts)) = before.and_then(|told| told.ts.clone().map(|ts| (told, ts))) else {
            return self.post(channel, &name, record, &message).await;
        };
        if !active && self.layout.tombstones == Tombstones::Delete && !before.digest {
            let done = self.api.delete(&before.channel, &ts).await?;
            return self.settle(done, &name, Told { over: true, ..note(record, &before) }).await;
        }
        if !self.settings.update && !self.settings.thread {
            return self.post(channel, &name, record, &message).await;
        }
        if self.settings.update && !before.digest {
            match self.api.update(&before.channel, &ts, self.layout.body(&message, false)?).await? {
                Done::Sent { .. } => {}
                Done::Gone => return self.post(channel, &name, record, &message).await,
                held => return Ok(Some(held)),
            }
        }
        let told = Told { over: !active, stale: false, ..note(record, &before) };
        if !self.settings.thread && !before.digest {
            self.memory.put(&name, told).await?;
            return Ok(None);
        }
        // P1 is graver than P2.
        let rises = told.priority.is_some() && told.priority < before.priority;
        let done = self.api.post(&before.channel, Some(&ts), self.layout.body(&message, rises)?).await?;
        self.settle(done, &name, told).await
    }

    /// Posts a new message.
    async fn post(
        &mut self,
        channel: &str,
        name: &Place,
        record: &SinkRecord,
        message: &Message,
    ) -> Result<Option<Done>> {
        let done = self.api.post(channel, None, self.layout.body(message, true)?).await?;
        let before = Told { route: channel.to_owned(), ..Told::default() };
        let mut told = Told { over: !is_active(record), ..note(record, &before) };
        if let Done::Sent { channel, ts } = &done {
            (told.channel, told.ts) = (channel.clone(), ts.clone());
        }
        self.settle(done, name, told).await
    }

    /// Keeps what has been told, if it has.
    async fn settle(&mut self, done: Done, name: &Place, told: Told) -> Result<Option<Done>> {
        if matches!(done, Done::Held(_)) {
            return Ok(Some(done));
        }
        self.memory.put(name, told).await?;
        Ok(None)
    }

    /// Brings the message of an alarm up to date of which a digest has told.
    async fn refresh(&mut self, record: &SinkRecord) -> Result<Option<Done>> {
        let name = place::of(record);
        let Some(told) = self.memory.get(&name).filter(|told| told.stale).cloned() else { return Ok(None) };
        let Some(ts) = &told.ts else { return Ok(None) };
        let done = if told.over && self.layout.tombstones == Tombstones::Delete {
            self.api.delete(&told.channel, ts).await?
        } else {
            let message = self.layout.message(record, told.over)?;
            self.api.update(&told.channel, ts, self.layout.body(&message, false)?).await?
        };
        self.settle(done, &name, Told { stale: false, ..told }).await
    }

    /// Tells of many records in one message: of each alarm the last.
    async fn digest(&mut self, channel: &str, records: &[SinkRecord]) -> Result<Option<Done>> {
        let mut order: Vec<Place> = Vec::new();
        let mut last: BTreeMap<Place, &SinkRecord> = BTreeMap::new();
        for record in records {
            let name = place::of(record);
            if last.insert(name.clone(), record).is_none() {
                order.push(name);
            }
        }
        let mut messages = Vec::new();
        let mut telling: Vec<(Place, &SinkRecord)> = Vec::new();
        for name in order {
            let Some(record) = last.get(&name) else { continue };
            match self.layout.message(record, !is_active(record)) {
                Ok(message) => {
                    messages.push(message);
                    telling.push((name, record));
                }
                Err(e) => self.context.report(record, e).await?,
            }
        }
        if messages.is_empty() {
            return Ok(None);
        }
        let (place, digest) = match self.api.post(channel, None, self.layout.digest_body(&messages)?).await? {
            Done::Sent { channel, ts } => (channel, ts),
            held => return Ok(Some(held)),
        };
        for (name, record) in telling {
            let over = !is_active(record);
            let before = self.memory.get(&name).filter(|told| !told.over && told.ts.is_some() && !told.digest).cloned();
            let told = match before {
                // Its own message shows what was.
                Some(before) if self.settings.update => Told { over, stale: true, ..note(record, &before) },
                _ => Told {
                    over,
                    route: channel.to_owned(),
                    channel: place.clone(),
                    ts: digest.clone(),
                    digest: true,
                    stale: false,
                    ..note(record, &Told::default())
                },
            };
            if told.stale {
                self.channels.push_stale(channel, record.clone());
            }
            self.memory.put(&name, told).await?;
        }
        Ok(None)
    }
}

/// What is told of an alarm once this record is.
fn note(record: &SinkRecord, before: &Told) -> Told {
    Told {
        offset: record.origin.offset,
        timestamp: record.timestamp,
        priority: record.value.get("priority").and_then(|p| p.as_str()).map(str::to_owned),
        ..before.clone()
    }
}

#[async_trait]
impl SinkTask for SlackTask {
    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.assigned.extend_from_slice(partitions);
        if self.paused {
            self.context.pause(partitions.to_vec());
        }
        self.memory.open(partitions)
    }

    /// Records wait for their channels' turns; a call without records is a turn.
    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        if records.is_empty() {
            return self.tell().await;
        }
        for record in records {
            self.take(record).await?;
        }
        if !self.paused && self.channels.is_full() {
            self.paused = true;
            self.context.pause(self.assigned.clone());
        }
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        self.channels.due()
    }

    async fn flush(&mut self, offsets: &[PartitionOffset]) -> Result<Vec<PartitionOffset>> {
        let safe = self.channels.safe(offsets);
        self.memory.prune(&safe).await?;
        Ok(safe)
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.assigned.retain(|partition| !partitions.contains(partition));
        self.channels.close(partitions);
        self.memory.close(partitions);
        Ok(())
    }
}

impl SlackTrial {
    /// By the settings.
    pub fn new(config: &SlackConfig, context: &SinkContext) -> Result<Self> {
        let layout = Layout::new(&config.own.own)?;
        Ok(Self { api: Api::new(&config.own.own, &config.with, context, layout.has_one_channel())?, layout })
    }
}

#[async_trait]
impl SinkTrial for SlackTrial {
    async fn check(&mut self) -> Result<Check> {
        self.api.check().await
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        let active = is_active(record);
        if !active && self.layout.tombstones == Tombstones::Ignore {
            return Ok(Rendering::Nothing("slack.tombstones is ignore".into()));
        }
        let message = self.layout.message(record, !active)?;
        let mut body: Map<String, Json> = self.layout.body(&message, true)?;
        let mut to = format!("POST {}", self.api.place());
        if !self.api.is_hook() {
            if !active {
                return Ok(Rendering::Sent(Rendered {
                    to: format!("{to}: the alarm's message, if there is one"),
                    body: Some(Json::Object(body).to_string()),
                    ..Rendered::default()
                }));
            }
            let channel = self.layout.channel(record)?;
            to = format!("{to}: channel {channel}");
            body.insert("channel".into(), channel.into());
        }
        Ok(Rendering::Sent(Rendered { to, body: Some(Json::Object(body).to_string()), ..Rendered::default() }))
    }
}

/// The task with what shelving asks for.
pub async fn start(config: SlackConfig, context: SinkContext) -> Result<Box<dyn SinkTask>> {
    let task = SlackTask::new(&config, context.clone()).await?;
    connector_alarm::shelving::silent(Box::new(task), &config.own.with, &context).await
}
