//! Totals in the keyed state, an entry for each partition: what its records come to, with the offset up to which they
//! do.
//!
//! An entry that is too large for a message is in pieces: those behind the first are written before, under keys with
//! the number of the writing, and count only by the entry that names this number.

use std::{collections::HashMap, sync::Arc};

use connect_api::{Bytes, Error, FamilyKind, Result, State, TopicPartition};
use futures_util::future::try_join_all;
use prost::Message;

use crate::{
    metric::Metric,
    series::{Amount, Cell, Labels, LastUse, Totals},
};

/// The setting that names the state.
pub const STATE: &str = "prometheus.state";
/// Kafka takes messages of about a million bytes.
const PIECE: usize = 500_000;
/// Of these bytes; others are of a later program.
const FORMAT: u32 = 1;
/// What a piece's key has behind its partition; no topic has it in its name.
const SEPARATOR: char = '#';

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(int64, tag = "2")]
    offset: i64,
    /// Number of the writing.
    #[prost(uint64, tag = "3")]
    writing: u64,
    /// How many pieces there are beside the first.
    #[prost(uint32, tag = "4")]
    further: u32,
    #[prost(bytes = "vec", tag = "5")]
    first: Vec<u8>,
    /// Kafka's id of the topic whose offset it is.
    #[prost(string, optional, tag = "6")]
    topic: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredMetric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    kind: String,
    #[prost(string, repeated, tag = "3")]
    labels: Vec<String>,
    #[prost(double, repeated, tag = "4")]
    buckets: Vec<f64>,
    #[prost(message, repeated, tag = "5")]
    series: Vec<StoredSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredSeries {
    #[prost(string, repeated, tag = "1")]
    values: Vec<String>,
    /// Total, last value, or sum of observations.
    #[prost(double, tag = "2")]
    number: f64,
    #[prost(sint64, tag = "3")]
    at: i64,
    #[prost(string, optional, tag = "4")]
    key: Option<String>,
    #[prost(uint64, repeated, tag = "5")]
    counts: Vec<u64>,
    /// When it was changed last.
    #[prost(int64, tag = "6")]
    used: i64,
}

#[derive(Clone, PartialEq, Message)]
struct StoredTotals {
    #[prost(message, repeated, tag = "1")]
    metrics: Vec<StoredMetric>,
}

/// Up to where totals count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Offset of the next record.
    pub offset: i64,
    /// Kafka's id of the topic whose offset it is; none where Kafka gives none.
    pub topic: Option<String>,
    /// Number of the writing, higher than that of all before.
    pub writing: u64,
}

/// What is stored of a partition.
#[derive(Debug)]
pub struct Found {
    /// Up to where.
    pub mark: Mark,
    /// What the records before come to, of the metrics that are still as they were.
    pub totals: Totals,
    /// Names of those that are not.
    pub dropped: Vec<String>,
}

fn key_of(partition: &TopicPartition) -> String {
    format!("{}/{}", partition.topic, partition.partition)
}

fn partition_of(key: &str) -> Option<TopicPartition> {
    let (topic, partition) = key.rsplit_once('/')?;
    Some(TopicPartition { topic: topic.into(), partition: partition.parse().ok()? })
}

/// All partitions of which something is stored.
pub fn partitions(state: &dyn State) -> Vec<TopicPartition> {
    state.entries().iter().filter_map(|(key, _)| partition_of(key)).collect()
}

/// What is stored of a partition. `used` gives what a series shares with other partitions.
pub fn load(
    state: &dyn State,
    partition: &TopicPartition,
    metrics: &[Metric],
    used: impl Fn(usize, &Labels, i64) -> Arc<LastUse>,
) -> Result<Option<Found>> {
    let key = key_of(partition);
    let Some(bytes) = state.get(&key) else { return Ok(None) };
    let failed = |why: String| {
        let doing = format!("reading the totals of {key}; set {STATE} to another name to begin anew");
        Error::fatal(doing).caused_by(why)
    };
    let entry = Entry::decode(bytes).map_err(|e| failed(e.to_string()))?;
    if entry.format != FORMAT {
        return Err(failed(format!("they have format {}, which a later version wrote", entry.format)));
    }
    let mut whole = entry.first;
    for piece in 0..entry.further {
        let missing = || failed(format!("piece {} of {} is missing", piece + 2, entry.further + 1));
        whole.extend_from_slice(&state.get(&piece_key(&key, entry.writing, piece)).ok_or_else(missing)?);
    }
    let plain = snap::raw::Decoder::new().decompress_vec(&whole).map_err(|e| failed(e.to_string()))?;
    let stored = StoredTotals::decode(Bytes::from(plain)).map_err(|e| failed(e.to_string()))?;
    let mut totals: Totals = metrics.iter().map(|_| HashMap::new()).collect();
    let mut dropped = Vec::new();
    for metric in stored.metrics {
        match metrics.iter().position(|known| is_same(known, &metric)) {
            Some(i) => {
                for series in metric.series {
                    let labels: Labels = series.values.iter().map(|value| Arc::from(value.as_str())).collect();
                    let shared = used(i, &labels, series.used);
                    shared.touch(series.used);
                    totals[i].insert(labels, Cell { amount: amount(metrics[i].family.kind, series), used: shared });
                }
            }
            None => dropped.push(metric.name),
        }
    }
    let mark = Mark { offset: entry.offset, topic: entry.topic, writing: entry.writing };
    Ok(Some(Found { mark, totals, dropped }))
}

