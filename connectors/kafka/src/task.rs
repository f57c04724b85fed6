//! Reads the task's partitions, converts their records and hands them over.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use connect_api::{
    Bytes, Check, Converter, Error, ErrorClass, Header, OffsetMap, Reading, Record, Result, Role, Schema,
    SchemaAndValue, SourceBatch, SourceContext, SourceRecord, SourceTask, SourceTrial, Step, Topic, TopicPartition,
    async_trait,
};
use connect_kafka::{Assigned, ClientSettings, DeletedUnread, Identities, Ids, RawRecord, Sequence, Start, translate};
use serde_json::json;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinHandle},
    time::{Instant, sleep_until},
};

use crate::{
    KafkaSourceConfig,
    config::Begin,
    position,
    selection::{Patterns, Selection},
};

/// Between two looks while the cluster cannot be asked.
const AGAIN: Duration = Duration::from_secs(2);

/// The running task.
pub struct KafkaTask {
    config: KafkaSourceConfig,
    context: SourceContext,
    selection: Selection,
    converters: Converters,
    client: ClientSettings,
    reader: Assigned,
    batches: mpsc::Receiver<Result<Vec<RawRecord>>>,
    /// Partitions that are read, with their source partitions.
    places: BTreeMap<TopicPartition, Arc<OffsetMap>>,
    /// By topic read: the topic written to.
    targets: BTreeMap<Topic, Topic>,
    look: Instant,
    /// What was read, and the question whether what did not follow was deleted.
    sequence: Sequence,
    looking: Option<JoinHandle<Result<Vec<DeletedUnread>>>>,
    /// Which topics are read, the question whether they are others now, and when to ask it.
    identities: Identities,
    identifying: Option<(Instant, JoinHandle<Result<Ids>>)>,
    identify: Instant,
    /// Read, and not converted yet.
    raw: VecDeque<RawRecord>,
    /// Converted, and not handed over yet.
    ready: Vec<SourceRecord>,
}

struct Converters {
    key: Box<dyn Converter>,
    value: Box<dyn Converter>,
    header: Box<dyn Converter>,
}

impl KafkaTask {
    /// Starts a task, which looks for its partitions when it is polled.
    pub fn start(config: KafkaSourceConfig, context: SourceContext) -> Result<Self> {
        let converters = Converters {
            key: context.converter("source.key.converter", Role::Key)?,
            value: context.converter("source.value.converter", Role::Value)?,
            header: context.converter("source.header.converter", Role::Header)?,
        };
        let client = config.client(context.kafka());
        let mut client = translate(connect_kafka::Role::Consumer, &client).map_err(|problems| {
            let texts: Vec<String> = problems.into_iter().map(|p| format!("{}: {}", p.key, p.reason)).collect();
            Error::fatal(format!("settings of the cluster that is read: {}", texts.join("; ")))
        })?;
        for warning in &client.warnings {
            tracing::warn!("source.cluster.{}{}", warning.key, warning.reason);
        }
        // What was never committed is no record to copy.
        client.or_set("isolation.level", "read_committed");
        connect_kafka::consumer_defaults(&mut client);
        let (reader, batches) = Assigned::new(&client, most(&config))?;
        let patterns = |names: &[String]| Patterns::parse(names).map_err(Error::fatal);
        let selection = Selection {
            topics: patterns(&config.topics)?,
            exclude: patterns(&config.exclude)?,
            share: crate::share(context.settings())?,
        };
        Ok(Self {
            config,
            context,
            selection,
            converters,
            client,
            reader,
            batches,
            places: BTreeMap::new(),
            targets: BTreeMap::new(),
            look: Instant::now(),
            sequence: Sequence::default(),
            looking: None,
            identities: Identities::default(),
            identifying: None,
            identify: Instant::now(),
            raw: VecDeque::new(),
            ready: Vec::new(),
        })
    }

    /// Looks for the topics; the task reads for all tasks.
    pub async fn try_out(config: KafkaSourceConfig, context: SourceContext) -> Result<SourceTrial> {
        let task = Self::start(config, context)?;
        let (topics, partitions) = task.selection.of(&task.reader.topics().await?);
        if topics == 0 {
            return Err(Error::fatal(task.nothing()));
        }
        let check = Check::Passed(format!("there are {topics} topics with {} partitions to read", partitions.len()));
        Ok(SourceTrial { check, reading: Reading::Task(Box::new(task)) })
    }

