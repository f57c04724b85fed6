//! Batches that fit where a topic's `max.message.bytes` is lower than librdkafka's batches are.
//!
//! Java's producer splits a batch that Kafka refuses as too large; librdkafka cannot. A task whose batch was refused begins
//! anew from its last offsets, with batches that fit, so that nothing is skipped and the order stays.

use connect_api::{Error, Settings};
use connect_kafka::{Admin, BatchRefused, Role};

use crate::worker_config::Worker;

/// The producer's setting, for records and dead letters.
pub const BATCH_SIZE: &str = "producer.override.batch.size";
/// Kafka counts parts of a batch's frame that librdkafka's setting leaves out.
const FRAME: usize = 100;

/// The batch size to begin anew with, in bytes, if a batch that was refused as too large is among the error's causes. Gives
/// the error back where that is not so, or where batches cannot be smaller.
pub async fn fitting(error: Error, worker: &Worker, settings: &Settings) -> Result<usize, Error> {
    let Some(refused) = BatchRefused::find(&error) else { return Err(error) };
    let allowed = allowed(worker, settings, &refused.topic).await;
    let Some(size) = smaller(refused.size, allowed) else { return Err(error) };
    tracing::warn!(
        "topic {} does not take batches of {} bytes; the task begins anew from its last offsets with batches of {size} \
         bytes, which {BATCH_SIZE} would give it at once",
        refused.topic,
        refused.size
    );
    Ok(size)
}

/// The topic's `max.message.bytes`, where Kafka tells.
async fn allowed(worker: &Worker, settings: &Settings, topic: &str) -> Option<usize> {
    let told = async {
        let settings = worker.providers.resolve(settings)?.settings;
        let client = worker.client(Role::Admin, &settings, "connector-batch-size-adminclient")?;
        Admin::new(&client)?.topic_setting(topic, "max.message.bytes").await
    };
    match told.await {
        Ok(bytes) => bytes?.parse().ok(),
        Err(e) => {
            tracing::debug!("batches are halved, as the topic's limit is not known: {}", e.one_line());
            None
        }
    }
}

/// What to try after a batch of `refused` bytes.
fn smaller(refused: usize, allowed: Option<usize>) -> Option<usize> {
    let fitting = allowed.map(|allowed| allowed.saturating_sub(FRAME).max(1));
    fitting.filter(|fitting| *fitting < refused).or(Some(refused / 2)).filter(|size| *size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_become_smaller_until_every_record_is_alone() {
        assert_eq!(smaller(1_000_000, Some(20_000)), Some(19_900));
        assert_eq!(smaller(19_900, Some(20_000)), Some(9_950), "what should have fitted did not");
        assert_eq!(smaller(1_000_000, Some(1_048_588)), Some(500_000));
        assert_eq!((smaller(1_000_000, Some(50)), smaller(1_000_000, Some(0))), (Some(1), Some(1)));
        assert_eq!((smaller(1_000_000, None), smaller(2, None), smaller(1, None)), (Some(500_000), Some(1), None));
    }

    #[tokio::test]
    async fn other_errors_stay() {
        let worker = Settings::from([("key.converter", "StringConverter"), ("value.converter", "StringConverter")]);
        let worker = Worker::read(worker, true).expect("a worker");
        let e = Error::fatal("other").caused_by(Error::data("cause"));
        let e = fitting(e, &worker, &Settings::new()).await.expect_err("not about batches");
        assert_eq!(e.message(), "other");
    }
}
