//! What a task says of itself in its status.

use std::sync::{Mutex, PoisonError};

use connect_api::{Counter, TaskContext};

use crate::board::Missing;

/// Of more problems only the number is told.
const NAMED: usize = 5;

/// The parts of the note, each with its own author.
#[derive(Debug)]
pub(crate) struct Notes {
    context: TaskContext,
    parts: Mutex<[Option<String>; 3]>,
    coalesced: Counter,
}

#[derive(Clone, Copy)]
enum Part {
    Connections,
    Catalogue,
    Coalesced,
}

impl Notes {
    pub(crate) fn new(context: TaskContext) -> Notes {
        let help = "Values that were replaced by newer ones before they could be written.";
        let coalesced = context.counter("tocsin_epics_coalesced_values_total", help, &[]);
        Notes { context, parts: Mutex::default(), coalesced }
    }

    /// Which channels are not connected.
    pub(crate) fn missing(&self, missing: &Missing) {
        let Missing { count, all, names } = missing;
        let more = count.saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let text = format!("{count} of {all} channels are not connected: {}{more}", names.join(", "));
        let none = (*all == 0).then(|| "there is no channel for this task to monitor".to_owned());
        self.set(Part::Connections, none.or((*count > 0).then_some(text)));
    }

    /// What is wrong with channels of files and commands.
    pub(crate) fn problems(&self, problems: &[String]) {
        let more = problems.len().saturating_sub(NAMED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let text = format!("{}{more}", problems[..problems.len().min(NAMED)].join("; "));
        self.set(Part::Catalogue, (!problems.is_empty()).then_some(text));
    }

    /// How many values were replaced by newer ones before they could be written.
    pub(crate) fn coalesced(&self, count: u64) {
        self.coalesced.add(count.saturating_sub(self.coalesced.value()));
        let text = format!("{count} values were replaced by newer ones before they could be written");
        self.set(Part::Coalesced, (count > 0).then_some(text));
    }

    fn set(&self, part: Part, text: Option<String>) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts[part as usize] = text;
        let all: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
        self.context.note((!all.is_empty()).then(|| all.join("; ")));
    }
}
