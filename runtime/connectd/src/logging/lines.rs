//! How lines are written: as text for people, or an object of JSON each for programs.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use connect_api::time;
use serde_json::{Map, Value as Json};
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Full, Writer},
    },
    registry::LookupSpan,
};

use super::place;

pub(super) struct Lines {
    text: Format<Full>,
    json: Arc<AtomicBool>,
}

impl Lines {
    /// Lines of text, or of JSON where that is set, which may change at any time.
    pub fn new(json: Arc<AtomicBool>) -> Self {
        Self { text: Format::default().with_target(false), json }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if !self.json.load(Ordering::Relaxed) {
            return self.text.format_event(context, writer, event);
        }
        let span = event.parent().and_then(|id| context.span(id)).or_else(|| context.lookup_current());
        let said = place::said(event, span);
        let mut line = Map::new();
        line.insert("timestamp".into(), time::rfc3339(time::now_ms()).into());
        line.insert("level".into(), event.metadata().level().as_str().into());
        line.insert("target".into(), event.metadata().target().into());
        line.insert("message".into(), said.message.into());
        if let Some(connector) = said.place.connector {
            line.insert("connector".into(), connector.into());
        }
        if let Some(task) = said.place.task {
            line.insert("task".into(), task.into());
        }
        if !said.others.is_empty() {
            line.insert("fields".into(), said.others.into());
        }
        writeln!(writer, "{}", Json::Object(line))
    }
}
