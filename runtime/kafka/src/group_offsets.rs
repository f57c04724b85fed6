//! Offsets of consumer groups, read and changed from outside of the group.
//!
//! librdkafka can do it, the rdkafka crate does not offer it, so this file calls librdkafka itself. Why that is
//! sound:
//!
//! - The client is a consumer that has the group and never joins it: librdkafka (2.12) reads the group of the client
//!   when a broker answers that it is not the coordinator, also where the client is none of a group.
//! - What librdkafka hands out is held by `Owned`, which frees it once, with the function that belongs to its type.
//! - The client outlives each call: the call borrows it and waits for the answer. Queue, request and answer are dropped
//!   in reverse order, before the borrow ends.
//! - Answers are copied before they are freed; nothing here keeps a pointer into them.
//! - What is passed in (names, lists) is read and copied by librdkafka during the call and lives as long.
#![allow(unsafe_code, reason = "calls of librdkafka that the rdkafka crate lacks")]

use std::{
    ffi::{CStr, CString},
    ptr,
    sync::Arc,
    time::{Duration, Instant},
};

use connect_api::{Error, PartitionOffset, TopicPartition};
use rdkafka::{
    Offset, TopicPartitionList,
    admin::AdminOptions,
    bindings as c,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use crate::{
    admin::Admin,
    client::Context,
    error::{code_of, kafka_error, not_created},
    owned::{Owned, ask, failed},
    settings::{ClientSettings, Role},
};

/// Why the offsets of a group could not be read or changed.
#[derive(Debug, Clone)]
pub enum GroupError {
    /// The group has members, which alone may change its offsets.
    Active(Error),
    /// There is no such group.
    Unknown(Error),
    /// Anything else.
    Other(Error),
}

impl GroupError {
    fn new(doing: String, error: KafkaError) -> Self {
        let code = code_of(&error);
        let error = kafka_error(doing, error);
        match code {
            Some(
                Code::UnknownMemberId
                | Code::NonEmptyGroup
                | Code::GroupSubscribedToTopic
                | Code::RebalanceInProgress
                | Code::IllegalGeneration,
            ) => Self::Active(error),
            Some(Code::GroupIdNotFound) => Self::Unknown(error),
            _ => Self::Other(error),
        }
    }

    /// The error itself.
    pub fn into_error(self) -> Error {
        match self {
            Self::Active(e) | Self::Unknown(e) | Self::Other(e) => e,
        }
    }
}

type Answer<T> = Result<T, GroupError>;

/// The offsets of one group.
pub struct GroupOffsets {
    group: String,
    admin: Admin,
    client: Arc<BaseConsumer<Context>>,
}

/// How long a group's coordinator may take to be found and ready.
const COORDINATOR: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(200);

impl GroupOffsets {
    /// Of this group, with the settings of an admin client.
    pub fn new(settings: &ClientSettings, group: &str) -> connect_api::Result<Self> {
        let admin = Admin::new(settings)?;
        let mut settings = settings.clone();
        settings.native.insert("group.id".into(), group.to_owned());
        settings.native.insert("enable.auto.commit".into(), "false".into());
        let made = settings.config().create_with_context(Context::default());
        let client: BaseConsumer<Context> = made.map_err(|e| not_created(Role::Admin, "the admin client", &e))?;
        Ok(Self { group: group.to_owned(), admin, client: Arc::new(client) })
    }

    /// The offsets that the group has committed; none if there is no such group.
    pub async fn list(&self) -> Answer<Vec<PartitionOffset>> {
        let doing = format!("listing the offsets of group {}", self.group);
        let all = self.ask(doing, Request::List).await?;
        let found = all.into_iter().filter(|(_, offset)| *offset >= 0);
        Ok(found.map(|(partition, offset)| PartitionOffset { partition, offset }).collect())
    }

    /// As [`GroupOffsets::list`], for the embedded broker, which has to be told of which partitions.
    pub async fn list_by_name(&self) -> Answer<Vec<PartitionOffset>> {
        let client = self.client.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = client.fetch_metadata(None, COORDINATOR)?;
            let mut all = TopicPartitionList::new();
            for topic in metadata.topics() {
                for partition in topic.partitions() {
                    all.add_partition(topic.name(), partition.id());
                }
            }
            client.committed_offsets(all, COORDINATOR)
        });
        let found = asked.await.unwrap_or(Err(KafkaError::Canceled));
        let found = found.map_err(|e| GroupError::new(format!("listing the offsets of group {}", self.group), e))?;
        let known = found.elements().into_iter().filter_map(|e| match e.offset() {
            Offset::Offset(offset) => {
                let partition = TopicPartition { topic: e.topic().into(), partition: e.partition() };
                Some(PartitionOffset { partition, offset })
            }
            _ => None,
        });
        Ok(known.collect())
    }

    /// Sets offsets; the group must have no members and comes to be if it does not exist.
    pub async fn alter(&self, offsets: &[PartitionOffset]) -> Answer<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        let doing = format!("setting offsets of group {}", self.group);
        self.ask(doing, Request::Alter(offsets.to_vec())).await.map(drop)
    }

    /// Removes offsets; the group must have no members.
    pub async fn delete(&self, partitions: &[TopicPartition]) -> Answer<()> {
        if partitions.is_empty() {
            return Ok(());
        }
        let doing = format!("deleting offsets of group {}", self.group);
        self.ask(doing, Request::Delete(partitions.to_vec())).await.map(drop)
    }

    /// Removes the group, which must have no members.
    pub async fn delete_group(&self) -> Answer<()> {
        let patience = Patience::new();
        loop {
            let results = self.admin.client().delete_groups(&[&self.group], &AdminOptions::new()).await;
            let deleted = results.and_then(|results| match results.into_iter().next() {
                Some(Err((_, code))) => Err(KafkaError::AdminOp(code)),
                Some(Ok(_)) => Ok(()),
                None => Err(KafkaError::AdminOp(Code::BadMessage)),
            });
            if !patience.waits(deleted.as_ref().err().and_then(code_of)).await {
                return deleted.map_err(|e| GroupError::new(format!("deleting group {}", self.group), e));
            }
        }
    }

    async fn ask(&self, doing: String, request: Request) -> Answer<Vec<(TopicPartition, i64)>> {
        let (patience, request) = (Patience::new(), Arc::new(request));
        loop {
            let (client, group, request) = (self.client.clone(), self.group.clone(), request.clone());
            let sent = tokio::task::spawn_blocking(move || request.send(&client, &group)).await;
            // It fails to be run only when the runtime ends.
            let answer = sent.unwrap_or(Err(KafkaError::Canceled));
            if !patience.waits(answer.as_ref().err().and_then(code_of)).await {
                return answer.map_err(|e| GroupError::new(doing, e));
            }
        }
    }
}

