//! One share of the channels: from the provider's events to records.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use connect_api::{Error, Result, SourceBatch, SourceContext, SourceRecord, SourceTask, Topic, async_trait, time};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::DropGuard;
use tracing::{Instrument, info, warn};

use crate::{
    EpicsConfig,
    alarms::Alarms,
    board::{Board, Seen},
    catalogue::{BadCommand, Catalogue, Share, Wanted},
    channel::ChannelId,
    channel_list::ChannelSpec,
    notes::Notes,
    provider::Provider,
    pump::Shared,
    record,
};

/// Which share of the channels a task watches, as `INDEX/TASKS`; set by the connector.
pub const SHARE: &str = "task.share";
/// How many records a batch has at most.
const BATCH: usize = 1000;

/// A running task.
pub struct EpicsTask {
    config: Arc<EpicsConfig>,
    catalogue: Catalogue,
    /// What is monitored, by topic and name.
    channels: HashMap<(Topic, Arc<str>), (ChannelId, Arc<ChannelSpec>)>,
    alarms: Option<Alarms>,
    shared: Arc<Shared>,
    notes: Arc<Notes>,
    provider: Option<Provider>,
    context: SourceContext,
    not_before: Instant,
    /// Whether the last batch was full.
    is_more: bool,
    /// Taken from the board, or from the topic of alarms at the start, and not yet returned.
    ready: Vec<SourceRecord>,
    rejected: VecDeque<(SourceRecord, Error)>,
    bad: VecDeque<BadCommand>,
    _pump: DropGuard,
}

impl EpicsTask {
    /// Starts to monitor the task's channels.
    pub async fn start(config: EpicsConfig, context: SourceContext) -> Result<EpicsTask> {
        let config = Arc::new(config);
        let share = context.settings().get(SHARE).map_or(Ok(Share::ALL), str::parse)?;
        let mut catalogue = Catalogue::start(config.clone(), share, &context).await?;
        let wanted = catalogue.wanted();
        let (mut alarms, mut ready) = (None, Vec::new());
        if config.monitor.mode.has_alarms() {
            let mut started = Alarms::start(config.alarm.clone(), config.monitor.disconnected_alarm, &context).await?;
            // The first task also clears what no task watches any more.
            if share.is_first() {
                ready = started.vanished(&wanted.keys);
            }
            alarms = Some(started);
        }
        let mine = wanted.mine.iter().map(AsRef::as_ref);
        let (provider, events) = Provider::start(&config.monitor, mine, share).await?;
        let notes = Arc::new(Notes::new((*context).clone()));
        let shared = Shared::new(Board::new(config.monitor.connect_timeout.0), notes.clone());
        let stop = context.stopping().child_token();
        tokio::spawn(shared.clone().pump(events, stop.clone()).in_current_span());
        let mut task = EpicsTask {
            config,
            catalogue,
            channels: HashMap::new(),
            alarms,
            shared,
            notes,
            provider: Some(provider),
            context,
            not_before: Instant::now(),
            is_more: false,
            ready,
            rejected: VecDeque::new(),
            bad: VecDeque::new(),
            _pump: stop.drop_guard(),
        };
        task.take_up(wanted);
        Ok(task)
    }

    /// How many channels it watches.
    pub fn watched(&self) -> usize {
        self.channels.len()
    }

