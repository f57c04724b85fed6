//! What the end-to-end tests share: running `connectd` and `connectctl`, reading topics, waiting with bounds.
//!
//! - [`Connectd`]: the server as a child process, with its REST API
//! - [`avro`]: the alarm topics as scripts of JLab read and write them
//! - [`ctl`]: the command line as a child process
//! - [`hanging`]: a worker whose plugins hang
//! - [`kafka`]: records of a topic, read without a group
//! - [`openapi`]: bodies held against a description of the API
//! - [`rest`]: requests of the REST API and their answers
//! - [`sides`]: Kafka Connect and this worker side by side
//! - [`wait`]: waits for a condition, never for a time

pub mod avro;
pub mod ctl;
pub mod hanging;
pub mod kafka;
pub mod openapi;
pub mod rest;
pub mod sides;

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value as Json;

/// Waits until the condition gives a value; panics with what was waited for after the limit.
pub fn wait<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {} s for {what}", limit.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A program that was built beside this one, which is a test or a program itself.
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("path of this program");
    let folder = own.parent().expect("target folder");
    // Tests are one folder below.
    let folder = if folder.ends_with("deps") { folder.parent().expect("target folder") } else { folder };
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing: build it with `cargo build --workspace --bins`", path.display());
    path
}

/// `connectd`, or a server made of it, as a child process; killed when dropped.
pub struct Connectd {
    program: PathBuf,
    child: Child,
    url: String,
    log: PathBuf,
    arguments: Vec<String>,
}

impl Connectd {
    /// Starts it with a free port for the REST API, unless the arguments say where it listens, and waits until it is
    /// ready. There must be a listener without TLS. Output goes to `log`.
    pub fn start(arguments: &[&str], log: &Path) -> Self {
        Self::start_program(program("connectd"), arguments, log)
    }

    /// As [`Connectd::start`], for a program with other plugins.
    pub fn start_program(program: PathBuf, arguments: &[&str], log: &Path) -> Self {
        let mut started = Self::begin(program, arguments, log);
        started.await_healthy();
        started
    }

    /// As [`Connectd::start_program`], but waits only until its REST API answers.
    pub fn begin(program: PathBuf, arguments: &[&str], log: &Path) -> Self {
        let mut arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        if !arguments.iter().any(|a| a.starts_with("listeners=")) {
            arguments.extend(["--set".into(), "listeners=http://127.0.0.1:0".into()]);
        }
        let child = Self::spawn(&program, &arguments, log);
        let mut started = Self { program, child, url: String::new(), log: log.to_owned(), arguments };
        started.bound();
        started
    }

    /// Starts it where it must refuse to, and answers what it says; waits until it has ended.
    pub fn refused(arguments: &[&str], log: &Path) -> String {
        Self::refused_within(arguments, log, Duration::from_secs(60))
    }

    /// As [`Connectd::refused`], where that takes longer.
    pub fn refused_within(arguments: &[&str], log: &Path, limit: Duration) -> String {
        let mut arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        arguments.extend(["--set".into(), "listeners=http://127.0.0.1:0".into()]);
        let program = program("connectd");
        let child = Self::spawn(&program, &arguments, log);
        let mut started = Self { program, child, url: String::new(), log: log.to_owned(), arguments };
        let status = wait("connectd to refuse to start", limit, || started.child.try_wait().ok().flatten());
        assert!(!status.success(), "{}", started.log_text());
        started.log_text()
    }

