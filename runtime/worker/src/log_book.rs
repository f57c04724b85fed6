//! The latest log lines of each connector, for `GET /connectors/C/logs`.
//!
//! Lines come from whoever keeps the log of the process; which connector and task they are of is what their tracing
//! span says ([`CONNECTOR_FIELD`], [`TASK_FIELD`]).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use connect_api::time;
use connect_rest_model::{LogLine, LogLines};

/// The field of spans and events that names the connector.
pub const CONNECTOR_FIELD: &str = "connector";
/// The field of spans and events that tells the number of the task.
pub const TASK_FIELD: &str = "task";

/// What is kept of a connector: so many lines, and so many bytes of text.
const MOST_LINES: usize = 1000;
const MOST_BYTES: usize = 256 << 10;
/// A longer message is cut.
const LONGEST: usize = 8 << 10;
/// Lines can come before their connector is known, such as warnings about its settings. Of so many names they are kept.
const UNKNOWN: usize = 16;

/// The levels, the most severe first.
pub const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

/// A line to keep.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Milliseconds since 1970.
    pub at: i64,
    /// Index into [`LEVELS`].
    pub level: usize,
    /// Logger.
    pub target: &'static str,
    /// Which task it is about, if it is about one.
    pub task: Option<u32>,
    /// The text, without secrets.
    pub message: String,
}

/// Which lines are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those behind the line of this number; without it the latest ones.
    pub since: Option<u64>,
    /// At most so many.
    pub limit: Option<usize>,
    /// Those of this level (an index into [`LEVELS`]) and more severe ones.
    pub level: Option<usize>,
    /// Those of this task.
    pub task: Option<u32>,
}

#[derive(Debug, Default)]
struct Book {
    known: bool,
    /// Each with its number.
    lines: VecDeque<(u64, Entry)>,
    bytes: usize,
    /// Number of the last line that was dropped.
    dropped: u64,
}

#[derive(Debug, Default)]
struct Books {
    /// Number of the last line of any connector; the first has 1.
    last: u64,
    by_connector: BTreeMap<String, Book>,
}

/// The latest log lines of each connector.
#[derive(Debug, Default)]
pub struct LogBook(Mutex<Books>);

impl LogBook {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that there is such a connector, whose lines are kept until [`LogBook::close`].
    pub fn open(&self, connector: &str) {
        self.books().by_connector.entry(connector.to_owned()).or_default().known = true;
    }

    /// Forgets a connector's lines.
    pub fn close(&self, connector: &str) {
        self.books().by_connector.remove(connector);
    }

    /// Adds a line of a connector.
    pub fn add(&self, connector: &str, mut entry: Entry) {
        if entry.message.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|n| entry.message.is_char_boundary(*n));
            entry.message.truncate(end.unwrap_or(0));
            entry.message.push('…');
        }
        let mut books = self.books();
        books.last += 1;
        let number = books.last;
        match books.by_connector.get_mut(connector) {
            Some(book) => book.add(number, entry),
            None => {
                books.make_room();
                books.by_connector.entry(connector.to_owned()).or_default().add(number, entry);
            }
        }
    }

    /// A connector's lines, the oldest first.
    pub fn lines(&self, connector: &str, wanted: &Wanted) -> LogLines {
        let books = self.books();
        let none = Book::default();
        let book = books.by_connector.get(connector).unwrap_or(&none);
        // A number that was not given out yet is one of an earlier run of the worker: all is new.
        let since = wanted.since.filter(|n| *n <= books.last);
        let right = |(number, e): &&(u64, Entry)| {
            since.is_none_or(|since| *number > since)
                && wanted.level.is_none_or(|level| e.level <= level)
                && wanted.task.is_none_or(|task| e.task == Some(task))
        };
        let limit = wanted.limit.unwrap_or(MOST_LINES);
        let found: Vec<&(u64, Entry)> = book.lines.iter().filter(right).collect();
        let (shown, next) = if wanted.since.is_some() {
            let shown = &found[..limit.min(found.len())];
            // What the limit cut off comes with the next request.
            let next = if shown.len() < found.len() { shown.last().map_or(since, |(n, _)| Some(*n)) } else { None };
            (shown, next)
        } else {
            (&found[found.len().saturating_sub(limit)..], None)
        };
        LogLines {
            lines: shown.iter().map(|(number, e)| e.line(*number)).collect(),
            last: next.unwrap_or(books.last),
            missed: wanted.since.is_some_and(|_| since.unwrap_or(0) < book.dropped),
        }
    }
}