    fn nothing(&self) -> String {
        format!("no topic of the cluster that is read matches topics={}", self.config.topics.join(","))
    }

    /// Looks for new topics and partitions. What it has found before it fails or is dropped is found again.
    async fn look(&mut self) -> Result<()> {
        let all = match self.reader.topics().await {
            Ok(all) => all,
            Err(e) if e.class() == ErrorClass::Retriable => return self.later(&e),
            Err(e) => return Err(e),
        };
        let (topics, own) = self.selection.of(&all);
        let mut new = Vec::new();
        let unknown = self.identify_new(&own).await.err();
        for partition in own.into_iter().filter(|p| !self.places.contains_key(p)) {
            let place = position::partition(&self.config.alias, &partition);
            let start = match (self.context.offset(&place).await?, &self.config.group, self.config.begin) {
                (Some(offset), ..) if self.is_of_another(&offset, &partition.topic) => {
                    say_renewed(std::slice::from_ref(&partition));
                    Start::Beginning
                }
                (Some(offset), ..) => match unknown.as_ref().filter(|_| position::has_topic_id(&offset)) {
                    // Perhaps it is of another topic.
                    Some(e) if self.identities.of(&partition.topic).is_none() => return self.later(e),
                    _ => Start::At(position::next(&offset)?),
                },
                (None, Some(_), _) => Start::Group,
                (None, None, Begin::Earliest) => Start::Beginning,
                (None, None, Begin::Latest) => match self.reader.end(&partition).await {
                    Ok(end) => Start::At(end),
                    Err(e) if e.class() == ErrorClass::Retriable => return self.later(&e),
                    Err(e) => return Err(e),
                },
            };
            new.push((partition, start, Arc::new(place)));
        }
        if !new.is_empty() {
            let names: Vec<String> = new.iter().map(|(p, ..)| format!("{}-{}", p.topic, p.partition)).collect();
            tracing::info!("reading {}", names.join(", "));
        }
        for (partition, start, _) in &new {
            if let Start::At(offset) = start {
                self.sequence.sought(partition, *offset);
            }
        }
        self.reader.add(new.iter().map(|(partition, start, _)| (partition.clone(), *start)).collect());
        self.places.extend(new.into_iter().map(|(partition, _, place)| (partition, place)));
        self.context.note((topics == 0).then(|| self.nothing()));
        self.look = Instant::now() + Duration::from_secs(u64::from(self.config.refresh.unsigned_abs()));
        Ok(())
    }

    fn is_of_another(&self, offset: &OffsetMap, topic: &Topic) -> bool {
        self.identities.of(topic).is_some_and(|id| position::is_of_another(offset, id))
    }

    /// Asks for the ids of topics that have not been read before. Brokers before 2.8 and the embedded one know none.
    async fn identify_new(&mut self, own: &[TopicPartition]) -> Result<()> {
        let new: BTreeSet<&Topic> = own.iter().map(|p| &p.topic).filter(|t| self.identities.of(t).is_none()).collect();
        if new.is_empty() {
            return Ok(());
        }
        let asked = Instant::now().into_std();
        let ids = answer(self.reader.topic_ids(new.into_iter().cloned().collect()).await)?;
        // None of them is being read.
        self.identities.told(ids, asked, &BTreeSet::new(), &self.sequence);
        Ok(())
    }

    fn identify(&mut self) {
        let topics: BTreeSet<&Topic> = self.places.keys().map(|p| &p.topic).collect();
        self.identify = Instant::now() + Identities::pause(topics.len());
        if !topics.is_empty() && self.identifying.is_none() {
            let topics = topics.into_iter().cloned().collect();
            self.identifying = Some((Instant::now(), self.reader.topic_ids(topics)));
        }
    }

