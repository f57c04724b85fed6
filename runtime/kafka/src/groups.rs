//! Consumer groups, seen from outside: which there are, their members, and what those read.
//!
//! librdkafka can ask, the rdkafka crate only in an older way that does not know groups of KIP-848. The calls are sound for
//! the reasons that [`crate::group_offsets`] gives: the client outlives the call, what librdkafka hands out is held by
//! `Owned`, what it is given lives as long as the call, and answers are copied.
#![allow(unsafe_code, reason = "calls of librdkafka that the rdkafka crate lacks")]

use std::{
    ffi::{CString, c_char},
    time::Duration,
};

use connect_api::{Result, TopicPartition};
use rdkafka::{
    admin::AdminClient,
    bindings as c,
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use crate::{
    admin::Admin,
    client::Context,
    error::kafka_error,
    owned::{Answer, ask, failed, text},
};

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// The id that the broker has given it.
    pub id: String,
    /// What it calls itself.
    pub client: String,
    /// Where it is.
    pub host: String,
    /// Its `group.instance.id`.
    pub instance: Option<String>,
    /// What it reads.
    pub partitions: Vec<TopicPartition>,
}

/// A group and its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its state in Kafka's words, such as `Stable` and `Empty`.
    pub state: String,
    /// By which protocol it shares partitions out: `Classic`, or `Consumer` (KIP-848).
    pub kind: String,
    /// How partitions are shared out.
    pub assignor: Option<String>,
    /// The broker that coordinates it.
    pub coordinator: Option<i32>,
    /// Its members.
    pub members: Vec<GroupMember>,
}

impl Admin {
    /// The names of all groups of consumers, as far as the principal may see them, sorted.
    pub async fn groups(&self, limit: Duration) -> Result<Vec<String>> {
        let asked = self.blocking(move |client| list(client, limit)).await?;
        let mut names = asked.map_err(|e| self.failed(kafka_error("listing consumer groups", e)))?;
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// These groups, in their order. One that there is not is `Dead` and has no members.
    pub async fn describe_groups(&self, names: &[String], limit: Duration) -> Result<Vec<Result<Group>>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = names.to_vec();
        let asked = self.blocking(move |client| describe(client, &wanted, limit)).await?;
        let mut found = asked.map_err(|e| self.failed(kafka_error("describing consumer groups", e)))?;
        let place = |name: &str| names.iter().position(|n| n == name);
        found.sort_by_key(|(name, _)| place(name));
        let doing = |name: &str| format!("describing consumer group {name}");
        Ok(found.into_iter().map(|(name, group)| group.map_err(|e| kafka_error(doing(&name), e))).collect())
    }
}

fn list(client: &AdminClient<Context>, limit: Duration) -> Answer<Vec<String>> {
    let kind = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS;
    let answer = ask(client.inner(), Some((kind, limit)), |rk, options, queue| {
        // SAFETY: the call passes on what `ask` answers for.
        unsafe { c::rd_kafka_ListConsumerGroups(rk, options, queue) };
        Ok(())
    })?;
    let mut count = 0;
    // SAFETY: `answer` is an event that lives to the end of this function. Of an event of another kind the result is null,
    // which is looked for. What is read belongs to the event and is copied; the arrays have as many elements as librdkafka
    // says.
    unsafe {
        let result = c::rd_kafka_event_ListConsumerGroups_result(answer.get());
        if result.is_null() {
            return Err(KafkaError::AdminOp(Code::BadMessage));
        }
        // A broker that did not answer may have groups that are missing then.
        let errors = c::rd_kafka_ListConsumerGroups_result_errors(result, &mut count);
        if !errors.is_null() && count > 0 {
            failed(c::rd_kafka_error_code(*errors))?;
        }
        let groups = c::rd_kafka_ListConsumerGroups_result_valid(result, &mut count);
        if groups.is_null() {
            return Ok(Vec::new());
        }
        let groups = std::slice::from_raw_parts(groups, count);
        Ok(groups.iter().filter_map(|group| text(c::rd_kafka_ConsumerGroupListing_group_id(*group))).collect())
    }
}

