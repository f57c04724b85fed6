//! Writing to the alarm topics, in the schema that the subject of the topic has.

use std::sync::Arc;

use connect_api::{Bytes, Converter, Error, Role, Schema, Step, Topic, Value, json::from_json};
use connect_converters::{AvroConverter, connect_schema_from_avro};
use connect_kafka::{Admin, Role as Client, TopicSpec};
use connector_alarm::{Audit, Content, Generation, Kind, generations::schema_text};
use serde_json::Value as Json;

use super::{
    super::records::send::{Record, Sender},
    entry::Form,
    replay::Replay,
    state::{Alarms, Origin},
    topics::Writes,
};
use crate::{error::Failure, places::registry::Registry, reading::Reading};

/// What is to be written: made for the schema that it will have.
pub(super) type Make<'m> = &'m (dyn Fn(&Schema) -> Content + Sync);

/// What was to be said and has no place in the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Its names.
    pub(super) names: Vec<String>,
    /// Where there is no place for it.
    place: String,
    /// What to do instead.
    way_out: &'static str,
}

impl LeftOut {
    /// What messages of JLab's last generation have no place for.
    pub(super) fn of_messages(content: &Content, has_priority: bool) -> Option<Self> {
        let placed = |name: &String| match name.as_str() {
            "severity" | "status" | "acknowledged" => true,
            "priority" => !has_priority,
            _ => false,
        };
        let Json::Object(members) = content.to_json() else { return None };
        let names: Vec<String> = members.into_iter().map(|(name, _)| name).filter(|name| !placed(name)).collect();
        let place = "messages of JLab's last generation have".to_owned();
        (!names.is_empty()).then_some(Self { names, place, way_out: "another topic has: --active-topic NAME" })
    }

    /// Only what has one of these names.
    pub(super) fn among(mut self, wanted: impl Fn(&str) -> bool) -> Option<Self> {
        self.names.retain(|name| wanted(name));
        (!self.names.is_empty()).then_some(self)
    }
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { names, place, way_out } = self;
        write!(f, "left out, because {place} no place for it: {}; {way_out}", names.join(", "))
    }
}

/// A value as bytes, and what there is to say of it.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    pub(super) bytes: Bytes,
    /// The value, as a reader will see it.
    pub(super) value: Value,
    /// What was to be said and has no place in the schema.
    pub(super) left_out: Option<LeftOut>,
}

/// Writes records; connects when something is to be written.
pub(super) struct Writing<'a, 'r> {
    replay: &'r Replay<'a>,
    registry: Option<(Registry, Vec<String>)>,
    sender: Option<Sender>,
    audit: Audit,
    profile: Generation,
    /// What waits to be sent with others, where that is wanted.
    waiting: Option<Vec<Waiting>>,
    pub(super) dry_run: bool,
}

type Waiting = (Kind, Bytes, Option<Bytes>);

impl<'a, 'r> Writing<'a, 'r> {
    pub(super) fn new(replay: &'r Replay<'a>, writes: &Writes) -> Self {
        Self {
            replay,
            registry: None,
            sender: None,
            audit: writes.audit(),
            profile: writes.profile.generation(),
            waiting: None,
            dry_run: writes.dry_run.dry_run,
        }
    }

    /// Who writes.
    pub(super) fn user(&self) -> &str {
        &self.audit.user
    }

    fn topic(&self, kind: Kind) -> Topic {
        self.replay.book(kind).map_or_else(|| "".into(), |book| book.topic.clone())
    }

    /// The registry, and the subjects that it has.
    async fn registry(&mut self) -> Result<&(Registry, Vec<String>), Failure> {
        if self.registry.is_none() {
            let registry = self.replay.context.registry().await?;
            let subjects = registry.client.subjects().await.map_err(|e| registry.failure(e))?;
            self.registry = Some((registry, subjects));
        }
        self.registry.as_ref().ok_or_else(|| Failure::Failed("no schema registry".into()))
    }

    /// The latest schema of a subject; none where it has none.
    async fn latest(&mut self, subject: &str) -> Result<Option<String>, Failure> {
        let (registry, subjects) = self.registry().await?;
        if !subjects.iter().any(|known| known == subject) {
            return Ok(None);
        }
        let latest = registry.client.latest(subject).await.map_err(|e| registry.failure(e))?;
        Ok(Some(latest.schema))
    }

    /// Whether active alarms are messages, as JLab's last generation has them.
    pub(super) async fn has_messages(&mut self, alarms: &Alarms) -> Result<bool, Failure> {
        if alarms.is_json(Kind::Active) {
            return Ok(false);
        }
        let latest = self.latest(&format!("{}-value", self.topic(Kind::Active))).await?;
        Ok(latest.is_some_and(|text| schema(&text).is_ok_and(|schema| schema.field("msg").is_some())))
    }

