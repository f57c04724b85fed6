//! Contexts: named sets of addresses and references to credentials, in a YAML file.
//!
//! ```yaml
//! current: plant
//! contexts:
//!   plant:
//!     url: https://connect.plant:8083
//!     user: operator
//!     password: env:CONNECT_PASSWORD
//!     tls: { ca: plant-ca.pem }
//!     bootstrap.servers: broker.plant:9093
//!     kafka:
//!       security.protocol: SASL_SSL
//!       sasl.mechanism: SCRAM-SHA-512
//!       sasl.jaas.config: >-
//!         org.apache.kafka.common.security.scram.ScramLoginModule required
//!         username="operator" password="${env:KAFKA_PASSWORD}";
//!     schema.registry.url: https://registry.plant:8081
//!     registry: { user: operator, password: file:registry.password }
//! ```

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use connect_files::{Tree, flatten};
use indexmap::IndexMap;
use reqwest::Url;
use serde_json::{Map, Value as Json, json};

use super::reference;
use crate::{check::nearest, error::Failure, yaml};

/// Keys of a context, and what they mean.
pub const KEYS: &[(&str, &str)] = &[
    ("url", "address of the worker's REST API, without user and password"),
    ("user", "user for the REST API"),
    ("password", "its password, by reference: env:NAME or file:PATH"),
    ("token", "bearer token for the REST API instead, by reference"),
    ("tls.ca", "file with the certificates, in PEM, of authorities that are trusted beside the system's"),
    ("tls.cert", "file with the client's own certificate, in PEM"),
    ("tls.key", "file with its key, in PEM"),
    ("bootstrap.servers", "Kafka brokers as HOST:PORT, separated by commas"),
    (
        "kafka.KEY",
        "any setting of Kafka's clients, such as kafka.security.protocol; secrets by reference, within a text as ${env:NAME}",
    ),
    ("schema.registry.url", "address of the schema registry"),
    ("registry.user", "user for the registry"),
    ("registry.password", "its password, by reference"),
    ("registry.token", "bearer token for the registry instead, by reference"),
    ("registry.tls.ca", "as tls.ca"),
    ("registry.tls.cert", "as tls.cert"),
    ("registry.tls.key", "as tls.key"),
];

/// Settings of a context by key.
pub type Settings = IndexMap<String, String>;

/// The file.
#[derive(Debug, Clone, Default)]
pub struct Contexts {
    /// Where it is, or would be.
    pub path: PathBuf,
    /// Which context is used unless another is named.
    pub current: Option<String>,
    /// All contexts by name.
    pub all: IndexMap<String, Settings>,
}

impl Contexts {
    /// Reads the file of `$CONNECTCTL_CONFIG`, else of the user's configuration; one that is not there has no contexts.
    pub fn read() -> Result<Self, Failure> {
        Self::read_from(place()?)
    }

    /// Reads this file.
    pub fn read_from(path: PathBuf) -> Result<Self, Failure> {
        let failed = |text: String| Failure::Failed(format!("contexts in {}: {text}", path.display()));
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self { path, ..Self::default() }),
            Err(e) => return Err(failed(format!("cannot be read: {e}"))),
        };
        let text = String::from_utf8(bytes).map_err(|e| failed(format!("are no UTF-8 text: {e}")))?;
        let documents = connect_files::read_text(&path.display().to_string(), &text);
        let documents = documents.map_err(|e| Failure::Failed(format!("contexts in {e}")))?;
        let Some(document) = documents.first() else { return Ok(Self { path, ..Self::default() }) };
        let mut found = Self { path: path.clone(), ..Self::default() };
        for entry in document.entries().ok_or_else(|| failed("must be a mapping of current and contexts".into()))? {
            match entry.key.as_str() {
                "current" => found.current = entry.value.text().map(str::to_owned),
                "contexts" => {
                    for context in entry.value.entries().unwrap_or_default() {
                        let settings = settings(&context.value);
                        let settings = settings.map_err(|e| failed(format!("context {}: {e}", context.key)))?;
                        found.all.insert(context.key.clone(), settings);
                    }
                }
                other => return Err(failed(format!("{other} is unknown; there are current and contexts"))),
            }
        }
        Ok(found)
    }

    /// The context of that name.
    pub fn get(&self, name: &str) -> Result<&Settings, Failure> {
        self.all.get(name).ok_or_else(|| {
            let hint = match nearest(name, self.all.keys().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None if self.all.is_empty() => "connectctl context set NAME url=URL makes one".to_owned(),
                None => "connectctl context list shows those that exist".to_owned(),
            };
            Failure::Failed(format!("{} has no context {name}; {hint}", self.path.display()))
        })
    }

    /// The folder where paths in the file begin.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Writes the file, which only its owner may read. Comments in it are lost.
    pub fn write(&self) -> Result<(), Failure> {
        let failed = |e: io::Error| Failure::Failed(format!("writing {}: {e}", self.path.display()));
        let contexts: Map<String, Json> = self.all.iter().map(|(name, all)| (name.clone(), json!(all))).collect();
        let mut document = Map::new();
        if let Some(current) = &self.current {
            document.insert("current".into(), json!(current));
        }
        document.insert("contexts".into(), Json::Object(contexts));
        fs::create_dir_all(self.folder()).map_err(failed)?;
        crate::private::write(&self.path, &yaml::to_string(&Json::Object(document))).map_err(failed)
    }
}

