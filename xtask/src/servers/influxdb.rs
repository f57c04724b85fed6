//! InfluxDB 1.6.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::process::{self, Launch, Process, Server};
use super::{Cache, Error, Port, Result, debian, http};

/// An InfluxDB 1 server.
#[derive(Debug)]
pub struct InfluxDb {
    process: Process,
    port: Port,
    /// Backups are served here; nobody asks, but the port must not be another server's.
    _backup: Port,
}

impl InfluxDb {
    /// Fetches it unless it is in the cache; returns the program.
    pub(crate) fn fetch(cache: &Cache) -> Result<PathBuf> {
        debian::program(cache, "influxdb", "usr/bin/influxd")
    }

    /// Starts one.
    pub fn start() -> Result<Self> {
        Self::start_with("")
    }

    /// Starts one that wants to know who asks. It has no user yet, and lets anybody create the first one, an administrator.
    pub fn start_with_users() -> Result<Self> {
        Self::start_with("  auth-enabled = true\n")
    }

    fn start_with(http: &str) -> Result<Self> {
        let program = Self::fetch(&Cache::open()?)?;
        let [port, backup] = Port::claim_many()?;
        let dir = process::folder("influxdb")?;
        let files = dir.path().display();
        let settings = format!(
            "reporting-disabled = true\nbind-address = \"{}\"\n[meta]\n  dir = \"{files}/meta\"\n\
             [data]\n  dir = \"{files}/data\"\n  wal-dir = \"{files}/wal\"\n[monitor]\n  store-enabled = false\n\
             [http]\n  bind-address = \"{}\"\n{http}",
            backup.address(),
            port.address()
        );
        let settings = process::write(dir.path(), "influxdb.conf", &settings)?;
        let mut command = std::process::Command::new(program);
        command.args(["run", "-config"]).arg(settings);
        let address = port.address();
        let launch = Launch {
            name: "influxdb",
            command,
            holds_stdin: false,
            probe: Box::new(move || http::answers(&address, "/ping")),
            ready_within: Duration::from_secs(30),
        };
        Ok(Self { process: Process::launch(launch, dir)?, port, _backup: backup })
    }

    /// Its URL, to be followed by `/write`.
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// Creates a database unless it exists.
    pub fn create_database(&self, name: &str) -> Result<()> {
        self.query("", &format!("CREATE DATABASE \"{name}\"")).map(drop)
    }

    /// Writes lines of line protocol with nanoseconds into a database.
    pub fn write(&self, database: &str, lines: &str) -> Result<()> {
        let path = format!("/write?precision=ns&db={}", http::encode(database));
        let response = http::request(&self.port.address(), "POST", &path, &[], lines)?;
        http::body_of(response, || format!("writing points into influxdb database {database}")).map(drop)
    }

    /// Asks a question and returns the whole answer: `{"results": [{"series": […]}]}`. Times are nanoseconds.
    pub fn query_json(&self, database: &str, question: &str) -> Result<Value> {
        self.query(database, question)
    }

    /// The rows that answer a question, each with its values in the order of the columns, `time` first.
    pub fn rows(&self, database: &str, question: &str) -> Result<Vec<Vec<Value>>> {
        let answer = self.query(database, question)?;
        let mut rows = Vec::new();
        for series in answer["results"][0]["series"].as_array().into_iter().flatten() {
            for row in series["values"].as_array().into_iter().flatten() {
                rows.extend(row.as_array().cloned());
            }
        }
        Ok(rows)
    }

    /// Asks a question as a user.
    pub fn query_as(&self, user: &str, password: &str, question: &str) -> Result<Value> {
        self.query_with(&format!("u={}&p={}", http::encode(user), http::encode(password)), question)
    }

    fn query(&self, database: &str, question: &str) -> Result<Value> {
        self.query_with(&format!("db={}", http::encode(database)), question)
    }

    fn query_with(&self, more: &str, question: &str) -> Result<Value> {
        let doing = || format!("asking influxdb {question}");
        let path = format!("/query?epoch=ns&{more}&q={}", http::encode(question));
        // POST does for both: some statements are refused as GET.
        let response = http::request(&self.port.address(), "POST", &path, &[], "")?;
        let body = http::body_of(response, doing)?;
        let bad = |answer: String| Error::Answer { doing: doing(), answer };
        let answer: Value = serde_json::from_str(&body).map_err(|error| bad(format!("{error}: {body}")))?;
        match answer["results"][0]["error"].as_str() {
            Some(error) => Err(bad(error.into())),
            None => Ok(answer),
        }
    }
}

impl Server for InfluxDb {
    fn process(&self) -> &Process {
        &self.process
    }

    fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
