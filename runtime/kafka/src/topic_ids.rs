//! The ids of topics, by which a topic is told from another one that has its name later.
//!
//! librdkafka can ask for them, the rdkafka crate does not offer it. The calls are sound for the reasons that
//! [`crate::group_offsets`] gives: the client outlives the call, what librdkafka hands out is held by [`Owned`], what it
//! is given lives as long as the call, and answers are copied.
#![allow(unsafe_code, reason = "calls of librdkafka that the rdkafka crate lacks")]

use std::{
    ffi::{CStr, CString, c_char},
    sync::Arc,
    time::Duration,
};

use connect_api::Topic;
use rdkafka::{
    bindings as c,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode as Code},
};
use tokio::task::JoinHandle;

use crate::{
    error::kafka_error,
    identities::Ids,
    owned::{Answer, Owned, ask},
};

/// Asks for the ids of these topics. Those that do not exist, and those of brokers that give none, are left out. Blocks.
pub(crate) fn topic_ids<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topics: &[Topic],
    limit: Duration,
) -> Answer<Ids> {
    if topics.is_empty() {
        return Ok(Ids::new());
    }
    let names: Vec<CString> = topics.iter().map(|topic| CString::new(&**topic)).collect::<Result<_, _>>()?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let operation = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let answer = ask(client.client(), Some((operation, limit)), |rk, options, queue| {
        // SAFETY: `names` and `pointers` live to the end of this function; librdkafka copies them. The pointer that comes back
        // goes into an `Owned` with the function that frees its type. The rest `ask` answers for.
        unsafe {
            let made = c::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            let wanted = Owned::new(made, c::rd_kafka_TopicCollection_destroy)?;
            c::rd_kafka_DescribeTopics(rk, wanted.get(), options, queue);
        }
        Ok(())
    })?;
    read(&answer)
}

/// The same beside everything else.
pub(crate) fn topic_ids_of<C: ConsumerContext + 'static>(
    consumer: &Arc<BaseConsumer<C>>,
    topics: Vec<Topic>,
    limit: Duration,
) -> JoinHandle<connect_api::Result<Ids>> {
    let consumer = consumer.clone();
    let ask = move || topic_ids(&consumer, &topics, limit).map_err(|e| kafka_error("asking for the ids of topics", e));
    tokio::task::spawn_blocking(ask)
}

fn read(answer: &Owned<c::rd_kafka_event_t>) -> Answer<Ids> {
    let mut all = Ids::new();
    let mut count = 0;
    // SAFETY: `answer` is an event that lives to the end of this function. Of an event of another kind the result is null,
    // which is looked for. What is read belongs to the event and is copied; the array has as many elements as librdkafka
    // says, and names are C strings.
    unsafe {
        let result = c::rd_kafka_event_DescribeTopics_result(answer.get());
        if result.is_null() {
            return Err(KafkaError::AdminOp(Code::BadMessage));
        }
        let topics = c::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if topics.is_null() {
            return Ok(all);
        }
        for topic in std::slice::from_raw_parts(topics, count) {
            let error = c::rd_kafka_TopicDescription_error(*topic);
            if !error.is_null() {
                match Code::from(c::rd_kafka_error_code(error)) {
                    Code::NoError => {}
                    Code::UnknownTopicOrPartition | Code::UnknownTopic => continue,
                    code => return Err(KafkaError::AdminOp(code)),
                }
            }
            let id = c::rd_kafka_TopicDescription_topic_id(*topic);
            let bits =
                |of: unsafe extern "C" fn(*const c::rd_kafka_Uuid_t) -> i64| u64::from_ne_bytes(of(id).to_ne_bytes());
            if id.is_null() {
                continue;
            }
            let (most, least) =
                (bits(c::rd_kafka_Uuid_most_significant_bits), bits(c::rd_kafka_Uuid_least_significant_bits));
            // Brokers before 2.8 give none.
            if (most, least) != (0, 0) {
                let name = CStr::from_ptr(c::rd_kafka_TopicDescription_name(*topic)).to_string_lossy();
                all.insert((*name).into(), format!("{most:016x}{least:016x}").into());
            }
        }
    }
    Ok(all)
}
