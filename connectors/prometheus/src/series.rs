//! Series with their values, of one partition and of several together.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use connect_api::{Family, FamilyKind, Series, SeriesValue};

/// Values of a metric's labels, in the order of the labels.
pub type Labels = Arc<[Arc<str>]>;

/// When a series was changed last, milliseconds since 1970; shared by all partitions that have a part of it.
#[derive(Debug, Default)]
pub struct LastUse(AtomicI64);

impl LastUse {
    /// Used at that time.
    pub fn at(ms: i64) -> Self {
        Self(AtomicI64::new(ms))
    }

    /// It was used at that time, or later.
    pub fn touch(&self, ms: i64) {
        self.0.fetch_max(ms, Ordering::Relaxed);
    }

    /// The time.
    pub fn ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a record does to a series.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Of a counter.
    Add(f64),
    /// Of a gauge: the value, the record's time, and its key if tombstones are to find it.
    Set {
        /// Value.
        value: f64,
        /// Milliseconds since 1970.
        at: i64,
        /// Key.
        key: Option<Arc<str>>,
    },
    /// Of a histogram.
    Observe {
        /// Value.
        value: f64,
        /// Number of the first bucket that it is in.
        bucket: usize,
    },
}

/// The value of a series in one partition.
#[derive(Debug, Clone, PartialEq)]
pub enum Amount {
    /// Sum of a counter.
    Total(f64),
    /// Last value of a gauge.
    Last {
        /// Value.
        value: f64,
        /// Time of the record, milliseconds since 1970.
        at: i64,
        /// Key of the record, if tombstones are to find it.
        key: Option<Arc<str>>,
    },
    /// Observations of a histogram.
    Observed {
        /// How many are in each bucket and in none below, the infinite one last.
        counts: Vec<u64>,
        /// Their sum.
        sum: f64,
    },
}

impl Amount {
    /// Before the first record, of a metric with so many buckets.
    pub fn none(kind: FamilyKind, buckets: usize) -> Self {
        match kind {
            FamilyKind::Counter => Self::Total(0.0),
            FamilyKind::Gauge => Self::Last { value: 0.0, at: i64::MIN, key: None },
            FamilyKind::Histogram => Self::Observed { counts: vec![0; buckets + 1], sum: 0.0 },
        }
    }

    /// Whether a change of the same kind would make more of it than a number holds.
    pub fn overflows(&self, change: &Change) -> bool {
        match (self, change) {
            (Self::Total(sum), Change::Add(n)) | (Self::Observed { sum, .. }, Change::Observe { value: n, .. }) => {
                !(sum + n).is_finite()
            }
            _ => false,
        }
    }

    /// Applies a change of the same kind.
    pub fn apply(&mut self, change: &Change) {
        match (self, change) {
            (Self::Total(total), Change::Add(n)) => *total += n,
            (Self::Last { value, at, key }, Change::Set { value: new, at: when, key: of }) => {
                (*value, *at, *key) = (*new, *when, of.clone());
            }
            (Self::Observed { counts, sum }, Change::Observe { value, bucket }) => {
                if let Some(count) = counts.get_mut(*bucket) {
                    *count += 1;
                }
                *sum += value;
            }
            _ => {}
        }
    }

    /// Adds what another partition has, up to what a number holds; of gauges the later record wins.
    fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Total(total), Self::Total(n)) => *total = (*total + n).clamp(f64::MIN, f64::MAX),
            (this @ Self::Last { .. }, Self::Last { at: when, .. }) => {
                if matches!(this, Self::Last { at, .. } if *at <= *when) {
                    *this = other.clone();
                }
            }
            (Self::Observed { counts, sum }, Self::Observed { counts: more, sum: further }) => {
                counts.iter_mut().zip(more).for_each(|(count, n)| *count += n);
                *sum = (*sum + further).clamp(f64::MIN, f64::MAX);
            }
            _ => {}
        }
    }

    fn shown(self, buckets: &[f64]) -> SeriesValue {
        match self {
            Self::Total(value) | Self::Last { value, .. } => SeriesValue::Number(value),
            Self::Observed { counts, sum } => {
                let below = counts.iter().scan(0, |all, n| {
                    *all += n;
                    Some(*all)
                });
                let below: Vec<u64> = below.collect();
                let count = below.last().copied().unwrap_or(0);
                SeriesValue::Histogram { buckets: buckets.iter().copied().zip(below).collect(), sum, count }
            }
        }
    }
}

