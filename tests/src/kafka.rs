//! Records of a topic, read from its beginning without a group.

use std::time::Duration;

use connect_api::Settings;
use connect_kafka::{Admin, CompactedLog, RawRecord, Role, TopicSpec, translate};
use tokio::runtime::Runtime;

/// A reader of topics with a runtime of its own.
pub struct Reader {
    runtime: Runtime,
    bootstrap: String,
}

impl Reader {
    /// Reads from the cluster at this address.
    pub fn new(bootstrap: &str) -> Self {
        Self { runtime: Runtime::new().expect("runtime"), bootstrap: bootstrap.to_owned() }
    }

    fn settings(&self, role: Role) -> connect_kafka::ClientSettings {
        translate(role, &Settings::from([("bootstrap.servers", self.bootstrap.as_str())])).expect("settings")
    }

    /// Creates a topic.
    pub fn create(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let spec = TopicSpec {
            name: name.to_owned(),
            partitions,
            replication_factor: 1,
            settings: settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let admin = Admin::new(&self.settings(Role::Admin)).expect("admin");
        self.runtime.block_on(admin.create_topic(&spec)).expect("creating the topic");
    }

    /// Reads until `enough` says so; panics after the limit with how many records there were.
    pub fn until(&self, topic: &str, limit: Duration, mut enough: impl FnMut(&[RawRecord]) -> bool) -> Vec<RawRecord> {
        let settings = self.settings(Role::Consumer);
        self.runtime.block_on(async {
            let (_log, mut batches) = CompactedLog::follow(&settings, topic).expect("follow");
            let mut all = Vec::new();
            let deadline = tokio::time::Instant::now() + limit;
            while !enough(&all) {
                match tokio::time::timeout_at(deadline, batches.recv()).await {
                    Ok(Some(batch)) => all.extend(batch),
                    Ok(None) => panic!("the reader of {topic} has ended"),
                    Err(_) => panic!("waited {} s for records of {topic}, of which there are {}: {:?}", limit.as_secs(), all.len(), all.last()),
                }
            }
            all
        })
    }
}
