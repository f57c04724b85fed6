//! From files to settings: the worker's and the connectors', every problem reported at once.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use connect_api::{
    Settings,
    config::{split_list, topic_name},
};
use connect_files::{
    ConnectorFile, Tree,
    connector::{from_documents, line_of},
    files, read, read_worker, subfolders,
};
use connect_rest_model::ConfigMap;
use connect_worker::{
    Plugins, Worker,
    providers::{self, Providers, Resolved, secrets::Secrets},
    rest::Surface,
    unknown_keys, validation,
    worker_config::WorkerConfig,
};

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

/// The worker's settings as far as they are read.
pub(crate) struct Loaded {
    /// What references are resolved by.
    pub providers: Providers,
    /// The settings.
    pub resolved: Resolved,
    file: Option<PathBuf>,
    /// What the command line sets.
    set: Vec<(String, String)>,
}

/// The worker's settings: the file's, or the defaults, then those of the command line, references resolved.
pub(crate) fn worker_settings(
    file: Option<&Path>,
    set: &[(String, String)],
    secrets: Secrets,
) -> Result<Loaded, Vec<String>> {
    let mut settings = match file {
        Some(path) => read_worker(path).map_err(|e| vec![e.to_string()])?.into_iter().collect(),
        None => defaults(),
    };
    for (key, value) in set {
        settings.set(key, value);
    }
    let place = |key: &str| place(file, set, key);
    let placed = |key: &str, text: &str| format!("{}: {text}", place(key));
    let providers = Providers::read(&settings, secrets)
        .map_err(|problems| problems.iter().map(|p| placed(&p.key, &p.text)).collect::<Vec<_>>())?;
    let resolved = providers.resolve_worker(&settings).map_err(|e| vec![placed(providers::ALIASES, &e.one_line())])?;
    Ok(Loaded { providers, resolved, file: file.map(Path::to_owned), set: set.to_vec() })
}

/// Where a worker setting stands.
fn place(file: Option<&Path>, set: &[(String, String)], key: &str) -> String {
    match file {
        Some(file) if !set.iter().any(|(k, _)| k == key) => file.display().to_string(),
        _ => "command line".to_owned(),
    }
}

/// Reads worker settings, which are the loaded ones with what is not in files. Problems name where the setting
/// stands: the file, or the command line.
pub(crate) fn worker(
    settings: Settings,
    loaded: &Loaded,
    embedded: bool,
    plugins: &Plugins,
) -> Result<Worker, Vec<String>> {
    let read = Worker::read_resolved(settings.clone(), loaded.providers.clone(), embedded);
    let (worker, mut problems) = match read {
        Ok(worker) => (Some(worker), Vec::new()),
        Err(problems) => (None, problems.iter().map(|p| (p.key.clone(), p.text.clone())).collect()),
    };
    // What is wrong with other settings is said in the same round.
    let others = [addresses(&settings), converters(&settings, plugins)].concat();
    // What would fail every client only once connectors run.
    let clients = Worker::client_problems(&settings).into_iter().map(|p| (p.key, p.text));
    let mut others: Vec<(String, String)> = others.into_iter().chain(clients).collect();
    let reached = worker.as_ref().and_then(|w| Surface::read(w).err()).unwrap_or_default();
    others.extend(reached.iter().map(|p| (p.key.clone(), p.text.clone())));
    others.retain(|(key, _)| !problems.iter().any(|(k, _)| k == key));
    problems.extend(others);
    match worker {
        Some(mut worker) if problems.is_empty() => {
            worker.restarts_off =
                loaded.file.as_ref().is_some_and(|f| f.extension().is_some_and(|e| e == "properties"));
            Ok(worker)
        }
        _ => {
            let placed = |(key, text): (String, String)| {
                let place = place(loaded.file.as_deref(), &loaded.set, &key);
                format!("{place}: {}", loaded.resolved.conceal(&key, &text))
            };
            Err(problems.into_iter().map(placed).collect())
        }
    }
}

