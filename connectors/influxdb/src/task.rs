//! Requests: records are encoded while the request before is under way, so that order is kept and nobody waits.

use std::io::{self, Write};

use connect_api::{
    Bytes, Counter, Error, ErrorClass, PartitionOffset, Result, SinkContext, SinkRecord, SinkTask, TopicPartition,
    async_trait,
};
use connector_http::{
    Answer, Client, HttpConfig, Method, Progress, RequestBuilder, Url,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use flate2::{Compression, write::GzEncoder};
use tokio::task::JoinSet;

use crate::{
    endpoint::Endpoint,
    line_protocol::Encoder,
    moment::Clock,
    plan::{Plan, Tombstones},
};

/// A request is sent when it is that long, however few its lines. Servers' limits start at 10 MB.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// The metric of records that are no points.
const WITHOUT_FIELDS: &str = "tocsin_influxdb_records_without_fields_total";

/// A running task.
#[derive(Debug)]
pub struct InfluxTask {
    pub(crate) endpoint: Endpoint,
    pub(crate) client: Client,
    pub(crate) url: Url,
    target: String,
    gzip: bool,
    batch_lines: usize,
    tombstones: Tombstones,
    context: SinkContext,
    encoder: Encoder,
    clock: Clock,
    pub(crate) body: String,
    /// Which record of the slice each line of the body is of.
    lines: Vec<usize>,
    without_fields: Counter,
    has_warned: bool,
    /// What of a slice was stored before it failed, so that a slice of many requests does not begin anew each time.
    progress: Progress,
}

/// A request that was sent and not answered yet; it is given up when this is dropped.
struct Flight {
    answer: JoinSet<Result<Answer>>,
    lines: Vec<usize>,
}

/// What has become of a slice so far, by places in it.
#[derive(Default)]
struct Slice {
    /// Records that cannot be written.
    bad: Vec<(usize, Error)>,
    /// Records without a field.
    empty: Vec<usize>,
    /// What is in front of it has been decided about: stored, bad or empty.
    done: usize,
}

impl InfluxTask {
    /// Makes the task ready. Nothing is sent.
    pub fn new(plan: Plan, http: &HttpConfig, context: SinkContext) -> Result<Self> {
        let endpoint = plan.endpoint;
        let client = endpoint.client(http)?;
        let encoder = Encoder::new(plan.statements, plan.key);
        let url = endpoint.write_url(encoder.precision())?;
        let target = format!("{} at {}", endpoint.name(), client.place(&url));
        let help = "Records that had nothing to write as a field, and were passed over.";
        let without_fields = context.counter(WITHOUT_FIELDS, help, &[]);
        Ok(Self {
            endpoint,
            client,
            url,
            target,
            gzip: plan.gzip,
            batch_lines: plan.batch_lines,
            tombstones: plan.tombstones,
            context,
            encoder,
            clock: Clock::default(),
            body: String::new(),
            lines: Vec::new(),
            without_fields,
            has_warned: false,
            progress: Progress::new(),
        })
    }

    /// Appends the record's lines to the body; `None` if it is a tombstone, which is ignored, else how many they are.
    pub(crate) fn encode(&mut self, record: &SinkRecord) -> Result<Option<usize>> {
        let tombstone = record.value.is_null();
        if tombstone && self.tombstones == Tombstones::Ignore {
            return Ok(None);
        }
        let write = if tombstone { Encoder::encode_marker } else { Encoder::encode };
        write(&mut self.encoder, &mut self.body, record, &mut self.clock).map(Some)
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= self.batch_lines || self.body.len() >= BODY_LIMIT
    }

    fn doing(&self, lines: usize) -> String {
        format!("writing {lines} points to {}", self.target)
    }

    /// The request for what is in the body, which is then empty.
    fn request(&mut self) -> Result<RequestBuilder> {
        let request = self.client.request(Method::POST, self.url.clone());
        let request = request.header(CONTENT_TYPE, "text/plain; charset=utf-8");
        let request = if self.gzip {
            let body = gzip(&self.body).map_err(|e| Error::fatal(self.doing(self.lines.len())).caused_by(e))?;
            self.body.clear();
            request.header(CONTENT_ENCODING, "gzip").body(body)
        } else {
            let capacity = self.body.len();
            let body = std::mem::replace(&mut self.body, String::with_capacity(capacity));
            request.body(Bytes::from(body))
        };
        Ok(request)
    }

    /// Sends what is in the body when the request before has been answered.
    async fn launch(&mut self, before: Option<Flight>, slice: &mut Slice) -> Result<Flight> {
        let (request, lines) = (self.request()?, std::mem::take(&mut self.lines));
        self.land(before, slice).await?;
        let (client, doing, mut answer) = (self.client.clone(), self.doing(lines.len()), JoinSet::new());
        answer.spawn(async move { client.send(request, || doing).await });
        Ok(Flight { answer, lines })
    }

    async fn land(&self, flight: Option<Flight>, slice: &mut Slice) -> Result<()> {
        let Some(mut flight) = flight else { return Ok(()) };
        let Some(answer) = flight.answer.join_next().await else { return Ok(()) };
        let answer = answer.map_err(|e| Error::retriable(self.doing(flight.lines.len())).caused_by(e))??;
        self.judge(&answer, &flight.lines, slice)
    }

    /// Sends what is in the body, if anything is, and waits for the answer.
    async fn write(&mut self, slice: &mut Slice) -> Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let (request, lines) = (self.request()?, std::mem::take(&mut self.lines));
        let answer = self.client.send(request, || self.doing(lines.len())).await?;
        self.judge(&answer, &lines, slice)
    }

    fn judge(&self, answer: &Answer, lines: &[usize], slice: &mut Slice) -> Result<()> {
        if !answer.is_success() {
            let Some(refused) = self.endpoint.refused_lines(answer, lines.len()) else {
                return Err(self.endpoint.refusal(answer, self.doing(lines.len())));
            };
            let status = answer.status;
            slice.bad.extend(refused.into_iter().map(|(line, why)| {
                let error = Error::data(self.doing(1));
                (lines[line], error.caused_by(format!("the server answered {status}: {why}")))
            }));
        }
        slice.done = lines.last().map_or(slice.done, |last| last + 1);
        Ok(())
    }

    async fn put_all(&mut self, records: &[SinkRecord], slice: &mut Slice) -> Result<()> {
        let mut flight = None;
        for (at, record) in records.iter().enumerate() {
            if self.progress.has(record) {
                continue;
            }
            match self.encode(record) {
                Ok(None) => {}
                Ok(Some(0)) => slice.empty.push(at),
                Ok(Some(lines)) => self.lines.extend(std::iter::repeat_n(at, lines)),
                Err(e) if e.class() == ErrorClass::Data => slice.bad.push((at, e)),
                Err(e) => return Err(e),
            }
            if self.is_full() && at + 1 < records.len() {
                flight = Some(self.launch(flight, slice).await?);
            }
        }
        self.land(flight, slice).await?;
        self.write(slice).await?;
        // Reported at the end only: what fails before comes again, and nothing must be reported twice.
        let mut bad = std::mem::take(&mut slice.bad);
        bad.sort_by_key(|(at, _)| *at);
        // Of several points of a record one that is refused is enough.
        bad.dedup_by_key(|(at, _)| *at);
        for (at, e) in bad {
            slice.done = at;
            self.context.report(&records[at], e).await?;
        }
        slice.done = records.len();
        Ok(())
    }

    /// Remembers what need not be done again when the slice comes again.
    fn note(&mut self, records: &[SinkRecord], slice: &Slice) {
        for (at, record) in records[..slice.done].iter().enumerate() {
            if !slice.bad.iter().any(|(bad, _)| *bad == at) {
                self.progress.note(record);
            }
        }
    }

    fn passed_over(&mut self, records: usize) {
        if records > 0 {
            self.without_fields.add(records as u64);
            if !std::mem::replace(&mut self.has_warned, true) {
                tracing::warn!(
                    records,
                    "passed over records that have no field to write; {WITHOUT_FIELDS} counts them"
                );
            }
        }
    }
}

#[async_trait]
impl SinkTask for InfluxTask {
    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        // They may start anywhere.
        self.progress.forget(partitions);
        Ok(())
    }

    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        // What an earlier try has left: its records come again.
        self.body.clear();
        self.lines.clear();
        self.clock.begin();
        let mut slice = Slice::default();
        let outcome = self.put_all(records, &mut slice).await;
        self.passed_over(slice.empty.iter().filter(|at| **at < slice.done).count());
        match outcome {
            Ok(()) => {
                self.clock.stored();
                self.progress.finished(records);
            }
            Err(_) => self.note(records, &slice),
        }
        outcome
    }

    async fn flush(&mut self, offsets: &[PartitionOffset]) -> Result<Vec<PartitionOffset>> {
        self.clock.settled(offsets);
        Ok(offsets.to_vec())
    }
}

fn gzip(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}
