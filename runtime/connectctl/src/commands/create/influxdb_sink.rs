//! `connectctl create influxdb-sink`, with the options of kafkaefd's command of that name.
//!
//! What it does otherwise: the number of tasks is `tasks.max`, where kafkaefd wrote `task.max`, which workers ignore; values
//! are texts, also numbers; no server is written to unless it is named; the worker validates everything before anything is
//! created; and a dry run sends nothing but that question.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use connect_rest_model::{ConfigMap, CreateConnector};
use indexmap::IndexMap;
use serde_json::json;

use super::super::{Context, Outcome, status};
use crate::{
    changes::SecretKeys,
    check::{unknown_plugin, validate_config},
    consent::DryRun,
    error::Failure,
    private, shell,
    wait::{Goal, Wait},
    yaml,
};

/// What stands below the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  connectctl create influxdb-sink --influxdb http://influxdb:8086 -d efd --dry-run lsst.sal.Dome_wind
  connectctl create influxdb-sink --influxdb http://influxdb:8086 -d efd -t 2 --wait $(connectctl topics used in -o name)
  INFLUXDB_PASSWORD='${env:INFLUX}' connectctl create influxdb-sink --influxdb https://influxdb -u me -f sink.yaml calls";

/// What `create influxdb-sink` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Topics to write; each becomes a measurement of its name.
    #[arg(value_name = "TOPIC", required = true, value_parser = topic, add = crate::complete::topics())]
    topics: Vec<String>,

    /// Address of the InfluxDB server.
    #[arg(long, value_name = "URL", env = "INFLUXDB", hide_env_values = true, value_parser = server)]
    influxdb: reqwest::Url,

    /// Database to write to, which must exist.
    #[arg(short, long, value_name = "NAME", default_value = "efd")]
    database: String,

    /// How many tasks share the work.
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    tasks: u32,

    /// User of the server; one without authentication ignores it.
    #[arg(short, long, value_name = "NAME", env = "INFLUXDB_USER", default_value = "-")]
    username: String,

    /// The user's password, or a reference that the worker resolves, such as '${env:INFLUX}'.
    #[arg(short, long, value_name = "PASSWORD", env = "INFLUXDB_PASSWORD", hide_env_values = true)]
    password: Option<String>,

    /// Name of the connector.
    #[arg(long, value_name = "NAME", default_value = "influxdb-sink", value_parser = crate::names::name)]
    name: String,

    /// Write it into this file instead of creating it.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["daemon", "wait", "dry_run"])]
    file: Option<PathBuf>,

    /// Replace the file if it exists.
    #[arg(long, requires = "file")]
    force: bool,

    /// Show its state every 5 seconds then, until interrupted.
    #[arg(long, conflicts_with = "dry_run")]
    daemon: bool,

    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    dry_run: DryRun,
}

/// The worker gets the address as it is, so that a mere word is rather a slip than a host.
fn server(text: &str) -> Result<reqwest::Url, String> {
    if !text.contains("://") {
        return Err("expected http://HOST:PORT or https://HOST:PORT".into());
    }
    crate::args::url(text)
}

/// What Kafka allows in names, of which KCQL needs no quotes around any.
fn topic(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty() || text.len() > 249 || !text.chars().all(allowed) {
        return Err("names of topics are up to 249 letters, digits, dots, underscores and dashes".into());
    }
    Ok(text.to_owned())
}

/// The names under which workers have Lenses' connector: the old one, which kafkaefd names, first.
const CLASSES: [&str; 3] = [
    "com.datamountaineer.streamreactor.connect.influx.InfluxSinkConnector",
    "io.lenses.streamreactor.connect.influx.InfluxSinkConnector",
    "influxdb-kcql-sink",
];

