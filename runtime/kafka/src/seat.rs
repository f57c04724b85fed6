//! The one seat of a group: a member that wants to be alone in it.
//!
//! The member subscribes to a topic of one partition. Who gets the partition has the seat; a second member finds the
//! group taken before it joins, or gets no partition if both came at once. A worker of Kafka Connect, whose group
//! protocol is another one, is refused by the broker itself, and the other way round.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use connect_api::{Error, Result};
use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance},
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use tokio::sync::watch;

use crate::{
    client::Context,
    error::{kafka_error, not_created},
    settings::{ClientSettings, Role},
};

const POLL: Duration = Duration::from_millis(100);
const REQUEST: Duration = Duration::from_secs(5);

/// How things stand with the seat.
#[derive(Debug, Clone, Default)]
enum Standing {
    #[default]
    Joining,
    Taken,
    /// To another member.
    Lost(Error),
    /// The broker does not let this one in, whoever else is there.
    Refused(Error),
}

struct Member {
    client: Context,
    standing: watch::Sender<Standing>,
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.client.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.client.error(error, reason);
    }
}

impl ConsumerContext for Member {
    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) if partitions.count() > 0 => {
                // Nothing is to be read here.
                if let Err(e) = consumer.pause(partitions) {
                    tracing::debug!("pausing the partition of the group: {e}");
                }
                self.standing.send_replace(Standing::Taken);
            }
            Rebalance::Assign(_) => {
                let text = "another member of the group came first";
                self.standing.send_replace(Standing::Lost(Error::fatal(text)));
            }
            // Between two assignments, or while Kafka is away.
            _ => {}
        }
    }
}

/// A seat that is held until it is dropped.
pub struct Seat {
    stop: Arc<AtomicBool>,
    standing: watch::Receiver<Standing>,
    ended: watch::Receiver<bool>,
}

impl Seat {
    /// Takes the seat of the group that `settings` name, by a subscription to `topic`. Waits at most `limit` for a
    /// member to leave, as one does that was killed a moment ago.
    pub async fn take(settings: &ClientSettings, topic: &str, limit: Duration) -> Result<Self> {
        let group = settings.native.get("group.id").cloned().unwrap_or_default();
        let mut settings = settings.clone();
        settings.native.insert("enable.auto.commit".into(), "false".into());
        settings.native.insert("auto.offset.reset".into(), "latest".into());
        settings.native.insert("allow.auto.create.topics".into(), "false".into());
        let (sender, standing) = watch::channel(Standing::Joining);
        let member = Member { client: Context::default(), standing: sender };
        let made = settings.config().create_with_context(member);
        let consumer: BaseConsumer<Member> =
            made.map_err(|e| not_created(Role::Consumer, "the member of the worker's group", &e))?;
        let consumer = Arc::new(consumer);
        let deadline = Instant::now() + limit;
        wait_until_empty(&consumer, &group, deadline).await?;
        consumer.subscribe(&[topic]).map_err(|e| kafka_error(format!("joining the group {group}"), e))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (finished, ended) = watch::channel(false);
        let (own_stop, own) = (stop.clone(), consumer.clone());
        let spawned = thread::Builder::new().name("kafka-member".into()).spawn(move || {
            poll(&own, &own_stop);
            // Nobody may be waiting.
            finished.send_replace(true);
        });
        spawned.map_err(|e| Error::fatal("starting the thread of the group's member").caused_by(e))?;
        let mut seat = Self { stop, standing, ended };
        let settled = seat.standing.wait_for(|s| !matches!(s, Standing::Joining));
        let settled = tokio::time::timeout(limit, settled).await.map(|s| s.map(|s| s.clone()));
        match settled {
            Ok(Ok(Standing::Lost(e))) => Err(taken(&group, &e.one_line())),
            Ok(Ok(Standing::Refused(e))) => Err(e.context(format!("joining the group {group}"))),
            Ok(Ok(_)) => Ok(seat),
            Ok(Err(_)) => Err(Error::fatal(format!("joining the group {group}: the member has ended"))),
            Err(_) => {
                Err(Error::retriable(format!("joining the group {group} took longer than {} s", limit.as_secs())))
            }
        }
    }

    /// Resolves with the reason when the seat is lost.
    pub async fn lost(&mut self) -> Error {
        match self.standing.wait_for(|s| matches!(s, Standing::Lost(_) | Standing::Refused(_))).await.as_deref() {
            Ok(Standing::Lost(e) | Standing::Refused(e)) => e.clone(),
            _ => Error::fatal("the member of the worker's group has ended"),
        }
    }

    /// Leaves the group, so that another can have the seat at once; waits at most this long.
    pub async fn leave(mut self, limit: Duration) {
        self.stop.store(true, Ordering::Release);
        if tokio::time::timeout(limit, self.ended.wait_for(|ended| *ended)).await.is_err() {
            tracing::warn!("the worker's group was not left within {} s", limit.as_secs());
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seat")
    }
}

fn taken(group: &str, by: &str) -> Error {
    Error::fatal(format!(
        "group.id={group}: {by}; stop the other worker, or give this one a group.id and storage topics of its own \
         (several workers in one group are not supported)"
    ))
}

async fn wait_until_empty(consumer: &Arc<BaseConsumer<Member>>, group: &str, deadline: Instant) -> Result<()> {
    let mut said = false;
    loop {
        let (own, name) = (consumer.clone(), group.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            let list = own.fetch_group_list(Some(&name), REQUEST)?;
            let member =
                list.groups().iter().flat_map(|g| g.members().iter().map(|m| (g.protocol_type().to_owned(), m)));
            Ok(member.map(|(kind, m)| (kind, m.client_id().to_owned(), m.client_host().to_owned())).next())
        });
        let found: std::result::Result<_, KafkaError> =
            asked.await.map_err(|e| Error::fatal("asking for the worker's group").caused_by(e))?;
        let (kind, client, host) = match found {
            Ok(None) => return Ok(()),
            Ok(Some(found)) => found,
            Err(e) if Instant::now() < deadline => {
                tracing::debug!("asking for the members of group {group}: {e}");
                tokio::time::sleep(POLL * 5).await;
                continue;
            }
            Err(e) => return Err(kafka_error(format!("asking for the members of group {group}"), e)),
        };
        let other = if kind == "connect" { "a Kafka Connect worker" } else { "another worker" };
        let who = format!("{other} is its member (client {client} at {})", host.trim_start_matches('/'));
        if Instant::now() >= deadline {
            return Err(taken(group, &who));
        }
        if !std::mem::replace(&mut said, true) {
            tracing::warn!("waiting for the group {group} to be empty: {who}");
        }
        tokio::time::sleep(POLL * 5).await;
    }
}

fn poll(consumer: &BaseConsumer<Member>, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        let Some(Err(error)) = consumer.poll(POLL) else { continue };
        let code = error.rdkafka_error_code();
        let standing = &consumer.context().standing;
        match code {
            Some(Code::InconsistentGroupProtocol) => {
                let text = "a Kafka Connect worker is its member";
                standing.send_replace(Standing::Lost(Error::fatal(text)));
            }
            Some(Code::GroupAuthorizationFailed | Code::InvalidSessionTimeout) => {
                standing.send_replace(Standing::Refused(kafka_error("taking a place in the worker's group", error)));
            }
            _ => tracing::debug!("the member of the worker's group: {error}"),
        }
    }
    consumer.unsubscribe();
    if consumer.close_queue().is_ok() {
        let deadline = Instant::now() + REQUEST;
        while !consumer.closed() && Instant::now() < deadline {
            drop(consumer.poll(POLL));
        }
    }
}