/// Sentences about worker settings without effect, with the places where they stand.
pub(crate) fn worker_warnings(loaded: &Loaded, plugins: &Plugins) -> Vec<String> {
    let settings = &loaded.resolved.settings;
    let unknown = Worker::unknown_keys(settings).into_iter().map(|p| (p.key, p.text));
    let below = unknown_keys::of_worker(plugins, settings);
    let all = unknown.chain(below).chain(loaded.resolved.unresolved.iter().cloned());
    all.map(|(key, text)| format!("{}: {text}", place(loaded.file.as_deref(), &loaded.set, &key))).collect()
}

/// A sentence about folders inside a folder of connectors.
pub(crate) fn not_looked_into(folder: &Path) -> Option<String> {
    let inside = subfolders(folder);
    let names: Vec<String> =
        inside.iter().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned())).collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!("{}: folders inside are not looked into: {names}; name them, too, to have them read", folder.display())
    })
}

fn addresses(settings: &Settings) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let mut wrong = |key: &str, text: String| problems.push((key.to_owned(), text));
    let right = |broker: &str| {
        let (protocol, address) = broker.split_once("://").unwrap_or(("PLAINTEXT", broker));
        ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"].contains(&protocol)
            && address
                .rsplit_once(':')
                .is_some_and(|(h, port)| !h.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
    };
    const BROKERS: &str = "bootstrap.servers";
    let brokers = settings.get(BROKERS).map(|text| split_list(text.trim()));
    if let Some(brokers) = brokers {
        if brokers.iter().all(String::is_empty) {
            wrong(BROKERS, "bootstrap.servers is empty; name a broker as host:port".to_owned());
        } else if let Some(broker) = brokers.iter().find(|b| !right(b)) {
            wrong(BROKERS, format!("bootstrap.servers: {broker:?} is not of the form host:port"));
        }
    }
    problems
}

fn converters(settings: &Settings, plugins: &Plugins) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    for key in ["key.converter", "value.converter", "header.converter"] {
        let Some(class) = settings.get(key) else { continue };
        match plugins.converters.find(class) {
            Ok(plugin) if plugin.headers_only && key != "header.converter" => {
                let text = format!("{key}: {class} is for headers only; set it to one such as JsonConverter");
                problems.push((key.to_owned(), text));
            }
            Ok(plugin) => {
                let values = plugin.definition.validate(&settings.prefixed(&format!("{key}.")));
                let named = |name: &str, e: &str| (format!("{key}.{name}"), format!("{key}.{name}: {e}"));
                problems.extend(values.iter().flat_map(|v| v.errors.iter().map(|e| named(&v.name, e))));
            }
            Err(e) => problems.push((key.to_owned(), format!("{key}: {}", e.message()))),
        }
    }
    problems
}

/// What the files declare.
#[derive(Default)]
pub(crate) struct Declared {
    /// The connectors that are right.
    pub connectors: Vec<ConnectorFile>,
    /// What is wrong, with its place.
    pub problems: Vec<String>,
    /// Sentences about settings without effect, with their places. The worker logs them, too.
    pub warnings: Vec<String>,
}

/// What connectors are judged by.
#[derive(Clone, Copy)]
pub(crate) struct Judge<'a> {
    pub plugins: &'a Arc<Plugins>,
    /// The worker's settings, where they can be read.
    pub worker: Option<&'a WorkerConfig>,
    pub providers: &'a Providers,
}

/// Reads and validates all connectors. Problems name file, line and key.
pub(crate) fn connectors(arguments: &[PathBuf], judge: Judge<'_>) -> Declared {
    let mut declared = Declared::default();
    let mut all: Vec<(ConnectorFile, Tree)> = Vec::new();
    let mut paths = Vec::new();
    for argument in arguments {
        match files(argument) {
            Ok(inside) => paths.extend(inside),
            Err(e) => declared.problems.push(e.to_string()),
        }
    }
    for path in paths {
        let documents = read(&path);
        match documents.and_then(|d| Ok((from_documents(&path.display().to_string(), &d)?, d))) {
            Ok((connectors, documents)) => all.extend(connectors.into_iter().zip(documents)),
            Err(e) => declared.problems.push(e.to_string()),
        }
    }
    for (c, judged) in judge.all(all) {
        declared.warnings.extend(judged.warnings);
        if judged.problems.is_empty() {
            declared.connectors.push(c);
        }
        declared.problems.extend(judged.problems);
    }
    declared
}

/// What is wrong with a connector and what has no effect, with the places.
#[derive(Default)]
pub(crate) struct Judged {
    pub problems: Vec<String>,
    pub warnings: Vec<String>,
}

