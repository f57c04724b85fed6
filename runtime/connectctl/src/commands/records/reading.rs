//! Which records are meant, and reading them beside everybody else: no group is joined and no offset is committed.

use std::{collections::BTreeMap, time::Duration};

use connect_api::{Result as KafkaResult, Topic, TopicPartition, time};
use connect_kafka::{Assigned, ClientSettings, Positions, RawRecord, Role, Span, Start, assigned, newest, stretch};
use tokio::sync::mpsc;

use super::super::{Context, offsets::When};
use crate::{cluster::Asking, error::Failure};

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// At the first record that Kafka has.
    Beginning,
    /// With what comes from now on.
    End,
    /// At this offset of each partition.
    Offset(i64),
    /// At the first record that is not older, in milliseconds since 1970.
    Time(i64),
}

impl From {
    /// `beginning`, `end`, an offset, or a time.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "beginning" | "earliest" => return Ok(Self::Beginning),
            "end" | "latest" => return Ok(Self::End),
            _ => {}
        }
        if text.bytes().all(|b| b.is_ascii_digit())
            && let Ok(offset) = text.parse()
        {
            return Ok(Self::Offset(offset));
        }
        let ms = text.strip_prefix('@').and_then(|ms| ms.parse().ok()).filter(|ms: &i64| *ms >= 0);
        match ms {
            Some(ms) => Ok(Self::Time(ms)),
            None => When::parse(text).map(|when| Self::Time(when.ms)).map_err(|_| {
                "expected beginning, end, an offset, or a time: 2026-11-21T12:00:00Z, @MILLISECONDS, or 90s, 30m, 12h, 7d ago"
                    .into()
            }),
        }
    }
}

/// Batches of records; an error is the last thing that comes.
pub(crate) struct Batches {
    batches: mpsc::Receiver<KafkaResult<Vec<RawRecord>>>,
    /// It reads as long as it lives; none where there is an end.
    reader: Option<Assigned>,
    /// Whether it was said that Kafka is away.
    away: bool,
}

/// How often it is looked whether Kafka is there while nothing comes.
const LOOK: Duration = Duration::from_secs(2);

/// Reads a topic.
pub(crate) struct Reading {
    asking: Asking,
    positions: Positions,
    settings: ClientSettings,
    topic: Topic,
    partitions: Vec<TopicPartition>,
}

/// So many records are in a batch at most.
const MOST: usize = 500;

impl Reading {
    /// Of these partitions of the topic, of all without any.
    pub(crate) async fn new(topic: &str, partitions: &[i32], context: &Context<'_>) -> Result<Self, Failure> {
        let asking = Asking::new(context).await?;
        let cluster = asking.cluster().await?;
        let found = asking.meant(&[topic.to_owned()], &cluster, true)?;
        let found = match found.as_slice() {
            [one] => *one,
            _ => return Err(Failure::Usage(format!("{topic} stands for several topics; name one"))),
        };
        if let Some(problem) = &found.problem {
            return Err(Failure::Failed(format!("topic {topic}: {problem}")));
        }
        let numbers: Vec<i32> = found.partitions.iter().map(|p| p.number).collect();
        if let Some(missing) = partitions.iter().find(|n| !numbers.contains(n)) {
            let text = format!("topic {} has no partition {missing}; it has {}", found.name, numbers.len());
            return Err(Failure::Failed(text));
        }
        let topic: Topic = found.name.as_str().into();
        let wanted = numbers.into_iter().filter(|n| partitions.is_empty() || partitions.contains(n));
        let mut settings = asking.kafka.client(Role::Consumer)?;
        settings.or_set("auto.offset.reset", "earliest");
        settings.or_set("fetch.wait.max.ms", "100");
        Ok(Self {
            positions: Positions::new(&settings)?,
            settings,
            partitions: wanted.map(|partition| TopicPartition { topic: topic.clone(), partition }).collect(),
            topic,
            asking,
        })
    }

    /// What Kafka answered.
    fn answer<T>(&self, answer: KafkaResult<T>) -> Result<T, Failure> {
        self.asking.answer(answer)
    }