fn is_same(known: &Metric, stored: &StoredMetric) -> bool {
    *known.family.name == *stored.name
        && known.family.kind.name() == stored.kind
        && known.labels.iter().map(|(name, _)| &**name).eq(stored.labels.iter().map(String::as_str))
        && known.buckets == stored.buckets
}

fn amount(kind: FamilyKind, series: StoredSeries) -> Amount {
    match kind {
        FamilyKind::Counter => Amount::Total(series.number),
        FamilyKind::Gauge => {
            Amount::Last { value: series.number, at: series.at, key: series.key.map(|key| key.as_str().into()) }
        }
        FamilyKind::Histogram => Amount::Observed { counts: series.counts, sum: series.number },
    }
}

/// Totals as they are stored.
pub fn encode(metrics: &[Metric], totals: &Totals) -> Result<Vec<u8>> {
    let stored = metrics.iter().zip(totals).map(|(metric, series)| StoredMetric {
        name: metric.family.name.to_string(),
        kind: metric.family.kind.name().to_owned(),
        labels: metric.labels.iter().map(|(name, _)| name.to_string()).collect(),
        buckets: metric.buckets.clone(),
        series: series.iter().map(|(labels, cell)| stored_series(labels, cell)).collect(),
    });
    let plain = StoredTotals { metrics: stored.collect() }.encode_to_vec();
    let packed = snap::raw::Encoder::new().compress_vec(&plain);
    packed.map_err(|e| Error::fatal("packing totals; lower prometheus.series.max").caused_by(e))
}

fn stored_series(labels: &Labels, cell: &Cell) -> StoredSeries {
    let (number, at, key, counts) = match &cell.amount {
        Amount::Total(number) => (*number, 0, None, Vec::new()),
        Amount::Last { value, at, key } => (*value, *at, key.as_deref().map(str::to_owned), Vec::new()),
        Amount::Observed { counts, sum } => (*sum, 0, None, counts.clone()),
    };
    StoredSeries {
        values: labels.iter().map(|value| value.to_string()).collect(),
        number,
        at,
        key,
        counts,
        used: cell.used.ms(),
    }
}

/// Stores totals of a partition.
pub async fn save(state: &dyn State, partition: &TopicPartition, mark: Mark, packed: Vec<u8>) -> Result<()> {
    let key = key_of(partition);
    let mut pieces = packed.chunks(PIECE).map(<[u8]>::to_vec);
    let first = pieces.next().unwrap_or_default();
    let further: Vec<Vec<u8>> = pieces.collect();
    let Mark { offset, topic, writing } = mark;
    let count = u32::try_from(further.len()).unwrap_or(u32::MAX);
    let entry = Entry { format: FORMAT, offset, writing, further: count, first, topic };
    let pieces = (0..).zip(further).map(|(i, piece)| {
        let key = piece_key(&key, writing, i);
        async move { state.put(&key, Some(piece.into())).await }
    });
    try_join_all(pieces).await?;
    state.put(&key, Some(entry.encode_to_vec().into())).await?;
    forget_pieces(state, &key, writing).await
}

/// Forgets pieces of other writings.
async fn forget_pieces(state: &dyn State, key: &str, writing: u64) -> Result<()> {
    let (of_partition, current) = (format!("{key}{SEPARATOR}"), format!("{key}{SEPARATOR}{writing}."));
    let old = |key: &str| key.starts_with(&of_partition) && !key.starts_with(&current);
    let old: Vec<Arc<str>> = state.entries().into_iter().map(|(key, _)| key).filter(|key| old(key)).collect();
    try_join_all(old.iter().map(|key| state.put(key, None))).await.map(drop)
}