    fn spawn(program: &Path, arguments: &[String], log: &Path) -> Child {
        let output = File::options().create(true).append(true).open(log).expect("log file");
        let errors = output.try_clone().expect("log file");
        Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|e| panic!("starting {}: {e}", program.display()))
    }

    fn bound(&mut self) {
        let log = self.log.clone();
        self.url = wait("the REST API's address in the log", Duration::from_secs(30), || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("connectd ended with {status}:\n{}", self.log_text());
            }
            let lines = BufReader::new(File::open(&log).ok()?).lines();
            let line = lines.map_while(Result::ok).filter(|l| l.contains("the REST API is on http://")).last()?;
            // Behind it may be the rest of an object of JSON.
            Some(line.split("the REST API is on ").nth(1)?.split('"').next()?.trim().to_owned())
        });
    }

    /// Waits until it is ready.
    pub fn await_healthy(&mut self) {
        wait("the worker to be healthy", Duration::from_secs(90), || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("connectd ended with {status}:\n{}", self.log_text());
            }
            let status = reqwest::blocking::get(format!("{}/health", self.url)).ok()?.status();
            // Who asks for credentials does not tell.
            (status == 200 || status == 401 && self.log_text().contains("the worker is ready")).then_some(())
        });
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Address of the REST API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Address of the embedded broker, which it tells when it is ready.
    pub fn embedded_broker(&self) -> String {
        wait("the embedded broker's address", Duration::from_secs(30), || {
            let address =
                |line: &str| line.trim().strip_prefix("Kafka broker")?.split_whitespace().next().map(str::to_owned);
            self.log_text().lines().find_map(address)
        })
    }

    /// Everything that it wrote so far.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// `GET`: status and JSON.
    pub fn get(&self, path: &str) -> (u16, Json) {
        let answer = reqwest::blocking::get(format!("{}{path}", self.url)).expect("REST answers");
        (answer.status().as_u16(), answer.json().unwrap_or(Json::Null))
    }

    /// Any request with a JSON body; status and JSON, null for an empty answer.
    pub fn send(&self, method: &str, path: &str, body: Option<&Json>) -> (u16, Json) {
        let client = reqwest::blocking::Client::new();
        let method = method.parse().expect("method");
        let mut request = client.request(method, format!("{}{path}", self.url)).timeout(REQUEST);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().expect("REST answers");
        (answer.status().as_u16(), answer.json().unwrap_or(Json::Null))
    }

    /// State of a connector and those of its tasks.
    pub fn states(&self, connector: &str) -> (String, Vec<String>) {
        let (_, status) = self.get(&format!("/connectors/{connector}/status"));
        let text = |v: &Json| v["state"].as_str().unwrap_or_default().to_owned();
        let tasks = status["tasks"].as_array().map(|t| t.iter().map(text).collect()).unwrap_or_default();
        (text(&status["connector"]), tasks)
    }

    /// Waits until the connector and all of its tasks, of which there must be some, are in that state.
    pub fn await_state(&self, connector: &str, state: &str) {
        let all = |(own, tasks): &(String, Vec<String>)| {
            own == state && !tasks.is_empty() && tasks.iter().all(|t| t == state)
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let states = self.states(connector);
            if all(&states) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{connector} is not {state} but {states:?}:\n{}",
                self.get(&format!("/connectors/{connector}/status")).1
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills it as a crash would.
    pub fn kill9(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Starts it again with the same arguments.
    pub fn start_again(&mut self) {
        // The address of the new process is the last one in the log.
        std::fs::write(&self.log, "").expect("log file");
        self.child = Self::spawn(&self.program, &self.arguments, &self.log);
        self.bound();
        self.await_healthy();
    }

    /// Halts it: connections stay open, nobody answers.
    pub fn halt(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on after [`Connectd::halt`].
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    /// Waits until it has ended by itself; tells whether it ended well.
    pub fn await_end(&mut self, limit: Duration) -> bool {
        wait("connectd to end", limit, || self.child.try_wait().expect("wait")).success()
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().is_ok_and(|s| s.success()), "sending {signal}");
    }

    /// Asks it to stop and waits; answers how long it took and whether it ended well.
    pub fn terminate(&mut self) -> (Duration, bool) {
        let began = Instant::now();
        self.signal("-TERM");
        let status = wait("connectd to stop", Duration::from_secs(60), || self.child.try_wait().expect("wait"));
        (began.elapsed(), status.success())
    }
}

impl Drop for Connectd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("connectd's log:\n{}", self.log_text());
        }
    }
}

/// The worker itself gives up after 90 s.
const REQUEST: Duration = Duration::from_secs(120);

/// Writes a file into the folder and gives its path as text.
pub fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("writing a file");
    path.to_string_lossy().into_owned()
}
