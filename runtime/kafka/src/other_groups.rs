//! Groups whose members share out other things than partitions of topics, such as the connectors and tasks of a Kafka Connect
//! cluster. Kafka only coordinates them; what their members tell each other it does not read.

use std::time::Duration;

use connect_api::Result;
use rdkafka::groups::{GroupInfo, GroupMemberInfo};

use crate::{admin::Admin, error::kafka_error};

/// A member of such a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherMember {
    /// The id that the broker has given it.
    pub id: String,
    /// What it calls itself.
    pub client: String,
    /// Where it is.
    pub host: String,
    /// What it says of itself; empty while the group is not settled.
    pub metadata: Vec<u8>,
    /// What it was given to do; empty while the group is not settled.
    pub assignment: Vec<u8>,
}

/// A group that is none of consumers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherGroup {
    /// Its name.
    pub name: String,
    /// Its state in Kafka's words, such as `Stable`, `PreparingRebalance` and `Empty`.
    pub state: String,
    /// What it is for: its protocol type, such as `connect`.
    pub kind: String,
    /// How its members share out what they have; empty while the group is not settled.
    pub protocol: String,
    /// Its members.
    pub members: Vec<OtherMember>,
}

/// The protocol type of consumers. Groups that only hold offsets have none.
const CONSUMERS: [&str; 2] = ["consumer", ""];

impl Admin {
    /// All groups that are none of consumers, by name, as far as the principal may see them.
    pub async fn other_groups(&self, limit: Duration) -> Result<Vec<OtherGroup>> {
        let asked = self.blocking(move |client| {
            let all = client.inner().fetch_group_list(None, limit)?;
            let others = all.groups().iter().filter(|group| !CONSUMERS.contains(&group.protocol_type()));
            Ok(others.map(OtherGroup::new).collect::<Vec<_>>())
        });
        let asked = asked.await?;
        let mut found = asked.map_err(|e| self.failed(kafka_error("listing groups of other kinds", e)))?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}

impl OtherGroup {
    fn new(found: &GroupInfo) -> Self {
        Self {
            name: found.name().to_owned(),
            state: found.state().to_owned(),
            kind: found.protocol_type().to_owned(),
            protocol: found.protocol().to_owned(),
            members: found.members().iter().map(OtherMember::new).collect(),
        }
    }
}

impl OtherMember {
    fn new(found: &GroupMemberInfo) -> Self {
        Self {
            id: found.id().to_owned(),
            client: found.client_id().to_owned(),
            host: found.client_host().to_owned(),
            metadata: found.metadata().unwrap_or_default().to_vec(),
            assignment: found.assignment().unwrap_or_default().to_vec(),
        }
    }
}
