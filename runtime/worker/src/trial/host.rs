//! The worker's side of a task that is tried: it reads what a running task would read and keeps nothing.

use std::sync::{Arc, Mutex, PoisonError};

use connect_api::{
    Converter, Error, Feed, OffsetMap, Result, Settings, SinkRecord, SinkRequest, SourceRecord, State, Table, TaskHost,
    async_trait,
};
use connect_kafka::{ClientSettings, Role};

use super::{Trial, course::Course};
use crate::{
    by_content::ByContent,
    converters::{self, Converters},
    registry::Plugins,
    state::StateTopic,
    storage::SourceOffsets,
    task_host::{self, Reading},
    worker_config::Worker,
};

/// The host of a test call.
pub(super) struct TrialHost {
    connector: Arc<str>,
    settings: Settings,
    worker: Worker,
    offsets: SourceOffsets,
    state: Arc<StateTopic>,
    plugins: Arc<Plugins>,
    converters: Arc<Converters>,
    course: Course,
    /// Records that the task reported as bad since they were last taken.
    bad: Mutex<Vec<(SourceRecord, Error)>>,
}

impl TrialHost {
    pub(super) fn new(trial: &Trial, worker: Worker, converters: Arc<Converters>) -> Self {
        Self {
            connector: trial.name.clone(),
            settings: trial.settings.clone(),
            worker,
            offsets: trial.services.offsets.clone(),
            state: trial.services.state.clone(),
            plugins: trial.services.plugins.clone(),
            converters,
            course: trial.course.clone(),
            bad: Mutex::default(),
        }
    }

    /// Takes the records that were reported.
    pub(super) fn take_bad(&self) -> Vec<(SourceRecord, Error)> {
        std::mem::take(&mut *self.bad.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reader(&self) -> Result<ClientSettings> {
        self.worker.client(Role::Consumer, &self.settings, &format!("connector-test-reader-{}", self.connector))
    }
}

#[async_trait]
impl TaskHost for TrialHost {
    async fn state(&self, name: &str) -> Result<Arc<dyn State>> {
        self.state.copy(&self.reader()?, &self.connector, name).await
    }

    async fn table(&self, topic: &str) -> Result<Table> {
        task_host::table(&self.reader()?, topic, Reading::Converters(self.converters.clone())).await
    }

    async fn table_by_content(&self, topic: &str) -> Result<Table> {
        let reader = ByContent::new(&self.plugins, &self.worker, &self.settings, self.converters.clone())?;
        task_host::table(&self.reader()?, topic, Reading::ByContent(reader)).await
    }

    async fn feed(&self, topic: &str, client: &Settings) -> Result<Feed> {
        let settings = task_host::overridden(&self.settings, client);
        let id = format!("connector-test-reader-{}", self.connector);
        task_host::feed(&self.worker.client(Role::Consumer, &settings, &id)?, topic)
    }

    async fn offset(&self, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        self.offsets.get(&self.connector, partition)
    }

    async fn offsets(&self) -> Result<Vec<(OffsetMap, OffsetMap)>> {
        self.offsets.list(&self.connector)
    }

    /// Tolerated, whatever the settings say: the report shows them.
    async fn report_source(&self, record: SourceRecord, error: Error) -> Result<()> {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner).push((record, error));
        Ok(())
    }

    /// Nothing is put into a sink in a test call, so it has nothing to report.
    async fn report_sink(&self, _record: &SinkRecord, error: Error) -> Result<()> {
        Err(error)
    }

    /// There is no consumer that could carry it out.
    fn request(&self, _request: SinkRequest) {}

    fn note(&self, text: Option<String>) {
        self.course.note(text);
    }

    fn kafka(&self) -> Settings {
        self.worker.java_client(Role::Consumer, &self.settings, &format!("connector-test-reader-{}", self.connector))
    }

    fn converter(&self, key: &str, role: connect_api::Role) -> Result<Box<dyn Converter>> {
        converters::converter(&self.plugins, &self.worker, &self.settings, key, role)
    }

    fn converter_settings(&self, role: connect_api::Role) -> Settings {
        converters::settings(&self.worker, &self.settings, role)
    }
}
