//! Batches of source records, and receipts: how a source learns what became of its records.

use std::{
    future::Future,
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::oneshot;

use crate::{Error, SourceRecord};

/// What became of the records that a receipt covers.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Acknowledged by Kafka.
    pub stored: usize,
    /// Dropped by a transform.
    pub filtered: usize,
    /// Stored in the dead letter queue instead, or skipped because `errors.tolerance` says so.
    pub dead_lettered: usize,
    /// Why at least one record was neither; the other counts then say nothing about the rest.
    pub failed: Option<Error>,
}

impl Outcome {
    /// An outcome of failure.
    pub fn failure(error: Error) -> Self {
        Self { failed: Some(error), ..Self::default() }
    }

    /// Whether every record was stored, filtered or dead-lettered: the answer 200 of a webhook.
    pub fn is_safe(&self) -> bool {
        self.failed.is_none()
    }
}

/// A promise of an [`Outcome`]; await it. When the worker goes away first, the outcome is a failure.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Outcome>);

impl Future for Receipt {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        Pin::new(&mut self.0).poll(cx).map(|answer| {
            answer.unwrap_or_else(|_| {
                Outcome::failure(Error::retriable("the task stopped before the records were stored"))
            })
        })
    }
}

/// The worker's end of a receipt: answering it resolves the task's [`Receipt`].
#[derive(Debug)]
pub struct ReceiptSlip {
    /// The records of the batch that the receipt covers.
    pub range: Range<usize>,
    answer: oneshot::Sender<Outcome>,
}

impl ReceiptSlip {
    /// Answers. Nobody may be waiting any more, which is all right.
    pub fn answer(self, outcome: Outcome) {
        // The task may have dropped its end, for example when an HTTP client hung up.
        let _ = self.answer.send(outcome);
    }
}

/// What [`crate::SourceTask::poll`] returns: records, some of them covered by receipts.
#[derive(Debug, Default)]
pub struct SourceBatch {
    /// The records in the order in which they are sent.
    pub records: Vec<SourceRecord>,
    slips: Vec<ReceiptSlip>,
}

impl SourceBatch {
    /// A batch of records without receipts.
    pub fn new(records: Vec<SourceRecord>) -> Self {
        Self { records, slips: Vec::new() }
    }

    /// Appends records that share one receipt. No record is allowed; the receipt is then answered at once.
    pub fn push_with_receipt(&mut self, records: impl IntoIterator<Item = SourceRecord>) -> Receipt {
        let (answer, receipt) = oneshot::channel();
        let start = self.records.len();
        self.records.extend(records);
        self.slips.push(ReceiptSlip { range: start..self.records.len(), answer });
        Receipt(receipt)
    }

    /// Appends the other batch with its receipts.
    pub fn append(&mut self, other: SourceBatch) {
        let shift = self.records.len();
        self.records.extend(other.records);
        let moved = other.slips.into_iter();
        self.slips
            .extend(moved.map(|s| ReceiptSlip { range: s.range.start + shift..s.range.end + shift, answer: s.answer }));
    }

    /// Records and receipts apart, for the worker. Ranges are ascending and do not overlap.
    pub fn into_parts(self) -> (Vec<SourceRecord>, Vec<ReceiptSlip>) {
        (self.records, self.slips)
    }
}

impl From<Vec<SourceRecord>> for SourceBatch {
    fn from(records: Vec<SourceRecord>) -> Self {
        Self::new(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_batch_answers_its_receipts_with_failure() {
        let mut batch = SourceBatch::default();
        let receipt = batch.push_with_receipt([SourceRecord::new("t")]);
        drop(batch);
        assert!(!receipt.await.is_safe());
    }

    #[test]
    fn appending_shifts_the_ranges() {
        let mut a = SourceBatch::new(vec![SourceRecord::new("t")]);
        let mut b = SourceBatch::default();
        let _receipt = b.push_with_receipt([SourceRecord::new("t"), SourceRecord::new("t")]);
        a.append(b);
        let (records, slips) = a.into_parts();
        assert_eq!((records.len(), slips[0].range.clone()), (3, 1..3));
    }
}