    /// Schemas that may be written to the topic, the best first.
    async fn schemas(&mut self, kind: Kind, own: Option<&Origin>) -> Result<Vec<String>, Failure> {
        let mut all: Vec<String> = Vec::new();
        let mut add = |text: String| {
            if !all.contains(&text) {
                all.push(text);
            }
        };
        if kind == Kind::Active
            && let Some(Form::Avro(id)) = own.map(|origin| origin.form)
        {
            let (registry, _) = self.registry().await?;
            add(registry.client.schema(id).await.map_err(|e| registry.failure(e))?.to_string());
        }
        let latest = self.latest(&format!("{}-value", self.topic(kind))).await?;
        let is_empty = latest.is_none();
        // The generations of active alarms share their subject; those of the others exclude each other.
        let shared = kind == Kind::Active
            && latest.as_ref().is_none_or(|text| schema(text).is_ok_and(|schema| schema.field("priority").is_some()));
        latest.into_iter().for_each(&mut add);
        if is_empty || shared {
            let generations: &[Generation] = match (kind, self.profile) {
                (Kind::Active, Generation::First) => &[Generation::First, Generation::Second],
                (Kind::Registered, Generation::First) if &*self.topic(kind) == "registered-alarms" => {
                    &[Generation::Second]
                }
                (_, profile) => &[profile],
            };
            generations
                .iter()
                .filter_map(|generation| schema_text(kind, *generation))
                .map(str::to_owned)
                .for_each(&mut add);
        }
        if all.is_empty() {
            return Err(Failure::Failed(format!(
                "subject {}-value has no schema, and that of this generation is not known; register it first",
                self.topic(kind)
            )));
        }
        Ok(all)
    }

    /// The value as it is written: in the first schema that has room for all of it, else in the first that it fits at all.
    pub(super) async fn encode(
        &mut self,
        kind: Kind,
        alarms: &Alarms,
        own: Option<&Origin>,
        make: Make<'_>,
    ) -> Result<Encoded, Failure> {
        let json = own.map_or(alarms.is_json(kind), |origin| origin.form == Form::Json);
        if json {
            let ours = schema_text(kind, Generation::Generic).unwrap_or_default();
            let tree = make(&schema(ours)?).to_json();
            return Ok(Encoded { bytes: tree.to_string().into(), value: from_json(&tree), left_out: None });
        }
        let topic = self.topic(kind);
        let (mut second_best, mut problem) = (None, None);
        for text in self.schemas(kind, own).await? {
            let schema = schema(&text)?;
            let content = make(&schema);
            let left_out: Vec<String> = content.left_out(&schema).into_iter().map(str::to_owned).collect();
            match content.fit(&schema) {
                Ok(value) if left_out.is_empty() => {
                    let bytes = self.serialize(&topic, Role::Value, &schema, &value).await?;
                    return Ok(Encoded { bytes, value, left_out: None });
                }
                Ok(value) => drop(second_best.get_or_insert((schema, value, left_out))),
                Err(why) => drop(problem.get_or_insert((why, schema.name().unwrap_or_default().to_owned()))),
            }
        }
        if let Some((schema, value, left_out)) = second_best {
            let bytes = self.serialize(&topic, Role::Value, &schema, &value).await?;
            let name = schema.name().unwrap_or("the schema");
            let place = format!("{name} of subject {topic}-value has");
            let left_out = LeftOut { names: left_out, place, way_out: self.way_out(kind, &schema) };
            return Ok(Encoded { bytes, value, left_out: Some(left_out) });
        }
        let (why, name) = problem.unwrap_or_default();
        Err(Failure::Failed(format!("it does not fit {name} of subject {topic}-value: {why}")))
    }

