//! Converters and transforms of one task, in Kafka Connect's order, with tolerance at every stage.

use std::{sync::Arc, time::Instant};

use connect_api::{
    Error, ErrorClass, Origin, Predicate, Record, RecordMeta, Result, Role, Settings, SinkRecord, TaskContext,
    Transform, config::split_list,
};
use connect_kafka::RawRecord;

use crate::{
    converters::{Converters, Written},
    error_log::{self, SourcePosition},
    metrics::counts::ErrorCounts,
    registry::Plugins,
    status::{TaskStatus, Trouble},
    tolerance::{Failure, Stage, Tolerance},
};

struct Link {
    transform: Box<dyn Transform>,
    class: String,
    condition: Option<(Box<dyn Predicate>, bool)>,
}

/// The transforms of a task, in order, each with its condition.
pub struct Chain {
    links: Vec<Link>,
    /// What was made of the last record besides the answer.
    further: Vec<Record>,
}

impl Chain {
    /// As `transforms` and `predicates` say.
    pub async fn new(plugins: &Plugins, connector: &Settings, context: &TaskContext) -> Result<Self> {
        let mut links = Vec::new();
        for alias in split_list(connector.get("transforms").unwrap_or_default().trim()) {
            let mut settings = connector.prefixed(&format!("transforms.{alias}."));
            let class = settings.get("type").unwrap_or_default().to_owned();
            let failed = |e: Error| e.context(format!("setting up the transform {alias} ({class})"));
            let condition = condition(plugins, connector, &mut settings).map_err(failed)?;
            let plugin = plugins.transforms.find(&class).map_err(failed)?;
            let transform = (plugin.build)(settings, context.clone()).await.map_err(failed)?;
            links.push(Link { transform, class: plugin.info.class().to_owned(), condition });
        }
        Ok(Self { links, further: Vec::new() })
    }

    /// The record after all transforms; `None` when one dropped it.
    pub(crate) fn apply(&mut self, record: Record, meta: &RecordMeta) -> std::result::Result<Option<Record>, Failure> {
        self.further.clear();
        let first = self.pass(0, record, meta)?;
        // What is left when the answer itself was dropped behind the transform that made several takes its place.
        Ok(first.or_else(|| (!self.further.is_empty()).then(|| self.further.remove(0))))
    }

