//! A task with one partition, and what is in its files.
#![allow(dead_code, reason = "not every test file needs all of it")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use connect_api::{Connector, Settings, SinkConnector, SinkRecord, SinkTask, TopicPartition, Value, config::Config};
use connect_testkit::{Host, sink};
use connector_file::FileSink;
use flate2::read::MultiGzDecoder;

/// Settings of files below the folder.
pub fn settings(dir: &Path, file: &str, more: &[(&str, &str)]) -> Settings {
    let mut settings: Settings = more.iter().copied().collect();
    settings.set("file", format!("{}/{file}", dir.display()));
    settings
}

/// A task that has the partition.
pub async fn start(settings: &Settings, host: &Arc<Host>) -> Box<dyn SinkTask> {
    let config = <FileSink as Connector>::Config::parse(settings).expect("settings");
    let mut problems = connect_api::config::Problems::new();
    FileSink::validate(&config, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    let mut task = FileSink::start_task(config, host.sink(settings).0).await.expect("task");
    task.open(&[partition()]).await.expect("open");
    task
}

/// The partition.
pub fn partition() -> TopicPartition {
    TopicPartition { topic: "t".into(), partition: 0 }
}

/// Its record of this offset.
pub fn record(offset: i64) -> SinkRecord {
    sink::record("t", offset, format!("key-{}", offset % 3), Value::map([("n", Value::Int64(offset))]))
}

/// All files below the folder that are no journals, sorted by path, unpacked.
pub fn contents(dir: &Path) -> BTreeMap<String, String> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, &mut found);
    let ours = found.into_iter().filter(|p| !p.components().any(|c| c.as_os_str() == ".file-sink"));
    let read = |path: PathBuf| {
        let mut text = String::new();
        let name = path.strip_prefix(dir).expect("below").to_string_lossy().into_owned();
        let mut file = File::open(&path).expect("file");
        if name.contains(".gz") {
            MultiGzDecoder::new(file).read_to_string(&mut text).unwrap_or_else(|e| panic!("{name}: {e}"));
        } else {
            file.read_to_string(&mut text).expect("text");
        }
        (name, text)
    };
    ours.map(read).collect()
}