fn piece_key(key: &str, writing: u64, piece: u32) -> String {
    format!("{key}{SEPARATOR}{writing}.{piece}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Metrics;
    use connect_api::{TaskHost, config::ConfigType};
    use connect_testkit::Host;

    const TEXT: &str = r#"[
        {"name": "n_total", "type": "counter", "help": "N.", "labels": {"a": "{{key}}"}},
        {"name": "g", "type": "gauge", "help": "G.", "value": "value", "tombstones": "drop"},
        {"name": "h", "type": "histogram", "help": "H.", "value": "value", "buckets": [1, 2]}]"#;

    fn cell(amount: Amount) -> Cell {
        Cell { amount, used: Arc::new(LastUse::at(77)) }
    }

    fn partition() -> TopicPartition {
        TopicPartition { topic: "a.b".into(), partition: 3 }
    }

    fn mark(offset: i64, writing: u64) -> Mark {
        Mark { offset, topic: Some("id".into()), writing }
    }

    fn totals(series: usize) -> Totals {
        let counter = (0..series).map(|i| {
            (Labels::from([Arc::from(format!("{i:x}-{}", i * 7919 % 104_729))]), cell(Amount::Total(i as f64 + 0.1)))
        });
        let gauge = Amount::Last { value: -0.1, at: i64::MIN, key: Some("k".into()) };
        let histogram = Amount::Observed { counts: vec![1, 0, u64::MAX], sum: 1e300 };
        vec![
            counter.collect(),
            HashMap::from([(Labels::from([]), cell(gauge))]),
            HashMap::from([(Labels::from([]), cell(histogram))]),
        ]
    }

    fn read(state: &dyn State, text: &str) -> Found {
        let metrics = Metrics::parse(text).expect("metrics");
        let used = |_: usize, _: &Labels, _| Arc::new(LastUse::default());
        load(state, &partition(), &metrics.all, used).expect("read").expect("stored")
    }

    fn amounts(totals: &Totals) -> Vec<std::collections::BTreeMap<Labels, Amount>> {
        totals.iter().map(|m| m.iter().map(|(k, c)| (k.clone(), c.amount.clone())).collect()).collect()
    }

    #[tokio::test]
    async fn totals_come_back_as_they_were_also_in_pieces() {
        let (host, metrics) = (Host::new(), Metrics::parse(TEXT).expect("metrics"));
        let state = host.state("totals").await.expect("state");
        for (writing, series, is_large) in [(1, 3, false), (2, 120_000, true), (3, 120_000, true), (4, 2, false)] {
            let all = totals(series);
            let packed = encode(&metrics.all, &all).expect("packed");
            let entries = packed.len().div_ceil(PIECE);
            assert_eq!(entries > 1, is_large, "{entries} pieces");
            save(&*state, &partition(), mark(40 + series as i64, writing), packed).await.expect("saved");
            assert_eq!(state.entries().len(), entries, "what was before is forgotten");
            assert_eq!(partitions(&*state), [partition()]);
            let found = read(&*state, TEXT);
            assert_eq!((found.mark, found.dropped.len()), (mark(40 + series as i64, writing), 0));
            assert!(amounts(&found.totals) == amounts(&all));
            assert_eq!(found.totals[1].values().next().map(|c| c.used.ms()), Some(77));
        }
    }

    #[tokio::test]
    async fn a_metric_that_has_become_another_begins_anew() {
        let (host, metrics) = (Host::new(), Metrics::parse(TEXT).expect("metrics"));
        let state = host.state("totals").await.expect("state");
        let packed = encode(&metrics.all, &totals(3)).expect("packed");
        save(&*state, &partition(), mark(9, 1), packed).await.expect("saved");
        let found = read(&*state, &TEXT.replace("\"a\":", "\"b\":").replace("[1, 2]", "[1, 3]"));
        assert_eq!(found.dropped, ["n_total", "h"]);
        assert_eq!(found.totals.iter().map(HashMap::len).collect::<Vec<_>>(), [0, 1, 0]);
    }

    #[tokio::test]
    async fn entries_that_cannot_be_read_are_named_with_the_way_out() {
        let host = Host::new();
        let state = host.state("totals").await.expect("state");
        state.put("a.b/3", Some(Bytes::from_static(b"\xff\xff"))).await.expect("put");
        let metrics = Metrics::parse(TEXT).expect("metrics");
        let used = |_: usize, _: &Labels, _| Arc::new(LastUse::default());
        let e = load(&*state, &partition(), &metrics.all, used).expect_err("refused");
        assert!(e.message().contains("a.b/3") && e.message().contains(STATE), "{e}");
    }
}
