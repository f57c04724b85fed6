//! Adds lines about connectors to their books.

use std::sync::Arc;

use connect_api::time;
use connect_worker::{
    log_book::{Entry, LEVELS, LogBook},
    providers::secrets::Secrets,
};
use tracing::{Event, Subscriber};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::place;

pub(super) struct Books {
    pub book: Arc<LogBook>,
    pub secrets: Secrets,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Books {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut said = place::said(event, context.event_span(event));
        let Some(connector) = said.place.connector.take() else { return };
        let metadata = event.metadata();
        let level = metadata.level().as_str();
        self.book.add(
            &connector,
            Entry {
                at: time::now_ms(),
                level: LEVELS.iter().position(|l| *l == level).unwrap_or(LEVELS.len() - 1),
                target: metadata.target(),
                task: said.place.task,
                message: self.secrets.conceal(&said.text()).into_owned(),
            },
        );
    }
}
