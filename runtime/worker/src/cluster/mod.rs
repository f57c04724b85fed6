//! The worker's place in its Connect cluster.
//!
//! One worker runs all connectors. It holds the one seat of the group that the cluster is, so that a second worker,
//! of this program or of Kafka Connect, is noticed and refused and does not write the same topics. Membership of
//! several workers and placement of tasks among them would stand here.

use std::time::Duration;

use connect_api::Result;
use connect_kafka::{Role, Seat};

use crate::{distributed::DistributedConfig, worker_config::Worker};

/// On top of the session timeout, which the seat of a worker that was killed is free after.
const SPARE: Duration = Duration::from_secs(5);

/// Joins the worker's group as its only member; the configuration topic must exist.
pub async fn join(worker: &Worker, config: &DistributedConfig) -> Result<Seat> {
    let mut settings = worker.own_client(Role::Consumer, "connect-worker")?;
    for (key, value) in [
        ("group.id", config.group_id.clone()),
        ("session.timeout.ms", config.session_timeout.0.as_millis().to_string()),
        ("heartbeat.interval.ms", config.heartbeat_interval.0.as_millis().to_string()),
    ] {
        settings.native.insert(key.to_owned(), value);
    }
    Seat::take(&settings, &config.config_topic, config.session_timeout.0 + SPARE, &worker.lease).await
}