    /// Takes up which topics there are now, and reads those that are others from their beginning.
    fn identified(&mut self, asked: Instant, ids: Result<Ids>) -> Result<()> {
        self.identifying = None;
        let ids = match ids {
            Ok(ids) => ids,
            Err(e) => {
                tracing::debug!("{}", e.one_line());
                return Ok(());
            }
        };
        let reading = self.places.keys().cloned().collect();
        let renewed = self.identities.told(ids, asked.into_std(), &reading, &self.sequence);
        if renewed.is_empty() {
            return Ok(());
        }
        say_renewed(&renewed);
        // Where the new topic's leader has an earlier epoch than that of the old one, only another reader goes on.
        (self.reader, self.batches) = Assigned::new(&self.client, most(&self.config))?;
        let sequence = std::mem::take(&mut self.sequence);
        let mut starts = Vec::new();
        self.places.retain(|partition, _| {
            let start = match sequence.next(partition) {
                _ if renewed.contains(partition) => Start::Beginning,
                Some(next) => Start::At(next),
                // Nothing has been read of it: where it begins is found again.
                None => return false,
            };
            if let Start::At(next) = start {
                self.sequence.sought(partition, next);
            }
            starts.push((partition.clone(), start));
            true
        });
        self.reader.add(starts);
        self.look = Instant::now();
        Ok(())
    }

    fn later(&mut self, e: &Error) -> Result<()> {
        self.context.note(Some(format!("looking for topics to read is tried again: {}", e.one_line())));
        self.look = Instant::now() + AGAIN;
        Ok(())
    }

    /// Asks Kafka about what did not follow; one question at a time.
    fn look_at_gaps(&mut self) {
        if self.looking.is_none() {
            let gaps = self.sequence.gaps();
            self.looking = (!gaps.is_empty()).then(|| self.reader.deleted_unread(gaps));
        }
    }

    fn say_deleted(&mut self, answer: Result<Vec<DeletedUnread>>) {
        self.looking = None;
        match answer {
            Ok(all) => all.iter().for_each(|deleted| self.context.missed(&deleted.to_string())),
            Err(e) => tracing::debug!("looking for deleted records: {}", e.one_line()),
        }
    }

    /// Converts what was read. Records come off `raw` only when they are in `ready`, or reported.
    async fn convert(&mut self) -> Result<()> {
        // Records come in runs of a partition.
        let mut run: Option<Run> = None;
        while let Some(raw) = self.raw.front() {
            if !run.as_ref().is_some_and(|run| run.has(raw)) {
                run = None;
            }
            let run = match &mut run {
                Some(run) => run,
                none => none.insert(Run::of(raw, &self.places, &mut self.targets, &self.identities, &self.config)?),
            };
            let target = run.target.clone();
            let source = Some((run.place.clone(), position::offset(raw.offset, run.topic_id.as_deref())));
            match self.converters.read(raw, &target).await {
                Ok(mut record) => {
                    record.partition = Some(raw.partition).filter(|_| self.config.keep_partition);
                    self.ready.push(SourceRecord { record, source });
                }
                // What came before it is handed over first, so that it is safe whatever becomes of this one.
                Err(_) if !self.ready.is_empty() => return Ok(()),
                Err(e) if e.class() == ErrorClass::Data => {
                    let record = SourceRecord { record: original(raw, target), source };
                    let e = e.context(format!("reading {}-{} at offset {}", raw.topic, raw.partition, raw.offset));
                    self.context.report(record, e).await?;
                }
                Err(e) => return Err(e),
            }
            self.raw.pop_front();
        }
        Ok(())
    }
}

fn say_renewed(partitions: &[TopicPartition]) {
    let names: Vec<String> = partitions.iter().map(|p| format!("{}-{}", p.topic, p.partition)).collect();
    tracing::warn!(
        "the topic was deleted and created again: {}; read from the beginning of the new one",
        names.join(", ")
    );
}

/// The answer to the question; pending when there is none. Cancel-safe.
async fn looked(question: &mut Option<JoinHandle<Result<Vec<DeletedUnread>>>>) -> Result<Vec<DeletedUnread>> {
    match question {
        Some(asked) => answer(asked.await),
        None => std::future::pending().await,
    }
}

/// The same of the question for ids, with when it was asked.
async fn identified(question: &mut Option<(Instant, JoinHandle<Result<Ids>>)>) -> (Instant, Result<Ids>) {
    match question {
        Some((asked, ids)) => (*asked, answer(ids.await)),
        None => std::future::pending().await,
    }
}

fn answer<T>(answer: std::result::Result<Result<T>, JoinError>) -> Result<T> {
    answer.unwrap_or_else(|e| Err(Error::retriable("asking kafka").caused_by(e)))
}

fn most(config: &KafkaSourceConfig) -> usize {
    usize::try_from(config.batch_size).unwrap_or(1)
}

