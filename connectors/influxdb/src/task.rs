//! Requests: records are encoded while the requests before are under way, those of one key one behind the other, so that
//! order is kept and nobody waits.

use std::{
    collections::HashSet,
    io::{self, Write},
};

use connect_api::{
    Bytes, Counter, Error, ErrorClass, PartitionOffset, Result, SinkContext, SinkRecord, SinkTask, TopicPartition,
    async_trait,
};
use connector_http::{
    Answer, Client, HttpConfig, Method, Progress, RequestBuilder, Url,
    delivery::{graver, lane},
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
    lanes: Vec<Lane>,
    without_fields: Counter,
    has_warned: bool,
    /// What of a slice was stored before it failed, so that a slice of many requests does not begin anew each time.
    progress: Progress,
}

/// Requests that are sent one behind the other.
#[derive(Debug, Default)]
struct Lane {
    body: String,
    /// Which record of the slice each line of the body is of.
    lines: Vec<usize>,
    /// Where in the body the lines of each record begin, for servers that tell of some refused lines only.
    begins: Vec<(usize, usize)>,
    flight: Option<Flight>,
}

/// A request that was sent and not answered yet; it is given up when this is dropped.
#[derive(Debug)]
struct Flight {
    answer: JoinSet<Result<Answer>>,
    lines: Vec<usize>,
    /// The body, for the same servers.
    sent: Option<Sent>,
}

#[derive(Debug)]
struct Sent {
    body: String,
    begins: Vec<(usize, usize)>,
}

impl Sent {
    /// What is sent again when these records were refused, if anything is: the others may be stored or not.
    fn without(&self, bad: &HashSet<usize>) -> Option<Lane> {
        let mut lane = Lane::default();
        let ends = self.begins.iter().skip(1).map(|(_, begin)| *begin).chain([self.body.len()]);
        for ((at, begin), end) in self.begins.iter().zip(ends).filter(|((at, _), _)| !bad.contains(at)) {
            lane.begins.push((*at, lane.body.len()));
            lane.body.push_str(&self.body[*begin..end]);
        }
        (!lane.begins.is_empty()).then_some(lane)
    }
}

/// What has become of a slice so far, by places in it.
#[derive(Default)]
struct Slice {
    /// Records that cannot be written.
    bad: Vec<(usize, Error)>,
    /// Records without a field.
    empty: Vec<usize>,
    /// Records that need not be sent again, bad ones among them.
    settled: Vec<usize>,
}

