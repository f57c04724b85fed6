//! Connector files validated by the worker, every problem at its line.

use std::path::PathBuf;

use connect_rest_model::{ConfigInfos, ConfigMap, PluginInfo};

use crate::{
    client::Client,
    declared::{Declared, Problem, read_all},
    error::Failure,
    placeholder,
};

/// What was found in files.
#[derive(Debug)]
pub struct Checked {
    /// The connectors, valid or not.
    pub connectors: Vec<Declared>,
    /// What is wrong, warnings among it.
    pub problems: Vec<Problem>,
    /// Why the worker could not be asked about all of them.
    pub failure: Option<Failure>,
}

impl Checked {
    /// How many problems keep connectors from running.
    pub fn errors(&self) -> usize {
        self.problems.iter().filter(|p| !p.warning).count()
    }
}

/// Reads files and has the worker validate every connector in them. A value that `init` has left open is a problem,
/// whatever the worker thinks of it.
pub async fn check(client: &Client, files: &[PathBuf]) -> Checked {
    let (connectors, problems) = read_all(files);
    let mut checked = Checked { connectors, problems, failure: None };
    checked.problems.extend(placeholder::left_in(&checked.connectors));
    for declared in &checked.connectors {
        match validate(client, declared).await {
            Ok(found) => {
                // What has no value yet has no other problem.
                let open = |key: &String| declared.setting(key).is_some_and(placeholder::is_open);
                checked.problems.extend(found.into_iter().filter(|p| !p.key.as_ref().is_some_and(open)));
            }
            Err(e) => {
                checked.failure = Some(e);
                break;
            }
        }
    }
    checked.problems.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    checked
}

async fn validate(client: &Client, declared: &Declared) -> Result<Vec<Problem>, Failure> {
    if matches!(declared.connector.name.as_str(), "." | "..") {
        return Ok(vec![declared.problem(Some("name"), "the REST API cannot address a connector of this name")]);
    }
    let key = "connector.class";
    let Some(class) = declared.setting(key) else {
        let text = "is missing; set it to a plugin that connectctl plugins lists";
        return Ok(vec![declared.problem(Some(key), text)]);
    };
    if class.is_empty() || matches!(class, "." | "..") {
        return Ok(vec![declared.problem(Some(key), "is no plugin; connectctl plugins lists them")]);
    }
    match client.validate(class, &declared.config()).await {
        Ok(infos) => Ok(judge(declared, class, &infos)),
        Err(failure) if is_unknown_class(&failure) => {
            let text = unknown_plugin(class, &client.plugins(false).await?);
            Ok(vec![declared.problem(Some(key), text)])
        }
        Err(Failure::Refused { message, .. }) => Ok(vec![declared.problem(None, without_exception(&message))]),
        Err(e) => Err(e),
    }
}

/// Whether the worker refuses because it has no such plugin.
fn is_unknown_class(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused { message, .. } if message.contains("Failed to find any class"))
}

/// Has the worker validate settings that are in no file; all problems are the failure's text. Answers remarks about those
/// of these keys that no plugin knows.
pub async fn validate_config<'a>(
    client: &Client,
    config: &ConfigMap,
    keys: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<String>, Failure> {
    let class = config.get("connector.class").cloned().flatten().unwrap_or_default();
    if class.is_empty() || matches!(class.as_str(), "." | "..") {
        return Err(Failure::Failed(
            "connector.class is missing; set it to a plugin that connectctl plugins lists".into(),
        ));
    }
    let infos = match client.validate(&class, config).await {
        Err(failure) if is_unknown_class(&failure) => {
            let text = unknown_plugin(&class, &client.plugins(false).await?);
            return Err(Failure::Failed(format!("connector.class: {text}")));
        }
        answer => answer?,
    };
    let of_key = |c: &connect_rest_model::ConfigInfo| {
        c.value.errors.iter().map(|e| format!("{}: {e}", c.value.name)).collect::<Vec<_>>()
    };
    let problems: Vec<String> = infos.configs.iter().flat_map(of_key).collect();
    if !problems.is_empty() {
        return Err(Failure::Failed(problems.join("; ")));
    }
    let known: Vec<&str> = infos.configs.iter().map(|c| c.value.name.as_str()).collect();
    let remark = |key: &str| Some(format!("{key} {}", unknown_key(key, &class, &known)?));
    Ok(keys.into_iter().filter_map(remark).collect())
}

