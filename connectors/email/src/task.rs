//! Sends mails, at once or several records together.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use connect_api::{
    Counter, Error, ErrorClass, PartitionOffset, Result, SinkContext, SinkRecord, SinkTask, TopicPartition, async_trait,
};
use connector_alarm::place::{self, is_active};
use connector_http::Progress;
use lettre::Address;
use tokio::time::Instant;

use crate::{
    config::{EmailSettings, Mode, Tombstones},
    memory::Memory,
    message::{Email, Plan, Said, To},
    smtp::{Answered, Smtp},
};

const MINUTE: Duration = Duration::from_secs(60);

/// A record that waits for a digest.
#[derive(Clone)]
struct Held {
    record: SinkRecord,
    said: Said,
}

/// What became of a mail.
struct Sent {
    /// Who got it.
    got: BTreeSet<Address>,
    /// Why others will not get it.
    refused: Option<Error>,
}

/// A mail that some recipients have got, and others may get later.
#[derive(Default)]
struct Partly {
    id: String,
    done: BTreeSet<Address>,
    refused: Vec<Answered>,
    /// When a recipient was refused for now for the first time.
    since: Option<Instant>,
}

/// A running task.
pub struct EmailTask {
    context: SinkContext,
    plan: Plan,
    smtp: Smtp,
    memory: Memory,
    tombstones: Tombstones,
    mode: Mode,
    interval: Duration,
    most: usize,
    per_minute: Option<usize>,
    /// How long recipients are tried again; none is without end.
    recipient_timeout: Option<Duration>,
    progress: Progress,
    partly: Partly,
    held: VecDeque<Held>,
    /// How many records the next digest may have, while one is sent in parts because it was refused as a whole: fewer until
    /// the bad record stood alone, then all.
    portion: Option<usize>,
    /// When the first record that is held came.
    since: Instant,
    /// When the mails of the last minute were sent.
    sent: VecDeque<Instant>,
    mails: Counter,
    again: Counter,
}

impl EmailTask {
    /// Makes the task ready. It connects when there is something to send.
    pub async fn start(config: &EmailSettings, context: SinkContext) -> Result<Self> {
        let size = |n: i32| usize::try_from(n).unwrap_or(1);
        Ok(Self {
            plan: Plan::new(config, context.connector())?,
            smtp: Smtp::new(config.server()?),
            memory: Memory::of(&context).await?,
            tombstones: config.tombstones,
            mode: config.mode,
            interval: config.digest_interval.0,
            most: size(config.digest_records),
            per_minute: config.per_minute.map(size),
            recipient_timeout: Some(config.recipient_timeout.0).filter(|limit| !limit.is_zero()),
            progress: Progress::new(),
            partly: Partly::default(),
            held: VecDeque::new(),
            portion: None,
            since: Instant::now(),
            sent: VecDeque::new(),
            mails: context.counter("tocsin_email_mails_total", "Mails that the SMTP server has taken.", &[]),
            again: context.counter(
                "tocsin_email_known_records_total",
                "Records that came again and were not mailed again, as their thread has them.",
                &[],
            ),
            context,
        })
    }

    async fn put_all(&mut self, records: &[SinkRecord]) -> Result<()> {
        for record in records {
            self.send_held().await?;
            if self.progress.has(record) {
                continue;
            }
            match self.take(record).await {
                Err(e) if e.class() == ErrorClass::Data => self.context.report(record, e).await?,
                taken => taken?,
            }
            self.progress.note(record);
        }
        self.send_held().await?;
        self.progress.finished(records);
        Ok(())
    }

    /// Sends a mail about the record, or holds it for a digest.
    async fn take(&mut self, record: &SinkRecord) -> Result<()> {
        let over = !is_active(record);
        if over && self.tombstones == Tombstones::Ignore {
            return Ok(());
        }
        let said = if over && self.plan.has_threads() { self.say_over(record).await? } else { self.say(record)? };
        let Some(said) = said.filter(|said| !said.to.is_empty()) else { return Ok(()) };
        if self.mode == Mode::Digest || !self.held.is_empty() || !self.has_room() {
            self.hold(record, said);
            return Ok(());
        }
        let thread = said.thread.as_deref().map_or(Ok(None), |key| self.memory.thread(key))?;
        let mail = self.plan.single(record, &said, thread.as_ref())?;
        let sent = self.send(&mail).await?;
        self.remember(&[(record, &said)], &mail, &sent).await?;
        sent.refused.map_or(Ok(()), Err)
    }

    /// What is to be said about a record, unless its thread has it.
    fn say(&self, record: &SinkRecord) -> Result<Option<Said>> {
        let key = self.plan.thread(record)?;
        let thread = key.as_deref().map_or(Ok(None), |key| self.memory.thread(key))?;
        if thread.as_ref().is_some_and(|thread| thread.has(record)) {
            self.again.add(1);
            return Ok(None);
        }
        self.plan.say(record, key, thread.as_ref()).map(Some)
    }

