//! Tells Slack of records, at the pace that it allows.

use std::{collections::BTreeMap, time::Duration};

use connect_api::{
    Check, Error, ErrorClass, PartitionOffset, Rendered, Rendering, Result, SinkContext, SinkRecord, SinkTask,
    SinkTrial, TopicPartition, async_trait,
};
use connector_alarm::place::{Place, is_active};
use serde_json::{Map, Value as Json};
use tokio::time::Instant;

use crate::{
    api::{Api, Done},
    channels::{Channels, Turn},
    config::{SlackConfig, SlackSettings, Tombstones},
    memory::{Left, Memory, Told, alarm_of, is_last, priority_of, rises},
    message::{Layout, Message},
};

/// The name of the state.
const STATE: &str = "slack";
/// What comes for other channels does not wait longer for one in trouble.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

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
    /// What the task's note says.
    noted: Option<String>,
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
        Ok(Self { settings, context, api, layout, memory, channels, assigned: Vec::new(), paused: false, noted: None })
    }

    async fn take(&mut self, record: &SinkRecord) -> Result<()> {
        let active = is_active(record);
        if !active && self.layout.tombstones == Tombstones::Ignore {
            return Ok(());
        }
        let name = alarm_of(record);
        let told = self.memory.get(&name);
        if let Some(told) = told.filter(|told| told.has(record)) {
            let stale = (told.stale && told.offset == record.origin.offset).then_some(&told.route);
            let left = told.left.iter().filter(|left| left.offset == record.origin.offset).map(|left| &left.route);
            for route in stale.into_iter().chain(left) {
                self.channels.push_stale(route, record.clone());
            }
            return Ok(());
        }
        // What waits is later than what was told. An alarm stays in the channel where it began unless it gets graver.
        let waiting = self.channels.waiting(&name);
        let known = match waiting {
            Some(waiting) => Some((&waiting.channel, &waiting.priority, waiting.active)),
            None => told.filter(|told| !told.over).map(|told| (&told.route, &told.priority, true)),
        };
        let channel = match known {
            _ if self.api.is_hook() => String::new(),
            Some((channel, _, _)) if !active => channel.clone(),
            Some((channel, before, true)) if !rises(priority_of(record), before.as_deref()) => channel.clone(),
            // Nobody was told that it was raised.
            None if !active => return Ok(()),
            known => {
                let before = known.map(|(channel, ..)| channel.clone());
                // A record of which no message can be made is none that says more than those before.
                let routed = self.layout.message(record, false).and_then(|_| self.layout.channel(record));
                let channel = match routed {
                    Ok(channel) => channel,
                    Err(e) => return self.context.report(record, e).await,
                };
                if before.is_some_and(|before| before != channel) {
                    self.channels.supersede(&name);
                }
                channel
            }
        };
        self.channels.push(&channel, record.clone());
        Ok(())
    }

    /// Gives each channel whose turn it is its next message. Where one fails the others get theirs nevertheless; when all
    /// fail it is Slack that fails, and not a channel.
    async fn tell(&mut self) -> Result<()> {
        let digest_after = usize::try_from(self.settings.digest_after).unwrap_or(0);
        let (now, interval) = (Instant::now(), self.settings.interval.0);
        let (mut failed, mut new) = (None, Vec::new());
        self.channels.forget_idle(now);
        for channel in self.channels.ready(now) {
            let Some(turn) = self.channels.turn(&channel, digest_after) else { continue };
            let told = match &turn {
                Turn::One(record) => self.one(&channel, record).await,
                Turn::Stale(record) => self.refresh(&channel, record).await,
                Turn::All(records) => self.digest(&channel, records).await,
            };
            // Whatever came of it, Slack has had its request.
            self.channels.hold(&channel, interval);
            match told {
                Ok(Some(Done::Held(delay))) => {
                    let which = if channel.is_empty() { String::new() } else { format!(" to channel {channel}") };
                    let text = format!("slack asks to wait {} s before the next message{which}", delay.as_secs());
                    tracing::info!("{text}");
                    self.channels.held(&channel, delay.max(interval), text);
                }
                Ok(_) => {
                    self.channels.answered(&channel);
                    self.channels.done(&channel, &turn);
                }
                Err(e) if e.class() == ErrorClass::Data => {
                    self.channels.answered(&channel);
                    self.refused(&channel, &turn, e).await?;
                }
                Err(e) if e.class() == ErrorClass::Retriable => {
                    let (pause, is_new) = self.channels.failed(&channel, &e, interval);
                    if is_new {
                        new.push(e.one_line());
                    }
                    failed = Some(e.retry_after(pause.min(LONGEST_WAIT)));
                }
                Err(e) => return Err(e),
            }
        }
        self.say();
        if self.paused && self.channels.has_room() {
            self.paused = false;
            self.context.resume(self.assigned.clone());
        }
        match failed {
            Some(e) if self.channels.all_fail() => Err(e),
            _ => {
                for text in new {
                    tracing::warn!("a channel gets no messages for the time being: {text}");
                }
                Ok(())
            }
        }
    }

    /// What Slack does not take, or what cannot be made a message of.
    async fn refused(&mut self, channel: &str, turn: &Turn, e: Error) -> Result<()> {
        match turn {
            Turn::One(record) => self.context.report(record, e).await?,
            Turn::Stale(record) => {
                self.context.report(record, e).await?;
                let name = alarm_of(record);
                if let Some(mut told) = self.memory.get(&name).cloned() {
                    told.left.retain(|left| left.route != channel);
                    told.stale &= told.route != channel;
                    self.memory.put(&name, told).await?;
                }
            }
            // The bad record is to stand alone.
            Turn::All(records) => {
                self.channels.halve(channel, records);
                return Ok(());
            }
        }
        self.channels.done(channel, turn);
        Ok(())
    }

    /// Says what waits, and why.
    fn say(&mut self) {
        self.context.undelivered(self.channels.undelivered());
        let troubles = self.channels.troubles();
        if self.noted != troubles {
            self.noted.clone_from(&troubles);
            self.context.note(troubles);
        }
    }

    /// Tells of one record; `Held` if Slack does not want it now.
    async fn one(&mut self, channel: &str, record: &SinkRecord) -> Result<Option<Done>> {
        let (name, active) = (alarm_of(record), is_active(record));
        let message = self.layout.message(record, !active)?;
        let before = self.memory.get(&name).filter(|told| !told.over).cloned();
        let Some((before, ts)) = before.and_then(|told| told.ts.clone().map(|ts| (told, ts))) else {
            return self.post(channel, &name, record, &message).await;
        };
        // The end of an alarm is told where the alarm is.
        if active && before.route != channel {
            return self.post(channel, &name, record, &message).await;
        }
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
        let rises = rises(told.priority.as_deref(), before.priority.as_deref());
        match self.api.post(&before.channel, Some(&ts), self.layout.body(&message, rises)?).await? {
            Done::Gone => self.post(channel, &name, record, &message).await,
            done => self.settle(done, &name, told).await,
        }
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
        let left = self.leave(channel, name, record);
        let before = Told { route: channel.to_owned(), left, ..Told::default() };
        let mut told = Told { over: is_last(record), ..note(record, &before) };
        if let Done::Sent { channel, ts } = &done {
            (told.channel, told.ts) = (channel.clone(), ts.clone());
        }
        let left = told.left.clone();
        let settled = self.settle(done, name, told).await?;
        if settled.is_none() {
            self.owe(record, &left);
        }
        Ok(settled)
    }

    /// The messages of an alarm that do not say yet that it goes on in this channel.
    fn leave(&self, channel: &str, name: &Place, record: &SinkRecord) -> Vec<Left> {
        let Some(told) = self.memory.get(name) else { return Vec::new() };
        let mut left = told.left.clone();
        let is_final = !self.settings.update && !self.settings.thread && self.layout.tombstones != Tombstones::Delete;
        let moves = is_active(record) && !told.over && told.route != channel;
        if let Some(ts) = told.ts.clone().filter(|_| moves && !is_final) {
            let (route, channel, digest) = (told.route.clone(), told.channel.clone(), told.digest);
            left.push(Left { offset: record.origin.offset, route, channel, ts, digest });
        }
        left
    }

    /// Has those messages say so that the record has made others go on.
    fn owe(&mut self, record: &SinkRecord, left: &[Left]) {
        for left in left.iter().filter(|left| left.offset == record.origin.offset) {
            self.channels.push_stale(&left.route, record.clone());
        }
    }

    /// Keeps what has been told, if it has. A message that is gone needs no change.
    async fn settle(&mut self, done: Done, name: &Place, told: Told) -> Result<Option<Done>> {
        if matches!(done, Done::Held(_)) {
            return Ok(Some(done));
        }
        self.memory.put(name, told).await?;
        Ok(None)
    }

    /// Brings the message of an alarm up to date of which a digest has told, or which goes on in another channel.
    async fn refresh(&mut self, channel: &str, record: &SinkRecord) -> Result<Option<Done>> {
        let name = alarm_of(record);
        while let Some(mut told) = self.memory.get(&name).cloned() {
            let Some(at) = told.left.iter().position(|left| left.route == channel) else { break };
            let left = told.left.remove(at);
            let done = self.point(&left, &told, record).await?;
            if let Some(held) = self.settle(done, &name, told).await? {
                return Ok(Some(held));
            }
        }
        let stale = |told: &&Told| told.stale && told.route == channel;
        let Some(told) = self.memory.get(&name).filter(stale).cloned() else { return Ok(None) };
        let Some(ts) = &told.ts else { return Ok(None) };
        let done = if told.over && self.layout.tombstones == Tombstones::Delete {
            self.api.delete(&told.channel, ts).await?
        } else {
            let message = self.layout.message(record, told.over)?;
            self.api.update(&told.channel, ts, self.layout.body(&message, false)?).await?
        };
        self.settle(done, &name, Told { stale: false, ..told }).await
    }

    /// Has a message say where its alarm goes on; where messages of alarms that are over are deleted, it is.
    async fn point(&self, left: &Left, told: &Told, record: &SinkRecord) -> Result<Done> {
        if self.layout.tombstones == Tombstones::Delete && !left.digest {
            return self.api.delete(&left.channel, &left.ts).await;
        }
        let message = self.layout.moved(self.layout.message(record, false)?, &told.route, &told.channel);
        let body = self.layout.body(&message, false)?;
        if self.settings.update && !left.digest {
            self.api.update(&left.channel, &left.ts, body).await
        } else {
            self.api.post(&left.channel, Some(&left.ts), body).await
        }
    }

    /// Tells of many records in one message: of each alarm the last.
    async fn digest(&mut self, channel: &str, records: &[SinkRecord]) -> Result<Option<Done>> {
        let mut order: Vec<Place> = Vec::new();
        let mut changes: BTreeMap<Place, Vec<&SinkRecord>> = BTreeMap::new();
        for record in records {
            let name = alarm_of(record);
            let changes = changes.entry(name.clone()).or_default();
            if changes.is_empty() {
                order.push(name);
            }
            changes.push(record);
        }
        let mut messages = Vec::new();
        let mut telling: Vec<(Place, &SinkRecord)> = Vec::new();
        for name in order {
            for record in changes.remove(&name).into_iter().flatten().rev() {
                match self.layout.message(record, !is_active(record)) {
                    Ok(message) => {
                        messages.push(message);
                        telling.push((name, record));
                        break;
                    }
                    Err(e) => {
                        self.context.report(record, e).await?;
                        // Or it would be reported again when the others have to wait.
                        self.channels.remove(channel, record);
                    }
                }
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
            let over = is_last(record);
            let left = self.leave(channel, &name, record);
            let stays = |told: &&Told| !told.over && (over || told.route == channel);
            let own = |told: &&Told| stays(told) && told.ts.is_some() && !told.digest;
            let before = self.memory.get(&name).filter(own).cloned();
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
                    left,
                    ..note(record, &Told::default())
                },
            };
            self.owe(record, &told.left);
            if told.stale {
                self.channels.push_stale(&told.route, record.clone());
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
        priority: priority_of(record).map(str::to_owned),
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
        self.say();
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
        self.say();
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