fn judge(declared: &Declared, class: &str, infos: &ConfigInfos) -> Vec<Problem> {
    let mut problems = Vec::new();
    for value in infos.configs.iter().map(|c| &c.value) {
        problems.extend(value.errors.iter().map(|e| declared.problem(Some(&value.name), e)));
    }
    let known: Vec<&str> = infos.configs.iter().map(|c| c.value.name.as_str()).collect();
    for (key, _) in &declared.connector.config {
        if let Some(text) = unknown_key(key, class, &known) {
            problems.push(Problem { warning: true, ..declared.problem(Some(key), text) });
        }
    }
    problems
}

/// What to say of a key that the plugin does not know.
fn unknown_key(key: &str, class: &str, known: &[&str]) -> Option<String> {
    if known.contains(&key) || is_open(key) {
        return None;
    }
    let hint = near_key(key, known).map(|k| format!("; did you mean {k}?")).unwrap_or_default();
    Some(format!("is not a setting of {class} and may have no effect{hint}"))
}

/// Whether a key belongs to a family that workers accept without naming its members.
fn is_open(key: &str) -> bool {
    const OPEN: [&str; 18] = [
        "producer.override.",
        "consumer.override.",
        "admin.override.",
        "topic.creation.",
        "key.converter.",
        "value.converter.",
        "header.converter.",
        "transforms.",
        "predicates.",
        // Those of Tocsin's own plugins, as their reference pages have them; definitions over REST have no place for it.
        "source.cluster.",
        "source.consumer.",
        "source.key.converter.",
        "source.value.converter.",
        "source.header.converter.",
        "exec.environment.",
        "datagen.header.",
        "webhook.header.",
        "reporter.producer.",
    ];
    key == "name" || OPEN.iter().any(|prefix| key.starts_with(prefix))
}

/// A known key that ends alike or is spelled alike.
fn near_key<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let suffix = format!(".{key}");
    known.iter().copied().find(|k| k.ends_with(&suffix)).or_else(|| nearest(key, known.iter().copied()))
}

/// The name that is spelled most alike, if any is alike at all.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let score = |k: &str| {
        let k = k.to_lowercase();
        // Of short names two letters in the wrong order are much.
        let slip = name.chars().count() > 2 && strsim::osa_distance(&name, &k) == 1;
        strsim::jaro_winkler(&name, &k).max(if slip { 0.9 } else { 0.0 })
    };
    let scored = known.into_iter().map(|k| (score(k), k));
    scored.filter(|(score, _)| *score > 0.85).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, k)| k)
}

/// What to say of a plugin that there is not.
pub fn unknown_plugin(class: &str, plugins: &[PluginInfo]) -> String {
    match near_plugin(class, plugins.iter().map(|p| p.class.as_str())) {
        Some(near) => format!("the worker has no plugin {class}; did you mean {near}?"),
        None => format!("the worker has no plugin {class}; connectctl plugins lists those that it has"),
    }
}

/// The plugin that is meant, if one is. Packages, and what all connectors are called, say nothing of that: of
/// `org.apache.kafka.connect.file.FileStreamSinkConnector` only `FileStream` does.
fn near_plugin<'a>(class: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const SINK: &str = "sink";
    let simple = |name: &str| {
        let name = name.rsplit('.').next().unwrap_or_default().to_lowercase();
        name.strip_suffix("connector").unwrap_or(&name).to_owned()
    };
    let stem = |name: &str| {
        let bare = name.strip_suffix("source").or_else(|| name.strip_suffix(SINK)).unwrap_or(name);
        bare.trim_end_matches(['-', '_']).to_owned()
    };
    let meant = simple(class);
    let meant_stem = stem(&meant);
    let distance = |known: &str| {
        let known = simple(known);
        let known_stem = stem(&known);
        let shorter = meant_stem.chars().count().min(known_stem.chars().count());
        let begins = known_stem.starts_with(&meant_stem) || meant_stem.starts_with(&known_stem);
        let slips = strsim::osa_distance(&meant_stem, &known_stem);
        // A letter in four may be wrong, or the end be missing.
        let is_near = shorter > 2 && (begins || slips <= (shorter / 4).max(1));
        // Of the same name the one with the same end is meant, whose slips count, too.
        is_near.then(|| (slips, strsim::osa_distance(&meant, &known)))
    };
    known.filter_map(|k| Some((distance(k)?, k))).min_by_key(|(distance, _)| *distance).map(|(_, k)| k)
}