impl std::fmt::Debug for GroupOffsets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("GroupOffsets").field(&self.group).finish()
    }
}

/// With a group's coordinator that is not known or not ready.
struct Patience(Instant);

impl Patience {
    fn new() -> Self {
        Self(Instant::now() + COORDINATOR)
    }

    /// Whether to ask again after that answer; waits a little before that.
    async fn waits(&self, code: Option<Code>) -> bool {
        let soon = matches!(
            code,
            Some(Code::NotCoordinator | Code::CoordinatorNotAvailable | Code::CoordinatorLoadInProgress)
        );
        if !soon || Instant::now() >= self.0 {
            return false;
        }
        tokio::time::sleep(AGAIN).await;
        true
    }
}

enum Request {
    List,
    Alter(Vec<PartitionOffset>),
    Delete(Vec<TopicPartition>),
}

impl Request {
    /// The partitions that are meant; all if there is no list.
    fn partitions(&self) -> Result<Option<TopicPartitionList>, KafkaError> {
        let mut list = TopicPartitionList::new();
        let mut add = |p: &TopicPartition, offset: Offset| {
            // The rdkafka crate would panic.
            CString::new(&*p.topic)?;
            list.add_partition(&p.topic, p.partition).set_offset(offset)
        };
        match self {
            Self::List => return Ok(None),
            Self::Alter(all) => all.iter().try_for_each(|o| add(&o.partition, Offset::Offset(o.offset)))?,
            Self::Delete(all) => all.iter().try_for_each(|p| add(p, Offset::Invalid))?,
        }
        Ok(Some(list))
    }

