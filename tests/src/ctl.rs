//! `connectctl` as a child process.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::Value as Json;

use crate::program;

/// What it did.
#[derive(Debug)]
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Standard output as JSON.
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// What it did, if the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

/// `connectctl` for a worker, without contexts and variables of whoever runs the tests.
pub struct Ctl {
    environment: Vec<(String, String)>,
}

impl Ctl {
    /// For the worker at this address; without one contexts say where it is.
    pub fn new(url: &str) -> Self {
        let environment = if url.is_empty() { Vec::new() } else { vec![("CONNECT_URL".into(), url.into())] };
        Self { environment }
    }

    /// With this variable, too.
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.fed(arguments, "")
    }

    /// As [`Ctl::run`], with standard input.
    pub fn fed(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = Command::new(program("connectctl"));
        command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("CONNECTCTL_CONFIG", "/nonexistent/config.yaml");
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("connectctl");
        // A program that reads no input may be gone already.
        let _ = child.stdin.take().map(|mut pipe| pipe.write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("connectctl");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Standard output where all went well.
    #[track_caller]
    pub fn out(&self, arguments: &[&str]) -> String {
        self.run(arguments).expect(0).out
    }

    /// The same as JSON.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Json {
        let all: Vec<&str> = arguments.iter().copied().chain(["-o", "json"]).collect();
        self.run(&all).expect(0).json()
    }
}
