//! Which source offsets are safe to commit, and the answers to receipts.
//!
//! A batch is safe when Kafka has acknowledged all of its records and those of every batch before it. The
//! offsets of the safe batches, latest of each source partition, are what may be committed.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use connect_api::{Error, OffsetMap, Outcome, ReceiptSlip, Topic};
use connect_kafka::{Delivery, RawRecord, refused_with_others};
use tokio::sync::Notify;

use crate::{error_log::SourcePosition, status::TaskStatus};

/// A run of records of a batch that share a receipt, or have none. Counts down delivery reports; nothing is
/// woken before the last.
pub struct Segment {
    range: Range<usize>,
    waiting: AtomicUsize,
    stored: AtomicUsize,
    filtered: AtomicUsize,
    tolerated: AtomicUsize,
    failure: OnceLock<Error>,
    slip: Mutex<Option<ReceiptSlip>>,
    batch: Arc<Batch>,
}

struct Batch {
    open_segments: AtomicUsize,
    offsets: Mutex<Vec<(Arc<OffsetMap>, OffsetMap)>>,
    shared: Arc<Shared>,
}

struct Shared {
    changed: Notify,
    failure: OnceLock<Error>,
    status: Arc<TaskStatus>,
    tolerate: bool,
    /// What Kafka refused and is not decided about.
    refused: Mutex<Vec<Refused>>,
}

impl Segment {
    fn count_down(&self, counter: Option<&AtomicUsize>) {
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if self.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finish();
        }
    }

    fn finish(&self) {
        let count = |c: &AtomicUsize| c.load(Ordering::Relaxed);
        self.batch.shared.status.written(count(&self.stored) as u64);
        self.batch.shared.status.settled(self.range.len());
        if let Some(slip) = self.slip.lock().unwrap_or_else(PoisonError::into_inner).take() {
            slip.answer(Outcome {
                stored: count(&self.stored),
                filtered: count(&self.filtered),
                dead_lettered: count(&self.tolerated),
                failed: self.failure.get().cloned(),
            });
        }
        if self.batch.open_segments.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.batch.shared.changed.notify_one();
        }
    }

    /// A transform dropped a record.
    pub fn filtered(&self) {
        self.count_down(Some(&self.filtered));
    }

    /// A record that is not counted down yet has become so many more, each of which is counted down, too.
    pub fn more(&self, records: usize) {
        self.waiting.fetch_add(records, Ordering::AcqRel);
    }

    /// So many of those are not sent; what stands for them, [`Segment::cut`] counts down last.
    pub fn fewer(&self, records: usize) {
        self.waiting.fetch_sub(records, Ordering::AcqRel);
    }

    /// A record failed and was tolerated.
    pub fn tolerated(&self) {
        self.count_down(Some(&self.tolerated));
    }

    /// The task fails at the record with this index in the batch: that and those behind it are not sent. Receipts that
    /// cover them say so; what was sent before becomes safe as always.
    pub fn cut(&self, at: usize, error: &Error) {
        let missing = self.range.end.saturating_sub(at.max(self.range.start));
        if missing > 0 {
            self.give_up(error);
        }
        (0..missing).for_each(|_| self.count_down(None));
    }

    /// A record failed and the task fails with it: the receipt says so.
    fn give_up(&self, error: &Error) {
        // The first error is the one that is told.
        let _ = self.failure.set(error.clone());
        if let Some(slip) = self.slip.lock().unwrap_or_else(PoisonError::into_inner).take() {
            slip.answer(Outcome::failure(error.clone()));
        }
    }
}

/// A record on its way to Kafka.
pub struct OnWay {
    segment: Arc<Segment>,
    source: Option<SourcePosition>,
    /// Its time stamp, which librdkafka does not give back of what was refused.
    timestamp: Option<i64>,
    /// How often it was sent again by itself.
    again: u8,
}

impl OnWay {
    /// A record of the segment, with its place in the source where the log is to tell it. Without one it stands for every
    /// record of the segment with that time stamp.
    pub fn new(segment: &Arc<Segment>, source: Option<SourcePosition>, timestamp: Option<i64>) -> Arc<Self> {
        Arc::new(Self { segment: segment.clone(), source, timestamp, again: 0 })
    }

    /// Whether it stands for any record of the segment with that time stamp.
    pub fn is_of(&self, segment: &Arc<Segment>, timestamp: Option<i64>) -> bool {
        Arc::ptr_eq(&self.segment, segment) && self.source.is_none() && self.timestamp == timestamp
    }
}

/// So often a record is sent again that was refused with others: while Kafka is slow it may be with others once more.
const ALONE: u8 = 3;