impl Judge<'_> {
    /// Judges connectors with the documents that declare them.
    pub(crate) fn all(self, all: Vec<(ConnectorFile, Tree)>) -> Vec<(ConnectorFile, Judged)> {
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        let mut judged: Vec<(ConnectorFile, Judged)> = Vec::new();
        for (c, document) in all {
            let place = format!("{}:{}", c.file, line_of(&document, "name").unwrap_or(c.position.line));
            let mut found = self.one(&c, &document);
            if let Some(first) = places.insert(c.name.clone(), place.clone()) {
                found.problems.push(format!(
                    "{place}: the connector {} is declared twice, first at {first}; rename one of them",
                    c.name
                ));
            }
            judged.push((c, found));
        }
        judged
    }

    fn one(self, c: &ConnectorFile, document: &Tree) -> Judged {
        let line = |key: &str| line_of(document, key).unwrap_or(c.position.line);
        let placed = |(key, text): (String, String)| format!("{}:{}: connector {}: {text}", c.file, line(&key), c.name);
        let written: Settings = c.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        match self.providers.resolve(&written) {
            Ok(resolved) => {
                let unknown = unknown_keys::find(self.plugins, &resolved.settings);
                let problems = check(c, &resolved, self.plugins, self.worker).into_iter().map(placed).collect();
                Judged { problems, warnings: resolved.unresolved.into_iter().chain(unknown).map(placed).collect() }
            }
            Err(e) => {
                let key = written.keys().find(|k| e.message().contains(&format!(" {k}"))).unwrap_or_default();
                Judged { problems: vec![placed((key.to_owned(), e.one_line()))], warnings: Vec::new() }
            }
        }
    }
}

/// A plugin that does not come back must not keep the others from starting.
const JUDGE: Duration = Duration::from_secs(10);

/// Does what may hang on a thread of its own; none if it takes too long, or panics.
fn bounded<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, answer) = mpsc::channel();
    let started = thread::Builder::new().name("validation".into()).spawn(move || {
        // Nobody waits any more if it took too long.
        let _ = done.send(work());
    });
    started.ok().and_then(|_| answer.recv_timeout(JUDGE).ok())
}

/// What is wrong with a connector, by key.
fn check(
    c: &ConnectorFile,
    resolved: &Resolved,
    plugins: &Arc<Plugins>,
    worker: Option<&WorkerConfig>,
) -> Vec<(String, String)> {
    let config = resolved.given(&config_map(c));
    let class_key = "connector.class".to_owned();
    let Some(Some(class)) = config.get(&class_key) else {
        return vec![(class_key, "connector.class is missing; set it to a plugin such as file-source".into())];
    };
    let (plugins_there, worker_there, config_there) = (plugins.clone(), worker.cloned(), config.clone());
    let judged = bounded(move || validation::validate(&plugins_there, worker_there.as_ref(), None, &config_there));
    let Some(infos) = judged else {
        tracing::warn!(
            "the plugin {class} of connector {} has not judged its settings within {} s",
            c.name,
            JUDGE.as_secs()
        );
        return Vec::new();
    };
    let infos = match infos {
        Ok(mut infos) => {
            resolved.conceal_infos(&mut infos);
            infos
        }
        Err(e) => {
            let known: Vec<&str> = plugins.connectors.all().iter().map(|p| p.info.name).collect();
            let text = format!("connector.class: {} ({class} is none of {})", e.message(), known.join(", "));
            return vec![(class_key, text)];
        }
    };
    let mut problems: Vec<(String, String)> = Vec::new();
    for value in infos.configs.iter().map(|c| &c.value) {
        for e in &value.errors {
            // Some texts are Kafka Connect's, which leave out the key or stand at two keys.
            let text = if e.contains(&value.name) { e.clone() } else { format!("{}: {e}", value.name) };
            if !problems.iter().any(|(_, other)| *other == text) {
                problems.push((value.name.clone(), text));
            }
        }
    }
    problems
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
        if names_topics {
            topics.extend(value.split(',').map(str::trim).filter(|t| topic_name(t).is_ok()).map(str::to_owned));
        }
    }
    topics.sort();
    topics.dedup();
    topics
}
