//! One group of channels: from the provider's events to records.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use connect_api::{Error, Result, SourceBatch, SourceContext, SourceRecord, SourceTask, async_trait, time};
use connector_alarm::{AlarmConfig, Engine, Mapping, State, Writer, engine::NamedChange};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep_until},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

use crate::{
    EpicsConfig,
    board::{Board, Seen},
    ca::{self, Client},
    channel::{ChannelId, Event, Mask},
    channel_list::ChannelSpec,
    config::{MonitorConfig, ProviderKind, environment},
    record,
    simulation::Simulation,
};

/// Which of the channels a task watches, as `first-end`; set by the connector.
pub const GROUP: &str = "task.channels";
/// How many records a batch has at most.
const BATCH: usize = 1000;

/// A running task.
pub struct EpicsTask {
    channels: Vec<ChannelSpec>,
    changes: bool,
    alarms: Option<Alarms>,
    shared: Arc<Shared>,
    provider: Option<Provider>,
    context: SourceContext,
    poll_interval: std::time::Duration,
    not_before: Instant,
    /// Taken from the board, or from the topic of alarms at the start, and not yet returned.
    ready: Vec<SourceRecord>,
    rejected: VecDeque<(SourceRecord, Error)>,
    _pump: DropGuard,
}

impl EpicsTask {
    /// Starts to monitor the task's channels.
    pub async fn start(config: EpicsConfig, context: SourceContext) -> Result<EpicsTask> {
        let EpicsConfig { monitor, alarm } = config;
        let all = monitor.channels()?;
        let group = group(context.settings().get(GROUP), all.len())?;
        let channels = all[group.clone()].to_vec();
        let (alarms, ready) = if monitor.mode.has_alarms() {
            let mut alarms = Alarms::start(alarm, &monitor, &context).await?;
            // The first task also clears what no task watches any more.
            let gone = if group.start == 0 { alarms.vanished(&all) } else { Vec::new() };
            (Some(alarms), gone)
        } else {
            (None, Vec::new())
        };

        let (provider, events) = Provider::start(&monitor, &channels, group.start).await?;
        let board = Board::new(channels.len(), monitor.connect_timeout.0, Instant::now());
        let shared = Arc::new(Shared { board: Mutex::new(board), news: Notify::new(), room: Notify::new() });
        let ids = (0..channels.len()).map(|n| (provider.add(&channels[n].name, channels[n].mask), n)).collect();
        let stop = context.stopping().child_token();
        let names = channels.iter().map(|channel| channel.name.clone()).collect();
        let missing = Missing { names, context: context.clone() };
        tokio::spawn(shared.clone().pump(events, ids, missing, stop.clone()).in_current_span());
        Ok(EpicsTask {
            changes: monitor.mode.has_changes(),
            poll_interval: monitor.poll_interval.0,
            not_before: Instant::now(),
            channels,
            alarms,
            shared,
            provider: Some(provider),
            context,
            ready,
            rejected: VecDeque::new(),
            _pump: stop.drop_guard(),
        })
    }

    fn translate(&mut self, seen: Seen) {
        let channel = &self.channels[seen.channel];
        let now = time::now_ms();
        let change = match record::change(channel, &seen.what, now) {
            Ok(change) => change,
            Err(error) => return self.rejected.push_back((SourceRecord::new(channel.topic.clone()), error)),
        };
        if let Some(alarms) = self.alarms.as_mut().filter(|alarms| seen.is_transition || alarms.message_updates) {
            match alarms.observe(channel, &seen, now) {
                Ok(alarm) => self.ready.extend(alarm),
                // What cannot be told as an alarm is at least there to be looked into.
                Err(error) => {
                    let record = change.clone().unwrap_or_else(|| SourceRecord::new(alarms.writer.topic().clone()));
                    self.rejected.push_back((record, error));
                }
            }
        }
        self.ready.extend(change.filter(|_| self.changes));
    }
}

