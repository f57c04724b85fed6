//! Test calls: a connector, running or not yet created, is tried out without any consequences.
//!
//! validate → connect → read → render: a source's records are shown as they would be written to Kafka, a sink's newest
//! records as it would send them. Nothing is written, acknowledged, committed or created, here or elsewhere; the
//! connector that may be running is not touched and not asked.
//!
//! - [`course`]: what has been done so far, which is also what a call that ran out of time answers
//! - `source`, `sink`: the stages behind the validation; `preparation`: what both need
//! - `host`: the worker's side of a task that is tried; `content`: keys and values as they are shown

mod content;
pub mod course;
mod host;
mod preparation;
mod sink;
mod source;

use std::{sync::Arc, time::Duration};

use connect_api::{Error, Settings};
use connect_rest_model::{ConfigInfos, ConfigMap, ConnectorType, trial::TestReport};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    controller::{Answer, Controller, Refusal, not_found, texts},
    plugin_threads::caught,
    providers::secrets::Secrets,
    registry::{ConnectorPlugin, Direction},
    supervisor::Services,
};
use content::Concealer;
use course::{Course, Result, Stage};

/// How much a test call may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most records.
    pub records: usize,
    /// Longest time.
    pub timeout: Duration,
}

impl Limits {
    /// Unless something else is asked for.
    pub const DEFAULT: Self = Self { records: 5, timeout: Duration::from_secs(10) };
    /// Most that can be asked for; a request has an answer within 90 s.
    pub const MOST: Self = Self { records: 100, timeout: Duration::from_secs(60) };
}

/// So many test calls are under way at a time. One whose plugin hangs counts for as long as it does.
const AT_A_TIME: usize = 4;

/// Places for test calls.
pub(crate) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_A_TIME)))
    }
}

/// A configuration that has passed validation, and what it is tried with.
struct Trial {
    services: Services,
    name: Arc<str>,
    plugin: Arc<ConnectorPlugin>,
    /// References resolved.
    settings: Settings,
    concealer: Concealer,
    course: Course,
    records: usize,
    began: Instant,
    timeout: Duration,
    /// Cancelled when the task that is tried is to stop, at the latest when the call is over.
    stopping: CancellationToken,
}

impl Controller {
    /// Tries out a connector that exists, with the settings that are stored.
    pub async fn test_connector(&self, name: &str, limits: Limits, gone: CancellationToken) -> Answer<TestReport> {
        let config: ConfigMap = {
            let log = self.services().configs.log();
            let config = log.connector(name).ok_or_else(|| not_found(name))?;
            config.iter().map(|(k, v)| (k.to_owned(), Some(v.to_owned()))).collect()
        };
        self.test_config(&config, limits, gone).await
    }

    /// Tries out a configuration, which need not be any connector's. `gone` is cancelled when nobody waits for the
    /// answer any more.
    pub async fn test_config(&self, config: &ConfigMap, limits: Limits, gone: CancellationToken) -> Answer<TestReport> {
        let began = Instant::now();
        let infos = self.validate(config).await?;
        let services = self.services().clone();
        let resolved = services.worker.providers.resolve(&texts(config))?;
        let settings = resolved.settings;
        let plugin = services.plugins.connectors.find(settings.get("connector.class").unwrap_or_default())?;
        let name = settings.get("name").unwrap_or_default().to_owned();
        let course = Course::default();
        let concealer = Concealer::new(services.worker.providers.secrets().clone(), own_secrets(&infos, &settings));
        if validated(&course, &infos, began) {
            let Ok(place) = self.trials().0.clone().try_acquire_owned() else {
                return Err(Refusal::Conflict(format!(
                    "{AT_A_TIME} test calls are under way already; try again when one of them has ended"
                )));
            };
            let over = CancellationToken::new();
            let trial = Trial {
                services,
                name: name.as_str().into(),
                plugin: plugin.clone(),
                settings,
                concealer: concealer.clone(),
                course: course.clone(),
                records: limits.records,
                began,
                timeout: limits.timeout,
                stopping: over.child_token(),
            };
            let _over = over.clone().drop_guard();
            tokio::select! {
                () = apart(trial, place, over) => {}
                () = tokio::time::sleep_until(began + limits.timeout) => course.overdue(limits.timeout),
                () = gone.cancelled() => {}
            }
        } else {
            course.skip(Stage::Connect, plugin.info.name, "the configuration is wrong");
        }
        let kind = match plugin.direction() {
            Direction::Source => ConnectorType::Source,
            Direction::Sink => ConnectorType::Sink,
        };
        Ok(concealer.report(course.report(name, plugin.info.class().to_owned(), kind)))
    }
}

/// Runs it on a thread of its own: a plugin that blocks its thread holds up nothing else.
async fn apart(trial: Trial, place: OwnedSemaphorePermit, over: CancellationToken) {
    let (course, threads) = (trial.course.clone(), trial.services.threads.clone());
    let span = tracing::info_span!("test", connector = %trial.name);
    let name = format!("test {}", trial.name);
    let work = async move {
        let _place = place;
        over.run_until_cancelled(caught(trial.run())).await
    };
    match threads.start(&name, work.instrument(span)) {
        Ok(done) => {
            // Nothing comes from one that was given up.
            if let Ok(Some(Err(e))) = done.await {
                course.failed(&e);
            }
        }
        Err(e) => course.failed(&e),
    }
}

impl Trial {
    async fn run(self) -> Done {
        match self.plugin.direction() {
            Direction::Source => self.source().await,
            Direction::Sink => self.sink().await,
        }
    }

    fn end(&self) -> Instant {
        self.began + self.timeout
    }

    /// When reading has to end, so that what was read can be shown in time.
    fn read_end(&self) -> Instant {
        self.end() - (self.timeout / 4).min(Duration::from_secs(2))
    }

    /// How long one look at something may take: not all of the time, so that the others have theirs.
    fn look(&self) -> Duration {
        (self.timeout / 3).min(Duration::from_secs(5))
    }
}

/// Notes the outcome of a validation; tells whether nothing is wrong.
fn validated(course: &Course, infos: &ConfigInfos, began: Instant) -> bool {
    let values = infos.configs.iter().map(|c| &c.value);
    let problems: Vec<(String, String)> =
        values.flat_map(|v| v.errors.iter().map(|e| (v.name.clone(), e.clone()))).collect();
    course.validated(&infos.name, problems, began);
    infos.error_count == 0
}

/// Values of the settings that are passwords.
fn own_secrets(infos: &ConfigInfos, settings: &Settings) -> Secrets {
    let secrets = Secrets::default();
    for value in infos.configs.iter().map(|c| &c.value) {
        if value.value.as_deref() == Some("[hidden]")
            && let Some(secret) = settings.get(&value.name)
        {
            secrets.add(secret, "[hidden]");
        }
    }
    secrets
}

/// For results that are as good as an answer.
fn late(doing: &str, limit: Duration) -> Error {
    Error::retriable(format!("{doing} was not done within {} s", limit.as_secs_f32()))
}

type Done = Result<()>;