fn place() -> Result<PathBuf, Failure> {
    let set = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(path) = set("CONNECTCTL_CONFIG") {
        return Ok(path);
    }
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    let none = || Failure::Failed("there is no place for contexts: set CONNECTCTL_CONFIG or HOME".into());
    folder.map(|folder| folder.join("connectctl/config.yaml")).ok_or_else(none)
}

fn settings(tree: &Tree) -> Result<Settings, String> {
    let flat = flatten(tree).map_err(|(position, text)| format!("line {}: {text}", position.line))?;
    for (key, value) in &flat {
        check(key, value)?;
    }
    Ok(flat.into_iter().collect())
}

/// Says what is wrong with a setting of a context.
pub fn check(key: &str, value: &str) -> Result<(), String> {
    let is_kafkas = key.strip_prefix("kafka.").is_some_and(|rest| !rest.is_empty());
    if !is_kafkas && !KEYS.iter().any(|(known, _)| *known == key) {
        let hint = nearest(key, KEYS.iter().map(|(known, _)| *known));
        let hint =
            hint.map_or_else(|| "connectctl context set --help lists them".into(), |k| format!("did you mean {k}?"));
        return Err(format!("{key} is no key of a context; {hint}"));
    }
    if key == "kafka.bootstrap.servers" {
        return Err("write bootstrap.servers without kafka. in front".into());
    }
    if is_secret(key, value) {
        reference::demand(key, value)?;
    }
    // What is referred to is looked at when it is used.
    if matches!(key, "url" | "schema.registry.url") && !reference::is_in(value) {
        for one in value.split(',') {
            address(key, one)?;
        }
    }
    Ok(())
}

/// The address of that key, which must not hold credentials.
pub(super) fn address(key: &str, text: &str) -> Result<Url, String> {
    let url = crate::args::url(text).map_err(|e| format!("{key}: {e}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{key} must hold no user and password; there are keys for them"));
    }
    Ok(url)
}

/// Whether a value of that key is a secret, or holds one.
fn is_secret(key: &str, value: &str) -> bool {
    if key.ends_with("jaas.config") {
        let value = value.to_ascii_lowercase();
        return value.contains("password=") || value.contains("secret=");
    }
    ["password", "token", "secret", "user.info", "keystore.key"].iter().any(|end| key.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Contexts, String> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("config.yaml");
        fs::write(&path, text).expect("file");
        Contexts::read_from(path).map_err(|e| e.to_string())
    }

    #[test]
    fn a_file_is_read_and_written_back() {
        let text = "current: a\ncontexts:\n  a:\n    url: http://h:1\n    tls: {ca: x.pem}\n    kafka:\n      \
                    security.protocol: SSL\n  b.c: {bootstrap.servers: [h:1, h:2]}\n";
        let found = read(text).expect("contexts");
        assert_eq!(found.current.as_deref(), Some("a"));
        assert_eq!(found.all["a"]["kafka.security.protocol"], "SSL");
        assert_eq!(found.all["b.c"]["bootstrap.servers"], "h:1,h:2");
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("below/config.yaml");
        Contexts { path: path.clone(), ..found.clone() }.write().expect("written");
        let again = Contexts::read_from(path).expect("contexts");
        assert_eq!((again.current, again.all), (found.current, found.all));
        assert!(Contexts::read_from("/nonexistent/x".into()).is_ok_and(|c| c.all.is_empty()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_context() {
        for (text, part) in [
            ("contexts: {a: {ulr: x}}", "context a: ulr is no key of a context; did you mean url?"),
            ("contexts: {a: {password: secret}}", "password must refer to the secret"),
            ("contexts: {a: {kafka.ssl.key.password: x}}", "must refer"),
            ("contexts: {a: {kafka.sasl.jaas.config: 'x required password=\"y\";'}}", "must refer"),
            ("contexts: {a: {url: 'http://u:p@h'}}", "no user and password"),
            ("contexts: {a: {kafka.bootstrap.servers: h}}", "without kafka."),
            ("- x", "mapping"),
            ("x: y", "x is unknown"),
        ] {
            let said = read(text).expect_err(text);
            assert!(said.contains(part) && said.contains("config.yaml"), "{said}");
        }
        let found = read("contexts: {plant: {url: h}}").expect("contexts");
        assert!(found.get("plnat").is_err_and(|e| e.to_string().contains("did you mean plant?")));
    }
}