/// A record that Kafka refused for good; its segment waits for what becomes of it.
pub struct Refused {
    segment: Arc<Segment>,
    /// Its place in the source.
    pub source: Option<SourcePosition>,
    /// The record as it was sent.
    pub record: RawRecord,
    /// Why.
    pub error: Error,
    /// How often it was sent again by itself.
    again: u8,
}

impl Refused {
    /// For a record of the segment.
    pub fn new(segment: &Arc<Segment>, source: Option<SourcePosition>, record: RawRecord, error: Error) -> Self {
        Self { segment: segment.clone(), source, record, error, again: 0 }
    }

    /// Whether it may have been refused because of others in its batch.
    pub fn may_be_taken_alone(&self) -> bool {
        self.again < ALONE && refused_with_others(&self.error)
    }

    /// It is sent again, in a batch of its own.
    pub fn again(self) -> (RawRecord, Arc<OnWay>) {
        let timestamp = self.record.timestamp;
        (self.record, Arc::new(OnWay { segment: self.segment, source: self.source, timestamp, again: self.again + 1 }))
    }

    /// The record is tolerated.
    pub fn tolerated(self) {
        self.segment.tolerated();
    }
}

impl Delivery for OnWay {
    fn delivered(&self, _partition: i32, _offset: i64) {
        self.segment.count_down(Some(&self.segment.stored));
    }

    fn failed(&self, error: Error) {
        let shared = &self.segment.batch.shared;
        self.segment.give_up(&error);
        let failure = Error::fatal("kafka did not take a record").caused_by(error);
        // The first error is the one that is told.
        let _ = shared.failure.set(failure);
        shared.changed.notify_one();
    }

    fn refused(&self, error: Error, mut record: RawRecord) {
        let shared = &self.segment.batch.shared;
        if !shared.tolerate {
            return self.failed(error);
        }
        record.timestamp = record.timestamp.or(self.timestamp);
        let refused = Refused { again: self.again, ..Refused::new(&self.segment, self.source.clone(), record, error) };
        shared.refused.lock().unwrap_or_else(PoisonError::into_inner).push(refused);
        shared.changed.notify_one();
    }
}

/// All batches of a task that are not committed yet.
pub struct Tracker {
    batches: VecDeque<Arc<Batch>>,
    /// Topics that are new with a batch.
    news: Vec<(Arc<Batch>, Vec<Topic>)>,
    shared: Arc<Shared>,
}

impl Tracker {
    /// Nothing is tracked yet. With `tolerate`, records that Kafka refuses are decided about, else the task fails.
    pub fn new(status: Arc<TaskStatus>, tolerate: bool) -> Self {
        let shared =
            Shared { changed: Notify::new(), failure: OnceLock::new(), status, tolerate, refused: Mutex::default() };
        Self { batches: VecDeque::new(), news: Vec::new(), shared: Arc::new(shared) }
    }

    /// Tracks a batch of so many records with these receipts. The segments are in order, cover every record,
    /// and each is counted down once per record. Offsets come with [`Tracker::offsets`].
    pub fn batch(&mut self, len: usize, slips: Vec<ReceiptSlip>) -> Vec<Arc<Segment>> {
        let mut runs: Vec<(Range<usize>, Option<ReceiptSlip>)> = Vec::new();
        let mut next = 0;
        for slip in slips {
            if slip.range.start > next {
                runs.push((next..slip.range.start, None));
            }
            next = slip.range.end;
            if slip.range.is_empty() {
                slip.answer(Outcome::default());
            } else {
                runs.push((slip.range.clone(), Some(slip)));
            }
        }
        if next < len {
            runs.push((next..len, None));
        }
        let batch = Arc::new(Batch {
            open_segments: AtomicUsize::new(runs.len()),
            offsets: Mutex::default(),
            shared: self.shared.clone(),
        });
        self.batches.push_back(batch.clone());
        let segment = |(range, slip): (Range<usize>, _)| {
            Arc::new(Segment {
                waiting: AtomicUsize::new(range.len()),
                range,
                stored: AtomicUsize::new(0),
                filtered: AtomicUsize::new(0),
                tolerated: AtomicUsize::new(0),
                failure: OnceLock::new(),
                slip: Mutex::new(slip),
                batch: batch.clone(),
            })
        };
        runs.into_iter().map(segment).collect()
    }

    /// Sets the offsets of the newest batch, latest of each source partition.
    pub fn offsets(&mut self, offsets: Vec<(Arc<OffsetMap>, OffsetMap)>) {
        if let Some(batch) = self.batches.back() {
            *batch.offsets.lock().unwrap_or_else(PoisonError::into_inner) = offsets;
        }
    }

    /// Notes topics that the newest batch may be the first to write to.
    pub fn topics(&mut self, topics: Vec<Topic>) {
        if let Some(batch) = self.batches.back().filter(|_| !topics.is_empty()) {
            self.news.push((batch.clone(), topics));
        }
    }

