//! Tells topics from others that have had their names.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use connect_api::{Topic, TopicPartition};

use crate::Sequence;

/// The ids of topics.
pub type Ids = BTreeMap<Topic, Arc<str>>;

/// How often Kafka is asked for the ids of up to [`AT_ONCE`] topics; more seldom for more.
const EVERY: Duration = Duration::from_secs(5);
const AT_ONCE: u32 = 100;

/// Which topics a reader reads.
///
/// librdkafka goes on at the offset where it was, or at the one that is given to it, also in a topic that was deleted and
/// created again meanwhile. Usually that fails, since the new topic is shorter, and reading starts from the beginning. Where
/// it does not fail, the first records of the new topic would be passed over without a word.
#[derive(Debug, Default)]
pub struct Identities {
    /// The id of each, and when Kafka was last asked of those times when it told it.
    known: BTreeMap<Topic, (Arc<str>, Instant)>,
}

impl Identities {
    /// How long to wait between two questions for so many topics.
    pub fn pause(topics: usize) -> Duration {
        EVERY * (1 + u32::try_from(topics).unwrap_or(u32::MAX - AT_ONCE) / AT_ONCE)
    }

    /// The id of a topic, if it is known.
    pub fn of(&self, topic: &Topic) -> Option<&Arc<str>> {
        self.known.get(topic).map(|(id, _)| id)
    }

    /// Takes up Kafka's answer to a question of that time. What comes back are those of the partitions being read whose
    /// topic is another one than before, unless they have been read from its beginning since.
    pub fn told(
        &mut self,
        ids: Ids,
        asked: Instant,
        reading: &BTreeSet<TopicPartition>,
        read: &Sequence,
    ) -> Vec<TopicPartition> {
        let mut renewed = Vec::new();
        for (topic, id) in ids {
            let before = self.known.insert(topic.clone(), (id.clone(), asked));
            let Some((_, then)) = before.filter(|(old, _)| *old != id) else { continue };
            let anew = |p: &&TopicPartition| !read.begun(p).is_some_and(|(since, first)| since > then && first == 0);
            renewed.extend(reading.iter().filter(|p| p.topic == topic).filter(anew).cloned());
        }
        renewed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(topic: &str) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition: 0 }
    }

    #[test]
    fn a_topic_with_another_id_is_read_anew_unless_it_has_been_since() {
        let ids = |id: &str| Ids::from([("a".into(), id.into()), ("b".into(), "stays".into())]);
        let reading = [partition("a"), partition("b")].into();
        let (mut identities, mut read) = (Identities::default(), Sequence::default());
        let mut told = |id, read: &Sequence| identities.told(ids(id), Instant::now(), &reading, read);
        read.sought(&partition("a"), 0);
        assert_eq!(told("first", &read), [], "nothing is known of before");
        assert_eq!(told("first", &read), []);
        assert_eq!(told("second", &read), [partition("a")], "what was read was the old one");
        assert_eq!(told("second", &read), [], "once");
        read.sought(&partition("a"), 0);
        assert_eq!(told("third", &read), []);
        read.sought(&partition("a"), 31);
        assert_eq!(told("fourth", &read), [partition("a")], "it began at the offset of the old one");
    }

    #[test]
    fn of_many_topics_the_ids_are_asked_for_more_seldom() {
        assert_eq!(Identities::pause(1), EVERY);
        assert_eq!(Identities::pause(1000), EVERY * 11);
    }
}
