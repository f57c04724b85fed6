//! `GET /worker`, beyond Kafka Connect: where the worker has what it works with, so that tools need not be told again.
//! Nothing of it is secret.

use std::path::Path;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use connect_rest_model::{Disk, StorageTopics, WorkerInfo};

use super::{Api, error};
use crate::worker_config::Worker;

pub(super) async fn worker(State(api): State<Api>) -> Response {
    let services = api.controller.services();
    let mut info = about(&services.worker, services.statuses.worker_id());
    if let Some(file) = info.offset_file.clone() {
        // A file system may be slow, or far away.
        info.offset_disk = tokio::task::spawn_blocking(move || disk(Path::new(&file))).await.ok().flatten();
    }
    error::json(StatusCode::OK, &info).into_response()
}

/// The disk that a file is on, or would be.
fn disk(file: &Path) -> Option<Disk> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some(Disk { free_bytes: bytes(found.f_bavail), total_bytes: bytes(found.f_blocks) })
}

fn about(worker: &Worker, worker_id: &str) -> WorkerInfo {
    let distributed = worker.distributed.as_ref();
    let mode = match (worker.embedded, distributed) {
        (true, _) => "embedded",
        (false, Some(_)) => "distributed",
        (false, None) => "standalone",
    };
    let topics = |d: &crate::distributed::DistributedConfig| StorageTopics {
        config: d.config_topic.clone(),
        offset: d.offset_topic.clone(),
        status: d.status_topic.clone(),
    };
    let registry = ["value", "key"].map(|side| worker.settings.get(&format!("{side}.converter.schema.registry.url")));
    WorkerInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        worker_id: worker_id.to_owned(),
        mode: mode.to_owned(),
        group_id: distributed.map(|d| d.group_id.clone()),
        bootstrap_servers: worker.config.bootstrap_servers.join(","),
        security_protocol: worker.settings.get("security.protocol").unwrap_or("PLAINTEXT").trim().to_uppercase(),
        schema_registry_url: registry.into_iter().flatten().next().map(without_user),
        storage_topics: distributed.map(topics),
        offset_file: worker.config.offset_file.clone().filter(|_| distributed.is_none()),
        offset_disk: None,
    }
}

/// URLs, separated by commas, without the user and password that they may hold.
fn without_user(urls: &str) -> String {
    let one = |url: &str| match url.trim().split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            format!("{scheme}://{}{path}", authority.rsplit('@').next().unwrap_or_default())
        }
        None => url.trim().rsplit('@').next().unwrap_or_default().to_owned(),
    };
    urls.split(',').map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use connect_api::Settings;

    use super::*;

    fn info(extra: &[(&str, &str)]) -> WorkerInfo {
        let mut all: Settings = [
            ("bootstrap.servers", "a:1,b:2"),
            ("key.converter", "StringConverter"),
            ("value.converter", "StringConverter"),
            ("offset.storage.file.filename", "/tmp/offsets"),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect();
        for (key, value) in extra {
            all.set(*key, *value);
        }
        about(&Worker::read(all, false).expect("settings"), "h:8083")
    }

    #[test]
    fn a_worker_tells_where_its_things_are_but_no_secret() {
        let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"hush\";";
        let told = info(&[
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.jaas.config", jaas),
            ("value.converter.schema.registry.url", "http://me:hush@r:8081/x, http://s:1"),
            ("value.converter.basic.auth.user.info", "me:hush"),
        ]);
        assert_eq!((told.mode.as_str(), told.bootstrap_servers.as_str()), ("standalone", "a:1,b:2"));
        assert_eq!(told.security_protocol, "SASL_PLAINTEXT");
        assert_eq!(told.schema_registry_url.as_deref(), Some("http://r:8081/x,http://s:1"));
        assert_eq!(told.offset_file.as_deref(), Some("/tmp/offsets"));
        assert!(!serde_json::to_string(&told).expect("JSON").contains("hush"));
    }

    #[test]
    fn the_disk_of_a_file_is_known_before_there_is_the_file() {
        let folder = tempfile::tempdir().expect("folder");
        let found = disk(&folder.path().join("offsets")).expect("disk");
        assert!(found.total_bytes > 0 && found.free_bytes <= found.total_bytes, "{found:?}");
        assert_eq!(disk(&folder.path().join("gone/offsets")), None);
        assert!(disk(Path::new("offsets")).is_some());
    }

    #[test]
    fn a_distributed_worker_tells_its_group_and_topics() {
        let told = info(&[
            ("group.id", "g"),
            ("config.storage.topic", "c"),
            ("offset.storage.topic", "o"),
            ("status.storage.topic", "s"),
        ]);
        assert_eq!((told.mode.as_str(), told.group_id.as_deref()), ("distributed", Some("g")));
        assert_eq!(told.storage_topics.map(|t| t.status).as_deref(), Some("s"));
        assert_eq!((told.offset_file, told.schema_registry_url), (None, None));
    }
}
