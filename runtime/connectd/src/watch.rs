//! Connector files that are watched: what changes in them is taken up.
//!
//! Contents are read and compared, again and again, instead of asking the system for events: that also sees what
//! happens in folders of networks and containers and behind symbolic links, and does not depend on how an editor saves.
//! A folder of connectors is a few kilobytes.
//!
//! - What counts is the declaration of a connector, whatever file it stands in: a file that is renamed or commented
//!   changes nothing.
//! - A connector is changed when its declaration changes; what others changed over the REST API stays until then.
//! - What is wrong changes nothing. It is logged, and said in the status of the connectors that it is about.
//! - Declarations that are gone delete their connectors, unless that looks like an accident: a file that cannot be
//!   read, a folder that is gone or empty.

mod snapshot;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use connect_embedded::Embedded;
use connect_files::{ConnectorFile, Tree, connector::from_documents, read_bytes};
use connect_worker::{
    Controller,
    controller::Refusal,
    status::{State, Subject},
};
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{Declaration, START, declare, load, same};
use snapshot::Snapshot;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_millis(500);
/// Files are taken up when nothing has changed for so long: they may be half written.
const QUIET: Duration = Duration::from_secs(1);
/// Pauses between tries of what did not go through: the first, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// The files that are watched, and what was made of them.
pub(crate) struct Watch<'a> {
    paths: Vec<PathBuf>,
    controller: Arc<Controller>,
    broker: Option<&'a Embedded>,
    /// What was seen last, and since when it has been so.
    seen: Arc<Snapshot>,
    since: Instant,
    /// What was taken up last.
    taken: Arc<Snapshot>,
    /// Declarations that have been taken up, by the connector's name.
    declared: BTreeMap<String, ConnectorFile>,
    /// Problems that have been said and still are there.
    said: BTreeSet<String>,
    /// Declarations that are being taken up, by the connector's name.
    under_way: JoinSet<Taken>,
    busy: BTreeSet<String>,
    /// Why declarations did not go through. Each may have been stored all the same.
    failures: BTreeMap<String, String>,
    /// When to try again what did not go through, and how often that was in vain.
    again: Option<(Instant, u32)>,
}

/// A declaration, and what became of it.
type Taken = (ConnectorFile, Result<Declaration, Refusal>);

/// What a round found.
#[derive(Default)]
struct Round {
    /// What is wrong: the problem, and which connectors stay as they are because of it.
    problems: Vec<(String, Vec<String>)>,
    /// Connectors that are declared, whether rightly or not.
    names: BTreeSet<String>,
    /// Whether there are files that cannot be read, which may declare anything.
    unreadable: bool,
    /// Files in which something is wrong, such as one that is being written.
    wrong: BTreeSet<String>,
    /// Connectors whose declaration this round has begun to take up.
    begun: Vec<String>,
    /// Whether one has to wait until the one before has been taken up.
    postponed: bool,
}

impl<'a> Watch<'a> {
    /// Nothing has been looked at yet.
    pub(crate) fn new(paths: Vec<PathBuf>, controller: Arc<Controller>, broker: Option<&'a Embedded>) -> Self {
        Self {
            paths,
            controller,
            broker,
            seen: Arc::default(),
            since: Instant::now(),
            taken: Arc::default(),
            declared: BTreeMap::new(),
            said: BTreeSet::new(),
            under_way: JoinSet::new(),
            busy: BTreeSet::new(),
            failures: BTreeMap::new(),
            again: None,
        }
    }

    /// Takes up what is there now.
    pub(crate) async fn begin(&mut self) {
        self.look().await;
        self.take_up().await;
        tracing::info!("watching {} connector files for changes", self.seen.files.len());
    }

