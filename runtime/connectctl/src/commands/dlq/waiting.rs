//! How many letters of a queue wait for somebody, and since when.

use connect_api::Topic;
use connect_kafka::Span;

use super::{
    super::Context,
    ledger::{Ledger, LedgerArgs},
};
use crate::{error::Failure, reading::Reading};

pub(in super::super) use super::queue::queue_of;

/// A queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Waiting {
    /// Letters that have not been replayed.
    pub(in super::super) letters: usize,
    /// Time stamp of the first letter, in milliseconds since 1970.
    pub(in super::super) oldest: Option<i64>,
    /// Time stamp of the newest letter.
    pub(in super::super) newest: Option<i64>,
}

/// Looks at these topics; `None` for one that does not exist.
pub(in super::super) async fn waiting(
    topics: &[String],
    context: &Context<'_>,
) -> Result<Vec<Option<Waiting>>, Failure> {
    let reading = Reading::new(context).await?;
    let known = reading.topics().await?;
    let mut found = Vec::new();
    for topic in topics {
        found.push(match known.get(topic) {
            Some(numbers) => Some(look(&reading, &topic.as_str().into(), numbers).await?),
            None => None,
        });
    }
    Ok(found)
}

async fn look(reading: &Reading, topic: &Topic, numbers: &[i32]) -> Result<Waiting, Failure> {
    let spans = reading.numbered(topic, numbers).await?;
    let letters: i64 = spans.iter().map(|s| (s.end - s.first).max(0)).sum();
    if letters == 0 {
        return Ok(Waiting::default());
    }
    let replayed = Ledger::read(reading, &LedgerArgs::default(), topic).await?.count(&spans);
    let letters = usize::try_from(letters).unwrap_or(usize::MAX).saturating_sub(replayed);
    let first: Vec<Span> = spans.iter().map(|s| Span { end: s.end.min(s.first + 1), ..s.clone() }).collect();
    let mut oldest = None;
    let mut read = reading.letters(topic, &first)?;
    while let Some(batch) = read.next().await? {
        oldest = batch.iter().filter_map(|l| l.raw.timestamp).chain(oldest).min();
    }
    let newest = reading.newest_letters(topic, 1).await?.last().and_then(|l| l.raw.timestamp);
    Ok(Waiting { letters, oldest, newest })
}