impl InfluxTask {
    /// Makes the task ready. Nothing is sent.
    pub fn new(plan: Plan, http: &HttpConfig, context: SinkContext) -> Result<Self> {
        let endpoint = plan.endpoint;
        let client = endpoint.client(http)?.counted_by(&context);
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
            lanes: (0..plan.lanes).map(|_| Lane::default()).collect(),
            without_fields,
            has_warned: false,
            progress: Progress::new(),
        })
    }

    /// The lines of the record, alone; none if it is a tombstone, which is ignored.
    pub(crate) fn lines_of(&mut self, record: &SinkRecord) -> Result<Option<String>> {
        let mut alone = Lane::default();
        Ok(self.encode(record, &mut alone)?.map(|_| alone.body))
    }

    /// Appends the record's lines to a body; `None` if it is a tombstone, which is ignored, else how many they are.
    fn encode(&mut self, record: &SinkRecord, lane: &mut Lane) -> Result<Option<usize>> {
        let tombstone = record.value.is_null();
        if tombstone && self.tombstones == Tombstones::Ignore {
            return Ok(None);
        }
        let write = if tombstone { Encoder::encode_marker } else { Encoder::encode };
        write(&mut self.encoder, &mut lane.body, record, &mut self.clock).map(Some)
    }

    fn is_full(&self, lane: &Lane) -> bool {
        lane.lines.len() >= self.batch_lines || lane.body.len() >= BODY_LIMIT
    }

    fn doing(&self, lines: usize) -> String {
        format!("writing {lines} points to {}", self.target)
    }

    /// The request for what is in the body, which is then empty.
    fn request(&self, lane: &mut Lane) -> Result<RequestBuilder> {
        let request = self.client.request(Method::POST, self.url.clone());
        let request = request.header(CONTENT_TYPE, "text/plain; charset=utf-8");
        let request = if self.gzip {
            let body = gzip(&lane.body).map_err(|e| Error::fatal(self.doing(lane.lines.len())).caused_by(e))?;
            lane.body.clear();
            request.header(CONTENT_ENCODING, "gzip").body(body)
        } else {
            let capacity = lane.body.len();
            let body = std::mem::replace(&mut lane.body, String::with_capacity(capacity));
            request.body(Bytes::from(body))
        };
        Ok(request)
    }

    /// Sends what is in the body, if anything is, when the lane's request before has been answered.
    async fn launch(&self, lane: &mut Lane, slice: &mut Slice) -> Result<()> {
        if lane.lines.is_empty() {
            return Ok(());
        }
        let flight = self.prepare(lane)?;
        self.land(lane, slice).await?;
        lane.flight = Some(self.fly(flight));
        Ok(())
    }

    /// Makes the request for what is in the body, which is then empty.
    fn prepare(&self, lane: &mut Lane) -> Result<(RequestBuilder, Vec<usize>, Option<Sent>)> {
        let sent = || Sent { body: lane.body.clone(), begins: std::mem::take(&mut lane.begins) };
        let sent = self.endpoint.tells_some_lines().then(sent);
        Ok((self.request(lane)?, std::mem::take(&mut lane.lines), sent))
    }

    fn fly(&self, (request, lines, sent): (RequestBuilder, Vec<usize>, Option<Sent>)) -> Flight {
        let (client, doing, mut answer) = (self.client.clone(), self.doing(lines.len()), JoinSet::new());
        answer.spawn(async move { client.send(request, || doing).await });
        Flight { answer, lines, sent }
    }

    /// Waits for the answer to the lane's request, if one is under way.
    async fn land(&self, lane: &mut Lane, slice: &mut Slice) -> Result<()> {
        while let Some(mut flight) = lane.flight.take() {
            let Some(answer) = flight.answer.join_next().await else { return Ok(()) };
            let answer = answer.map_err(|e| Error::retriable(self.doing(flight.lines.len())).caused_by(e))??;
            if let Some(mut rest) = self.judge(&answer, &flight, slice)? {
                lane.flight = Some(self.fly(self.prepare(&mut rest)?));
            }
        }
        Ok(())
    }

    /// Takes up an answer; answers what has to be sent again, because some lines were refused and nobody knows which of
    /// the others were.
    fn judge(&self, answer: &Answer, flight: &Flight, slice: &mut Slice) -> Result<Option<Lane>> {
        let lines = &flight.lines;
        if self.endpoint.stored(answer) {
            slice.settled.extend_from_slice(lines);
            return Ok(None);
        }
        let (Some(refused), Some(sent)) = (self.endpoint.refused_lines(answer, lines.len()), &flight.sent) else {
            return Err(self.endpoint.refusal(answer, self.doing(lines.len())));
        };
        let status = answer.status;
        let bad: HashSet<usize> = refused.iter().map(|(line, _)| lines[*line]).collect();
        slice.bad.extend(refused.into_iter().map(|(line, why)| {
            let error = Error::data(self.doing(1));
            (lines[line], error.caused_by(format!("the server answered {status}: {why}")))
        }));
        slice.settled.extend(&bad);
        let rest = sent.without(&bad).map(|lane| {
            let lines = lines.iter().copied().filter(|at| !bad.contains(at)).collect();
            Lane { lines, ..lane }
        });
        Ok(rest)
    }

    async fn put_all(&mut self, records: &[SinkRecord], slice: &mut Slice) -> Result<()> {
        // What an earlier try has left: its records come again.
        let mut lanes = std::mem::take(&mut self.lanes);
        for lane in &mut lanes {
            lane.body.clear();
            lane.lines.clear();
            lane.begins.clear();
        }
        let mut sent = self.launch_all(records, &mut lanes, slice).await;
        // Also after an error: what is under way must not be stored behind what is sent again.
        for lane in &mut lanes {
            sent = match (sent, self.land(lane, slice).await) {
                (Err(a), Err(b)) => Err(graver(a, b)),
                (a, b) => a.and(b),
            };
        }
        self.lanes = lanes;
        sent?;
        // Reported at the end only: what fails before comes again, and nothing must be reported twice.
        let mut bad = std::mem::take(&mut slice.bad);
        bad.sort_by_key(|(at, _)| *at);
        // Of several points of a record one that is refused is enough.
        bad.dedup_by_key(|(at, _)| *at);
        for (at, e) in bad {
            self.context.report(&records[at], e).await?;
        }
        Ok(())
    }

    /// Sends all records; of each lane the last request may still be under way.
    async fn launch_all(&mut self, records: &[SinkRecord], lanes: &mut [Lane], slice: &mut Slice) -> Result<()> {
        for (at, record) in records.iter().enumerate() {
            if self.progress.has(record) {
                continue;
            }
            let number = lane(record, lanes.len());
            let lane = &mut lanes[number];
            let begin = lane.body.len();
            match self.encode(record, lane) {
                Ok(None) => {}
                Ok(Some(0)) => slice.empty.push(at),
                Ok(Some(lines)) => {
                    lane.lines.extend(std::iter::repeat_n(at, lines));
                    if self.endpoint.tells_some_lines() {
                        lane.begins.push((at, begin));
                    }
                }
                Err(e) if e.class() == ErrorClass::Data => slice.bad.push((at, e)),
                Err(e) => return Err(e),
            }
            if self.is_full(lane) {
                self.launch(lane, slice).await?;
            }
        }
        for lane in lanes {
            self.launch(lane, slice).await?;
        }
        Ok(())
    }

    /// Remembers what need not be done again when the slice comes again.
    fn note(&mut self, records: &[SinkRecord], slice: &Slice) {
        let bad: HashSet<usize> = slice.bad.iter().map(|(at, _)| *at).collect();
        for at in slice.settled.iter().chain(&slice.empty).filter(|at| !bad.contains(at)) {
            self.progress.note(&records[*at]);
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
        self.clock.begin();
        let mut slice = Slice::default();
        let outcome = self.put_all(records, &mut slice).await;
        self.passed_over(slice.empty.len());
        match outcome {
            Ok(()) => {
                self.clock.stored();
                self.progress.finished(records);
                Ok(())
            }
            Err(e) => {
                self.note(records, &slice);
                Err(self.progress.failed(e))
            }
        }
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