    /// Takes the noted topics of batches that have been acknowledged since the last call.
    pub fn take_topics(&mut self) -> Vec<Topic> {
        let acknowledged = |(batch, _): &mut (Arc<Batch>, _)| batch.open_segments.load(Ordering::Acquire) == 0;
        self.news.extract_if(.., acknowledged).flat_map(|(_, topics)| topics).collect()
    }

    /// Takes the offsets that have become safe since the last call, oldest first.
    pub fn take_safe(&mut self) -> Vec<(Arc<OffsetMap>, OffsetMap)> {
        let mut safe = Vec::new();
        while let Some(first) = self.batches.front() {
            if first.open_segments.load(Ordering::Acquire) > 0 {
                break;
            }
            safe.append(&mut first.offsets.lock().unwrap_or_else(PoisonError::into_inner));
            self.batches.pop_front();
        }
        safe
    }

    /// Whether what Kafka refuses may be tolerated.
    pub fn tolerates(&self) -> bool {
        self.shared.tolerate
    }

    /// Takes what Kafka has refused since the last call.
    pub fn take_refused(&self) -> Vec<Refused> {
        std::mem::take(&mut *self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives back what was taken and not decided about.
    pub fn put_back(&self, refused: impl IntoIterator<Item = Refused>) {
        self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner).extend(refused);
        self.shared.changed.notify_one();
    }

    /// How many batches wait for acknowledgements.
    pub fn waiting(&self) -> usize {
        self.batches.iter().filter(|b| b.open_segments.load(Ordering::Acquire) > 0).count()
    }

    /// Why the task must fail, if Kafka refused a record.
    pub fn failure(&self) -> Option<Error> {
        self.shared.failure.get().cloned()
    }

    /// As [`Tracker::failure`], apart from the tracker.
    pub fn failed_handle(&self) -> FailureHandle {
        FailureHandle(self.shared.clone())
    }

    /// Resolves when a batch was acknowledged or refused since the last call. Cancel-safe.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + 'static {
        let shared = self.shared.clone();
        async move { shared.changed.notified().await }
    }
}

/// Sees a failure while the tracker itself is in use.
pub struct FailureHandle(Arc<Shared>);

impl FailureHandle {
    /// See [`Tracker::failure`].
    pub fn failure(&self) -> Option<Error> {
        self.0.failure.get().cloned()
    }
}

/// The segment of each record: records and segments are walked side by side.
pub struct Walk<'a> {
    segments: &'a [Arc<Segment>],
    at: usize,
}

impl<'a> Walk<'a> {
    /// Starts at the first record.
    pub fn new(segments: &'a [Arc<Segment>]) -> Self {
        Self { segments, at: 0 }
    }