/// A series in one partition.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Its value.
    pub amount: Amount,
    /// When it was changed last, in any partition.
    pub used: Arc<LastUse>,
}

/// What the records of one partition come to, by metric and labels.
pub type Totals = Vec<HashMap<Labels, Cell>>;

/// What a metric comes to over several partitions, in the order of the labels' values; what was used before `since` is
/// left out.
pub fn together<'a>(
    family: &Family,
    (labels, buckets): (&[Arc<str>], &[f64]),
    partitions: impl Iterator<Item = &'a HashMap<Labels, Cell>>,
    since: i64,
) -> Vec<Series> {
    let mut all: BTreeMap<Labels, Amount> = BTreeMap::new();
    for (values, cell) in partitions.flatten().filter(|(_, cell)| cell.used.ms() >= since) {
        let amount = all.entry(values.clone()).or_insert_with(|| Amount::none(family.kind, buckets.len()));
        amount.merge(&cell.amount);
    }
    let series = |(values, amount): (Labels, Amount)| Series {
        labels: labels.iter().cloned().zip(values.iter().cloned()).collect(),
        value: amount.shown(buckets),
    };
    all.into_iter().map(series).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(amount: Amount, used: i64) -> HashMap<Labels, Cell> {
        HashMap::from([(Labels::from([Arc::from("x")]), Cell { amount, used: Arc::new(LastUse::at(used)) })])
    }

    fn shown(kind: FamilyKind, partitions: &[HashMap<Labels, Cell>], since: i64) -> Vec<SeriesValue> {
        let family = Family { name: "n".into(), help: "H.".into(), kind };
        let series = together(&family, (&["l".into()], &[1.0, 5.0]), partitions.iter(), since);
        series.into_iter().map(|one| one.value).collect()
    }

    #[test]
    fn totals_add_up_and_the_latest_gauge_wins() {
        let totals = [partition(Amount::Total(2.5), 0), partition(Amount::Total(4.0), 0)];
        assert_eq!(shown(FamilyKind::Counter, &totals, 0), [SeriesValue::Number(6.5)]);
        let huge = [partition(Amount::Total(1.7e308), 0), partition(Amount::Total(1.7e308), 0)];
        assert_eq!(shown(FamilyKind::Counter, &huge, 0), [SeriesValue::Number(f64::MAX)]);
        let last = |value, at| partition(Amount::Last { value, at, key: None }, 0);
        assert_eq!(shown(FamilyKind::Gauge, &[last(1.0, 9), last(2.0, 8)], 0), [SeriesValue::Number(1.0)]);
        assert_eq!(shown(FamilyKind::Gauge, &[last(1.0, 8), last(-2.0, 9)], 0), [SeriesValue::Number(-2.0)]);
        let observed = |counts: [u64; 3], sum| partition(Amount::Observed { counts: counts.into(), sum }, 0);
        let both = [observed([1, 2, 0], 7.0), observed([0, 1, 4], 50.0)];
        let expected = SeriesValue::Histogram { buckets: vec![(1.0, 1), (5.0, 4)], sum: 57.0, count: 8 };
        assert_eq!(shown(FamilyKind::Histogram, &both, 0), [expected]);
    }

    #[test]
    fn what_was_not_used_for_long_is_not_shown() {
        let old = [partition(Amount::Total(2.0), 4)];
        assert_eq!(shown(FamilyKind::Counter, &old, 5), []);
        assert_eq!(shown(FamilyKind::Counter, &old, 4).len(), 1);
    }
}