    /// What is to be said about the end of an alarm, to those who were told of it or will be by what is held.
    async fn say_over(&self, record: &SinkRecord) -> Result<Option<Said>> {
        let alarm = place::of(record);
        let known = self.memory.alarm(&alarm)?;
        let mut told = known.clone().map(|open| (open.thread, open.to));
        for held in self.held.iter().filter(|held| place::of(&held.record) == alarm) {
            told = match (&held.said.thread, told) {
                _ if !is_active(&held.record) => None,
                (Some(thread), None) => Some((thread.clone(), held.said.to.clone())),
                (Some(thread), Some((_, to))) => Some((thread.clone(), to.with(&held.said.to))),
                (None, told) => told,
            };
        }
        let Some((key, to)) = told else { return Ok(None) };
        let thread = self.memory.thread(&key)?;
        if thread.as_ref().is_some_and(|thread| thread.has(record)) {
            self.again.add(1);
            self.memory.forget(&alarm).await?;
            return Ok(None);
        }
        self.plan.say_over(record, to, key, thread.as_ref()).map(Some)
    }

    fn hold(&mut self, record: &SinkRecord, said: Said) {
        if self.held.is_empty() {
            self.since = Instant::now();
        }
        // After a flush that failed elsewhere records come again. What comes off the shelf again has a time of its own.
        let same = |held: &Held| held.record.origin == record.origin && held.record.timestamp == record.timestamp;
        if !self.held.iter().any(same) {
            self.held.push_back(Held { record: record.clone(), said });
        }
    }

    /// Sends a mail. An error means that nobody got it who had not got it before; one of the data is about its content.
    async fn send(&mut self, mail: &Email) -> Result<Sent> {
        if self.partly.id != mail.id {
            self.partly = Partly { id: mail.id.clone(), ..Partly::default() };
        }
        let settled = |address: &Address, partly: &Partly| {
            partly.done.contains(address) || partly.refused.iter().any(|(other, _)| other == address)
        };
        let to: Vec<Address> = mail.to.iter().filter(|address| !settled(address, &self.partly)).cloned().collect();
        if !to.is_empty() {
            let outcome = self.smtp.send(&self.plan.from.email, &to, &mail.bytes).await?;
            if !outcome.accepted.is_empty() {
                self.mails.add(1);
                if self.per_minute.is_some() {
                    self.sent.push_back(Instant::now());
                }
            }
            self.partly.done.extend(outcome.accepted);
            self.partly.refused.extend(outcome.refused);
            if !outcome.later.is_empty() {
                let since = *self.partly.since.get_or_insert_with(Instant::now);
                let Some(limit) = self.recipient_timeout.filter(|limit| since.elapsed() >= *limit) else {
                    return Err(
                        Error::retriable("sending a mail to some of its recipients").caused_by(list(&outcome.later))
                    );
                };
                let gave_up = |(address, text): Answered| {
                    (address, format!("{text}, for {} s by now (email.recipient.retry.timeout.ms)", limit.as_secs()))
                };
                self.partly.refused.extend(outcome.later.into_iter().map(gave_up));
            }
        }
        let partly = std::mem::take(&mut self.partly);
        let who = if partly.done.is_empty() { "its recipients" } else { "some of its recipients, while others got it" };
        let why = || Error::data(format!("sending a mail to {who}")).caused_by(list(&partly.refused));
        let refused = (!partly.refused.is_empty()).then(why);
        Ok(Sent { got: partly.done, refused })
    }

    /// Keeps of a mail's records who was told of them.
    async fn remember(&self, about: &[(&SinkRecord, &Said)], mail: &Email, sent: &Sent) -> Result<()> {
        if sent.got.is_empty() {
            return Ok(());
        }
        let mut changes = self.memory.changes();
        for (record, said) in about {
            let got: To = said.to.only(|address| sent.got.contains(address));
            changes.note(record, said, mail, &got)?;
        }
        if changes.write().await? {
            self.context.request_commit();
        }
        Ok(())
    }

    /// Says how many records are held.
    fn tell_held(&self) {
        let mut held: BTreeMap<TopicPartition, u64> = BTreeMap::new();
        for Held { record, .. } in &self.held {
            *held.entry(place::of(record).0).or_default() += 1;
        }
        self.context.undelivered(held.into_iter().collect());
    }

    /// Whether another mail may be sent now.
    fn has_room(&mut self) -> bool {
        let Some(most) = self.per_minute else { return true };
        while self.sent.front().is_some_and(|at| at.elapsed() >= MINUTE) {
            self.sent.pop_front();
        }
        self.sent.len() < most
    }

    /// When what is held is to be sent.
    fn time(&self) -> Option<Instant> {
        if self.held.is_empty() {
            return None;
        }
        let wanted = match self.mode {
            Mode::Digest if self.held.len() < self.most && self.portion.is_none() => self.since + self.interval,
            Mode::Digest | Mode::Immediate => self.since,
        };
        let room = match self.per_minute {
            Some(most) if self.sent.len() >= most => self.sent.get(self.sent.len() - most).map(|at| *at + MINUTE),
            _ => None,
        };
        Some(room.map_or(wanted, |room| room.max(wanted)))
    }

