//! The log: on standard error as text or JSON, by levels that the REST API can change, and in the books of the
//! connectors that it is about.
//!
//! - `place`: which connector and task a line is about; `lines`: how lines are written; `books`: what connectors keep

mod books;
mod lines;
mod place;

use std::{
    io::{self, Write},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use connect_worker::{log_book::LogBook, loggers::Loggers, providers::secrets::Secrets, worker_config::LogFormat};
use tracing::{Metadata, Subscriber, level_filters::LevelFilter, subscriber::Interest};
use tracing_subscriber::{
    Layer, Registry, filter::Targets, fmt::MakeWriter, layer::SubscriberExt as _, registry::LookupSpan, reload,
    util::SubscriberInitExt as _,
};

use books::Books;
use lines::Lines;
use place::Places;

/// What is logged where nothing else is asked for. librdkafka's own words are said by the clients.
const DEFAULT: &str = "info,librdkafka=off,rdkafka=off";

/// The log of the process.
pub(crate) struct Log {
    /// Its levels.
    pub loggers: Arc<Loggers>,
    /// The latest lines of each connector.
    pub book: Arc<LogBook>,
    json: Arc<AtomicBool>,
}

impl Log {
    /// Writes what follows in this format.
    pub fn set_format(&self, format: LogFormat) {
        self.json.store(format == LogFormat::Json, Ordering::Relaxed);
    }
}

/// Starts logging by this filter, such as `connect_kafka=debug,info`; lines hold no secrets.
pub(crate) fn start(filter: Option<&str>, secrets: Secrets) -> Result<Log, String> {
    let variable = std::env::var("RUST_LOG").ok().filter(|v| !v.trim().is_empty());
    let text = filter.map(str::to_owned).or(variable).unwrap_or_else(|| DEFAULT.to_owned());
    let targets: Targets = text.parse().map_err(|e| {
        format!("{text:?} is no log filter: {e}; expected levels such as info or connect_kafka=debug,info")
    })?;
    let root = targets.default_level().unwrap_or(LevelFilter::ERROR);
    let own: Vec<(String, LevelFilter)> = targets.iter().map(|(target, level)| (target.to_owned(), level)).collect();
    let (targets, handle) = reload::Layer::<_, Registry>::new(targets.with_default(root));
    let apply = move |root, own: &[(String, LevelFilter)]| {
        let targets = Targets::new().with_default(root).with_targets(own.iter().cloned());
        // It fails where another subscriber of the program embedding this one is at work, which sets its own levels.
        if let Err(e) = handle.reload(targets) {
            tracing::warn!("setting log levels: {e}");
        }
    };
    let loggers = Arc::new(Loggers::new(root, own, Box::new(apply)));
    let names = Names::default();
    // Nobody else has it.
    let _ = names.0.set(loggers.clone());
    let (book, json) = (Arc::new(LogBook::default()), Arc::new(AtomicBool::new(false)));
    let layers = layers(StandardError, secrets, book.clone(), json.clone());
    // A program that embeds this library may have a subscriber already.
    let _ = tracing_subscriber::registry().with(targets).with(names).with(layers).try_init();
    Ok(Log { loggers, book, json })
}

/// What is done with the lines that the filter lets through.
fn layers<S, W>(to: W, secrets: Secrets, book: Arc<LogBook>, json: Arc<AtomicBool>) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let colour = io::IsTerminal::is_terminal(&io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(Concealing { to, secrets: secrets.clone() })
        .with_ansi(colour)
        .event_format(Lines::new(json));
    Places.and_then(Books { book, secrets }).and_then(lines)
}

/// Standard error.
struct StandardError;

impl<'a> MakeWriter<'a> for StandardError {
    type Writer = io::Stderr;

    fn make_writer(&'a self) -> io::Stderr {
        io::stderr()
    }
}

/// A writer of lines with references in place of what config providers gave.
struct Concealing<W> {
    to: W,
    secrets: Secrets,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Concealing<W> {
    type Writer = Concealed<'a, W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Concealed { to: self.to.make_writer(), secrets: &self.secrets }
    }
}

struct Concealed<'a, W> {
    to: W,
    secrets: &'a Secrets,
}