#[async_trait]
impl SourceTask for EpicsTask {
    async fn poll(&mut self) -> Result<SourceBatch> {
        loop {
            while let Some((record, error)) = self.rejected.front().cloned() {
                self.context.report(record, error).await?;
                self.rejected.pop_front();
            }
            if !self.ready.is_empty() {
                self.not_before = Instant::now() + self.poll_interval;
                return Ok(std::mem::take(&mut self.ready).into());
            }
            sleep_until(self.not_before).await;
            let table_changed = async {
                match &mut self.alarms {
                    Some(alarms) => alarms.engine.changed().await,
                    None => std::future::pending().await,
                }
            };
            // From here on nothing is awaited until what was taken is in `self`.
            tokio::select! {
                taken = self.shared.take(BATCH) => taken?.into_iter().for_each(|seen| self.translate(seen)),
                () = table_changed => {
                    let records = self.alarms.as_mut().map(Alarms::review);
                    self.ready.extend(records.into_iter().flatten());
                }
            }
        }
    }

    async fn stop(&mut self) -> Result<()> {
        match self.provider.take() {
            Some(Provider::Ca(client)) => client.stop().await,
            Some(Provider::Simulation(simulation)) => simulation.stop().await,
            None => {}
        }
        Ok(())
    }
}

fn group(setting: Option<&str>, channels: usize) -> Result<Range<usize>> {
    let Some(text) = setting else { return Ok(0..channels) };
    let bounds = text.split_once('-').and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    let valid = bounds.filter(|range: &Range<usize>| range.start <= range.end && range.end <= channels);
    valid.ok_or_else(|| Error::fatal(format!("{GROUP} is {text:?}, which are none of the {channels} channels")))
}

enum Provider {
    Ca(Client),
    Simulation(Simulation),
}

impl Provider {
    async fn start(
        config: &MonitorConfig,
        channels: &[ChannelSpec],
        first: usize,
    ) -> Result<(Provider, mpsc::Receiver<Event>)> {
        match config.provider {
            ProviderKind::Ca => {
                let settings = ca::Settings::read(&config.overrides(), environment).map_err(|all| {
                    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
                    Error::fatal(texts.join("; "))
                })?;
                let started = Client::start(settings).await;
                let (client, events) =
                    started.map_err(|e| Error::retriable("starting the channel access client").caused_by(e))?;
                Ok((Provider::Ca(client), events))
            }
            ProviderKind::Simulation => {
                let simulated = channels.iter().filter_map(|channel| channel.simulated.clone()).collect();
                // Each channel walks its own way, whatever the number of tasks.
                let seed = config.seed.cast_unsigned().wrapping_add(first as u64);
                let started = Simulation::start(simulated, seed);
                let (simulation, events) = started.map_err(|e| Error::fatal("starting the simulation").caused_by(e))?;
                Ok((Provider::Simulation(simulation), events))
            }
        }
    }

    fn add(&self, name: &str, mask: Mask) -> ChannelId {
        match self {
            Provider::Ca(client) => client.add(name, mask),
            Provider::Simulation(simulation) => simulation.add(name, mask),
        }
    }
}

/// The board between the pump, which fills it, and `poll`.
struct Shared {
    board: Mutex<Board>,
    news: Notify,
    room: Notify,
}

