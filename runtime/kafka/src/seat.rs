//! The one seat of a group: a member that wants to be alone in it.
//!
//! The member subscribes to a topic of one partition. Who gets the partition has the seat; a second member finds the
//! group taken before it joins, or gets no partition if both came at once: the assignor is a sticky one, so that who has
//! the seat keeps it. A worker of Kafka Connect, whose group protocol is another one, is refused by the broker itself,
//! and the other way round.
//!
//! Who has the seat commits a mark of its own to the group, again and again. Kafka takes it from the present member only,
//! so each is a confirmation ([`Lease`]), and whoever comes back after its membership was lost sees from the last mark
//! whether another has had the seat meanwhile.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use connect_api::{Error, Result};
use rdkafka::{consumer::BaseConsumer, consumer::Consumer as _, error::KafkaError};
use tokio::sync::watch;

use crate::{
    client::LOOK_AT_BROKERS,
    error::{kafka_error, not_created},
    lease::Lease,
    settings::{ClientSettings, Role},
};
use keeper::Keeper;
use member::Member;

mod keeper;
mod member;

const POLL: Duration = Duration::from_millis(100);
const REQUEST: Duration = Duration::from_secs(5);

/// How the first attempt to take the seat stands.
#[derive(Debug, Clone, Default)]
enum Standing {
    #[default]
    Joining,
    Taken,
    /// By another member.
    Lost(Error),
    /// The broker does not let this one in, whoever else is there.
    Refused(Error),
}

/// A seat that is held until it is dropped.
pub struct Seat {
    stop: Arc<AtomicBool>,
    lease: Lease,
    ended: watch::Receiver<bool>,
}

impl Seat {
    /// Takes the seat of the group that `settings` name, by a subscription to `topic`. Waits at most `limit` for a
    /// member to leave, as one does that was killed a moment ago. The lease is held while the group confirms it.
    pub async fn take(settings: &ClientSettings, topic: &str, limit: Duration, lease: &Lease) -> Result<Self> {
        let group = settings.native.get("group.id").cloned().unwrap_or_default();
        let mut settings = settings.clone();
        for (key, value) in [
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "latest"),
            ("allow.auto.create.topics", "false"),
            // Who has the seat keeps it whoever joins.
            ("partition.assignment.strategy", "cooperative-sticky"),
        ] {
            settings.native.insert(key.into(), value.into());
        }
        settings.or_set("statistics.interval.ms", &LOOK_AT_BROKERS.as_millis().to_string());
        let stop = Arc::new(AtomicBool::new(false));
        let made = settings.config().create_with_context(Member::new(stop.clone()));
        let consumer: BaseConsumer<Member> =
            made.map_err(|e| not_created(Role::Consumer, "the member of the worker's group", &e))?;
        consumer.context().client().of(consumer.client(), &settings);
        let consumer = Arc::new(consumer);
        let deadline = Instant::now() + limit;
        wait_until_empty(&consumer, &group, deadline).await?;
        consumer.subscribe(&[topic]).map_err(|e| kafka_error(format!("joining the group {group}"), e))?;
        let millis = |key: &str, default| settings.native.get(key).and_then(|ms| ms.parse().ok()).unwrap_or(default);
        let session = Duration::from_millis(millis("session.timeout.ms", 45_000));
        let heartbeat = Duration::from_millis(millis("heartbeat.interval.ms", 3000));
        let (sender, mut standing) = watch::channel(Standing::Joining);
        let keeper = Keeper {
            consumer,
            group: group.clone(),
            topic: topic.to_owned(),
            mark: format!("{:016x}", RandomState::new().build_hasher().finish()),
            lease: lease.clone(),
            standing: sender,
            every: heartbeat.min(session / 4),
            limit,
        };
        let (finished, ended) = watch::channel(false);
        let (own_stop, own_lease) = (stop.clone(), lease.clone());
        let spawned = thread::Builder::new().name("kafka-member".into()).spawn(move || {
            keeper.keep(&own_stop);
            own_lease.lose(Error::fatal("the worker has left its group"));
            // Nobody may be waiting.
            finished.send_replace(true);
        });
        spawned.map_err(|e| Error::fatal("starting the thread of the group's member").caused_by(e))?;
        let seat = Self { stop, lease: lease.clone(), ended };
        let settled = standing.wait_for(|s| !matches!(s, Standing::Joining));
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

    /// Resolves with the reason when the seat is lost, which is for good.
    pub async fn lost(&self) -> Error {
        self.lease.lost().await
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

/// Says who is a member of the group, if anybody is. Blocks.
fn somebody(consumer: &BaseConsumer<Member>, group: &str) -> std::result::Result<Option<String>, KafkaError> {
    let list = consumer.fetch_group_list(Some(group), REQUEST)?;
    let mut members = list.groups().iter().flat_map(|g| g.members().iter().map(|m| (g.protocol_type(), m)));
    Ok(members.next().map(|(kind, member)| {
        let other = if kind == "connect" { "a Kafka Connect worker" } else { "another worker" };
        let host = member.client_host().trim_start_matches('/');
        format!("{other} is its member (client {} at {host})", member.client_id())
    }))
}

async fn wait_until_empty(consumer: &Arc<BaseConsumer<Member>>, group: &str, deadline: Instant) -> Result<()> {
    let mut said = false;
    loop {
        let (own, name) = (consumer.clone(), group.to_owned());
        let asked = tokio::task::spawn_blocking(move || somebody(&own, &name)).await;
        let who = match asked.map_err(|e| Error::fatal("asking for the worker's group").caused_by(e))? {
            Ok(None) => return Ok(()),
            Ok(Some(who)) => who,
            Err(e) if Instant::now() < deadline => {
                tracing::debug!("asking for the members of group {group}: {e}");
                tokio::time::sleep(POLL * 5).await;
                continue;
            }
            Err(e) => return Err(kafka_error(format!("asking for the members of group {group}"), e)),
        };
        if Instant::now() >= deadline {
            return Err(taken(group, &who));
        }
        if !std::mem::replace(&mut said, true) {
            tracing::warn!("waiting for the group {group} to be empty: {who}");
        }
        tokio::time::sleep(POLL * 5).await;
    }
}
