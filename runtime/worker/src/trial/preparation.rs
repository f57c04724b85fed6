//! What sources and sinks need for a test call: Kafka, and their converters and transforms.

use std::sync::Arc;

use connect_api::{
    Error, ErrorClass, Settings, TaskContext,
    config::{Config as _, ConfigType as _},
};
use connect_kafka::{Admin, ClientSettings};
use connect_rest_model::trial::{TestError, TestRecord};
use tokio::time::timeout_at;

use super::{
    Trial,
    course::{Ended, Result, Stage},
    host::TrialHost,
    late,
};
use crate::{
    converters::Converters,
    framework::{CONVERTERS, CommonConfig},
    pipeline::{Chain, Pipeline},
    supervisor::Services,
    tolerance::{Failure, Task, Tolerance},
    worker_config::Worker,
};

/// What records are shown with.
pub(super) struct Prepared {
    pub(super) pipeline: Pipeline,
    pub(super) around: Around,
}

/// What is around the pipeline.
pub(super) struct Around {
    pub(super) host: Arc<TrialHost>,
    pub(super) context: TaskContext,
    pub(super) converters: Arc<Converters>,
    /// Whether schemas that the registry does not have would be registered if this were no test.
    pub(super) registers: bool,
}

impl Trial {
    /// Looks whether Kafka is there.
    pub(super) async fn kafka(&self, client: Result<ClientSettings>) -> Option<Admin> {
        self.course.begin(Stage::Connect, "kafka");
        match self.reached(client).await {
            Ok((admin, text)) => {
                self.course.end(Ended::Passed, Some(text));
                Some(admin)
            }
            Err(e) => {
                self.course.failed(&e);
                None
            }
        }
    }

    async fn reached(&self, client: Result<ClientSettings>) -> Result<(Admin, String)> {
        let client = client?;
        let admin = Admin::new(&client)?;
        // A connector may have brokers of its own.
        let brokers = client.brokers();
        // The embedded broker has no id that is worth a word.
        match admin.cluster_id(self.look()).await? {
            Some(id) => Ok((admin, format!("cluster {id} at {brokers}"))),
            None => {
                let e = Error::retriable(format!(
                    "kafka at {brokers} does not answer: see whether it runs, and the security settings of its clients"
                ));
                Err(match admin.last_failure() {
                    Some(why) => e.caused_by(why),
                    None => e,
                })
            }
        }
    }

    /// Makes converters and transforms. Those that follow a topic as a table read it first.
    pub(super) async fn prepare(&self) -> Result<Prepared> {
        const OF: &str = "converters and transforms";
        self.course.begin(Stage::Connect, OF);
        let made = timeout_at(self.read_end(), self.try_prepare()).await;
        let made = made.unwrap_or_else(|_| Err(late("setting them up", self.timeout)))?;
        self.course.end(Ended::Passed, None);
        Ok(made)
    }

    async fn try_prepare(&self) -> Result<Prepared> {
        let services = &self.services;
        let (worker, settings, registers) = without_registering(services, &self.settings);
        let converters = Arc::new(Converters::new(&services.plugins, &worker, &settings)?);
        let host = Arc::new(TrialHost::new(self, worker, converters.clone()));
        let context =
            TaskContext::new(self.name.clone(), 0, self.settings.clone(), self.stopping.clone(), host.clone());
        let chain = Chain::new(&services.plugins, &self.settings, &context).await?;
        let task = Task { connector: self.name.clone(), task: 0 };
        let tolerance = Tolerance::new(task, &CommonConfig::parse(&self.settings)?, None, Arc::default());
        let pipeline = Pipeline::new(converters.clone(), chain, Arc::new(tolerance), Arc::default());
        Ok(Prepared { pipeline, around: Around { host, context, converters, registers } })
    }

    /// A record that failed.
    pub(super) fn failed(&self, record: TestRecord, failure: &Failure) -> TestRecord {
        let error = TestError {
            stage: failure.stage.name().to_owned(),
            class: failure.class.clone(),
            message: self.concealer.cut(&failure.error.one_line()).0,
        };
        TestRecord { outcome: "failed".into(), error: Some(error), ..record }
    }
}

/// A record of which nothing is known.
pub(super) fn blank() -> TestRecord {
    TestRecord {
        outcome: "shown".into(),
        topic: None,
        partition: None,
        timestamp: None,
        key: None,
        value: None,
        headers: Vec::new(),
        from: None,
        sends: None,
        error: None,
        remark: None,
    }
}

const REGISTERS: &str = "auto.register.schemas";
const LATEST: &str = "use.latest.version";

/// Worker and connector settings with which converters write nothing into a schema registry, and whether they would
/// otherwise.
fn without_registering(services: &Services, connector: &Settings) -> (Worker, Settings, bool) {
    let (mut worker, mut connector) = (services.worker.clone(), connector.clone());
    let mut registers = false;
    for (prefix, _) in CONVERTERS {
        let config = &worker.config;
        let default = match prefix {
            "key.converter" => &config.key_converter.0,
            "value.converter" => &config.value_converter.0,
            _ => &config.header_converter.0,
        };
        let class = connector.get(prefix).unwrap_or(default);
        // Validation has found them all.
        let Ok(plugin) = services.plugins.converters.find(class) else { continue };
        let settings = if connector.contains(prefix) { &mut connector } else { &mut worker.settings };
        let key = format!("{prefix}.{REGISTERS}");
        if plugin.definition.key(REGISTERS).is_some() && settings.get(&key).is_none_or(|v| bool::parse(v) == Ok(true)) {
            registers = true;
            settings.set(key, "false");
            // It counts only for who does not register.
            settings.set(format!("{prefix}.{LATEST}"), "false");
        }
    }
    (worker, connector, registers)
}

/// Whether a record could not be written only because its schema is not registered, which a test does not do.
pub(super) fn is_unregistered(failure: &Failure) -> bool {
    failure.error.class() == ErrorClass::Data && failure.error.one_line().contains(REGISTERS)
}
