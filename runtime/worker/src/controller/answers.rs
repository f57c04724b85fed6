//! What is asked of connectors: the bodies of answers.

use std::collections::BTreeMap;

use connect_api::Settings;
use connect_rest_model::{
    ConnectorInfo, ConnectorStatus, ConnectorType, ExpandedConnector, TaskId, TaskInfo, TaskState,
};

use super::{Answer, Controller, Refusal, not_found};

impl Controller {
    /// The body of `GET /connectors/C`.
    pub async fn info(&self, name: &str) -> Answer<ConnectorInfo> {
        let kind = self.all.lock().await.get(name).map_or(ConnectorType::Unknown, |c| c.kind);
        let tasks = self.task_ids(name);
        let log = self.services.configs.log();
        let config = log.connector(name).ok_or_else(|| not_found(name))?;
        Ok(ConnectorInfo {
            name: name.to_owned(),
            config: config.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            tasks,
            kind,
        })
    }

    /// The tasks that a connector has.
    pub(super) fn task_ids(&self, name: &str) -> Vec<TaskId> {
        let count = self.services.configs.log().tasks(name).len() as u32;
        (0..count).map(|task| TaskId { connector: name.to_owned(), task }).collect()
    }

    /// The body of `GET /connectors/C/tasks`.
    pub async fn tasks(&self, name: &str) -> Answer<Vec<TaskInfo>> {
        let log = self.services.configs.log();
        log.connector(name).ok_or_else(|| not_found(name))?;
        let info = |(id, s): (usize, &Settings)| TaskInfo {
            id: TaskId { connector: name.to_owned(), task: id as u32 },
            config: s.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        };
        Ok(log.tasks(name).iter().enumerate().map(info).collect())
    }

    /// The body of `GET /connectors/C/status`.
    pub fn status(&self, name: &str) -> Answer<ConnectorStatus> {
        self.services
            .statuses
            .status(name)
            .ok_or_else(|| Refusal::NotFound(format!("No status found for connector {name}")))
    }

    /// The body of `GET /connectors/C/tasks/T/status`.
    pub fn task_status(&self, name: &str, task: i32) -> Answer<TaskState> {
        let found = self.services.statuses.status(name);
        let found = found.and_then(|s| s.tasks.into_iter().find(|t| i64::from(t.id) == i64::from(task)));
        found.ok_or_else(|| Refusal::NotFound(format!("No status found for task {name}-{task}")))
    }

    /// The body of `GET /connectors?expand=…`.
    pub async fn expanded(&self, status: bool, info: bool) -> BTreeMap<String, ExpandedConnector> {
        let mut all = BTreeMap::new();
        for name in self.names().await {
            let mut entry = ExpandedConnector::default();
            if status {
                // A connector that is gone meanwhile, or has no status yet, is left out.
                let Ok(found) = self.status(&name) else { continue };
                entry.status = Some(found);
            }
            if info {
                let Ok(found) = self.info(&name).await else { continue };
                entry.info = Some(found);
            }
            all.insert(name, entry);
        }
        all
    }
}