    /// What the last record became besides the answer.
    pub(crate) fn further(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.further)
    }

    /// The classes of all, for errors that are nobody's alone.
    fn names(&self) -> String {
        self.links.iter().map(|link| link.class.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn pass(
        &mut self,
        first: usize,
        mut record: Record,
        meta: &RecordMeta,
    ) -> std::result::Result<Option<Record>, Failure> {
        for at in first..self.links.len() {
            let link = &mut self.links[at];
            let failed = |error: Error| Failure { stage: Stage::Transformation, class: link.class.clone(), error };
            if let Some((predicate, negate)) = &link.condition
                && predicate.test(&record, meta).map_err(failed)? == *negate
            {
                continue;
            }
            let changed = link.transform.apply(record, meta).map_err(failed)?;
            for further in link.transform.further() {
                let passed = self.pass(at + 1, further, meta)?;
                self.further.extend(passed);
            }
            match changed {
                Some(changed) => record = changed,
                None => return Ok(None),
            }
        }
        Ok(Some(record))
    }
}

fn condition(
    plugins: &Plugins,
    connector: &Settings,
    settings: &mut Settings,
) -> Result<Option<(Box<dyn Predicate>, bool)>> {
    // Keys of the framework; the transform never sees them.
    settings.remove("type");
    let negate = settings.remove("negate").is_some_and(|v| v.trim().eq_ignore_ascii_case("true"));
    let Some(alias) = settings.remove("predicate") else {
        return if negate {
            Err(Error::fatal(
                "negate is true but there is no predicate to negate; set predicate to an alias of predicates",
            ))
        } else {
            Ok(None)
        };
    };
    let mut own = connector.prefixed(&format!("predicates.{alias}."));
    let Some(class) = own.remove("type") else {
        return Err(Error::fatal(format!(
            "the predicate {alias} is not defined; set predicates={alias} and predicates.{alias}.type"
        )));
    };
    let plugin = plugins.predicates.find(&class)?;
    Ok(Some(((plugin.build)(&own)?, negate)))
}

/// What became of a record on its way through the pipeline.
#[derive(Debug)]
pub enum Passed<T> {
    /// It goes on.
    On(T),
    /// A transform dropped it.
    Dropped,
    /// It failed and was tolerated.
    Tolerated,
}

/// Converters, transforms and tolerance of a task.
pub struct Pipeline {
    converters: Arc<Converters>,
    pub(crate) chain: Chain,
    /// Decides about failures.
    pub tolerance: Arc<Tolerance>,
    status: Arc<TaskStatus>,
    /// Whether the status says that a record cannot be converted at the moment.
    waiting: bool,
}

impl Pipeline {
    /// Puts the parts together.
    pub fn new(converters: Arc<Converters>, chain: Chain, tolerance: Arc<Tolerance>, status: Arc<TaskStatus>) -> Self {
        Self { converters, chain, tolerance, status, waiting: false }
    }

    /// From Kafka to a sink: key, value, headers, then transforms.
    pub async fn decode(&mut self, raw: &RawRecord) -> Result<Passed<SinkRecord>> {
        let began = Instant::now();
        let mut attempt = 0;
        loop {
            let failure = match self.try_decode(raw).await {
                Ok(Some(record)) => {
                    self.over();
                    return Ok(Passed::On(record));
                }
                Ok(None) => {
                    self.over();
                    return Ok(Passed::Dropped);
                }
                Err(failure) => failure,
            };
            if !self.again(&failure, &mut attempt, began).await {
                self.over();
                self.tolerance.decide(failure, Some(raw)).await?;
                return Ok(Passed::Tolerated);
            }
        }
    }

    /// As [`Pipeline::decode`], once and without a decision about what fails.
    pub(crate) async fn try_decode(&mut self, raw: &RawRecord) -> std::result::Result<Option<SinkRecord>, Failure> {
        let c = &self.converters;
        let at = |role: Role| move |error: Error| c.failure(role, error);
        let key = c.read(Role::Key, &raw.topic, raw.key.as_ref()).await.map_err(at(Role::Key))?;
        let value = c.read(Role::Value, &raw.topic, raw.value.as_ref()).await.map_err(at(Role::Value))?;
        let headers = c.read_headers(raw).await.map_err(at(Role::Header))?;
        let record = Record {
            topic: raw.topic.clone(),
            partition: Some(raw.partition),
            timestamp: raw.timestamp,
            key_schema: key.schema,
            key: key.value,
            value_schema: value.schema,
            value: value.value,
            headers,
        };
        let origin = Origin {
            topic: raw.topic.clone(),
            partition: raw.partition,
            offset: raw.offset,
            timestamp_type: raw.timestamp_type,
        };
        let meta = RecordMeta { kafka_offset: Some(raw.offset) };
        let record = self.chain.apply(record, &meta)?;
        if !self.chain.further().is_empty() {
            let text = "the transforms make several records of one, which only sources can write";
            return Err(Failure { stage: Stage::Transformation, class: self.chain.names(), error: Error::data(text) });
        }
        Ok(record.map(|record| SinkRecord { record, origin }))
    }

    /// From a source to Kafka: transforms, then headers, key and value. The position is for what is logged. A record
    /// may become several; all of them or none are answered.
    pub async fn encode(&mut self, record: Record, source: Option<SourcePosition>) -> Result<Passed<Written>> {
        // What the queue of dead letters gets; without transforms it is the record itself.
        let original = if self.chain.links.is_empty() { None } else { Some(record.clone()) };
        let changed = match self.chain.apply(record, &RecordMeta::default()) {
            Ok(Some(changed)) => changed,
            Ok(None) => return Ok(Passed::Dropped),
            Err(failure) => {
                // Without transforms none fails, so there is the original.
                self.failed(failure, original.as_ref(), source.as_ref()).await?;
                return Ok(Passed::Tolerated);
            }
        };
        let further = self.chain.further();
        let began = Instant::now();
        let mut attempt = 0;
        loop {
            let failure = match self.converters.encode_all(&changed, &further).await {
                Ok(encoded) => {
                    self.over();
                    return Ok(Passed::On(encoded));
                }
                Err(failure) => failure,
            };
            if !self.again(&failure, &mut attempt, began).await {
                self.over();
                self.failed(failure, Some(original.as_ref().unwrap_or(&changed)), source.as_ref()).await?;
                return Ok(Passed::Tolerated);
            }
        }
    }

    /// Decides about a record of a source, as it was before transforms.
    async fn failed(
        &mut self,
        failure: Failure,
        record: Option<&Record>,
        source: Option<&SourcePosition>,
    ) -> Result<()> {
        let Some(record) = record else { return self.tolerance.decide(failure, None).await };
        let raw = self.converters.raw(record).await;
        let shown = self.tolerance.tells_records().then(|| error_log::produced(record, source));
        self.tolerance.decide_about(failure, Some(&raw), shown).await
    }

    /// Waits before an operation is tried again; `false` when it must not be.
    async fn again(&mut self, failure: &Failure, attempt: &mut u32, began: Instant) -> bool {
        if failure.error.class() != ErrorClass::Retriable {
            return false;
        }
        *attempt += 1;
        let Some(delay) = self.tolerance.back_off(*attempt, began, failure.error.delay()) else { return false };
        let errors = &self.status.counts().errors;
        ErrorCounts::one(&errors.failures);
        ErrorCounts::one(&errors.retries);
        self.waiting = true;
        if self.status.retrying_in(Trouble::Convert, &failure.error, delay) {
            tracing::warn!("{} failed and is tried again: {}", failure.stage.doing(), failure.error.one_line());
        }
        tokio::time::sleep(delay).await;
        true
    }

    fn over(&mut self) {
        if std::mem::take(&mut self.waiting) {
            self.status.recovered(Trouble::Convert);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes three of one, or appends a letter to the topic; drops what comes from a topic.
    enum Test {
        Thrice(Vec<Record>),
        Append,
        Drop(&'static str),
    }

    impl Transform for Test {
        fn apply(&mut self, mut record: Record, _: &RecordMeta) -> Result<Option<Record>> {
            match self {
                Self::Thrice(further) => {
                    *further = ["a", "b"].map(|topic| Record { topic: topic.into(), ..record.clone() }).into();
                }
                Self::Append => record.topic = format!("{}x", record.topic).as_str().into(),
                Self::Drop(topic) if &*record.topic == *topic => return Ok(None),
                Self::Drop(_) => {}
            }
            Ok(Some(record))
        }

        fn further(&mut self) -> Vec<Record> {
            if let Self::Thrice(further) = self { std::mem::take(further) } else { Vec::new() }
        }
    }

    #[test]
    fn what_a_transform_makes_besides_passes_those_that_follow() {
        let topics = |links: Vec<Test>| {
            let link = |transform| Link { transform: Box::new(transform), class: "Test".into(), condition: None };
            let mut chain = Chain { links: links.into_iter().map(link).collect(), further: Vec::new() };
            let first = chain.apply(Record::new("t"), &RecordMeta::default()).expect("no transform fails");
            first.iter().chain(&chain.further()).map(|r| r.topic.to_string()).collect::<Vec<_>>()
        };
        let thrice = || Test::Thrice(Vec::new());
        assert_eq!(topics(vec![Test::Append, thrice(), Test::Append]), ["txx", "ax", "bx"]);
        assert_eq!(topics(vec![thrice(), Test::Drop("a")]), ["t", "b"]);
        assert_eq!(topics(vec![thrice(), Test::Drop("t"), Test::Append]), ["ax", "bx"], "the others are not lost");
        assert_eq!(topics(vec![thrice(), thrice()]).len(), 9);
    }
}
