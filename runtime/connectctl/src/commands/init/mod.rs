//! `connectctl init`: a file to begin with, from a plugin's own settings.
//!
//! - `needs`: which settings are needed together with others, as the worker tells when it validates some

mod needs;

use std::path::PathBuf;

use connect_rest_model::{ConfigKeyInfo, PluginInfo};
use indexmap::IndexMap;
use serde_json::{Value as Json, json};

use super::{Context, plugins::definition};
use crate::{error::Failure, output::Format, placeholder::OPEN, private, shell, table::wrap, yaml};
use needs::Needs;

/// What `init` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plugin, as connectctl plugins lists it.
    #[arg(value_name = "PLUGIN", add = crate::complete::plugins())]
    plugin: String,

    /// Name of the connector; that of the plugin without one.
    #[arg(long, value_name = "NAME", value_parser = crate::names::name)]
    name: Option<String>,

    /// Settings that are known already; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = crate::args::assignment)]
    settings: Vec<(String, String)>,

    /// With all settings that every connector has, not only the usual ones.
    #[arg(long)]
    all: bool,

    /// Write it into this file; with a password of --set only its owner may read it.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Replace the file if it exists.
    #[arg(long, requires = "file")]
    force: bool,
}

/// Settings of every connector that are worth a line in a file to begin with.
const USUAL: [&str; 8] = [
    "tasks.max",
    "key.converter",
    "value.converter",
    "topics",
    "transforms",
    "errors.tolerance",
    "errors.deadletterqueue.topic.name",
    "errors.deadletterqueue.topic.replication.factor",
];

/// Writes a commented YAML file of the plugin's settings: those that must be set stand as they are, the others as comments
/// with their defaults. Where the worker demands one of several, or one beside another, that is said at them.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let keys = definition(&args.plugin, context).await?;
    let kind = kind(&args.plugin, &context.client.plugins(false).await?);
    let name = args.name.clone().unwrap_or_else(|| short(&args.plugin));
    let mut template = Template {
        plugin: &args.plugin,
        name: &name,
        kind,
        keys: &keys,
        given: &args.settings,
        all: args.all,
        needs: Needs::default(),
    };
    if args.file.is_some() || !matches!(context.output.format, Format::Json | Format::Name) {
        template.needs = Needs::ask(&template, &context.client).await;
    }
    let text = template.yaml();
    if let Some(file) = &args.file {
        private::create(file, &text, template.has_secrets(), args.force)?;
        let shown = file.display().to_string();
        let word = shell::word(&shown);
        let next = format!("{shown} is written; next: connectctl validate -f {word}, connectctl test {word}");
        return context.output.result(&json!({ "file": shown }), || vec![name.clone()], |_| next);
    }
    match context.output.format {
        Format::Json | Format::Name => {
            context.output.result(&template.json(), || vec![name.clone()], |_| String::new())
        }
        _ => context.output.script(&text).map(drop),
    }
}

/// A name for people of a class: its simple name in words with dashes.
fn short(class: &str) -> String {
    let simple = class.rsplit('.').next().unwrap_or(class).trim_end_matches("Connector");
    let mut out = String::new();
    let mut before = '-';
    for c in simple.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            out.push('-');
        }
        out.extend(c.to_lowercase());
        before = c;
    }
    out
}

fn kind(class: &str, plugins: &[PluginInfo]) -> Option<String> {
    let ends = |p: &&PluginInfo| p.class == class || p.class.rsplit('.').next() == Some(class);
    plugins.iter().find(ends).map(|p| p.kind.clone())
}

struct Template<'a> {
    plugin: &'a str,
    name: &'a str,
    kind: Option<String>,
    keys: &'a [ConfigKeyInfo],
    given: &'a [(String, String)],
    all: bool,
    needs: Needs,
}

