//! Which connector and task a line is about: what the line itself says, else the spans around it.

use std::fmt::{self, Write as _};

use connect_worker::log_book::{CONNECTOR_FIELD, TASK_FIELD};
use serde_json::{Map, Value as Json};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

/// A connector, or a task of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub connector: Option<String>,
    pub task: Option<u32>,
}

impl Place {
    fn within(self, outer: Option<&Self>) -> Self {
        let Some(outer) = outer else { return self };
        // A task of another connector is none of this one.
        let same = self.connector.is_none() || self.connector == outer.connector;
        Self {
            task: self.task.or(outer.task.filter(|_| same)),
            connector: self.connector.or_else(|| outer.connector.clone()),
        }
    }
}

/// Keeps with each span which place it is about.
pub(super) struct Places;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Places {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut said = Said::default();
        attributes.record(&mut said);
        let outer = span.parent().and_then(|parent| parent.extensions().get::<Place>().cloned());
        let place = said.place.within(outer.as_ref());
        if place != Place::default() {
            span.extensions_mut().insert(place);
        }
    }
}

/// What an event says, in the span where it happens.
pub(super) fn said<S>(event: &Event<'_>, span: Option<SpanRef<'_, S>>) -> Said
where
    S: for<'a> LookupSpan<'a>,
{
    let mut said = Said::default();
    event.record(&mut said);
    let outer = span.and_then(|span| span.extensions().get::<Place>().cloned());
    said.place = said.place.within(outer.as_ref());
    said
}

/// The fields of an event or a span.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub place: Place,
    pub message: String,
    pub others: Map<String, Json>,
}

impl Said {
    /// The message with the other fields behind it.
    pub fn text(self) -> String {
        let mut text = self.message;
        for (name, value) in &self.others {
            if !text.is_empty() {
                text.push(' ');
            }
            // Writing to a string cannot fail.
            let _ = match value {
                Json::String(value) => write!(text, "{name}={value}"),
                other => write!(text, "{name}={other}"),
            };
        }
        text
    }

    fn put(&mut self, field: &Field, value: Json) {
        match (field.name(), &value) {
            ("message", Json::String(text)) => self.message.clone_from(text),
            (CONNECTOR_FIELD, Json::String(name)) => self.place.connector = Some(name.clone()),
            (TASK_FIELD, Json::Number(n)) => self.place.task = n.as_u64().and_then(|n| u32::try_from(n).ok()),
            (name, _) => drop(self.others.insert(name.to_owned(), value)),
        }
    }
}

impl Visit for Said {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}