    /// Sends the request and waits for the answer, which librdkafka gives within `socket.timeout.ms` in any case.
    fn send(&self, client: &BaseConsumer<Context>, group: &str) -> Result<Vec<(TopicPartition, i64)>, KafkaError> {
        let group = CString::new(group)?;
        let partitions = self.partitions()?;
        let list = partitions.as_ref().map_or(ptr::null(), |p| p.ptr().cast_const());
        let answer = ask(client.client(), None, |rk, options, queue| {
            // SAFETY: `group` and `list` live to the end of this function, `list` is null only where librdkafka takes that for
            // all partitions, and is never empty. Each pointer that comes back goes into an `Owned` with the function that
            // frees its type. Default options are null. The rest `ask` answers for.
            unsafe {
                match self {
                    Self::List => {
                        let made = c::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), list);
                        let request = Owned::new(made, c::rd_kafka_ListConsumerGroupOffsets_destroy)?;
                        c::rd_kafka_ListConsumerGroupOffsets(rk, &mut request.get(), 1, options, queue);
                    }
                    Self::Alter(_) => {
                        let made = c::rd_kafka_AlterConsumerGroupOffsets_new(group.as_ptr(), list);
                        let request = Owned::new(made, c::rd_kafka_AlterConsumerGroupOffsets_destroy)?;
                        c::rd_kafka_AlterConsumerGroupOffsets(rk, &mut request.get(), 1, options, queue);
                    }
                    Self::Delete(_) => {
                        let made = c::rd_kafka_DeleteConsumerGroupOffsets_new(group.as_ptr(), list);
                        let request = Owned::new(made, c::rd_kafka_DeleteConsumerGroupOffsets_destroy)?;
                        c::rd_kafka_DeleteConsumerGroupOffsets(rk, &mut request.get(), 1, options, queue);
                    }
                }
            }
            Ok(())
        })?;
        self.read(&answer)
    }

    fn read(&self, answer: &Owned<c::rd_kafka_event_t>) -> Result<Vec<(TopicPartition, i64)>, KafkaError> {
        let mut count = 0;
        // SAFETY: `answer` is an event that lives to the end of this function. Of an event of another kind the result is
        // null, which is looked for. What is read belongs to the event and is copied; the arrays have as many elements
        // as librdkafka says, and names are C strings.
        unsafe {
            let groups = match self {
                Self::List => match c::rd_kafka_event_ListConsumerGroupOffsets_result(answer.get()) {
                    result if result.is_null() => ptr::null_mut(),
                    result => c::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count),
                },
                Self::Alter(_) => match c::rd_kafka_event_AlterConsumerGroupOffsets_result(answer.get()) {
                    result if result.is_null() => ptr::null_mut(),
                    result => c::rd_kafka_AlterConsumerGroupOffsets_result_groups(result, &mut count),
                },
                Self::Delete(_) => match c::rd_kafka_event_DeleteConsumerGroupOffsets_result(answer.get()) {
                    result if result.is_null() => ptr::null_mut(),
                    result => c::rd_kafka_DeleteConsumerGroupOffsets_result_groups(result, &mut count),
                },
            };
            if groups.is_null() || count == 0 {
                return Err(KafkaError::AdminOp(Code::BadMessage));
            }
            let group = *groups;
            let error = c::rd_kafka_group_result_error(group);
            if !error.is_null() {
                failed(c::rd_kafka_error_code(error))?;
            }
            let list = c::rd_kafka_group_result_partitions(group);
            let elements = match list.as_ref() {
                Some(list) if !list.elems.is_null() => {
                    std::slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0))
                }
                _ => &[],
            };
            let mut all = Vec::with_capacity(elements.len());
            for element in elements {
                failed(element.err)?;
                let topic = CStr::from_ptr(element.topic).to_string_lossy();
                all.push((TopicPartition { topic: (*topic).into(), partition: element.partition }, element.offset));
            }
            Ok(all)
        }
    }
}
