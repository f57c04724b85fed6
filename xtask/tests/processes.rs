//! Servers end with whatever started them, however that ends.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use xtask::servers::without;

#[test]
fn a_killed_process_leaves_no_server_and_no_files() {
    if without("influxdb") {
        return;
    }
    let files = tempfile::tempdir().unwrap();
    let (mut xtask, server) = up(files.path());
    assert!(alive(&server) && !entries(files.path()).is_empty());
    xtask.kill().unwrap();
    xtask.wait().unwrap();
    until("the server is gone", || !alive(&server));
    until("its files are gone", || entries(files.path()).is_empty());
}

#[test]
fn a_terminated_process_ends_its_servers_in_order() {
    if without("influxdb") {
        return;
    }
    let files = tempfile::tempdir().unwrap();
    let (mut xtask, server) = up(files.path());
    let id = xtask.id().to_string();
    assert!(Command::new("sh").args(["-c", "kill -s TERM \"$1\"", "sh", &id]).status().unwrap().success());
    assert!(xtask.wait().unwrap().success());
    assert!(!alive(&server));
    assert_eq!(entries(files.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_server_that_ends_by_itself_is_an_error_with_its_log() {
    if without("influxdb") {
        return;
    }
    let files = tempfile::tempdir().unwrap();
    let (mut xtask, server) = up(files.path());
    assert!(Command::new("sh").args(["-c", "kill -s KILL \"$1\"", "sh", &server]).status().unwrap().success());
    assert_eq!(xtask.wait().unwrap().code(), Some(1));
    let errors = std::io::read_to_string(xtask.stderr.take().unwrap()).unwrap();
    assert!(errors.contains("has ended by itself") && errors.contains("Listening on HTTP"), "{errors}");
}

#[test]
fn an_unknown_server_is_refused_by_name() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(["servers", "up", "oracle"]).output().unwrap();
    assert!(!output.status.success());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("no test server is called oracle; there are kafka, registry"), "{errors}");
}

#[test]
fn what_is_missing_is_named_with_the_way_to_get_it() {
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["servers", "fetch", "--without", "ioc", "--without", "aiosmtpd"])
        .env("PATH", empty.path())
        .env_remove("JAVA_HOME")
        .env("TOCSIN_CACHE", empty.path().join("cache"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let errors = String::from_utf8(output.stderr).unwrap();
    for part in [
        "Java 17 or newer is missing; get it with: apt-get install openjdk-17-jre-headless",
        "Maven (mvn) is missing; get it with: apt-get install maven",
        "the openssl command is missing; get it with: apt-get install openssl",
        "apt-get is missing",
    ] {
        assert!(errors.contains(part), "{errors}");
    }
    assert!(!errors.contains("Python"), "{errors}");
}

/// Runs a server with its files in a folder; returns its process id too.
fn up(files: &Path) -> (Child, String) {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["servers", "up", "influxdb"])
        .env("TMPDIR", files)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = None;
    let mut lines = BufReader::new(xtask.stdout.take().unwrap()).lines();
    for line in lines.by_ref() {
        let line = line.unwrap();
        if line.contains("process id") {
            server = line.split_whitespace().last().map(str::to_owned);
        }
        if line.starts_with("ready") {
            break;
        }
    }
    (xtask, server.unwrap())
}

fn alive(id: &str) -> bool {
    Command::new("sh").args(["-c", "kill -0 \"$1\" 2>/dev/null", "sh", id]).status().unwrap().success()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
