//! From files to settings: the worker's and the connectors', every problem reported at once.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use connect_api::Settings;
use connect_files::{ConnectorFile, read_connectors, read_worker};
use connect_rest_model::ConfigMap;
use connect_worker::{Plugins, Worker, validation};

/// Worker settings where there is no worker file.
fn defaults() -> Settings {
    Settings::from([
        ("key.converter", "org.apache.kafka.connect.storage.StringConverter"),
        ("value.converter", "io.confluent.connect.avro.AvroConverter"),
        ("listeners", "http://127.0.0.1:8083"),
        // Demos want to see their offsets committed.
        ("offset.flush.interval.ms", "5000"),
    ])
}

/// The worker's settings: the file's, or the defaults, then those of the command line.
pub(crate) fn worker_settings(file: Option<&Path>, set: &[(String, String)]) -> Result<Settings, Vec<String>> {
    let mut settings = match file {
        Some(path) => read_worker(path).map_err(|e| vec![e.to_string()])?.into_iter().collect(),
        None => defaults(),
    };
    for (key, value) in set {
        settings.set(key, value);
    }
    Ok(settings)
}

/// Reads worker settings; problems name the file.
pub(crate) fn worker(settings: Settings, embedded: bool, file: Option<&Path>) -> Result<Worker, Vec<String>> {
    let place = file.map_or_else(|| "command line".to_owned(), |f| f.display().to_string());
    Worker::read(settings, embedded)
        .map_err(|problems| problems.iter().map(|p| format!("{place}: {}", p.text)).collect())
}

/// The files that the arguments name, folders opened; sorted within a folder.
fn files(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, Vec<String>> {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for argument in arguments {
        if !argument.is_dir() {
            found.push(argument.clone());
            continue;
        }
        match fs::read_dir(argument) {
            Ok(entries) => {
                let mut inside: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
                inside.retain(|p| p.is_file() && connect_files::is_readable(p));
                inside.sort();
                if inside.is_empty() {
                    problems.push(format!(
                        "{}: the folder holds no .yaml, .yml, .json or .properties file",
                        argument.display()
                    ));
                }
                found.extend(inside);
            }
            Err(e) => problems.push(format!("{}: cannot be listed: {e}", argument.display())),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

/// Reads and validates all connectors. Problems name file, line and key.
pub(crate) fn connectors(arguments: &[PathBuf], plugins: &Plugins) -> Result<Vec<ConnectorFile>, Vec<String>> {
    let mut problems = Vec::new();
    let mut all: Vec<ConnectorFile> = Vec::new();
    for path in files(arguments)? {
        match read_connectors(&path) {
            Ok(connectors) => all.extend(connectors),
            Err(e) => problems.push(e.to_string()),
        }
    }
    let mut places: BTreeMap<&str, String> = BTreeMap::new();
    for c in &all {
        let place = format!("{}:{}", c.file, c.position.line);
        if let Some(first) = places.insert(&c.name, place.clone()) {
            problems.push(format!(
                "{place}: the connector {} is declared twice, first at {first}; rename one of them",
                c.name
            ));
        }
        problems.extend(check(c, plugins).into_iter().map(|p| format!("{place}: connector {}: {p}", c.name)));
    }
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

fn check(c: &ConnectorFile, plugins: &Plugins) -> Vec<String> {
    let config = config_map(c);
    let Some(Some(class)) = config.get("connector.class") else {
        return vec!["connector.class is missing; set it to a plugin such as file-source".into()];
    };
    match validation::validate(plugins, &config) {
        Ok(infos) => infos.errors().map(str::to_owned).collect(),
        Err(e) => {
            let known: Vec<&str> = plugins.connectors.all().iter().map(|p| p.info.name).collect();
            vec![format!("connector.class: {} ({class} is none of {})", e.message(), known.join(", "))]
        }
    }
}

/// A connector's settings as a request has them.
pub(crate) fn config_map(c: &ConnectorFile) -> ConfigMap {
    c.config.iter().map(|(k, v)| (k.clone(), Some(v.clone()))).collect()
}

/// The topics that connectors name: with the embedded broker they are created before, with one partition.
pub(crate) fn topics(connectors: &[ConnectorFile]) -> Vec<String> {
    let mut topics: Vec<String> = ["alarms", "active-alarms", "shelved-alarms"].map(str::to_owned).to_vec();
    for (key, value) in connectors.iter().flat_map(|c| &c.config) {
        let names_topics =
            key == "topics" || key == "topic" || key.ends_with(".topic") || key == "errors.deadletterqueue.topic.name";
        let legal = |t: &str| {
            !t.is_empty() && t.len() < 250 && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        if names_topics {
            topics.extend(value.split(',').map(str::trim).filter(|t| legal(t)).map(str::to_owned));
        }
    }
    topics.sort();
    topics.dedup();
    topics
}
