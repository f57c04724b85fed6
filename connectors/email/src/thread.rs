//! What is remembered of the mails about one thing, so that later ones answer them.

use connect_api::{Error, Result, SinkRecord};
use serde::{Deserialize, Serialize};

/// The mails of a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Message-ID of the first one.
    pub first: String,
    /// Message-ID of the last one.
    pub last: String,
    /// Subject of the first one.
    pub subject: String,
    /// Topic of the last record.
    pub topic: String,
    /// Partition of the last record.
    pub partition: i32,
    /// Offset of the last record.
    pub offset: i64,
    /// Time stamp of the last record.
    pub timestamp: Option<i64>,
}

impl Thread {
    /// The thread after a mail about a record.
    pub fn after(before: Option<&Self>, id: &str, subject: &str, record: &SinkRecord) -> Self {
        Self {
            first: before.map_or(id, |thread| &thread.first).to_owned(),
            last: id.to_owned(),
            subject: before.map_or(subject, |thread| &thread.subject).to_owned(),
            topic: record.origin.topic.to_string(),
            partition: record.origin.partition,
            offset: record.origin.offset,
            timestamp: record.timestamp,
        }
    }

    /// What a state has.
    pub fn read(key: &str, bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|e| Error::fatal(format!("reading the thread of {key}")).caused_by(e))
    }

    /// What a state gets.
    pub fn write(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::fatal("writing a thread").caused_by(e))
    }

    /// Whether there was a mail about the record already. One of another time stamp is another one in its place, as in a
    /// topic that was made anew.
    pub fn has(&self, record: &SinkRecord) -> bool {
        let origin = &record.origin;
        *origin.topic == *self.topic
            && origin.partition == self.partition
            && origin.offset <= self.offset
            && record.timestamp <= self.timestamp
    }

    /// The header References: the first mail and the last one, which are enough to find all.
    pub fn references(&self) -> String {
        if self.first == self.last { self.first.clone() } else { format!("{} {}", self.first, self.last) }
    }
}
