//! The channels that are wanted now: those of the settings, of a file and of the command topic, as far as they are this
//! task's.
//!
//! Every task follows file and topic itself and takes the channels that a hash of topic and name gives it. So a channel
//! that comes or goes concerns one task, which goes on with all its others.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use connect_api::{Error, Feed, FeedEvent, Result, TaskContext, Topic};
use indexmap::IndexMap;
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    EpicsConfig,
    channel_file::ChannelFile,
    channel_list::{self, ChannelSpec, Maker, Unique},
    commands,
};

/// Commands that come together take effect together.
const GATHER: Duration = Duration::from_millis(50);

/// Which part of the channels is a task's: written as `INDEX/TASKS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    index: u64,
    of: u64,
}

impl Share {
    /// All channels.
    pub(crate) const ALL: Share = Share { index: 0, of: 1 };

    /// Whether it is the first task, which does what one task has to do for all.
    pub(crate) fn is_first(self) -> bool {
        self.index == 0
    }

    /// The number of the task.
    pub(crate) fn index(self) -> u64 {
        self.index
    }

    fn owns(self, topic: &str, name: &str) -> bool {
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        (topic, name).hash(&mut hash);
        hash.finish() % self.of == self.index
    }
}

impl FromStr for Share {
    type Err = Error;

    fn from_str(text: &str) -> Result<Share> {
        let read = text
            .split_once('/')
            .and_then(|(index, of)| Some(Share { index: index.parse().ok()?, of: of.parse().ok()? }));
        read.filter(|share| share.index < share.of)
            .ok_or_else(|| Error::fatal(format!("{text:?} is no share of channels")))
    }
}

/// A hash that is the same in every build, as tasks of one connector may run in several workers.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        // The lowest bits of the hash are its worst.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// What is to be monitored from now on.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// The channels of this task.
    pub mine: Vec<Arc<ChannelSpec>>,
    /// The keys of the channels of all tasks.
    pub keys: HashSet<Arc<str>>,
    /// What is wrong with file and commands.
    pub problems: Vec<String>,
    /// Commands of this task's share that cannot be understood and were not told before.
    pub bad: Vec<BadCommand>,
}

/// A command that cannot be understood.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BadCommand {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its key.
    pub key: Arc<str>,
    /// Its value.
    pub value: Bytes,
    /// What is wrong with it.
    pub reason: String,
}

/// The channels, as they are and as they become.
pub(crate) struct Catalogue {
    config: Arc<EpicsConfig>,
    share: Share,
    fixed: Vec<Arc<ChannelSpec>>,
    file: Option<ChannelFile>,
    commands: Option<Commands>,
    settling: Option<Settling>,
}

/// Commands have come and may go on coming.
#[derive(Debug, Clone, Copy)]
struct Settling {
    due: Instant,
    latest: Instant,
}

impl Catalogue {
    /// Reads settings, file and topic.
    pub(crate) async fn start(config: Arc<EpicsConfig>, share: Share, context: &TaskContext) -> Result<Catalogue> {
        let fixed = channel_list::read(&config.monitor)?.into_iter().map(Arc::new).collect();
        let file = match &config.monitor.file {
            Some(path) => Some(ChannelFile::follow(path, &config, context.stopping()).await?),
            None => None,
        };
        let commands = match config.command_topic() {
            Some(topic) => Some(Commands::follow(topic, &config, share, context).await?),
            None => None,
        };
        Ok(Catalogue { config, share, fixed, file, commands, settling: None })
    }

    /// The channels that are wanted now. Of two that are in each other's way the first stays: those of the settings before
    /// those of the file, and these before those of commands.
    pub(crate) fn wanted(&mut self) -> Wanted {
        let mut wanted = Wanted::default();
        let mut unique = Unique::new(&self.config.monitor);
        let mut all: Vec<Arc<ChannelSpec>> = self.fixed.clone();
        if let Some(file) = &self.file {
            all.extend(file.channels().iter().cloned());
            wanted.problems.extend(file.problem().map(str::to_owned));
        }
        if let Some(commands) = &mut self.commands {
            all.extend(commands.channels.values().cloned());
            wanted.bad = std::mem::take(&mut commands.bad);
            let told = |(key, reason): (&Arc<str>, &String)| format!("the command {key} is not understood: {reason}");
            wanted.problems.extend(commands.misunderstood.iter().map(told));
        }
        for channel in all {
            if let Err(reason) = unique.add(&channel) {
                wanted
                    .problems
                    .push(format!("the channel {} of topic {} is left out: {reason}", channel.name, channel.topic));
                continue;
            }
            wanted.keys.insert(channel.key.clone());
            if self.share.owns(&channel.topic, &channel.name) {
                wanted.mine.push(channel);
            }
        }
        wanted
    }