impl<W: Write> Write for Concealed<'_, W> {
    /// A whole line, as the layer writes them.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.to.write_all(self.secrets.conceal(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Makes the targets known as loggers when they come up.
#[derive(Default)]
struct Names(OnceLock<Arc<Loggers>>);

impl<S: Subscriber> Layer<S> for Names {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if let Some(loggers) = self.0.get() {
            loggers.know(metadata.target());
        }
        Interest::always()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use connect_worker::log_book::Wanted;
    use serde_json::{Value as Json, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("lock").extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Memory {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// What is written and kept of some work, at this level.
    fn logged(level: LevelFilter, json: bool, work: impl FnOnce()) -> (String, Arc<LogBook>) {
        let (memory, book, secrets) = (Memory::default(), Arc::new(LogBook::default()), Secrets::default());
        secrets.add("s3cret-\"s3cret\"", "${e:P}");
        let layers = layers(memory.clone(), secrets, book.clone(), Arc::new(AtomicBool::new(json)));
        let subscriber = tracing_subscriber::registry().with(Targets::new().with_default(level)).with(layers);
        tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(memory.0.lock().expect("lock").clone()).expect("text");
        (text, book)
    }

    fn spans(work: impl FnOnce()) {
        let connector = tracing::error_span!("connector", connector = %"c-1");
        connector.in_scope(|| {
            let task = tracing::error_span!("task", task = 7u32);
            task.in_scope(work);
        });
    }

    #[test]
    fn a_line_of_json_has_time_level_logger_text_connector_and_task() {
        let (text, _) = logged(LevelFilter::INFO, true, || {
            spans(|| {
                tracing::debug!("not wanted");
                tracing::warn!(target: "here", point = 3, host = "h\"1", "two\nlines with s3cret-\"s3cret\"");
            });
            tracing::info!(target: "here", "about none");
        });
        let lines: Vec<Json> = text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
        let mut first = lines[0].clone();
        let time = first.as_object_mut().expect("an object").shift_remove("timestamp").expect("a time");
        assert!(connect_api::time::parse_rfc3339(time.as_str().expect("text")).is_some(), "{time}");
        let expected = json!({ "level": "WARN", "target": "here", "message": "two\nlines with ${e:P}",
            "connector": "c-1", "task": 7, "fields": { "point": 3, "host": "h\"1" } });
        assert_eq!(first, expected);
        assert_eq!((lines.len(), lines[1].get("connector"), &lines[1]["message"]), (2, None, &json!("about none")));
    }

    #[test]
    fn a_line_of_text_names_connector_and_task() {
        let (text, _) = logged(LevelFilter::WARN, false, || spans(|| tracing::warn!("s3cret-\"s3cret\" is wrong")));
        assert!(text.contains("WARN connector{connector=c-1}:task{task=7}: ${e:P} is wrong"), "{text}");
    }

    #[test]
    fn connectors_keep_their_lines_whatever_says_that_they_are_theirs() {
        let (_, book) = logged(LevelFilter::INFO, false, || {
            spans(|| tracing::error!(count = 2, "in a span, s3cret-\"s3cret\""));
            spans(|| std::thread::scope(|s| drop(s.spawn(|| tracing::error!("on a thread of nobody")))));
            tracing::warn!(connector = "c-1", "by a field");
            tracing::warn!(connector = Some("c-1"), task = 3, "by fields");
            tracing::warn!("of nobody");
        });
        let lines = book.lines("c-1", &Wanted::default()).lines;
        let lines: Vec<_> = lines.iter().map(|l| (l.level.as_str(), l.task, l.message.as_str())).collect();
        let first = ("ERROR", Some(7), "in a span, ${e:P} count=2");
        assert_eq!(lines, [first, ("WARN", None, "by a field"), ("WARN", Some(3), "by fields")]);
    }

    #[test]
    fn spans_are_there_also_where_only_errors_are_logged() {
        let (_, book) = logged(LevelFilter::ERROR, false, || spans(|| tracing::error!("x")));
        assert_eq!(book.lines("c-1", &Wanted::default()).lines.len(), 1);
    }
}