fn describe(client: &AdminClient<Context>, names: &[String], limit: Duration) -> Answer<Vec<(String, Answer<Group>)>> {
    let names: Vec<CString> = names.iter().map(|name| CString::new(name.as_str())).collect::<Result<_, _>>()?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let kind = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    let answer = ask(client.inner(), Some((kind, limit)), |rk, options, queue| {
        // SAFETY: `names` and `pointers` live to the end of this function; librdkafka copies them. The rest `ask` answers for.
        unsafe { c::rd_kafka_DescribeConsumerGroups(rk, pointers.as_mut_ptr(), pointers.len(), options, queue) };
        Ok(())
    })?;
    let mut count = 0;
    // SAFETY: as in `list`; strings are C strings or null, members are asked for by numbers below their count.
    unsafe {
        let result = c::rd_kafka_event_DescribeConsumerGroups_result(answer.get());
        if result.is_null() {
            return Err(KafkaError::AdminOp(Code::BadMessage));
        }
        let groups = c::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count);
        if groups.is_null() {
            return Ok(Vec::new());
        }
        let groups = std::slice::from_raw_parts(groups, count);
        Ok(groups.iter().map(|group| named(*group)).collect())
    }
}

/// # Safety
///
/// The pointer must be that of a description that lives during the call.
unsafe fn named(group: *const c::rd_kafka_ConsumerGroupDescription_t) -> (String, Answer<Group>) {
    // SAFETY: by the contract of this function; what is read belongs to the description and is copied.
    unsafe {
        let name = text(c::rd_kafka_ConsumerGroupDescription_group_id(group)).unwrap_or_default();
        let error = c::rd_kafka_ConsumerGroupDescription_error(group);
        if !error.is_null()
            && let Err(e) = failed(c::rd_kafka_error_code(error))
        {
            return (name, Err(e));
        }
        let state = c::rd_kafka_consumer_group_state_name(c::rd_kafka_ConsumerGroupDescription_state(group));
        let kind = c::rd_kafka_consumer_group_type_name(c::rd_kafka_ConsumerGroupDescription_type(group));
        let coordinator = c::rd_kafka_ConsumerGroupDescription_coordinator(group);
        let count = c::rd_kafka_ConsumerGroupDescription_member_count(group);
        let members = (0..count).map(|at| member(c::rd_kafka_ConsumerGroupDescription_member(group, at)));
        let found = Group {
            state: text(state).unwrap_or_default(),
            kind: text(kind).unwrap_or_default(),
            assignor: text(c::rd_kafka_ConsumerGroupDescription_partition_assignor(group)).filter(|a| !a.is_empty()),
            coordinator: (!coordinator.is_null()).then(|| c::rd_kafka_Node_id(coordinator)).filter(|id| *id >= 0),
            members: members.collect(),
            name: name.clone(),
        };
        (name, Ok(found))
    }
}

/// # Safety
///
/// The pointer must be that of a member that lives during the call.
unsafe fn member(member: *const c::rd_kafka_MemberDescription_t) -> GroupMember {
    // SAFETY: by the contract of this function. A list of partitions, where there is one, has as many elements as it says,
    // whose topics are C strings.
    unsafe {
        let assignment = c::rd_kafka_MemberDescription_assignment(member);
        let list =
            if assignment.is_null() { None } else { c::rd_kafka_MemberAssignment_partitions(assignment).as_ref() };
        let elements = match list {
            Some(list) if !list.elems.is_null() => {
                std::slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0))
            }
            _ => &[],
        };
        let partition = |e: &c::rd_kafka_topic_partition_t| TopicPartition {
            topic: text(e.topic).unwrap_or_default().as_str().into(),
            partition: e.partition,
        };
        GroupMember {
            id: text(c::rd_kafka_MemberDescription_consumer_id(member)).unwrap_or_default(),
            client: text(c::rd_kafka_MemberDescription_client_id(member)).unwrap_or_default(),
            host: text(c::rd_kafka_MemberDescription_host(member)).unwrap_or_default(),
            instance: text(c::rd_kafka_MemberDescription_group_instance_id(member)).filter(|id| !id.is_empty()),
            partitions: elements.iter().map(partition).collect(),
        }
    }
}