    /// From where to the present end each partition is to be read.
    pub(crate) async fn spans(&self, from: From, context: &Context<'_>) -> Result<Vec<Span>, Failure> {
        let mut spans = self.answer(self.positions.spans(&self.partitions, self.asking.limit).await)?;
        match from {
            From::Beginning => {}
            From::End => spans.iter_mut().for_each(|s| s.first = s.end),
            From::Offset(offset) => {
                for s in &mut spans {
                    if offset < s.first || offset > s.end {
                        let (first, end) = (s.first, s.end);
                        let place = format!("{}:{}", s.partition.topic, s.partition.partition);
                        context
                            .output
                            .say(&format!("{place}: there is no offset {offset}; it has those from {first} to {end}"));
                    }
                    s.first = offset.clamp(s.first, s.end);
                }
            }
            From::Time(ms) => {
                let at = self.answer(self.positions.at(&self.partitions, ms, self.asking.limit).await)?;
                for (s, at) in spans.iter_mut().zip(at) {
                    s.first = at.offset.clamp(s.first, s.end);
                }
                if spans.iter().all(|s| s.first == s.end) {
                    context.output.say(&format!("{}: nothing is newer than {}", self.topic, time::rfc3339(ms)));
                }
            }
        }
        Ok(spans)
    }

    /// What is in these stretches, and no more.
    pub(crate) fn until_end(&self, spans: &[Span]) -> Result<Batches, Failure> {
        let batches = self.answer(stretch(&self.settings, &self.topic, spans, self.asking.limit))?;
        Ok(Batches { batches, reader: None, away: false })
    }

    /// What is there from these offsets on, and what will come.
    pub(crate) fn follow(&self, from: &BTreeMap<i32, i64>) -> Result<Batches, Failure> {
        let (reader, batches) = self.answer(Assigned::new(&self.settings, MOST))?;
        let start = |p: &TopicPartition| {
            let start = from.get(&p.partition).map_or(Start::Beginning, |offset| Start::At(*offset));
            (p.clone(), start)
        };
        let all: Vec<(TopicPartition, assigned::Start)> = self.partitions.iter().map(start).collect();
        reader.add(all);
        Ok(Batches { batches, reader: Some(reader), away: false })
    }

    /// So many of the newest records, oldest first.
    pub(crate) async fn newest(&self, count: usize, context: &Context<'_>) -> Result<Vec<RawRecord>, Failure> {
        let found = newest(&self.settings, &[self.topic.to_string()], count, self.asking.limit).await;
        let found = self.answer(found)?;
        if found.cut_short {
            let text =
                "the time or the memory for it was over before all was read; some of the newest records may be missing";
            context.output.say(&format!("{}: warning: {text}", self.topic));
        }
        Ok(found.records)
    }

    /// The next records; none when all have been read. Kafka is waited for where there is no end, which is said.
    pub(crate) async fn next(
        &self,
        batches: &mut Batches,
        context: &Context<'_>,
    ) -> Result<Option<Vec<RawRecord>>, Failure> {
        loop {
            let received = tokio::time::timeout(LOOK, batches.batches.recv()).await;
            let away = batches.reader.as_ref().is_some_and(Assigned::brokers_down);
            if away != batches.away {
                batches.away = away;
                let state = if away { "cannot be reached; it is waited for" } else { "can be reached again" };
                context.output.say(&format!("Kafka at {} {state}", self.asking.kafka.brokers()));
            }
            if let Ok(received) = received {
                return received.map(|batch| self.answer(batch)).transpose();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_begins_where_it_is_said() {
        for (text, from) in [
            ("beginning", From::Beginning),
            ("latest", From::End),
            ("0", From::Offset(0)),
            ("1700000000000", From::Offset(1_700_000_000_000)),
            ("@1700000000000", From::Time(1_700_000_000_000)),
            ("1970-01-01T00:00:01Z", From::Time(1000)),
        ] {
            assert_eq!(From::parse(text), Ok(from));
        }
        assert!(From::parse("2h").is_ok_and(|from| matches!(from, From::Time(ms) if ms > 1_700_000_000_000)));
        for wrong in ["", "-1", "start", "@", "@-1", "5x"] {
            assert!(From::parse(wrong).is_err(), "{wrong}");
        }
    }
}