    /// Sends what is held if it is time.
    async fn send_held(&mut self) -> Result<()> {
        while self.time().is_some_and(|time| time <= Instant::now()) {
            let chosen = self.next_digest();
            if !self.send_digest(&chosen).await? {
                continue;
            }
            let mut n = 0..;
            self.held.retain(|_| n.next().is_none_or(|n| !chosen.contains(&n)));
        }
        if self.held.len() >= self.most
            && let Some(time) = self.time()
        {
            let left = time.saturating_duration_since(Instant::now());
            return Err(Error::retriable(format!(
                "{} records wait for a mail, as more than email.max.per.minute would be sent",
                self.held.len()
            ))
            .retry_after(left));
        }
        Ok(())
    }

    /// Which of what is held comes next: what has the recipients of the first one. The order among those that have others
    /// does not matter, but within a thread it does.
    fn next_digest(&self) -> BTreeSet<usize> {
        let Some(first) = self.held.front() else { return BTreeSet::new() };
        let mut later = BTreeSet::new();
        let mut chosen = BTreeSet::new();
        for (n, held) in self.held.iter().enumerate() {
            let thread = held.said.thread.as_deref();
            let has_room = self.portion.is_none_or(|most| chosen.len() < most);
            if has_room && held.said.to == first.said.to && thread.is_none_or(|thread| !later.contains(thread)) {
                chosen.insert(n);
            } else {
                later.extend(thread);
            }
        }
        chosen
    }

    /// Sends a mail about some of what is held, and says whether they are done with; if not, half of them come next, as
    /// one of them is a bad record. An error is why it is to be tried again or the task cannot go on.
    async fn send_digest(&mut self, chosen: &BTreeSet<usize>) -> Result<bool> {
        let all: Vec<Held> = chosen.iter().filter_map(|n| self.held.get(*n)).cloned().collect();
        let pairs: Vec<(&SinkRecord, &Said)> = all.iter().map(|held| (&held.record, &held.said)).collect();
        let to = all.first().map(|held| &held.said.to);
        let sent = match self.plan.digest(&pairs) {
            Ok(mail) => self.send(&mail).await.map(|sent| (mail, sent)),
            Err(e) => Err(e),
        };
        let refused = match sent {
            Ok((mail, sent)) => {
                self.remember(&pairs, &mail, &sent).await?;
                sent.refused
            }
            Err(e) if e.class() == ErrorClass::Data && pairs.len() > 1 => {
                self.portion = Some(pairs.len() / 2);
                return Ok(false);
            }
            Err(e) if e.class() == ErrorClass::Data => {
                // The others do not wait for more records again.
                self.portion = Some(usize::MAX);
                Some(e)
            }
            Err(e) => return Err(e),
        };
        if let Some(e) = refused {
            for (record, _) in pairs {
                self.context.report(record, e.clone()).await?;
            }
        }
        let same = |(n, held): (usize, &Held)| !chosen.contains(&n) && Some(&held.said.to) == to;
        if !self.held.iter().enumerate().any(same) {
            self.portion = None;
        }
        Ok(true)
    }
}

fn list(answers: &[Answered]) -> String {
    let each: Vec<String> = answers.iter().map(|(address, text)| format!("{address}: {text}")).collect();
    each.join("; ")
}

#[async_trait]
impl SinkTask for EmailTask {
    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.progress.forget(partitions);
        Ok(())
    }

    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let before = self.mails.value();
        let outcome = self.put_all(records).await;
        self.tell_held();
        outcome.map_err(|e| if self.mails.value() > before { e.advanced() } else { e })
    }

    fn due(&self) -> Option<Instant> {
        self.time()
    }

    // What is held was not mailed.
    async fn flush(&mut self, offsets: &[PartitionOffset]) -> Result<Vec<PartitionOffset>> {
        let safe = |o: &PartitionOffset| {
            let of = self.held.iter().map(|held| &held.record.origin);
            let held = of.filter(|at| at.partition == o.partition.partition && at.topic == o.partition.topic);
            let first = held.map(|at| at.offset).min();
            PartitionOffset {
                partition: o.partition.clone(),
                offset: first.map_or(o.offset, |first| first.min(o.offset)),
            }
        };
        let safe: Vec<PartitionOffset> = offsets.iter().map(safe).collect();
        self.memory.flushed(&safe);
        Ok(safe)
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let gone = |held: &Held| {
            let at = &held.record.origin;
            partitions.iter().any(|p| p.partition == at.partition && p.topic == at.topic)
        };
        self.held.retain(|held| !gone(held));
        self.portion = None;
        self.memory.close(partitions);
        self.tell_held();
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        self.smtp.quit().await;
        Ok(())
    }
}
