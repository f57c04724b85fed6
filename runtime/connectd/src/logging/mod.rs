//! The log: on standard error, by levels that the REST API can change.

use std::{
    io::{self, Write},
    sync::{Arc, OnceLock},
};

use connect_worker::{loggers::Loggers, providers::secrets::Secrets};
use tracing::{Metadata, Subscriber, level_filters::LevelFilter, subscriber::Interest};
use tracing_subscriber::{
    Layer, Registry, filter::Targets, fmt::MakeWriter, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

/// What is logged where nothing else is asked for. librdkafka's own words are said by the clients.
const DEFAULT: &str = "info,librdkafka=off,rdkafka=off";

/// Starts logging by this filter, such as `connect_kafka=debug,info`; lines hold no secrets.
pub(crate) fn start(filter: Option<&str>, secrets: Secrets) -> Result<Arc<Loggers>, String> {
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
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer().with_writer(Lines { secrets }).with_ansi(colour).with_target(false);
    // A program that embeds this library may have a subscriber already.
    let _ = tracing_subscriber::registry().with(targets).with(names).with(lines).try_init();
    Ok(loggers)
}

/// Standard error, with references in place of what config providers gave.
#[derive(Clone)]
struct Lines {
    secrets: Secrets,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    /// A whole line, as the layer writes them.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        io::stderr().write_all(self.secrets.conceal(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
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