/// What records of one partition have in common.
struct Run {
    of: TopicPartition,
    place: Arc<OffsetMap>,
    target: Topic,
    topic_id: Option<Arc<str>>,
}

impl Run {
    fn of(
        raw: &RawRecord,
        places: &BTreeMap<TopicPartition, Arc<OffsetMap>>,
        targets: &mut BTreeMap<Topic, Topic>,
        identities: &Identities,
        config: &KafkaSourceConfig,
    ) -> Result<Self> {
        let of = TopicPartition { topic: raw.topic.clone(), partition: raw.partition };
        let place = places.get(&of).cloned();
        let place = place.ok_or_else(|| Error::fatal(format!("{}-{} was not asked for", raw.topic, raw.partition)))?;
        let topic_id = identities.of(&raw.topic).cloned();
        Ok(Self { target: target(targets, config, &raw.topic)?, of, place, topic_id })
    }

    fn has(&self, raw: &RawRecord) -> bool {
        self.of.partition == raw.partition && self.of.topic == raw.topic
    }
}

fn target(targets: &mut BTreeMap<Topic, Topic>, config: &KafkaSourceConfig, topic: &Topic) -> Result<Topic> {
    if let Some(known) = targets.get(topic) {
        return Ok(known.clone());
    }
    let names = json!({ "topic": &**topic, "cluster": config.alias });
    let wrong = |e: Error| Error::fatal(format!("target.topic for topic {topic}")).caused_by(e);
    let target: Topic = config.target.render_names(&names).map_err(wrong)?.into();
    connect_api::config::topic_name(&target).map_err(|why| wrong(Error::fatal(format!("{target:?}: {why}"))))?;
    targets.insert(topic.clone(), target.clone());
    Ok(target)
}

/// The record as it was read, for its dead letter.
fn original(raw: &RawRecord, topic: Topic) -> Record {
    let part = |bytes: &Option<Bytes>| bytes.clone().map_or(connect_api::Value::Null, connect_api::Value::Bytes);
    let mut record = Record::new(topic);
    record.timestamp = raw.timestamp;
    (record.key_schema, record.key) = (Some(Schema::optional_bytes()), part(&raw.key));
    (record.value_schema, record.value) = (Some(Schema::optional_bytes()), part(&raw.value));
    for (key, value) in &raw.headers {
        let schema = Some(Schema::optional_bytes());
        record.headers.push(Header { key: key.clone(), schema, value: part(value) });
    }
    record
}

impl Converters {
    async fn read(&self, raw: &RawRecord, topic: &Topic) -> Result<Record> {
        let mut record = Record::new(topic.clone());
        record.timestamp = raw.timestamp;
        let key = read(&*self.key, &raw.topic, raw.key.as_ref()).await?;
        (record.key_schema, record.key) = (key.schema, key.value);
        let value = read(&*self.value, &raw.topic, raw.value.as_ref()).await?;
        (record.value_schema, record.value) = (value.schema, value.value);
        for (key, bytes) in &raw.headers {
            let SchemaAndValue { schema, value } = read(&*self.header, &raw.topic, bytes.as_ref()).await?;
            record.headers.push(Header { key: key.clone(), schema, value });
        }
        Ok(record)
    }
}

async fn read(converter: &dyn Converter, topic: &Topic, bytes: Option<&Bytes>) -> Result<SchemaAndValue> {
    loop {
        match converter.deserialize(topic, bytes)? {
            Step::Done(value) => return Ok(value),
            Step::Wait(work) => work.await?,
        }
    }
}

#[async_trait]
impl SourceTask for KafkaTask {
    async fn poll(&mut self) -> Result<SourceBatch> {
        loop {
            self.convert().await?;
            if !self.ready.is_empty() {
                return Ok(std::mem::take(&mut self.ready).into());
            }
            tokio::select! {
                () = sleep_until(self.look) => self.look().await?,
                () = sleep_until(self.identify) => self.identify(),
                (asked, ids) = identified(&mut self.identifying) => self.identified(asked, ids)?,
                deleted = looked(&mut self.looking) => self.say_deleted(deleted),
                batch = self.batches.recv() => match batch {
                    Some(batch) => {
                        let batch = batch?;
                        self.sequence.read(&batch);
                        self.raw = batch.into();
                        self.look_at_gaps();
                    }
                    None => return Err(Error::fatal("the reader of the cluster that is read has ended")),
                }
            }
        }
    }
}