    /// Begins with channels that are new and ends with those that are wanted no more; all others stay as they are.
    fn take_up(&mut self, wanted: Wanted) {
        self.notes.problems(&wanted.problems);
        self.bad.extend(wanted.bad);
        let Some(provider) = &self.provider else { return };
        let mut before = std::mem::take(&mut self.channels);
        let (mut added, mut gone) = (Vec::new(), Vec::new());
        for spec in wanted.mine {
            let place = (spec.topic.clone(), spec.name.clone());
            match before.remove(&place) {
                Some((id, known)) if known == spec => {
                    self.channels.insert(place, (id, known));
                }
                changed => {
                    gone.extend(changed);
                    added.push((place, spec));
                }
            }
        }
        gone.extend(before.into_values());
        let (came, went) = (added.len(), gone.len());
        self.shared.change(|board| {
            let now = Instant::now();
            for (id, _) in &gone {
                provider.remove(*id);
                board.remove(*id);
            }
            for (place, spec) in added {
                let id = provider.add(&spec);
                board.add(id, spec.clone(), now);
                self.channels.insert(place, (id, spec));
            }
        });
        if let Some(alarms) = &mut self.alarms {
            let keys = gone.iter().map(|(_, spec)| &spec.key).filter(|key| !wanted.keys.contains(*key));
            let forgotten: HashSet<Arc<str>> = keys.cloned().collect();
            if !forgotten.is_empty() {
                self.ready.extend(alarms.forget(&forgotten));
            }
        }
        if came + went > 0 {
            info!("{} channels: {came} came, {went} went", self.channels.len());
        }
    }

    fn translate(&mut self, seen: &Seen) {
        let now = time::now_ms();
        let change = match record::change(seen, self.config.monitor.error_status, now) {
            Ok(change) => change,
            Err(error) => return self.rejected.push_back((SourceRecord::new(seen.channel.topic.clone()), error)),
        };
        if let Some(alarms) = self.alarms.as_mut().filter(|alarms| alarms.concerns(seen)) {
            match alarms.observe(seen, now) {
                Ok(alarm) => self.ready.extend(alarm),
                // What cannot be told as an alarm is at least there to be looked into.
                Err(error) => {
                    let record = change.clone().unwrap_or_else(|| SourceRecord::new(alarms.topic().clone()));
                    self.rejected.push_back((record, error));
                }
            }
        }
        self.ready.extend(change.filter(|_| self.config.monitor.mode.has_changes()));
    }

    /// Reports what could not be understood; cancel-safe.
    async fn report(&mut self) -> Result<()> {
        while let Some((record, error)) = self.rejected.front().cloned() {
            self.context.report(record, error).await?;
            self.rejected.pop_front();
        }
        while let Some(BadCommand { topic, key, value, reason }) = self.bad.front().cloned() {
            let error = Error::data(format!("the command {key} of topic {topic} is not understood: {reason}"));
            let record = SourceRecord::new(&*topic).key(None, &*key).value(None, value);
            warn!("{}", error.message());
            // A slip in one command must not end the monitoring of all other channels, whatever is tolerated of records.
            if let Err(error) = self.context.report(record, error).await {
                tracing::debug!("the command is passed over: {}", error.one_line());
            }
            self.bad.pop_front();
        }
        Ok(())
    }
}

#[async_trait]
impl SourceTask for EpicsTask {
    async fn poll(&mut self) -> Result<SourceBatch> {
        loop {
            self.report().await?;
            if !self.ready.is_empty() {
                // What did not fit one batch does not wait for the next interval.
                if !std::mem::take(&mut self.is_more) {
                    self.not_before = Instant::now() + self.config.poll_interval();
                }
                return Ok(std::mem::take(&mut self.ready).into());
            }
            sleep_until(self.not_before).await;
            let due = self.alarms.as_ref().and_then(Alarms::next_due);
            let table_changed = async {
                match &mut self.alarms {
                    Some(alarms) => alarms.changed().await,
                    None => std::future::pending().await,
                }
            };
            // From here on nothing is awaited until what was taken is in `self`.
            tokio::select! {
                taken = self.shared.take(BATCH) => {
                    let taken = taken?;
                    self.is_more = taken.len() == BATCH;
                    taken.iter().for_each(|seen| self.translate(seen));
                }
                () = self.catalogue.changed() => {
                    let wanted = self.catalogue.wanted();
                    self.take_up(wanted);
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let records = self.alarms.as_mut().map(|alarms| alarms.expire(Instant::now()));
                    self.ready.extend(records.into_iter().flatten());
                }
                () = table_changed => {
                    let records = self.alarms.as_mut().map(Alarms::review);
                    self.ready.extend(records.into_iter().flatten());
                }
            }
        }
    }

    async fn stop(&mut self) -> Result<()> {
        if let Some(provider) = self.provider.take() {
            provider.stop().await;
        }
        Ok(())
    }
}