impl Books {
    /// Drops the oldest lines of connectors that are not known, so that there is room for another.
    fn make_room(&mut self) {
        let first = |book: &Book| book.lines.front().map_or(0, |(number, _)| *number);
        let mut unknown: Vec<(u64, &String)> =
            self.by_connector.iter().filter(|(_, b)| !b.known).map(|(name, b)| (first(b), name)).collect();
        if unknown.len() >= UNKNOWN {
            unknown.sort_unstable();
            let oldest = unknown[0].1.clone();
            self.by_connector.remove(&oldest);
        }
    }
}

impl Book {
    fn add(&mut self, number: u64, entry: Entry) {
        self.bytes += entry.message.len();
        self.lines.push_back((number, entry));
        while self.lines.len() > MOST_LINES || self.bytes > MOST_BYTES {
            let Some((number, oldest)) = self.lines.pop_front() else { return };
            self.bytes -= oldest.message.len();
            self.dropped = number;
        }
    }
}

impl Entry {
    fn line(&self, number: u64) -> LogLine {
        LogLine {
            number,
            time: time::rfc3339(self.at),
            level: LEVELS.get(self.level).copied().unwrap_or("TRACE").to_owned(),
            task: self.task,
            logger: self.target.to_owned(),
            message: self.message.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(level: usize, task: Option<u32>, message: impl Into<String>) -> Entry {
        Entry { at: 0, level, target: "t", task, message: message.into() }
    }

    fn texts(book: &LogBook, connector: &str, wanted: &Wanted) -> Vec<String> {
        book.lines(connector, wanted).lines.into_iter().map(|l| l.message).collect()
    }

    #[test]
    fn lines_are_those_of_the_connector_and_filtered_by_level_and_task() {
        let book = LogBook::default();
        book.open("c");
        book.add("c", entry(2, None, "a"));
        book.add("d", entry(0, None, "other"));
        book.add("c", entry(1, Some(0), "b"));
        book.add("c", entry(0, Some(1), "c"));
        let all = Wanted::default();
        assert_eq!(texts(&book, "c", &all), ["a", "b", "c"]);
        assert_eq!(texts(&book, "c", &Wanted { level: Some(1), ..all.clone() }), ["b", "c"]);
        assert_eq!(texts(&book, "c", &Wanted { task: Some(0), ..all.clone() }), ["b"]);
        assert_eq!(texts(&book, "c", &Wanted { limit: Some(2), ..all.clone() }), ["b", "c"]);
        assert_eq!(texts(&book, "x", &all), Vec::<String>::new());
        book.close("c");
        assert_eq!(texts(&book, "c", &all), Vec::<String>::new());
    }

    #[test]
    fn who_asks_for_what_is_new_gets_every_line_once() {
        let book = LogBook::default();
        for n in 0..5 {
            book.add("c", entry(2, None, n.to_string()));
        }
        let (mut since, mut seen) = (0, Vec::new());
        for _ in 0..4 {
            let answer = book.lines("c", &Wanted { since: Some(since), limit: Some(2), ..Wanted::default() });
            assert!(!answer.missed);
            seen.extend(answer.lines.into_iter().map(|l| l.message));
            since = answer.last;
        }
        assert_eq!(seen, ["0", "1", "2", "3", "4"]);
        book.add("d", entry(2, None, "other"));
        assert_eq!(book.lines("c", &Wanted { since: Some(since), ..Wanted::default() }).last, 6);
        // The worker was started anew since.
        assert_eq!(texts(&book, "c", &Wanted { since: Some(1000), ..Wanted::default() }).len(), 5);
    }

    #[test]
    fn lines_and_bytes_are_bounded_and_what_is_gone_is_told() {
        let book = LogBook::default();
        for n in 0..=MOST_LINES {
            book.add("c", entry(2, None, n.to_string()));
        }
        let answer = book.lines("c", &Wanted { since: Some(0), ..Wanted::default() });
        assert_eq!((answer.lines.len(), answer.lines[0].number, answer.missed), (MOST_LINES, 2, true));
        assert!(!book.lines("c", &Wanted { since: Some(1), ..Wanted::default() }).missed);
        for _ in 0..100 {
            book.add("c", entry(2, None, "ü".repeat(LONGEST)));
        }
        let all = book.lines("c", &Wanted::default()).lines;
        assert!(all.iter().map(|l| l.message.len()).sum::<usize>() <= MOST_BYTES && all.len() > 20, "{}", all.len());
        assert!(all[0].message.ends_with("ü…"));
    }

    #[test]
    fn lines_of_connectors_that_are_not_known_are_kept_for_a_few() {
        let book = LogBook::default();
        book.add("early", entry(1, None, "a warning"));
        book.open("early");
        for n in 0..100 {
            book.add(&format!("u{n}"), entry(1, None, "x"));
        }
        assert_eq!(texts(&book, "early", &Wanted::default()), ["a warning"]);
        assert_eq!(texts(&book, "u99", &Wanted::default()).len(), 1);
        assert_eq!(book.books().by_connector.len(), UNKNOWN + 1);
    }
}