    /// Resolves when other channels may be wanted; cancel-safe.
    pub(crate) async fn changed(&mut self) {
        loop {
            let due = self.settling.map(|settling| settling.due);
            tokio::select! {
                biased;
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.settling = None;
                    return;
                }
                () = changed_file(&mut self.file) => return,
                () = changed_commands(&mut self.commands) => {
                    let (now, quiet) = (Instant::now(), self.config.settle().max(GATHER));
                    let latest = self.settling.map_or(now + quiet * 10, |settling| settling.latest);
                    self.settling = Some(Settling { due: (now + quiet).min(latest), latest });
                }
            }
        }
    }
}

async fn changed_file(file: &mut Option<ChannelFile>) {
    match file {
        Some(file) => file.changed().await,
        None => std::future::pending().await,
    }
}

async fn changed_commands(commands: &mut Option<Commands>) {
    match commands {
        Some(commands) => commands.changed().await,
        None => std::future::pending().await,
    }
}

/// A channel as commands name it: topic and name.
type Place = (Topic, Arc<str>);

/// The channels of the command topic.
struct Commands {
    topic: Arc<str>,
    feed: Feed,
    config: Arc<EpicsConfig>,
    share: Share,
    /// In the order in which they came.
    channels: IndexMap<Place, Arc<ChannelSpec>>,
    /// Keys of commands that cannot be understood, with the reasons.
    misunderstood: BTreeMap<Arc<str>, String>,
    /// Those that were not told yet.
    bad: Vec<BadCommand>,
}

impl Commands {
    async fn follow(topic: &str, config: &Arc<EpicsConfig>, share: Share, context: &TaskContext) -> Result<Commands> {
        let limit = Duration::from_secs(config.command.load_timeout.unsigned_abs());
        let mut commands = Commands {
            topic: topic.into(),
            feed: context.feed(topic, &config.command_client()).await?,
            config: config.clone(),
            share,
            channels: IndexMap::new(),
            misunderstood: BTreeMap::new(),
            bad: Vec::new(),
        };
        context.note(Some(format!("the commands of topic {topic} are being read")));
        let read = timeout(limit, commands.read_all()).await;
        context.note(None);
        match read {
            Ok(true) => Ok(commands),
            Ok(false) => Err(Error::retriable(format!("reading commands from topic {topic}: the reader has ended"))),
            Err(_) => Err(Error::fatal(format!(
                "reading commands from topic {topic}: not done within the {} s of command.load.timeout.seconds; is \
                 kafka at command.bootstrap.servers?",
                limit.as_secs()
            ))),
        }
    }

    /// Reads what the topic held; `false` if its reader ended before.
    async fn read_all(&mut self) -> bool {
        while let Some(event) = self.feed.next().await {
            match event {
                FeedEvent::Records(records) => self.take(records),
                FeedEvent::CaughtUp => return true,
            }
        }
        false
    }

    /// Resolves when a command has come; cancel-safe.
    async fn changed(&mut self) {
        match self.feed.next().await {
            Some(FeedEvent::Records(records)) => self.take(records),
            Some(FeedEvent::CaughtUp) => {}
            // The reader ends with the task.
            None => std::future::pending().await,
        }
    }

    fn take(&mut self, records: Vec<(Arc<str>, Option<Bytes>)>) {
        let config = self.config.clone();
        let mut maker = Maker::new(&config.monitor);
        for (key, value) in records {
            self.misunderstood.remove(&key);
            let place = commands::place(&key).map(|(topic, channel)| (Topic::from(topic), Arc::from(channel)));
            let Some(value) = value else {
                if let Ok(place) = place {
                    self.channels.shift_remove(&place);
                }
                continue;
            };
            let made = commands::entry(&key, &value)
                .and_then(|entry| maker.make(entry))
                .and_then(|mut one| one.pop().ok_or_else(|| "it names no channel".to_owned()));
            match (place, made) {
                (Ok(place), Ok(channel)) => {
                    self.channels.insert(place, Arc::new(channel));
                }
                (place, made) => {
                    let reason = place.map(|place| self.channels.shift_remove(&place)).err().or(made.err());
                    self.misunderstand(key, value, reason.unwrap_or_default());
                }
            }
        }
    }

    fn misunderstand(&mut self, key: Arc<str>, value: Bytes, reason: String) {
        if self.share.owns(&self.topic, &key) {
            let (topic, key, reason) = (self.topic.clone(), key.clone(), reason.clone());
            self.bad.push(BadCommand { topic, key, value, reason });
        }
        self.misunderstood.insert(key, reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_one_owner_and_shares_are_about_equal() {
        let shares: Vec<Share> = (0..4).map(|n| format!("{n}/4").parse().expect("a share")).collect();
        let mut counts = [0; 4];
        for n in 0..10_000 {
            let name = format!("LONG:PREFIX:OF:NAMES:{n:05}");
            let owners: Vec<usize> = (0..4).filter(|i| shares[*i].owns("epics", &name)).collect();
            assert_eq!(owners.len(), 1, "{name}");
            counts[owners[0]] += 1;
        }
        assert!(counts.iter().all(|count| (2250..2750).contains(count)), "{counts:?}");
        assert!(Share::ALL.owns("any", "channel"));
        for bad in ["", "1", "2/2", "a/b", "-1/2"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }
}
