//! Sends mails, at once or several records together.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use connect_api::{
    Bytes, Counter, Error, ErrorClass, PartitionOffset, Result, SinkContext, SinkRecord, SinkTask, State,
    TopicPartition, async_trait,
};
use connector_alarm::place::is_active;
use connector_http::Progress;
use lettre::Address;
use tokio::time::Instant;

use crate::{
    config::{EmailSettings, Mode, Tombstones},
    message::{Email, Plan, Said},
    smtp::{Answered, Smtp},
    thread::Thread,
};

/// When a mail is tried again of which others around it were taken.
const SOON: Duration = Duration::from_millis(200);
const MINUTE: Duration = Duration::from_secs(60);
/// The name of the state.
const STATE: &str = "threads";

/// A record that waits for a digest.
struct Held {
    record: SinkRecord,
    said: Said,
}

/// A mail that some recipients have got, and others may get later.
#[derive(Default)]
struct Partly {
    id: String,
    done: BTreeSet<Address>,
    refused: Vec<Answered>,
}

/// A running task.
pub struct EmailTask {
    context: SinkContext,
    plan: Plan,
    smtp: Smtp,
    threads: Arc<dyn State>,
    tombstones: Tombstones,
    mode: Mode,
    interval: Duration,
    most: usize,
    per_minute: Option<usize>,
    progress: Progress,
    partly: Partly,
    held: VecDeque<Held>,
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
            threads: context.state(STATE).await?,
            tombstones: config.tombstones,
            mode: config.mode,
            interval: config.digest_interval.0,
            most: size(config.digest_records),
            per_minute: config.per_minute.map(size),
            progress: Progress::new(),
            partly: Partly::default(),
            held: VecDeque::new(),
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
        let cleared = !is_active(record);
        if cleared && self.tombstones == Tombstones::Ignore {
            return Ok(());
        }
        let key = self.plan.thread(record)?;
        let thread = self.thread(key.as_deref())?;
        if thread.as_ref().is_some_and(|thread| thread.has(record)) {
            self.again.add(1);
            return Ok(());
        }
        let waits = self.mode == Mode::Digest || !self.held.is_empty() || !self.has_room();
        // Nobody was told of what is cleared.
        if cleared && key.is_some() && thread.is_none() && self.mode == Mode::Immediate && !self.holds(key.as_deref()) {
            return Ok(());
        }
        let said = self.plan.say(record, key, thread.as_ref())?;
        if said.to.is_empty() {
            return Ok(());
        }
        if waits {
            self.hold(record, said);
            return Ok(());
        }
        let mail = self.plan.single(record, &said, thread.as_ref())?;
        let refused = self.send(&mail).await?;
        self.remember(record, &said, thread.as_ref(), &mail).await?;
        refused.map_or(Ok(()), Err)
    }

    fn thread(&self, key: Option<&str>) -> Result<Option<Thread>> {
        let Some(key) = key else { return Ok(None) };
        self.threads.get(key).map(|bytes| Thread::read(key, &bytes)).transpose()
    }

    fn holds(&self, key: Option<&str>) -> bool {
        self.held.iter().any(|held| held.said.thread.as_deref() == key)
    }

    fn hold(&mut self, record: &SinkRecord, said: Said) {
        if self.held.is_empty() {
            self.since = Instant::now();
        }
        // After a flush that failed elsewhere records come again.
        if !self.held.iter().any(|held| held.record.origin == record.origin) {
            self.held.push_back(Held { record: record.clone(), said });
        }
    }

    /// Sends a mail. What comes back is why some of its recipients will not get it; an error means that nobody got it who
    /// had not got it before.
    async fn send(&mut self, mail: &Email) -> Result<Option<Error>> {
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
                return Err(
                    Error::retriable("sending a mail to some of its recipients").caused_by(list(&outcome.later))
                );
            }
        }
        let partly = std::mem::take(&mut self.partly);
        if partly.refused.is_empty() {
            return Ok(None);
        }
        let who = if partly.done.is_empty() { "its recipients" } else { "some of its recipients, while others got it" };
        let error = Error::data(format!("sending a mail to {who}")).caused_by(list(&partly.refused));
        if partly.done.is_empty() { Err(error) } else { Ok(Some(error)) }
    }

    async fn remember(&self, record: &SinkRecord, said: &Said, before: Option<&Thread>, mail: &Email) -> Result<()> {
        let Some(key) = &said.thread else { return Ok(()) };
        let thread = if !is_active(record) {
            None
        } else {
            Some(Bytes::from(Thread::after(before, &mail.id, &said.subject, record).write()?))
        };
        self.threads.put(key, thread).await
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
            Mode::Digest if self.held.len() < self.most => self.since + self.interval,
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
            let Some(to) = self.held.front().map(|held| held.said.to.clone()) else { break };
            let (now, rest): (Vec<Held>, Vec<Held>) =
                std::mem::take(&mut self.held).into_iter().partition(|held| held.said.to == to);
            let sent = self.send_digest(&now).await;
            if let Err(e) = &sent
                && e.class() == ErrorClass::Retriable
            {
                // The order among those that have other recipients does not matter.
                self.held = now.into_iter().chain(rest).collect();
                return sent;
            }
            self.held = rest.into();
            sent?;
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

    async fn send_digest(&mut self, held: &[Held]) -> Result<()> {
        let pairs: Vec<(&SinkRecord, &Said)> = held.iter().map(|held| (&held.record, &held.said)).collect();
        let sent = match self.plan.digest(&pairs) {
            Ok(mail) => self.send(&mail).await.map(|refused| (mail, refused)),
            Err(e) => Err(e),
        };
        let refused = match sent {
            Ok((mail, refused)) => {
                if self.mode == Mode::Immediate {
                    for held in held {
                        let before = self.thread(held.said.thread.as_deref())?;
                        self.remember(&held.record, &held.said, before.as_ref(), &mail).await?;
                    }
                }
                refused
            }
            Err(e) if e.class() == ErrorClass::Data => Some(e),
            Err(e) => return Err(e),
        };
        if let Some(e) = refused {
            for held in held {
                self.context.report(&held.record, e.clone()).await?;
            }
        }
        Ok(())
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
        self.put_all(records).await.map_err(|e| {
            // A server that fails now and then is not waited for ever longer while mails get through.
            let goes_on = self.mails.value() > before && e.delay().is_none();
            if goes_on && e.class() == ErrorClass::Retriable { e.retry_after(SOON) } else { e }
        })
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
        Ok(offsets.iter().map(safe).collect())
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let gone = |held: &Held| {
            let at = &held.record.origin;
            partitions.iter().any(|p| p.partition == at.partition && p.topic == at.topic)
        };
        self.held.retain(|held| !gone(held));
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        self.smtp.quit().await;
        Ok(())
    }
}