/// A message of a JVM worker without the exception's class.
fn without_exception(message: &str) -> &str {
    match message.split_once(": ") {
        Some((class, rest)) if class.contains('.') && !class.contains(' ') && class.ends_with("Exception") => rest,
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference pages have families as keys that end in `*`.
    #[test]
    fn families_of_all_plugins_are_known() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference");
        let mut families = 0;
        for entry in std::fs::read_dir(folder).expect("reference") {
            let path = entry.expect("entry").path();
            if path.extension().is_none_or(|e| e != "md") {
                continue;
            }
            let page = std::fs::read_to_string(&path).expect("page");
            let keys = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
            for key in keys.filter_map(|(key, _)| key.strip_suffix(".*")) {
                families += 1;
                assert!(is_open(&format!("{key}.x")), "{key} of {}", path.display());
            }
        }
        assert!(families > 5, "only {families} families");
    }

    #[test]
    fn near_names_are_suggested() {
        assert_eq!(near_key("influxdb.ulr", &["influxdb.url", "tasks.max"]), Some("influxdb.url"));
        assert_eq!(near_key("database", &["influxdb.database"]), Some("influxdb.database"));
        assert_eq!(near_key("zzz", &["influxdb.url"]), None);
        let plugins = [
            "org.apache.kafka.connect.mirror.MirrorSourceConnector",
            "org.apache.kafka.connect.file.FileStreamSourceConnector",
            "org.apache.kafka.connect.file.FileStreamSinkConnector",
            "slack-sink",
            "influxdb-sink",
            "epics-source",
            "mqtt-source",
        ];
        let near = |class| near_plugin(class, plugins.iter().copied()).unwrap_or("none");
        for (class, meant) in [
            ("FileStremSink", "org.apache.kafka.connect.file.FileStreamSinkConnector"),
            ("FileStreamSourcConnector", "org.apache.kafka.connect.file.FileStreamSourceConnector"),
            ("org.apache.kafka.connect.file.FileStreamSink", "org.apache.kafka.connect.file.FileStreamSinkConnector"),
            ("influx-sink", "influxdb-sink"),
            ("influxdb", "influxdb-sink"),
            ("slcak-sink", "slack-sink"),
            ("slack-source", "slack-sink"),
            ("epics", "epics-source"),
            // What else they have in common does not make them alike.
            ("email-sink", "none"),
            ("http-source", "none"),
            ("org.apache.kafka.connect.tools.MockSinkConnector", "none"),
            ("io.confluent.connect.jdbc.JdbcSourceConnector", "none"),
            ("SinkConnector", "none"),
        ] {
            assert_eq!(near(class), meant, "{class}");
        }
        let plugins = plugins.map(|class| PluginInfo { class: class.into(), kind: "sink".into(), version: None });
        assert!(
            unknown_plugin("FileStremSink", &plugins)
                .ends_with("did you mean org.apache.kafka.connect.file.FileStreamSinkConnector?")
        );
        assert!(unknown_plugin("zzz", &plugins).contains("connectctl plugins"));
    }

    #[test]
    fn messages_lose_the_exceptions_class_only() {
        assert_eq!(without_exception("org.apache.kafka.common.config.ConfigException: Bad: x"), "Bad: x");
        assert_eq!(without_exception("Bad: x"), "Bad: x");
    }
}