    /// Takes up what changes, for good.
    pub(crate) async fn run(&mut self) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
            let changed = self.seen != self.taken && self.since.elapsed() >= QUIET;
            if changed {
                self.again = None;
            }
            let mut late = false;
            while let Some(taken) = self.under_way.try_join_next() {
                self.finish(taken).await;
                late = true;
            }
            if changed || late || self.again.is_some_and(|(at, _)| Instant::now() >= at) {
                self.take_up().await;
            }
        }
    }

    async fn look(&mut self) {
        let paths = self.paths.clone();
        // A folder of a network that hangs holds up nobody else.
        match tokio::task::spawn_blocking(move || Snapshot::of(&paths)).await {
            Ok(snapshot) if snapshot != *self.seen => {
                self.seen = Arc::new(snapshot);
                self.since = Instant::now();
            }
            Ok(_) => {}
            Err(e) => tracing::error!("looking at connector files: {e}"),
        }
    }

    async fn take_up(&mut self) {
        let snapshot = self.seen.clone();
        let mut round = Round::default();
        let found = self.read(&snapshot, &mut round);
        let controller = self.controller.clone();
        // Plugins may take their time.
        let judged = tokio::task::spawn_blocking(move || {
            let services = controller.services();
            let worker = &services.worker;
            let judge =
                load::Judge { plugins: &services.plugins, worker: Some(&worker.config), providers: &worker.providers };
            judge.all(found)
        });
        let judged = match judged.await {
            Ok(judged) => judged,
            Err(e) => return tracing::error!("judging connector files: {e}"),
        };
        // Of one that is declared twice nobody can say which is meant.
        let mut count: BTreeMap<String, usize> = BTreeMap::new();
        judged.iter().for_each(|(c, _)| *count.entry(c.name.clone()).or_default() += 1);
        for (c, judged) in judged {
            round.names.insert(c.name.clone());
            if !judged.problems.is_empty() {
                round.wrong.insert(c.file.clone());
            }
            let problems = judged.problems.into_iter().map(|p| (p, vec![c.name.clone()]));
            let wrong = round.problems.len();
            round.problems.extend(problems);
            if round.problems.len() == wrong && count.get(&c.name) == Some(&1) {
                self.apply(c, &mut round).await;
            } else {
                self.failures.remove(&c.name);
            }
        }
        self.settle(&round.begun).await;
        let failed = self.failures.iter().filter(|(name, _)| round.names.contains(*name));
        round.problems.extend(failed.map(|(name, text)| (text.clone(), vec![name.clone()])));
        self.delete(&snapshot, &mut round).await;
        self.tell(&round);
        // What is wrong now may be right later although no file changes: Kafka is back, a secret is in its place.
        self.again = (round.postponed || !round.problems.is_empty()).then(|| {
            let tries = self.again.map_or(0, |(_, tries)| tries);
            let pause = AGAIN.1.min(AGAIN.0 * 2u32.saturating_pow(tries));
            (Instant::now() + pause, tries.saturating_add(1))
        });
        self.taken = snapshot;
    }

    fn read(&self, snapshot: &Snapshot, round: &mut Round) -> Vec<(ConnectorFile, Tree)> {
        let mut all = Vec::new();
        for (path, contents) in &snapshot.files {
            let file = path.display().to_string();
            let documents = match contents {
                Ok(bytes) => read_bytes(path, bytes).and_then(|d| Ok((from_documents(&file, &d)?, d))),
                Err(why) => Err(connect_files::FileError { file: file.clone(), position: None, message: why.clone() }),
            };
            match documents {
                Ok((connectors, documents)) => all.extend(connectors.into_iter().zip(documents)),
                Err(e) => {
                    let own = self.declared.values().filter(|c| c.file == file).map(|c| c.name.clone()).collect();
                    round.unreadable = true;
                    round.problems.push((e.to_string(), own));
                }
            }
        }
        all
    }

    /// Begins to take up a declaration that is right and new.
    async fn apply(&mut self, c: ConnectorFile, round: &mut Round) {
        if let Some(before) = self.declared.get_mut(&c.name)
            && before.config == c.config
        {
            // It may have moved.
            *before = c;
            return;
        }
        if !self.busy.insert(c.name.clone()) {
            round.postponed = true;
            return;
        }
        round.begun.push(c.name.clone());
        if let Some(broker) = self.broker {
            for topic in load::topics(std::slice::from_ref(&c)) {
                if let Err(e) = broker.create_topic(&topic, 1).await {
                    tracing::warn!(connector = %c.name, "{}", e.one_line());
                }
            }
        }
        let (controller, anew) = (self.controller.clone(), self.failures.contains_key(&c.name));
        self.under_way.spawn(async move {
            let done = declare(&controller, &c, anew).await;
            (c, done)
        });
    }

    /// Waits for what is being taken up, but not for what hangs.
    async fn settle(&mut self, begun: &[String]) {
        let deadline = Instant::now() + START;
        while begun.iter().any(|name| self.busy.contains(name)) {
            match tokio::time::timeout_at(deadline, self.under_way.join_next()).await {
                Ok(Some(taken)) => self.finish(taken).await,
                Ok(None) => return,
                Err(_) => {
                    let names: Vec<&str> = self.busy.iter().map(String::as_str).collect();
                    let names = names.join(", ");
                    return tracing::warn!("not taken up within {} s, and waited for: {names}", START.as_secs());
                }
            }
        }
    }

    async fn finish(&mut self, taken: Result<Taken, JoinError>) {
        let (c, done) = match taken {
            Ok(taken) => taken,
            Err(e) => return tracing::error!("taking up a connector file: {e}"),
        };
        self.busy.remove(&c.name);
        let place = format!("{}:{}", c.file, c.position.line);
        match done {
            Ok(done) => {
                match done {
                    Declaration::Created => tracing::info!(connector = %c.name, "created as {place} declares it"),
                    Declaration::Changed => tracing::info!(connector = %c.name, "changed as {place} declares it"),
                    Declaration::Unchanged => tracing::debug!(connector = %c.name, "is as {place} declares it"),
                }
                self.failures.remove(&c.name);
                self.declared.insert(c.name.clone(), c);
            }
            Err(refusal) => {
                let text = format!("{place}: connector {}: {}", c.name, refusal.text());
                let config = load::config_map(&c);
                let stored = self.controller.info(&c.name).await.is_ok_and(|known| same(&known.config, &config));
                if stored && self.controller.services().statuses.connector_state(&c.name) == Some(State::Failed) {
                    // It has been taken up and could not be started, which its state says; the restart policy decides.
                    tracing::error!(connector = %c.name, "{text}");
                    self.failures.remove(&c.name);
                    self.declared.insert(c.name.clone(), c);
                } else {
                    self.failures.insert(c.name, text);
                }
            }
        }
    }

    /// Deletes what is not declared any more.
    async fn delete(&mut self, snapshot: &Snapshot, round: &mut Round) {
        let gone = self.declared.values().filter(|c| !round.names.contains(&c.name));
        let mut gone: Vec<(String, String)> = gone.map(|c| (c.name.clone(), c.file.clone())).collect();
        for (path, why) in &snapshot.missing {
            let (own, others) = gone.into_iter().partition(|(_, file)| PathBuf::from(file).starts_with(path));
            gone = others;
            let own: Vec<(String, String)> = own;
            let text = match own.is_empty() {
                true => format!("{}: {why}", path.display()),
                false => format!("{}: {why}; its connectors go on, connectctl delete removes them", path.display()),
            };
            round.problems.push((text, own.into_iter().map(|(name, _)| name).collect()));
        }
        for (name, file) in gone {
            let doing = format!("{file}: connector {name} is declared no more");
            let why = if round.unreadable {
                Some("while a file cannot be read, which may be where it is declared")
            } else if round.wrong.contains(&file) {
                Some("while something is wrong in that file")
            } else {
                None
            };
            if let Some(why) = why {
                round.problems.push((format!("{doing}; it goes on {why}"), vec![name]));
                continue;
            }
            match self.controller.delete(&name).await {
                // Somebody may have been faster.
                Ok(()) | Err(Refusal::NotFound(_)) => {
                    tracing::info!(connector = %name, "deleted, since {file} does not declare it any more; its offsets stay");
                    self.declared.remove(&name);
                }
                Err(refusal) => {
                    let text = format!("{doing}; deleting it: {}", refusal.text());
                    round.problems.push((text, vec![name]));
                }
            }
        }
    }

    /// Says what is wrong: what is new in the log, all of it in the status of the connectors that it is about.
    fn tell(&mut self, round: &Round) {
        let now: BTreeSet<String> = round.problems.iter().map(|(text, _)| text.clone()).collect();
        let before = mem::replace(&mut self.said, now);
        for (text, names) in round.problems.iter().filter(|(text, _)| !before.contains(text)) {
            let runs = names.iter().any(|name| self.declared.contains_key(name));
            let stays = if runs { "; what runs stays as it is" } else { "" };
            tracing::error!(connector = names.first(), "{text}{stays}");
        }
        if !before.is_empty() && self.said.is_empty() {
            tracing::info!("all connector files are right again");
        }
        let mut notes: BTreeMap<&str, Vec<&str>> =
            self.declared.keys().map(|name| (name.as_str(), Vec::new())).collect();
        for (text, names) in &round.problems {
            for name in names {
                notes.entry(name).or_default().push(text);
            }
        }
        let statuses = &self.controller.services().statuses;
        for (name, texts) in notes {
            let text = (!texts.is_empty()).then(|| format!("not as its file declares it: {}", texts.join("; ")));
            statuses.note(name, Subject::File, text.as_deref());
        }
    }
}
