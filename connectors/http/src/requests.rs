//! Counts of requests for the page `/metrics`.

use std::time::Duration;

use connect_api::{Counter, Summary, TaskContext};
use reqwest::StatusCode;

/// By the first digit of the status; the first is that of requests without an answer.
const ANSWERS: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The requests of a task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requests {
    answers: [Counter; ANSWERS.len()],
    seconds: Summary,
}

impl Requests {
    pub(crate) fn of(context: &TaskContext) -> Self {
        let help = "Requests that were sent, by the status of the answer.";
        let answers = ANSWERS.map(|status| context.counter("tocsin_http_requests_total", help, &[("status", status)]));
        let help = "Time from sending a request to the end of its answer.";
        Self { answers, seconds: context.summary("tocsin_http_request_seconds", help, &[]) }
    }

    pub(crate) fn count(&self, status: Option<StatusCode>, took: Duration) {
        let class = status.map_or(0, |status| usize::from(status.as_u16() / 100));
        if let Some(counter) = self.answers.get(class) {
            counter.add(1);
        }
        self.seconds.observe(took.as_secs_f64());
    }
}
