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
    /// What is on its way, each with the link that is next; the last comes first.
    on_way: Vec<(usize, Record)>,
    /// What was made of the last record besides the answer.
    further: Vec<Record>,
    /// Whether a link was not ready for the last record.
    unprepared: bool,
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
        Ok(Self::of(links))
    }

    fn of(links: Vec<Link>) -> Self {
        Self { links, on_way: Vec::new(), further: Vec::new(), unprepared: false }
    }

    /// The record after all transforms; `None` when one dropped it.
    pub(crate) async fn apply(
        &mut self,
        record: Record,
        meta: &RecordMeta,
    ) -> std::result::Result<Option<Record>, Failure> {
        self.further.clear();
        self.on_way.clear();
        self.on_way.push((0, record));
        self.go_on(meta).await
    }

    /// Goes on with the last record where a link was not ready for it; links in front of it do not see it again.
    async fn go_on(&mut self, meta: &RecordMeta) -> std::result::Result<Option<Record>, Failure> {
        self.unprepared = false;
        while let Some((at, record)) = self.on_way.pop() {
            let passed = self.pass(at, record, meta).await?;
            self.further.extend(passed);
        }
        // The answer comes first; what is left when it was dropped takes its place.
        Ok((!self.further.is_empty()).then(|| self.further.remove(0)))
    }

    /// Whether the last failure was one of getting ready, which [`Chain::go_on`] may try again.
    fn is_unprepared(&self) -> bool {
        self.unprepared
    }

    /// What the last record became besides the answer.
    pub(crate) fn further(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.further)
    }

    /// The classes of all, for errors that are nobody's alone.
    fn names(&self) -> String {
        self.links.iter().map(|link| link.class.as_str()).collect::<Vec<_>>().join(", ")
    }

    async fn pass(
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
            while let Some(work) = link.transform.prepare(&record) {
                if let Err(error) = work.await {
                    self.unprepared = error.class() == ErrorClass::Retriable;
                    self.on_way.push((at, record));
                    return Err(Failure { stage: Stage::Transformation, class: link.class.clone(), error });
                }
            }
            let changed = link.transform.apply(record, meta).map_err(failed)?;
            self.on_way.extend(link.transform.further().into_iter().rev().map(|further| (at + 1, further)));
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
        let mut tried = self.try_decode(raw).await;
        loop {
            let failure = match tried {
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
            let again = self.again(&failure, &mut attempt, began).await;
            tried = match (again, self.chain.is_unprepared()) {
                (true, true) => {
                    let changed = self.chain.go_on(&meta(raw)).await;
                    self.consumed(raw, changed)
                }
                (true, false) => self.try_decode(raw).await,
                (false, true) => return Err(self.unprepared(failure)),
                (false, false) => {
                    self.over();
                    self.tolerance.decide(failure, Some(raw)).await?;
                    return Ok(Passed::Tolerated);
                }
            };
        }
    }

    /// As [`Pipeline::decode`], once and without a decision about what fails.
    pub(crate) async fn try_decode(&mut self, raw: &RawRecord) -> std::result::Result<Option<SinkRecord>, Failure> {
        self.chain.unprepared = false;
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
        let changed = self.chain.apply(record, &meta(raw)).await;
        self.consumed(raw, changed)
    }

    /// What the transforms made of a record that was consumed there.
    fn consumed(
        &mut self,
        raw: &RawRecord,
        changed: std::result::Result<Option<Record>, Failure>,
    ) -> std::result::Result<Option<SinkRecord>, Failure> {
        let record = changed?;
        if !self.chain.further().is_empty() {
            let text = "the transforms make several records of one, which only sources can write";
            return Err(Failure { stage: Stage::Transformation, class: self.chain.names(), error: Error::data(text) });
        }
        let origin = Origin {
            topic: raw.topic.clone(),
            partition: raw.partition,
            offset: raw.offset,
            timestamp_type: raw.timestamp_type,
        };
        Ok(record.map(|record| SinkRecord { record, origin }))
    }

    /// From a source to Kafka: transforms, then headers, key and value. The position is for what is logged. A record
    /// may become several; all of them or none are answered.
    pub async fn encode(&mut self, record: Record, source: Option<SourcePosition>) -> Result<Passed<Written>> {
        // What the queue of dead letters gets; without transforms it is the record itself.
        let original = if self.chain.links.is_empty() { None } else { Some(record.clone()) };
        let began = Instant::now();
        let mut attempt = 0;
        let mut applied = self.chain.apply(record, &RecordMeta::default()).await;
        let changed = loop {
            let failure = match applied {
                Ok(Some(changed)) => break changed,
                Ok(None) => {
                    self.over();
                    return Ok(Passed::Dropped);
                }
                Err(failure) => failure,
            };
            if !self.chain.is_unprepared() {
                self.over();
                // Without transforms none fails, so there is the original.
                self.failed(failure, original.as_ref(), source.as_ref()).await?;
                return Ok(Passed::Tolerated);
            }
            if !self.again(&failure, &mut attempt, began).await {
                return Err(self.unprepared(failure));
            }
            applied = self.chain.go_on(&RecordMeta::default()).await;
        };
        self.over();
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

    /// The error of a task whose transform does not get ready: the record has nothing wrong, so it is no dead letter.
    fn unprepared(&mut self, failure: Failure) -> Error {
        self.over();
        self.tolerance.give_up(failure)
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

fn meta(raw: &RawRecord) -> RecordMeta {
    RecordMeta { kafka_offset: Some(raw.offset) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;

    use super::*;
    use crate::framework::CommonConfig;

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

    fn link(transform: impl Transform + 'static) -> Link {
        Link { transform: Box::new(transform), class: "Test".into(), condition: None }
    }

    #[test]
    fn what_a_transform_makes_besides_passes_those_that_follow() {
        let topics = |links: Vec<Test>| {
            let mut chain = Chain::of(links.into_iter().map(link).collect());
            let applied = chain.apply(Record::new("t"), &RecordMeta::default()).now_or_never().expect("nothing waits");
            let first = applied.expect("no transform fails");
            first.iter().chain(&chain.further()).map(|r| r.topic.to_string()).collect::<Vec<_>>()
        };
        let thrice = || Test::Thrice(Vec::new());
        assert_eq!(topics(vec![Test::Append, thrice(), Test::Append]), ["txx", "ax", "bx"]);
        assert_eq!(topics(vec![thrice(), Test::Drop("a")]), ["t", "b"]);
        assert_eq!(topics(vec![thrice(), Test::Drop("t"), Test::Append]), ["ax", "bx"], "the others are not lost");
        assert_eq!(topics(vec![thrice(), thrice()]).len(), 9);
    }

    /// Needs something for every topic, which cannot be had for so many times.
    struct Needy {
        failures: Arc<AtomicUsize>,
        had: Arc<AtomicUsize>,
    }

    impl Transform for Needy {
        fn prepare(&mut self, _: &Record) -> Option<connect_api::Prepare> {
            let (failures, had) = (self.failures.clone(), self.had.clone());
            (had.load(Ordering::Relaxed) == 0).then(|| -> connect_api::Prepare {
                Box::pin(async move {
                    match failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
                        Ok(_) => Err(Error::retriable("away")),
                        Err(_) => {
                            had.store(1, Ordering::Relaxed);
                            Ok(())
                        }
                    }
                })
            })
        }

        fn apply(&mut self, record: Record, _: &RecordMeta) -> Result<Option<Record>> {
            assert_eq!(self.had.swap(0, Ordering::Relaxed), 1, "it is asked before every record");
            Ok(Some(record))
        }
    }

    #[tokio::test]
    async fn what_a_transform_has_to_wait_for_is_tried_again_without_those_in_front_of_it() {
        let failures = Arc::new(AtomicUsize::new(2));
        let needy = Needy { failures: failures.clone(), had: Arc::default() };
        let mut chain = Chain::of(vec![link(Test::Append), link(Test::Thrice(Vec::new())), link(needy)]);
        let meta = RecordMeta::default();
        for applied in [chain.apply(Record::new("t"), &meta).await, chain.go_on(&meta).await] {
            let failure = applied.expect_err("away");
            assert_eq!((failure.error.class(), failure.stage), (ErrorClass::Retriable, Stage::Transformation));
            assert!(chain.is_unprepared());
        }
        let first = chain.go_on(&meta).await.expect("there");
        let topics: Vec<_> = first.iter().chain(&chain.further()).map(|r| r.topic.to_string()).collect();
        assert_eq!((topics, chain.is_unprepared()), (vec!["tx".into(), "a".into(), "b".into()], false));
    }

    /// A pipeline over converters of bytes, as the connector's settings say.
    fn pipeline(links: Vec<Link>, settings: &[(&str, &str)]) -> Pipeline {
        let settings: Settings = settings.iter().copied().chain([("name", "c"), ("connector.class", "x")]).collect();
        let config = <CommonConfig as connect_api::config::Config>::parse(&settings).expect("settings");
        let status = Arc::<TaskStatus>::default();
        let task = crate::tolerance::Task { connector: "c".into(), task: 0 };
        let tolerance = Arc::new(Tolerance::new(task, &config, None, status.clone()));
        Pipeline::new(Arc::new(Converters::for_tests()), Chain::of(links), tolerance, status)
    }

    #[tokio::test]
    async fn a_transform_that_does_not_get_ready_fails_the_task_in_time_and_skips_nothing() {
        let needy = |failures: usize| Needy { failures: Arc::new(AtomicUsize::new(failures)), had: Arc::default() };
        let record = || connect_api::SourceRecord::new("t").value(None, "v").record;
        let tolerant = ("errors.tolerance", "all");
        let e = pipeline(vec![link(needy(1))], &[tolerant]).encode(record(), None).await.expect_err("no time");
        assert_eq!(e.class(), ErrorClass::Fatal);
        assert!(e.one_line().contains("errors.retry.timeout") && e.one_line().ends_with("away"), "{}", e.one_line());

        let patient = [tolerant, ("errors.retry.timeout", "-1")];
        let passed = pipeline(vec![link(needy(1))], &patient).encode(record(), None).await.expect("in the end");
        assert!(matches!(passed, Passed::On(_)), "{passed:?}");
    }
}
