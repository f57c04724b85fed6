//! Printing: results to standard output in the format that was asked for, problems to standard error.

use std::{
    cell::Cell,
    env,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;

use crate::{
    error::Failure,
    paint::{self, resolve},
    yaml,
};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: lines that fit the terminal.
    Table,
    /// For people who want to see more: further columns, as wide as they are.
    Wide,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
    /// Only the names, one a line.
    Name,
}

/// What became of text for standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is written.
    All,
    /// Whoever read it has gone.
    NobodyReads,
}

/// What a result for people is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Columns of the terminal; none where a line may be as long as it is.
    pub width: Option<usize>,
    /// Whether further columns are wanted.
    pub wide: bool,
}

/// Where a command prints.
#[derive(Debug, Clone)]
pub struct Output {
    /// How.
    pub format: Format,
    width: Option<usize>,
    colour: bool,
    clear: Cell<bool>,
    clears: Cell<bool>,
}

impl Output {
    /// Prints in this format, tables as wide as the terminal.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            width: width(),
            colour: paint::wanted(&io::stdout()),
            clear: Cell::new(false),
            clears: Cell::new(false),
        }
    }

    /// Prints a result. The table and the names are only made when they are wanted. Names are those of what was found,
    /// made or changed: what a next command takes as arguments.
    pub fn result<T: Serialize>(
        &self,
        data: &T,
        names: impl FnOnce() -> Vec<String>,
        table: impl FnOnce(View) -> String,
    ) -> Result<(), Failure> {
        let failed = |e: serde_json::Error| Failure::Failed(format!("writing the result as JSON: {e}"));
        let text = match self.format {
            Format::Table => table(View { width: self.width, wide: false }),
            Format::Wide => table(View { width: None, wide: true }),
            Format::Json => serde_json::to_string_pretty(data).map_err(failed)?,
            Format::Yaml => yaml::of(data).map_err(failed)?,
            Format::Name => names().iter().map(|name| format!("{}\n", visible(name))).collect(),
        };
        self.write(&text).map(drop)
    }

    /// Has the next result begin on an empty screen, where it goes to a terminal.
    pub fn clear_first(&self) {
        self.clear.set(io::stdout().is_terminal());
        self.clears.set(self.clear.get());
    }

    /// Whether results begin on an empty screen, so that what was said before is gone.
    pub fn clears(&self) -> bool {
        self.clears.get()
    }

    /// Writes text to standard output, in lines.
    pub fn write(&self, text: &str) -> Result<Written, Failure> {
        // Characters of JSON and YAML are escaped already.
        let mut text = if self.is_table() { resolve(&visible(text), self.colour) } else { text.to_owned() };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        if self.clear.take() {
            text.insert_str(0, "\u{1b}[H\u{1b}[2J");
        }
        written(&text)
    }

    /// Writes text to standard output as it is, whatever the format.
    pub fn script(&self, text: &str) -> Result<Written, Failure> {
        written(text)
    }

    /// As [`Output::script`], of what others have written: a terminal gets no control characters of theirs.
    pub fn foreign(&self, text: &str) -> Result<Written, Failure> {
        if io::stdout().is_terminal() { written(&visible(text)) } else { written(text) }
    }

    /// Whether results are meant for people.
    pub fn is_table(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Says on standard error what is wrong.
    pub fn problem(&self, text: &str) {
        self.say(&format!("connectctl: {text}"));
    }

    /// Writes a line to standard error as it is: a problem that names its file, a remark, how far something has come.
    pub fn say(&self, line: &str) {
        // Nobody can be told that standard error is closed.
        let _ = writeln!(io::stderr().lock(), "{}", resolve(&visible(line), paint::wanted(&io::stderr())));
    }
}

fn written(text: &str) -> Result<Written, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Written::All),
        // Whoever reads has read enough: `connectctl status | head -3`.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Written::NobodyReads),
        Err(e) => Err(Failure::Failed(format!("writing the result: {e}"))),
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