impl Template<'_> {
    fn given(&self, key: &str) -> Option<&str> {
        self.given.iter().rev().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// Whether a given setting is a password itself, and does not only say where that is.
    fn has_secrets(&self) -> bool {
        let is_password = |key: &str| self.keys.iter().any(|k| k.name == key && k.kind == "PASSWORD");
        self.given.iter().any(|(key, value)| is_password(key) && private::is_secret(value))
    }

    /// The value with which the key stands in the file; none if it stands there as a comment.
    fn value(&self, key: &ConfigKeyInfo) -> Option<String> {
        let known = self.given(&key.name).map(str::to_owned);
        // Only validation of both together says that one of them is needed.
        let topics =
            key.name == "topics" && self.given("topics.regex").is_none() && self.kind.as_deref() == Some("sink");
        known.or_else(|| (key.required || topics).then(|| OPEN.to_owned()))
    }

    fn shown(&self) -> (Vec<&ConfigKeyInfo>, Vec<&ConfigKeyInfo>) {
        // Workers list the plugin's own first; those of every connector begin with its name.
        let begin = self.keys.iter().position(|k| k.name == "name").unwrap_or(self.keys.len());
        let (own, common) = self.keys.split_at(begin);
        let kept = |k: &&ConfigKeyInfo| {
            let usual = self.all || USUAL.contains(&k.name.as_str()) || self.given(&k.name).is_some();
            usual && !matches!(k.name.as_str(), "name" | "connector.class")
        };
        (own.iter().collect(), common.iter().filter(kept).collect())
    }

    fn json(&self) -> Json {
        let (own, common) = self.shown();
        let mut config = IndexMap::from([("connector.class".to_owned(), self.plugin.to_owned())]);
        config.extend(own.into_iter().chain(common).filter_map(|key| Some((key.name.clone(), self.value(key)?))));
        config.extend(self.given.iter().cloned());
        json!({ "name": self.name, "config": config })
    }

    fn yaml(&self) -> String {
        let (own, common) = self.shown();
        let pair = |key: &str, value: &str| yaml::to_string(&json!({ key: value }));
        let mut out = format!(
            "# {} as a connector: replace {OPEN}, and remove the # in front of what is to differ from its default.\n",
            self.plugin
        );
        out.push_str(&pair("name", self.name));
        out.push_str(&pair("connector.class", self.plugin));
        let unknown = self.given.iter().filter(|(key, _)| !self.keys.iter().any(|k| k.name == *key));
        unknown.for_each(|(key, value)| out.push_str(&pair(key, value)));
        for key in &own {
            self.key(&mut out, key);
        }
        if !common.is_empty() {
            let further = if self.all { "" } else { "; connectctl init --all has all of them" };
            out.push_str(&format!("\n# --- settings of every connector{further} ---\n"));
            for key in &common {
                self.key(&mut out, key);
            }
        }
        out
    }

    fn key(&self, out: &mut String, key: &ConfigKeyInfo) {
        const WIDTH: usize = 100;
        out.push('\n');
        for line in wrap(&key.documentation.replace('\n', " "), 0, Some(WIDTH - 2)) {
            out.push_str(format!("# {}\n", line.trim()).trim_start_matches("# \n"));
        }
        for need in self.needs.of(&key.name) {
            for line in wrap(&need, 0, Some(WIDTH - 2)) {
                out.push_str(&format!("# {}\n", line.trim()));
            }
        }
        let pair = |value: &str| yaml::to_string(&json!({ key.name.as_str(): value }));
        match self.value(key) {
            Some(value) => out.push_str(&pair(&value)),
            None => {
                let line = key.default_value.as_deref().map_or_else(|| format!("{}:\n", key.name), pair);
                line.lines().for_each(|line| out.push_str(&format!("#{line}\n")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, default: Option<&str>, required: bool) -> ConfigKeyInfo {
        serde_json::from_value(json!({ "name": name, "type": "STRING", "required": required, "default_value": default,
            "importance": "HIGH", "documentation": format!("About {name}."), "group": null, "width": "SHORT",
            "display_name": name, "dependents": [], "order": 1 }))
        .expect("key")
    }

    fn template<'a>(keys: &'a [ConfigKeyInfo], given: &'a [(String, String)]) -> Template<'a> {
        Template {
            plugin: "influxdb-sink",
            name: "influx",
            kind: Some("sink".into()),
            keys,
            given,
            all: false,
            needs: Needs::default(),
        }
    }

    #[test]
    fn what_must_be_set_stands_out() {
        let keys = [
            key("url", None, true),
            key("database", Some("a: b"), false),
            key("password", None, false),
            key("name", None, true),
            key("tasks.max", Some("1"), false),
            key("topics", Some(""), false),
            key("config.action.reload", Some("restart"), false),
        ];
        let given = [("x.y".to_owned(), "1".to_owned())];
        let expected = "\
# influxdb-sink as a connector: replace CHANGE-ME, and remove the # in front of what is to differ from its default.
name: influx
connector.class: influxdb-sink
x.y: \"1\"

# About url.
url: CHANGE-ME

# About database.
#database: \"a: b\"

# About password.
#password:

# --- settings of every connector; connectctl init --all has all of them ---

# About tasks.max.
#tasks.max: \"1\"

# About topics.
topics: CHANGE-ME
";
        let text = template(&keys, &given).yaml();
        assert_eq!(text, expected);
        let trees = connect_files::read_text("t", &text).expect("YAML");
        let read = connect_files::connector::from_documents("t", &trees).expect("connector");
        assert_eq!(read[0].name, "influx");
        let given = [("url".to_owned(), "http://h".to_owned()), ("topics".to_owned(), "a,b".to_owned())];
        let json = template(&keys, &given).json();
        assert_eq!(json["config"], json!({ "connector.class": "influxdb-sink", "url": "http://h", "topics": "a,b" }));
    }

    #[test]
    fn classes_get_short_names() {
        assert_eq!(short("org.apache.kafka.connect.file.FileStreamSinkConnector"), "file-stream-sink");
        assert_eq!(short("influxdb-sink"), "influxdb-sink");
    }
}