    /// What to do where the schema has no place for something.
    fn way_out(&self, kind: Kind, schema: &Schema) -> &'static str {
        match kind {
            Kind::Active if self.profile != Generation::Generic => {
                "without --profile it is written in Tocsin's schema, which readers of JLab's understand, too"
            }
            Kind::Active => "another topic has: --active-topic NAME",
            Kind::Registered => "another topic has: --registered-topic NAME",
            Kind::Shelved if schema.field("duration").is_some() => {
                "it takes an end or a reason: say --forever to keep the reason, or --shelved-topic NAME for a topic that takes both"
            }
            Kind::Shelved => "another topic has: --shelved-topic NAME",
        }
    }

    /// The key of a record: a name, or what JLab's last generation makes of it.
    pub(super) async fn key(&mut self, name: &str, part: Option<&str>) -> Result<Bytes, Failure> {
        let Some(part) = part else { return Ok(Bytes::copy_from_slice(name.as_bytes())) };
        let topic = self.topic(Kind::Active);
        let subject = format!("{topic}-key");
        let Some(text) = self.latest(&subject).await? else {
            return Err(Failure::Failed(format!("subject {subject} has no schema; JLab's scripts register it")));
        };
        let schema = schema(&text)?;
        let content = Content::key(name, part);
        let key = content
            .fit(&schema)
            .map_err(|why| Failure::Failed(format!("the key does not fit subject {subject}: {why}")))?;
        self.serialize(&topic, Role::Key, &schema, &key).await
    }

    async fn serialize(&mut self, topic: &Topic, role: Role, schema: &Schema, value: &Value) -> Result<Bytes, Failure> {
        if self.dry_run {
            // Nothing is registered for it.
            return Ok(Bytes::new());
        }
        let (registry, _) = self.registry().await?;
        let avro = AvroConverter::writer(registry.client.clone(), role);
        loop {
            match avro.serialize(topic, Some(schema), value).map_err(|e| registry.failure(e))? {
                Step::Done(bytes) => return Ok(bytes.unwrap_or_default()),
                Step::Wait(prepare) => prepare.await.map_err(|e| registry.failure(e))?,
            }
        }
    }

    /// Sends a record and waits until Kafka has it; its partition and offset, none of a dry run.
    /// From now on records are sent together, by [`Writing::flush`].
    pub(super) fn gather(&mut self) {
        self.waiting.get_or_insert_default();
    }

    /// How many records wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.as_ref().map_or(0, Vec::len)
    }

    /// Sends what waits and says of each record, in their order, what became of it.
    pub(super) async fn flush(&mut self) -> Result<Vec<Result<(), Failure>>, Failure> {
        let records = self.waiting.as_mut().map(std::mem::take).unwrap_or_default();
        let mut told: Vec<Result<(), Failure>> = records.iter().map(|_| Ok(())).collect();
        for kind in Kind::ALL {
            let of_kind = records.iter().enumerate().filter(|(_, record)| record.0 == kind);
            let (places, batch): (Vec<usize>, Vec<_>) =
                of_kind.map(|(place, (_, key, value))| (place, (key.clone(), value.clone()))).unzip();
            if batch.is_empty() {
                continue;
            }
            for (place, sent) in places.into_iter().zip(self.send_all(kind, batch).await?) {
                told[place] = sent.map(drop);
            }
        }
        Ok(told)
    }

    /// Sends a record and waits until Kafka has it; its place, none of a dry run or where records are gathered.
    pub(super) async fn send(
        &mut self,
        kind: Kind,
        key: Bytes,
        value: Option<Bytes>,
    ) -> Result<Option<(i32, i64)>, Failure> {
        if self.dry_run {
            return Ok(None);
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.push((kind, key, value));
            return Ok(None);
        }
        let mut sent = self.send_all(kind, vec![(key, value)]).await?;
        sent.pop().ok_or_else(|| Failure::Failed("kafka has not said what became of the record".into()))?.map(Some)
    }

    /// Sends records and says of each what became of it.
    async fn send_all(
        &mut self,
        kind: Kind,
        records: Vec<(Bytes, Option<Bytes>)>,
    ) -> Result<Vec<Result<(i32, i64), Failure>>, Failure> {
        let topic = self.topic(kind);
        if self.sender.is_none() {
            self.sender = Some(Sender::new(&self.replay.reading.kafka, self.replay.reading.limit)?);
        }
        if self.replay.book(kind).is_some_and(|book| book.spans.is_empty()) {
            create(&self.replay.reading, &topic).await?;
        }
        let Some(sender) = &self.sender else { return Ok(Vec::new()) };
        let header = |name: &str, text: &Arc<str>| (Arc::from(name), Some(Bytes::copy_from_slice(text.as_bytes())));
        let headers = vec![
            header("user", &self.audit.user),
            header("producer", &self.audit.producer),
            header("host", &self.audit.host),
        ];
        let record = |(key, value)| Record {
            topic: topic.to_string(),
            partition: None,
            timestamp: None,
            key: Some(key),
            value,
            headers: headers.clone(),
        };
        let records: Vec<Record> = records.into_iter().map(record).collect();
        let told = sender.send(&records, None).await.into_iter();
        let failed = |e: Error| sender.unreachable(Failure::from(e.context(format!("writing to topic {topic}"))));
        Ok(told.map(|one| one.map_err(failed)).collect())
    }
}

/// Creates a topic of alarms as its readers need it: compacted, with one partition.
async fn create(reading: &Reading, topic: &Topic) -> Result<(), Failure> {
    // The embedded broker has no such requests; it creates what it is sent records for.
    if reading.is_embedded().await? {
        return Ok(());
    }
    let admin = Admin::new(&reading.kafka.client(Client::Admin)?)?;
    let spec = TopicSpec {
        name: topic.to_string(),
        partitions: 1,
        replication_factor: -1,
        settings: vec![("cleanup.policy".into(), "compact".into())],
    };
    reading.answer(admin.create_topic(&spec).await).map(drop)
}

fn schema(text: &str) -> Result<Schema, Failure> {
    connect_schema_from_avro(text).map_err(Failure::from)
}
