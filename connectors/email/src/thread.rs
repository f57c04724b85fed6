//! What is remembered of the mails about one thing, so that later ones answer them.

use connect_api::{Error, Result, SinkRecord};
use serde::{Deserialize, Serialize};

/// Most records that a thread remembers. What comes again is what was not committed, and commits are asked for in between.
const MOST: usize = 256;

/// The mails of a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Message-ID of the first one.
    pub first: String,
    /// Message-ID of the last one.
    pub last: String,
    /// Subject of the first one.
    pub subject: String,
    /// The records that mails told of and that may come again, the latest last: each by itself, for what waited for a
    /// digest or was on the shelf is told later than what came behind it.
    #[serde(default)]
    pub told: Vec<Told>,
}

/// A record that a mail told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time stamp. One of another time stamp is another one in its place, as in a topic that was made anew.
    pub timestamp: Option<i64>,
}

impl Told {
    /// The record.
    pub fn of(record: &SinkRecord) -> Self {
        Self {
            topic: record.origin.topic.to_string(),
            partition: record.origin.partition,
            offset: record.origin.offset,
            timestamp: record.timestamp,
        }
    }
}

impl Thread {
    /// The thread after a mail about a record. `comes` says of the others whether they may come again.
    pub fn after(
        before: Option<&Self>,
        id: &str,
        subject: &str,
        record: &SinkRecord,
        comes: impl Fn(&Told) -> bool,
    ) -> Self {
        let before_told = before.map(|thread| thread.told.as_slice()).unwrap_or_default();
        let mut told: Vec<Told> = before_told.iter().filter(|told| comes(told)).cloned().collect();
        told.drain(..(told.len() + 1).saturating_sub(MOST));
        told.push(Told::of(record));
        Self {
            first: before.map_or(id, |thread| &thread.first).to_owned(),
            last: id.to_owned(),
            subject: before.map_or(subject, |thread| &thread.subject).to_owned(),
            told,
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

    /// Whether there was a mail about this very record already.
    pub fn has(&self, record: &SinkRecord) -> bool {
        self.told.contains(&Told::of(record))
    }

    /// Whether it is time for a commit, so that records are remembered until they cannot come again.
    pub fn is_long(&self) -> bool {
        !self.told.is_empty() && self.told.len().is_multiple_of(MOST / 2)
    }

    /// The header References: the first mail and the last one, which are enough to find all.
    pub fn references(&self) -> String {
        if self.first == self.last { self.first.clone() } else { format!("{} {}", self.first, self.last) }
    }
}

#[cfg(test)]
mod tests {
    use connect_testkit::sink::record;

    use super::*;

    #[test]
    fn a_thread_has_the_records_that_were_told_and_no_others() {
        let mail =
            |before: &Thread, offset| Thread::after(Some(before), "<x>", "s", &record("t", offset, "k", "v"), |_| true);
        let thread = mail(&mail(&Thread::default(), 5), 2);
        let has = |offset: i64| thread.has(&record("t", offset, "k", "v"));
        assert_eq!((0..7).filter(|offset| has(*offset)).collect::<Vec<_>>(), [2, 5]);
        let mut other = record("t", 5, "k", "v");
        other.record.timestamp = Some(7);
        assert!(!thread.has(&other), "another record in its place");
        assert!(!thread.has(&record("u", 5, "k", "v")), "another topic");
        let read = Thread::read("k", &thread.write().expect("written")).expect("read");
        assert_eq!(read, thread);
    }

    #[test]
    fn a_thread_forgets_what_does_not_come_again_and_is_bounded() {
        let mut thread = Thread::default();
        for offset in 0..1000 {
            thread = Thread::after(Some(&thread), "<x>", "s", &record("t", offset, "k", "v"), |_| true);
        }
        assert_eq!((thread.told.len(), thread.told[0].offset, thread.told[MOST - 1].offset), (MOST, 744, 999));
        let thread = Thread::after(Some(&thread), "<x>", "s", &record("t", 1000, "k", "v"), |told| told.offset > 997);
        assert_eq!(thread.told.iter().map(|told| told.offset).collect::<Vec<_>>(), [998, 999, 1000]);
    }
}
