//! Reading the alarm topics: from the beginning to the end that they have by then, later records winning.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use connect_api::{Bytes, Topic};
use connect_kafka::{RawRecord, Span};
use connector_alarm::Kind;

use super::{
    super::Context,
    entry::{Decoder, Entry, Unread},
    pick::is_meant,
    state::Alarms,
    topics::Topics,
};
use crate::{error::Failure, names::is_pattern, reading::Reading};

/// A topic, and how far it has been read.
#[derive(Debug, Clone)]
pub(super) struct Book {
    pub(super) kind: Kind,
    pub(super) topic: Topic,
    /// Its partitions; none where there is no such topic.
    pub(super) spans: Vec<Span>,
}

/// Reads the alarm topics.
pub(super) struct Replay<'a> {
    pub(super) reading: Reading,
    pub(super) context: &'a Context<'a>,
    pub(super) books: Vec<Book>,
    decoder: Decoder<'a>,
    /// What was read of news that nobody has got yet.
    pending: Vec<(Kind, RawRecord)>,
}

impl<'a> Replay<'a> {
    /// Looks where the topics are and where they end.
    pub(super) async fn new(context: &'a Context<'a>, topics: &Topics, kinds: &[Kind]) -> Result<Self, Failure> {
        let reading = Reading::new(context).await?;
        let found = reading.topics().await?;
        let mut books = Vec::new();
        for kind in kinds {
            let topic: Topic = topics.of(*kind, |topic| found.contains_key(topic)).as_str().into();
            let spans = match found.get(&*topic) {
                Some(numbers) => reading.numbered(&topic, numbers).await?,
                None => Vec::new(),
            };
            books.push(Book { kind: *kind, topic, spans });
        }
        if context.output.is_table() && books.iter().all(|book| book.spans.is_empty()) {
            let names: Vec<&str> = books.iter().map(|book| &*book.topic).collect();
            let at = reading.kafka.brokers();
            context.output.say(&format!("kafka at {at} has no topic {}, so there are no alarms", names.join(" nor ")));
        }
        Ok(Self { reading, context, books, decoder: Decoder::new(context), pending: Vec::new() })
    }

    /// The topic of that kind.
    pub(super) fn book(&self, kind: Kind) -> Option<&Book> {
        self.books.iter().find(|book| book.kind == kind)
    }

    /// Reads all of them.
    pub(super) async fn read(&mut self) -> Result<Alarms, Failure> {
        let mut alarms = Alarms::default();
        for book in self.books.clone() {
            let latest = self.latest(&book).await?;
            for raw in latest {
                self.take(&mut alarms, book.kind, raw).await?;
            }
        }
        Ok(alarms)
    }

    /// Names of alarms whose keys are plain text, without decoding anything.
    pub(super) async fn plain_names(&self) -> Result<Vec<String>, Failure> {
        let mut names = BTreeSet::new();
        for book in &self.books {
            let there = self.latest(book).await?.into_iter().filter(|raw| raw.value.is_some());
            let keys = there.filter_map(|raw| String::from_utf8(raw.key?.to_vec()).ok());
            names.extend(keys.filter(|name| !name.contains(char::is_control)));
        }
        Ok(names.into_iter().collect())
    }

    /// Notes what a record says, or that it could not be decoded.
    pub(super) async fn take(&mut self, alarms: &mut Alarms, kind: Kind, raw: RawRecord) -> Result<(), Failure> {
        match self.decode(raw).await? {
            Ok(entry) => alarms.apply(kind, entry),
            Err(unread) => alarms.unread.push((kind, unread)),
        }
        Ok(())
    }

    /// A record, or why it is none.
    pub(super) async fn decode(&mut self, raw: RawRecord) -> Result<Result<Entry, Unread>, Failure> {
        self.decoder.decode(Arc::new(raw)).await
    }

    /// All records about one alarm that its topics still have, by time.
    pub(super) async fn records_of(&mut self, name: &str) -> Result<(Vec<(Kind, Entry)>, Vec<Unread>), Failure> {
        let (mut found, mut unread) = (Vec::new(), Vec::new());
        for book in self.books.clone() {
            let mut batches = self.reading.records(&book.topic, &book.spans)?;
            while let Some(batch) = batches.recv().await {
                for raw in self.reading.answer(batch)? {
                    // Plain names are told apart without decoding.
                    let Some(key) = &raw.key else { continue };
                    if key.as_ref() != name.as_bytes()
                        && !key.first().is_some_and(|first| [0, b'{', b'"'].contains(first))
                    {
                        continue;
                    }
                    match self.decoder.decode(Arc::new(raw)).await? {
                        Ok(entry) if &*entry.name == name => found.push((book.kind, entry)),
                        Ok(_) => {}
                        Err(one) if one.name == name => unread.push(one),
                        Err(_) => {}
                    }
                }
            }
        }
        found.sort_by_key(|(_, entry)| entry.raw.timestamp);
        Ok((found, unread))
    }

