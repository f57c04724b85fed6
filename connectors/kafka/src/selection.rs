//! Which topics and partitions a task reads.

use connect_api::TopicPartition;
use regex::Regex;

/// Names of topics, each a name or an expression that matches whole names.
#[derive(Debug, Clone)]
pub struct Patterns(Option<Regex>);

impl Patterns {
    /// Reads them; the error is a reason.
    pub fn parse(all: &[String]) -> Result<Self, String> {
        for one in all {
            Regex::new(one).map_err(|_| format!("{one:?} is neither a topic's name nor a regular expression"))?;
        }
        if all.is_empty() {
            return Ok(Self(None));
        }
        // The dots of a name match themselves, too.
        let joined: Vec<String> = all.iter().map(|one| format!("(?:{one})")).collect();
        let joined = Regex::new(&format!("^(?:{})$", joined.join("|")));
        joined.map(|all| Self(Some(all))).map_err(|_| "they cannot be used together".into())
    }

    fn takes(&self, topic: &str) -> bool {
        self.0.as_ref().is_some_and(|all| all.is_match(topic))
    }
}

/// A task's share: its number, from 0, and the number of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Number.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl Share {
    /// Whether the partition is this task's. The partitions of a topic go round, beginning with a task that the name
    /// decides, so that neither many topics of one partition nor one topic of many fall to the same task.
    fn has(self, topic: &str, partition: i32) -> bool {
        // FNV-1a: the same in every release, or partitions would change their tasks with an update.
        let begin =
            topic.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        (begin % self.of + partition.unsigned_abs() % self.of) % self.of == self.number
    }
}

/// The selection of a task.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Topics to read.
    pub topics: Patterns,
    /// Of these, topics that are left out.
    pub exclude: Patterns,
    /// The task's share.
    pub share: Share,
}

impl Selection {
    /// How many topics are selected, and the task's partitions of them.
    pub fn of(&self, all: &[(String, Vec<i32>)]) -> (usize, Vec<TopicPartition>) {
        let mut partitions = Vec::new();
        let mut topics = 0;
        for (topic, numbers) in all.iter().filter(|(t, _)| self.topics.takes(t) && !self.exclude.takes(t)) {
            topics += 1;
            let own = numbers.iter().filter(|partition| self.share.has(topic, **partition));
            partitions.extend(own.map(|p| TopicPartition { topic: topic.as_str().into(), partition: *p }));
        }
        (topics, partitions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(topics: &str, exclude: &str, number: u32, of: u32) -> Selection {
        let patterns = |text: &str| {
            let all: Vec<String> = text.split(',').filter(|t| !t.is_empty()).map(str::to_owned).collect();
            Patterns::parse(&all).expect("patterns")
        };
        Selection { topics: patterns(topics), exclude: patterns(exclude), share: Share { number, of } }
    }

    fn topics(selection: &Selection, all: &[&str]) -> Vec<String> {
        let all: Vec<(String, Vec<i32>)> = all.iter().map(|t| ((*t).to_owned(), vec![0])).collect();
        selection.of(&all).1.iter().map(|p| p.topic.to_string()).collect()
    }

    #[test]
    fn names_and_expressions_match_whole_names() {
        let s = selection("a.b,sal-.*", "__.*,sal-.*-tmp", 0, 1);
        let all = ["a.b", "a.bc", "sal-x", "my-sal-x", "sal-x-tmp", "__consumer_offsets"];
        assert_eq!(topics(&s, &all), ["a.b", "sal-x"]);
        assert!(topics(&selection(".*", ".*", 0, 1), &all).is_empty());
        assert_eq!(topics(&selection("x|y", "", 0, 1), &["x", "y", "xy"]), ["x", "y"]);
    }

    #[test]
    fn every_partition_has_one_task_and_tasks_have_similar_numbers() {
        let all: Vec<(String, Vec<i32>)> = (0..40).map(|n| (format!("topic-{n}"), (0..5).collect())).collect();
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..3 {
            let (topics, own) = selection(".*", "", number, 3).of(&all);
            assert_eq!(topics, 40);
            assert!((50..=85).contains(&own.len()), "{}", own.len());
            for partition in own {
                assert!(seen.insert(partition.clone()), "{partition:?} has two tasks");
            }
        }
        assert_eq!(seen.len(), 200);
    }
}
