//! Printing: results to standard output as table, JSON or YAML, problems to standard error.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;

use crate::{error::Failure, yaml};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: lines that fit the terminal.
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// What became of text for standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is written.
    All,
    /// Whoever read it has gone.
    NobodyReads,
}

/// Where a command prints.
#[derive(Debug, Clone)]
pub struct Output {
    /// How.
    pub format: Format,
    width: Option<usize>,
}

impl Output {
    /// Prints in this format, tables as wide as the terminal.
    pub fn new(format: Format) -> Self {
        Self { format, width: width() }
    }

    /// Prints a result. The table is only made when it is wanted; it gets the width of the terminal, where there
    /// is one.
    pub fn result<T: Serialize>(&self, data: &T, table: impl FnOnce(Option<usize>) -> String) -> Result<(), Failure> {
        let failed = |e: serde_json::Error| Failure::Failed(format!("writing the result as JSON: {e}"));
        let text = match self.format {
            Format::Table => table(self.width),
            Format::Json => serde_json::to_string_pretty(data).map_err(failed)?,
            Format::Yaml => yaml::to_string(&serde_json::to_value(data).map_err(failed)?),
        };
        self.write(&text).map(drop)
    }

    /// Writes text to standard output, in lines.
    pub fn write(&self, text: &str) -> Result<Written, Failure> {
        // Characters of JSON and YAML are escaped already.
        let mut text = if self.is_table() { visible(text) } else { text.to_owned() };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => Ok(Written::All),
            // Whoever reads has read enough: `connectctl status | head -3`.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Written::NobodyReads),
            Err(e) => Err(Failure::Failed(format!("writing the result: {e}"))),
        }
    }

    /// Whether results are meant for people.
    pub fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// Says on standard error what is wrong.
    pub fn problem(&self, text: &str) {
        self.say(&format!("connectctl: {text}"));
    }

    /// Writes a line to standard error as it is: a problem that names its file, or a remark.
    pub fn say(&self, line: &str) {
        // Nobody can be told that standard error is closed.
        let _ = writeln!(io::stderr().lock(), "{}", visible(line));
    }
}

fn width() -> Option<usize> {
    let columns = env::var("COLUMNS").ok().and_then(|text| text.trim().parse().ok()).filter(|n| *n > 0);
    let terminal = || {
        let out = io::stdout();
        // Some terminals, as those of containers, do not know how wide they are.
        out.is_terminal().then(|| terminal_size::terminal_size_of(out).map_or(80, |(width, _)| usize::from(width.0)))
    };
    columns.or_else(terminal)
}

/// The text without control characters, which could move the cursor or colour what follows; lines stay lines.
pub fn visible(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '\n',
            '\t' => ' ',
            c if c.is_control() => '\u{FFFD}',
            c => c,
        })
        .collect()
}