    /// The latest record of each key, in the order in which they were written.
    async fn latest(&self, book: &Book) -> Result<Vec<RawRecord>, Failure> {
        let mut latest: HashMap<Bytes, RawRecord> = HashMap::new();
        let mut without_key = Vec::new();
        let mut batches = self.reading.records(&book.topic, &book.spans)?;
        while let Some(batch) = batches.recv().await {
            for raw in self.reading.answer(batch)? {
                let Some(key) = raw.key.clone() else {
                    without_key.push(raw);
                    continue;
                };
                match latest.entry(key) {
                    std::collections::hash_map::Entry::Vacant(free) => drop(free.insert(raw)),
                    std::collections::hash_map::Entry::Occupied(mut known) => {
                        if is_later(&raw, known.get()) {
                            known.insert(raw);
                        }
                    }
                }
            }
        }
        let mut all: Vec<RawRecord> = latest.into_values().chain(without_key).collect();
        let several = book.spans.len() > 1;
        all.sort_unstable_by_key(|raw| (several.then_some(raw.timestamp), raw.offset, raw.partition));
        Ok(all)
    }

    /// What has been written behind what has been read, topic by topic. It may be dropped while it waits: what it has read by
    /// then is given the next time.
    pub(super) async fn news(&mut self) -> Result<Vec<(Kind, RawRecord)>, Failure> {
        for index in 0..self.books.len() {
            let book = &self.books[index];
            let numbers: Vec<i32> = book.spans.iter().map(|span| span.partition.partition).collect();
            let now = if numbers.is_empty() {
                // It may have been created since.
                match self.reading.topics().await?.get(&*book.topic) {
                    Some(numbers) => self.reading.numbered(&book.topic, numbers).await?,
                    None => continue,
                }
            } else {
                self.reading.numbered(&book.topic, &numbers).await?
            };
            let read =
                |span: &Span| book.spans.iter().find(|b| b.partition == span.partition).map_or(span.first, |b| b.end);
            let new: Vec<Span> = now
                .iter()
                .map(|span| Span { first: read(span).min(span.end), ..span.clone() })
                .filter(|s| s.first < s.end)
                .collect();
            let mut read_now = Vec::new();
            if !new.is_empty() {
                let mut batches = self.reading.records(&book.topic, &new)?;
                while let Some(batch) = batches.recv().await {
                    read_now.extend(self.reading.answer(batch)?.into_iter().map(|raw| (book.kind, raw)));
                }
            }
            self.pending.append(&mut read_now);
            self.books[index].spans = now;
        }
        Ok(std::mem::take(&mut self.pending))
    }
}

/// Offsets are of one partition; where writers disagree on the partition of a key, time decides.
fn is_later(new: &RawRecord, old: &RawRecord) -> bool {
    if new.partition == old.partition { new.offset > old.offset } else { new.timestamp >= old.timestamp }
}

/// Says what could not be decoded, where the command is about others.
pub(super) fn warn_unread(alarms: &Alarms, context: &Context<'_>) {
    for (_, unread) in &alarms.unread {
        context.output.problem(&unread.to_string());
    }
}

/// Says what could not be decoded; a failure where a pattern may have meant it. Plain names have been told as such.
pub(super) fn warn_unread_of(written: &[String], alarms: &Alarms, context: &Context<'_>) -> Result<(), Failure> {
    warn_unread(alarms, context);
    if is_missed(written, alarms) { Err(Failure::Reported) } else { Ok(()) }
}

/// Whether a pattern means what could not be decoded.
fn is_missed(written: &[String], alarms: &Alarms) -> bool {
    let mut patterns = written.iter().filter(|text| is_pattern(text));
    patterns.any(|pattern| alarms.unread.iter().any(|(_, unread)| is_meant(pattern, &unread.name)))
}

/// Says what could not be decoded and is therefore missing in what was shown.
pub(super) fn tell_unread(alarms: &Alarms, context: &Context<'_>) -> Result<(), Failure> {
    warn_unread(alarms, context);
    if alarms.unread.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

#[cfg(test)]
mod tests {
    use connect_api::TimestampType;

    use super::*;

    #[test]
    fn a_pattern_means_what_cannot_be_decoded_too() {
        let unread = |name: &str| Unread {
            topic: "t".into(),
            partition: 0,
            offset: 7,
            name: name.into(),
            why: "why".into(),
            key: None,
        };
        let mut alarms = Alarms::default();
        alarms.unread = vec![(Kind::Active, unread("vac-3")), (Kind::Active, unread(""))];
        let missed = |text: &str| is_missed(&[text.to_owned()], &alarms);
        assert!(missed("vac-*") && missed("/3$/"));
        assert!(!missed("rf-*") && !missed("vac-3"), "a plain name is told as such");
        assert_eq!(alarms.unread[1].1.to_string(), "(an empty key): the record at t:0:7 cannot be decoded: why");
    }

    #[test]
    fn within_a_partition_the_offset_counts_and_else_the_time() {
        let raw = |partition, offset, time| RawRecord {
            topic: "t".into(),
            partition,
            offset,
            timestamp: Some(time),
            timestamp_type: TimestampType::CreateTime,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        assert!(is_later(&raw(0, 5, 1), &raw(0, 4, 9)));
        assert!(!is_later(&raw(1, 9, 1), &raw(0, 4, 9)));
        assert!(is_later(&raw(1, 0, 10), &raw(0, 4, 9)));
    }
}
