//! Answers requests: checks them, hands them to the task through a bounded queue, and waits for the outcome.

use std::{sync::Arc, time::Duration};

use connect_api::{CancellationToken, Outcome, Receipt, config::Secret, time::now_ms};
use connector_http::{
    Reply, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap},
    listener::Handler,
};
use futures_util::future::Shared;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::event::{Events, Reading};

/// A request that waits for the task.
#[derive(Debug)]
pub struct Pending {
    /// What it tells.
    pub events: Events,
    /// How its caller learns what became of it. Closed when the caller was told to come again.
    pub verdict: oneshot::Sender<Verdict>,
}

/// What the task made of a request.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing is to be stored.
    Nothing,
    /// Stored when the receipt says so.
    Sent(Shared<Receipt>),
    /// The request is right, but the settings cannot make an alarm of it.
    Impossible(String),
}

/// What every request of a connector needs.
#[derive(Debug)]
pub struct Intake {
    /// How bodies are read.
    pub reading: Reading,
    /// The `Authorization` header that callers must send.
    pub authorization: Option<Secret>,
    /// Requests that wait for the task.
    pub queue: mpsc::Sender<Pending>,
    /// How long Kafka may take.
    pub ack_timeout: Duration,
    /// Cancelled when the task stops.
    pub stopping: CancellationToken,
}

impl Intake {
    /// What answers the paths of the connector.
    pub fn handler(self) -> Handler {
        let intake = Arc::new(self);
        Arc::new(move |request| {
            let intake = intake.clone();
            Box::pin(async move { intake.answer(request).await })
        })
    }

    async fn answer(&self, request: Request) -> Reply {
        if self.stopping.is_cancelled() {
            return Reply::unavailable("the connector is stopping");
        }
        if let Err(reply) = self.check(&request.headers) {
            return reply;
        }
        let events = match self.reading.read(&request.body, now_ms()) {
            Ok(events) => events,
            Err(problem) => return Reply::new(StatusCode::BAD_REQUEST, problem),
        };
        drop(request);
        let (verdict, answer) = oneshot::channel();
        match self.queue.try_send(Pending { events, verdict }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Reply::unavailable("too many requests are waiting"),
            Err(mpsc::error::TrySendError::Closed(_)) => return Reply::unavailable("the connector is stopping"),
        }
        match timeout(self.ack_timeout, outcome(answer)).await {
            Ok(reply) => reply,
            Err(_) => Reply::unavailable("not stored in time: the connector is paused, or kafka is slow"),
        }
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Reply> {
        let header = |name| headers.get(name).map(|v| v.to_str().unwrap_or("?"));
        if let Some(expected) = &self.authorization
            && !same(header(AUTHORIZATION).unwrap_or_default(), expected.reveal())
        {
            return Err(Reply::new(StatusCode::UNAUTHORIZED, "expected other credentials in the header Authorization"));
        }
        match header(CONTENT_TYPE) {
            None => Ok(()),
            Some(text) if is_json(text) => Ok(()),
            Some(_) => {
                let text = "expected a body of type application/json";
                Err(Reply::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
            }
        }
    }
}

async fn outcome(answer: oneshot::Receiver<Verdict>) -> Reply {
    match answer.await {
        Ok(Verdict::Nothing) => Reply::new(StatusCode::OK, "nothing to store"),
        Ok(Verdict::Sent(receipt)) => match receipt.await {
            Outcome { failed: None, .. } => Reply::new(StatusCode::OK, "stored"),
            Outcome { failed: Some(_), .. } => Reply::unavailable("not stored"),
        },
        Ok(Verdict::Impossible(why)) => Reply::new(StatusCode::INTERNAL_SERVER_ERROR, why),
        Err(_) => Reply::unavailable("the connector is stopping"),
    }
}

fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media == "application/json" || media.starts_with("application/") && media.ends_with("+json")
}

// Takes as long whatever the text, so that nobody can guess it letter by letter.
fn same(given: &str, expected: &str) -> bool {
    let (given, expected) = (given.as_bytes(), expected.as_bytes());
    let differs = |i: usize, b: &u8| b ^ given.get(i).copied().unwrap_or(!b);
    let difference = expected.iter().enumerate().fold(0, |all, (i, b)| all | differs(i, b));
    difference == 0 && given.len() == expected.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_json_are_known() {
        for right in ["application/json", "Application/JSON; charset=utf-8", "application/cloudevents+json"] {
            assert!(is_json(right), "{right}");
        }
        for wrong in ["text/json", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            assert!(!is_json(wrong), "{wrong}");
        }
    }

    #[test]
    fn only_the_same_text_is_the_same() {
        assert!(same("Bearer x", "Bearer x"));
        for other in ["", "Bearer y", "Bearer ", "Bearer xx", "bearer x"] {
            assert!(!same(other, "Bearer x"), "{other}");
        }
    }
}
