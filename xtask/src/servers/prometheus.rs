//! Prometheus, which reads `/metrics`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::process::{self, Launch, Process, Server};
use super::{Cache, Error, Port, Result, command, debian, http};

const PROGRAM: &str = "usr/bin/prometheus";
/// Beside it.
const CHECKER: &str = "promtool";
/// What it says of a page is an exit status of this, if it can read the page.
const CHECK: &str = r#""$0" check metrics <"$1" 2>&1 || [ $? -eq 3 ]"#;

/// A Prometheus server that reads one target every second.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    port: Port,
}

impl Prometheus {
    /// Fetches it unless it is in the cache; returns the program.
    pub(crate) fn fetch(cache: &Cache) -> Result<PathBuf> {
        debian::program(cache, "prometheus", PROGRAM)
    }

    /// Starts one that reads `/metrics` of this host and port.
    pub fn start(target: &str) -> Result<Self> {
        Self::launch(&job("connect", target))
    }

    /// As [`Prometheus::start`], as the job of this name and with a file of rules that it evaluates every second.
    pub fn start_with_rules(name: &str, target: &str, rules: &Path) -> Result<Self> {
        Self::launch(&format!("rule_files: [\"{}\"]\n{}", rules.display(), job(name, target)))
    }

    /// Starts one that reads nothing, and takes remote writes at `/api/v1/write`.
    pub fn start_receiver() -> Result<Self> {
        Self::launch("")
    }

    fn launch(what: &str) -> Result<Self> {
        let program = Self::fetch(&Cache::open()?)?;
        let port = Port::claim()?;
        let dir = process::folder("prometheus")?;
        let settings = format!("global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n{what}");
        let settings = process::write(dir.path(), "prometheus.yml", &settings)?;
        let mut command = std::process::Command::new(program);
        command.arg(format!("--config.file={}", settings.display()));
        command.arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()));
        command.arg(format!("--web.listen-address={}", port.address()));
        command.arg("--web.enable-remote-write-receiver");
        let address = port.address();
        let launch = Launch {
            name: "prometheus",
            command,
            holds_stdin: false,
            probe: Box::new(move || http::answers(&address, "/-/ready")),
            ready_within: Duration::from_secs(60),
        };
        Ok(Self { process: Process::launch(launch, dir)?, port })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// What an expression gives now: a list of `{"metric": …, "value": [time, "text"]}`. What was read shows after a
    /// second or two: ask until it does.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let doing = || format!("asking prometheus for {expression}");
        let path = format!("/api/v1/query?query={}", http::encode(expression));
        let body = http::body_of(http::get(&self.port.address(), &path)?, doing)?;
        let answer: Value = serde_json::from_str(&body)
            .map_err(|error| Error::Answer { doing: doing(), answer: format!("{error}: {body}") })?;
        Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
    }

    /// Its rules with how they do, each as `/api/v1/rules` has it.
    pub fn rules(&self) -> Result<Vec<Value>> {
        let doing = || "asking prometheus for its rules".to_owned();
        let body = http::body_of(http::get(&self.port.address(), "/api/v1/rules")?, doing)?;
        let answer: Value = serde_json::from_str(&body)
            .map_err(|error| Error::Answer { doing: doing(), answer: format!("{error}: {body}") })?;
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
    }

    /// What promtool says of a file of rules; an error if they are wrong.
    pub fn check_rules(rules: &Path) -> Result<String> {
        Self::promtool(&["check", "rules"], rules)
    }

    /// Has promtool play the cases of a file for `promtool test rules`; an error if they come out otherwise.
    pub fn test_rules(cases: &Path) -> Result<String> {
        Self::promtool(&["test", "rules"], cases)
    }

    fn promtool(what: &[&str], file: &Path) -> Result<String> {
        let mut promtool = std::process::Command::new(Self::fetch(&Cache::open()?)?.with_file_name(CHECKER));
        command::run(promtool.args(what).arg(file), &format!("{} by promtool", what.join(" ")), Duration::from_secs(60))
    }

    /// What promtool says of a page of metrics, a line each. A page that it cannot read is an error.
    pub fn check(page: &Path) -> Result<Vec<String>> {
        let checker = Self::fetch(&Cache::open()?)?.with_file_name(CHECKER);
        let mut sh = std::process::Command::new("sh");
        sh.args(["-c", CHECK]).arg(checker).arg(page);
        let said = command::run(&mut sh, "checking a page of metrics", Duration::from_secs(60))?;
        Ok(said.lines().map(str::to_owned).collect())
    }
}

/// The settings of a job with one target.
fn job(name: &str, target: &str) -> String {
    format!("scrape_configs:\n  - job_name: {name}\n    static_configs:\n      - targets: [\"{target}\"]\n")
}

impl Server for Prometheus {
    fn process(&self) -> &Process {
        &self.process
    }

    fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