impl Args {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let plugins = context.client.plugins(false).await?;
        let class = CLASSES.into_iter().find(|class| plugins.iter().any(|p| p.class == *class));
        let class = class.ok_or_else(|| Failure::Failed(unknown_plugin(CLASSES[0], &plugins)))?;
        let settings = self.settings(class);
        let mut config: ConfigMap = [("name".to_owned(), Some(self.name.clone()))].into();
        config.extend(settings.iter().map(|(key, value)| (key.clone(), Some(value.clone()))));
        let keys = settings.keys().map(String::as_str);
        for remark in validate_config(&context.client, &config, keys).await? {
            context.output.say(&format!("{}: warning: {remark}", self.name));
        }
        if let Some(file) = &self.file {
            return self.write(file, &settings, context);
        }
        if context.client.names().await?.contains(&self.name) {
            return Err(self.there_already());
        }
        if self.dry_run.dry_run {
            let secret = SecretKeys::of(&context.client, Some(class)).await;
            let shown: IndexMap<&String, String> =
                settings.iter().map(|(key, value)| (key, secret.shown(key, value))).collect();
            let trial = json!({ "name": self.name, "config": shown, "dry_run": true });
            let text = format!("{} would be created:\n{}", self.name, yaml::to_string(&json!(shown)));
            return context.output.result(&trial, || vec![self.name.clone()], |_| text);
        }
        let request = CreateConnector { name: self.name.clone(), config, initial_state: None };
        match context.client.create(&request).await {
            Ok(_) => {}
            // Somebody else was faster.
            Err(Failure::Refused { status: 409, .. }) => return Err(self.there_already()),
            Err(e) => return Err(e.of(&self.name)),
        }
        let outcome = Outcome::new(&self.name, "created");
        context.output.result(&outcome, || vec![self.name.clone()], |_| outcome.line())?;
        self.wait.until(&[(self.name.clone(), Goal::Settled)], context).await?;
        if self.daemon {
            const EVERY: Duration = Duration::from_secs(5);
            return status::run(&status::Args::watching(&self.name, EVERY), context).await;
        }
        Ok(())
    }

    fn there_already(&self) -> Failure {
        let name = &self.name;
        Failure::Failed(format!(
            "connector {name} already exists; connectctl edit {} changes it, and --name makes another one",
            shell::word(name)
        ))
    }

    /// In the order in which people look for them.
    fn settings(&self, class: &str) -> IndexMap<String, String> {
        let topics: BTreeSet<&str> = self.topics.iter().map(String::as_str).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        let statement = |t: &&str| format!("INSERT INTO {t} SELECT * FROM {t} WITHTIMESTAMP sys_time()");
        let mut all: IndexMap<String, String> = [
            ("connector.class", class.to_owned()),
            ("tasks.max", self.tasks.to_string()),
            ("topics", topics.join(",")),
            ("connect.influx.url", self.influxdb.as_str().trim_end_matches('/').to_owned()),
            ("connect.influx.db", self.database.clone()),
            ("connect.influx.username", self.username.clone()),
            ("connect.influx.kcql", topics.iter().map(statement).collect::<Vec<_>>().join(";")),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        if let Some(password) = &self.password {
            all.insert("connect.influx.password".into(), password.clone());
        }
        all
    }

    fn write(
        &self,
        file: &std::path::Path,
        settings: &IndexMap<String, String>,
        context: &Context<'_>,
    ) -> Result<(), Failure> {
        let mut text = yaml::to_string(&json!({ "name": self.name }));
        text.push_str(&yaml::to_string(&json!(settings)));
        let has_secrets = self.password.as_deref().is_some_and(private::is_secret);
        private::create(file, &text, has_secrets, self.force)?;
        let shown = file.display().to_string();
        let word = shell::word(&shown);
        let next = format!("{shown} is written; next: connectctl test {word}, connectctl apply -f {word}");
        context.output.result(&json!({ "file": shown }), || vec![self.name.clone()], |_| next)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(words: &[&str]) -> Args {
        Line::try_parse_from([&["x"], words].concat()).unwrap_or_else(|e| panic!("{e}")).args
    }

    #[test]
    fn the_settings_are_kafkaefds_with_their_defects_mended() {
        let made = args(&["--influxdb", "http://h:8086/", "-t", "2", "b.c-d", "a", "b.c-d"]).settings(CLASSES[0]);
        let expected = [
            ("connector.class", "com.datamountaineer.streamreactor.connect.influx.InfluxSinkConnector"),
            ("tasks.max", "2"),
            ("topics", "a,b.c-d"),
            ("connect.influx.url", "http://h:8086"),
            ("connect.influx.db", "efd"),
            ("connect.influx.username", "-"),
            (
                "connect.influx.kcql",
                "INSERT INTO a SELECT * FROM a WITHTIMESTAMP sys_time();INSERT INTO b.c-d SELECT * FROM b.c-d WITHTIMESTAMP \
                 sys_time()",
            ),
        ];
        assert_eq!(made.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), expected);
        let made = args(&["--influxdb", "http://h", "-u", "me", "-p", "pw", "-d", "db", "t"]).settings(CLASSES[2]);
        assert_eq!((made["connect.influx.url"].as_str(), made["connect.influx.password"].as_str()), ("http://h", "pw"));
        assert_eq!((made["connect.influx.username"].as_str(), made["connect.influx.db"].as_str()), ("me", "db"));
    }

    #[test]
    fn addresses_are_of_http() {
        assert_eq!(server("https://h:8086").map(|url| url.to_string()).as_deref(), Ok("https://h:8086/"));
        for wrong in ["nonsense", "h:8086", "ftp://h", "http://", ""] {
            assert!(server(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_that_kafka_would_refuse_are_refused() {
        assert_eq!(topic("lsst.sal.Dome_wind-1").as_deref(), Ok("lsst.sal.Dome_wind-1"));
        for wrong in ["", "a b", "a;b", "ä", &"x".repeat(250)] {
            assert!(topic(wrong).is_err(), "{wrong}");
        }
    }
}