    /// The segment of a record; indices must not go back.
    pub fn segment(&mut self, index: usize) -> &'a Arc<Segment> {
        while self.segments[self.at].range.end <= index {
            self.at += 1;
        }
        &self.segments[self.at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{SourceBatch, SourceRecord};

    fn map(key: &str, n: i64) -> OffsetMap {
        [(key.to_owned(), n.into())].into_iter().collect()
    }

    fn on_way(segment: &Arc<Segment>) -> Arc<OnWay> {
        OnWay::new(segment, None, None)
    }

    fn tracked(tracker: &mut Tracker, len: usize, offset: i64) -> Vec<Arc<Segment>> {
        let segments = tracker.batch(len, Vec::new());
        tracker.offsets(vec![(Arc::new(map("file", 0)), map("position", offset))]);
        segments
    }

    #[test]
    fn offsets_are_safe_when_everything_before_them_is() {
        let mut t = Tracker::new(Arc::default(), false);
        let first = tracked(&mut t, 2, 1);
        let second = tracked(&mut t, 1, 2);
        on_way(&second[0]).delivered(0, 0);
        assert!(t.take_safe().is_empty(), "the first batch is still out");
        on_way(&first[0]).delivered(0, 0);
        first[0].filtered();
        let safe = t.take_safe();
        assert_eq!(safe.iter().map(|(_, o)| o.clone()).collect::<Vec<_>>(), [map("position", 1), map("position", 2)]);
        assert_eq!(t.waiting(), 0);
    }

    #[test]
    fn topics_are_told_once_their_batch_is_acknowledged() {
        let mut t = Tracker::new(Arc::default(), false);
        let first = tracked(&mut t, 1, 1);
        t.topics(vec!["a".into()]);
        let second = tracked(&mut t, 1, 2);
        t.topics(vec!["b".into()]);
        on_way(&second[0]).delivered(0, 0);
        assert_eq!(t.take_topics(), ["b".into()]);
        t.take_safe();
        on_way(&first[0]).delivered(0, 0);
        t.take_safe();
        assert_eq!(t.take_topics(), ["a".into()]);
        assert_eq!(t.take_topics(), []);
    }

    #[test]
    fn a_refused_record_makes_its_batch_never_safe() {
        let mut t = Tracker::new(Arc::default(), false);
        let segments = tracked(&mut t, 1, 1);
        on_way(&segments[0]).failed(Error::data("too large"));
        assert!(t.take_safe().is_empty());
        assert!(t.failure().is_some());
        let mut t = Tracker::new(Arc::default(), true);
        let segments = tracked(&mut t, 1, 1);
        let record = || RawRecord {
            topic: "t".into(),
            partition: 0,
            offset: -1,
            timestamp: None,
            timestamp_type: connect_api::TimestampType::None,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        on_way(&segments[0]).refused(Error::data("too large"), record());
        assert!(t.take_safe().is_empty(), "it is not decided about");
        t.take_refused().into_iter().for_each(Refused::tolerated);
        assert_eq!(t.take_safe().len(), 1);
        // What is dropped when the task stops is never tolerated.
        let segments = tracked(&mut t, 1, 2);
        on_way(&segments[0]).not_taken(Error::retriable("purged"));
        assert!(t.take_refused().is_empty() && t.take_safe().is_empty());
    }

    #[tokio::test]
    async fn what_was_sent_before_a_record_that_fails_the_task_is_safe() {
        let mut batch = SourceBatch::new(vec![SourceRecord::new("t")]);
        let [before, with, behind] = [1, 2, 1].map(|n| batch.push_with_receipt((0..n).map(|_| SourceRecord::new("t"))));
        let (records, slips) = batch.into_parts();
        let mut t = Tracker::new(Arc::default(), false);
        let segments = t.batch(records.len(), slips);
        let mut walk = Walk::new(&segments);
        let sent: Vec<_> = (0..3).map(|i| walk.segment(i).clone()).collect();
        segments.iter().for_each(|s| s.cut(3, &Error::data("no")));
        t.offsets(vec![(Arc::new(map("file", 0)), map("position", 3))]);
        assert!(t.take_safe().is_empty(), "nothing is acknowledged");
        sent.iter().for_each(|s| on_way(s).delivered(0, 0));
        assert_eq!(t.take_safe().len(), 1);
        assert_eq!([before.await, with.await, behind.await].map(|o| o.is_safe()), [true, false, false]);
    }

    #[tokio::test]
    async fn a_record_that_became_several_is_stored_when_all_of_it_is() {
        let mut batch = SourceBatch::default();
        let receipt = batch.push_with_receipt([SourceRecord::new("t")]);
        let (records, slips) = batch.into_parts();
        let mut t = Tracker::new(Arc::default(), false);
        let segments = t.batch(records.len(), slips);
        segments[0].more(2);
        on_way(&segments[0]).delivered(0, 0);
        on_way(&segments[0]).delivered(0, 1);
        assert_eq!(t.waiting(), 1);
        on_way(&segments[0]).delivered(0, 2);
        assert_eq!((t.waiting(), receipt.await.stored), (0, 3));
        // Of the next one, the second of three cannot be sent: what was sent before makes nothing wait for ever.
        let segments = t.batch(1, Vec::new());
        segments[0].more(2);
        let sent = segments[0].clone();
        segments[0].fewer(1);
        segments[0].cut(0, &Error::data("no"));
        assert_eq!(t.waiting(), 1);
        on_way(&sent).delivered(0, 0);
        assert_eq!(t.waiting(), 0);
    }

    #[tokio::test]
    async fn receipts_are_answered_each_by_itself() {
        let mut batch = SourceBatch::new(vec![SourceRecord::new("t")]);
        let a = batch.push_with_receipt([SourceRecord::new("t"), SourceRecord::new("t")]);
        let b = batch.push_with_receipt([SourceRecord::new("t")]);
        let none = batch.push_with_receipt([]);
        let (records, slips) = batch.into_parts();
        let mut t = Tracker::new(Arc::default(), false);
        let segments = t.batch(records.len(), slips);
        assert!(none.await.is_safe());
        let mut walk = Walk::new(&segments);
        on_way(walk.segment(0)).delivered(0, 0);
        on_way(walk.segment(1)).delivered(0, 0);
        walk.segment(2).filtered();
        let a = a.await;
        assert_eq!((a.stored, a.filtered, a.is_safe()), (1, 1, true));
        on_way(walk.segment(3)).failed(Error::data("no"));
        assert!(!b.await.is_safe());
    }

    #[test]
    fn a_batch_of_nothing_is_safe_at_once() {
        let mut t = Tracker::new(Arc::default(), false);
        t.batch(0, Vec::new());
        assert_eq!((t.take_safe().len(), t.waiting()), (0, 0));
    }
}