impl Shared {
    /// Always reads, so that it is the board that coalesces and not the server, which would lose changes of alarms;
    /// but not beyond what the board holds.
    async fn pump(
        self: Arc<Self>,
        mut events: mpsc::Receiver<Event>,
        ids: HashMap<ChannelId, usize>,
        missing: Missing,
        stop: CancellationToken,
    ) {
        let mut batch = Vec::new();
        loop {
            let (is_full, deadline) = self.with_board(|board| {
                missing.tell(board);
                (board.is_full(), board.next_deadline())
            });
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.room.notified(), if is_full => {}
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() && !is_full => {
                    self.with_board(|board| board.expire(Instant::now()));
                }
                count = events.recv_many(&mut batch, 256), if !is_full => {
                    if count == 0 {
                        return self.with_board(Board::end);
                    }
                    let now = Instant::now();
                    self.with_board(|board| {
                        for event in batch.drain(..) {
                            if let Some(channel) = ids.get(&event.id()) {
                                board.note(*channel, event, now);
                            }
                        }
                        // Before anybody sees what came with a connection.
                        missing.tell(board);
                    });
                }
            }
        }
    }

    fn with_board<T>(&self, work: impl FnOnce(&mut Board) -> T) -> T {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(&mut board);
        if !board.is_empty() || board.has_ended() {
            self.news.notify_one();
        }
        done
    }

    /// The next entries, at least one; cancel-safe.
    async fn take(&self, max: usize) -> Result<Vec<Seen>> {
        loop {
            let (taken, has_ended) = self.with_board(|board| (board.take(max), board.has_ended()));
            self.room.notify_one();
            if !taken.is_empty() {
                return Ok(taken);
            }
            if has_ended {
                return Err(Error::fatal("the provider of channels has stopped"));
            }
            self.news.notified().await;
        }
    }
}

/// Says in the task's status which channels are not connected.
struct Missing {
    names: Vec<String>,
    context: SourceContext,
}

/// Of more channels only the number is told.
const NAMED: usize = 10;

impl Missing {
    fn tell(&self, board: &mut Board) {
        let Some(channels) = board.missing() else { return };
        let named: Vec<&str> = channels.iter().take(NAMED).map(|n| self.names[*n].as_str()).collect();
        let more = channels.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (count, all) = (channels.len(), self.names.len());
        let text = format!("{count} of {all} channels are not connected: {}{more}", named.join(", "));
        self.context.note((count > 0).then_some(text));
    }
}

/// What a task that writes alarms has besides.
struct Alarms {
    engine: Engine,
    mapping: Mapping,
    writer: Writer,
    source: String,
    message_updates: bool,
    disconnected_alarm: bool,
    /// The alarms of channels that have been seen, and whether all was well then.
    normal: HashMap<Arc<str>, bool>,
}

impl Alarms {
    async fn start(config: AlarmConfig, monitor: &MonitorConfig, context: &SourceContext) -> Result<Alarms> {
        let mapping = Mapping::new(config.clone(), context.connector().clone());
        Ok(Alarms {
            engine: Engine::start(&config, context).await?,
            writer: Writer::new(&config, context.connector().clone()),
            source: mapping.source()?,
            message_updates: config.message_updates,
            disconnected_alarm: monitor.disconnected_alarm,
            normal: HashMap::new(),
            mapping,
        })
    }

    fn observe(&mut self, channel: &ChannelSpec, seen: &Seen, now: i64) -> Result<Vec<SourceRecord>> {
        let state = record::alarm_state(channel, &seen.what, self.disconnected_alarm, &self.mapping, now)?;
        let Some((state, at)) = state else { return Ok(Vec::new()) };
        self.normal.insert(channel.key.clone(), state == State::Normal);
        let change = self.engine.observe(&channel.key, &state, now);
        Ok(self.records(change, at))
    }

    fn vanished(&mut self, watched: &[ChannelSpec]) -> Vec<SourceRecord> {
        let keys: std::collections::HashSet<&str> = watched.iter().map(|channel| &*channel.key).collect();
        let now = time::now_ms();
        let gone = self.engine.vanished(&self.source, |name| keys.contains(name), now);
        self.records(gone, now)
    }

    fn review(&mut self) -> Vec<SourceRecord> {
        let now = time::now_ms();
        let normal = &self.normal;
        let changes = self.engine.review(&self.source, |name| normal.get(name) == Some(&true), now);
        self.records(changes, now)
    }

    fn records(&self, changes: impl IntoIterator<Item = NamedChange>, at: i64) -> Vec<SourceRecord> {
        let records = changes.into_iter().flat_map(|change| self.writer.records(&change, Some(at)));
        records.map(|record| SourceRecord { record, source: None }).collect()
    }
}
