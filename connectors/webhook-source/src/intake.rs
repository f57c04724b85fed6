//! Answers requests: checks them, hands them to the task through a bounded queue, and waits for the outcome.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use connect_api::{CancellationToken, Outcome, Receipt, SourceContext, config::Secret, time::now_ms};
use connector_http::{
    Reply, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
    listener::{Bodies, Handler},
};
use futures_util::future::{Shared, join_all};
use openssl::{memcmp, sha::sha256};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};

use crate::{
    event::{Events, Reading, Refusal},
    once::{Digest, Once, Slot, State, Turn},
    signature::Signature,
};

/// The longest id of a request.
const LONGEST_ID: usize = 255;

/// A request that waits for the task.
#[derive(Debug)]
pub struct Pending {
    /// What it tells.
    pub events: Events,
    /// How its caller learns what became of it. Closed when the caller was told to come again.
    pub verdict: oneshot::Sender<Verdict>,
    /// Where it is told for requests that come again.
    pub slot: Option<Slot>,
    /// The room that its body takes among those that wait.
    pub room: OwnedSemaphorePermit,
}

/// What the task made of a request: stored when all receipts say so. There are none if nothing is to be stored.
pub type Verdict = Vec<Shared<Receipt>>;

/// How requests are known that come again.
#[derive(Debug)]
pub enum Ids {
    /// By the first of these headers.
    Headers(Vec<String>),
    /// By the body.
    Body,
}

/// What every request of a connector needs.
#[derive(Debug)]
pub struct Intake {
    /// How bodies are read.
    pub reading: Reading,
    /// The `Authorization` header that callers must send.
    pub authorization: Option<Secret>,
    /// How callers must sign.
    pub signature: Option<Signature>,
    /// Requests that came before, and how they are known.
    pub once: Option<(Ids, Arc<Once>)>,
    /// Requests that wait for the task.
    pub queue: mpsc::Sender<Pending>,
    /// Room for their bodies, in bytes.
    pub room: Arc<Semaphore>,
    /// How long Kafka may take.
    pub ack_timeout: Duration,
    /// Cancelled when the task stops.
    pub stopping: CancellationToken,
    /// Counts what is refused.
    pub context: SourceContext,
}

/// How a request is known.
struct Named {
    id: Digest,
    body: Digest,
    /// The header with the id.
    shown: Option<(String, String)>,
}

impl Intake {
    /// What answers the paths of the connector, and what counts bodies of more than so many bytes.
    pub fn handler(self, body_limit: usize) -> (Bodies, Handler) {
        let intake = Arc::new(self);
        let context = intake.context.clone();
        let bodies = Bodies { limit: body_limit, refused: Arc::new(move |reply| refused(&context, reply)) };
        let handler: Handler = Arc::new(move |request| {
            let intake = intake.clone();
            Box::pin(async move {
                let reply = intake.answer(request).await;
                if reply.status.is_client_error() || reply.status == StatusCode::INTERNAL_SERVER_ERROR {
                    refused(&intake.context, &reply);
                }
                reply
            })
        });
        (bodies, handler)
    }

    async fn answer(&self, request: Request) -> Reply {
        if self.stopping.is_cancelled() {
            return Reply::unavailable("the connector is stopping");
        }
        let now = now_ms();
        if let Err(reply) = self.check(&request, now) {
            return reply;
        }
        let mut events = match self.reading.read(&request.body, now) {
            Ok(events) => events,
            Err(Refusal::Malformed(problem)) => return Reply::new(StatusCode::BAD_REQUEST, problem),
            Err(Refusal::Unfit(problem)) => return Reply::new(StatusCode::UNPROCESSABLE_ENTITY, problem),
            // The sender is right: it is to come again when the settings are, too.
            Err(Refusal::Impossible(why)) => return Reply::new(StatusCode::INTERNAL_SERVER_ERROR, why),
        };
        let bytes = u32::try_from(request.body.len()).unwrap_or(u32::MAX);
        let Ok(room) = self.room.clone().try_acquire_many_owned(bytes) else {
            return Reply::unavailable("too many requests are waiting");
        };
        let named = match &self.once {
            Some((ids, once)) => match ids.of(&request) {
                Ok(named) => named.map(|named| (named, once)),
                Err(problem) => return Reply::new(StatusCode::BAD_REQUEST, problem),
            },
            None => None,
        };
        // From here on it may take a while.
        drop(request);
        let Some((named, once)) = named else { return self.within(self.hand_over(events, None, room)).await };
        if let Some((header, id)) = &named.shown {
            events.stamp(header, id);
        }
        match once.begin(named.id, named.body, Instant::now()) {
            Turn::First(slot) => self.within(self.hand_over(events, Some(slot), room)).await,
            Turn::Again(mut state) => {
                drop((events, room));
                let settled = async {
                    match state.wait_for(|s| *s != State::Open).await.map(|s| *s) {
                        Ok(State::Stored) => Reply::new(StatusCode::OK, "stored before"),
                        _ => Reply::unavailable("not stored"),
                    }
                };
                self.within(settled).await
            }
            Turn::Other => {
                let text = "the id of the request is that of one with another body";
                Reply::new(StatusCode::UNPROCESSABLE_ENTITY, text)
            }
        }
    }

    async fn within(&self, reply: impl Future<Output = Reply>) -> Reply {
        match timeout(self.ack_timeout, reply).await {
            Ok(reply) => reply,
            Err(_) => Reply::unavailable("not stored in time: the connector is paused, or kafka is slow"),
        }
    }

    /// Hands a request to the task. Whoever waits may go away at any time: the task leaves what nobody waits for.
    async fn hand_over(&self, events: Events, slot: Option<Slot>, room: OwnedSemaphorePermit) -> Reply {
        let (verdict, answer) = oneshot::channel();
        match self.queue.try_send(Pending { events, verdict, slot, room }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Reply::unavailable("too many requests are waiting"),
            Err(mpsc::error::TrySendError::Closed(_)) => return Reply::unavailable("the connector is stopping"),
        }
        match answer.await {
            Ok(receipts) if receipts.is_empty() => Reply::new(StatusCode::OK, "nothing to store"),
            Ok(receipts) => match are_safe(receipts).await {
                true => Reply::new(StatusCode::OK, "stored"),
                false => Reply::unavailable("not stored"),
            },
            Err(_) => Reply::unavailable("the connector is stopping"),
        }
    }

    fn check(&self, request: &Request, now: i64) -> Result<(), Reply> {
        let header = |name| request.headers.get(name).map(|v| v.to_str().unwrap_or("?"));
        if let Some(expected) = &self.authorization
            && !same(header(AUTHORIZATION).unwrap_or_default(), expected.reveal())
        {
            return Err(Reply::new(StatusCode::UNAUTHORIZED, "expected other credentials in the header Authorization"));
        }
        if let Some(signature) = &self.signature
            && let Err(problem) = signature.verify(&request.headers, &request.body, now)
        {
            return Err(Reply::new(StatusCode::UNAUTHORIZED, problem));
        }
        match header(CONTENT_TYPE) {
            None => Ok(()),
            Some(text) if is_json(text) => Ok(()),
            Some(_) => {
                let text = "expected the header Content-Type: application/json, or a type that ends in +json";
                Err(Reply::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
            }
        }
    }
}

fn refused(context: &SourceContext, reply: &Reply) {
    context.refused(&format!("a request was answered with {}: {}", reply.status, reply.text));
}

/// Whether Kafka has all of it.
pub(crate) async fn are_safe(receipts: Verdict) -> bool {
    join_all(receipts).await.iter().all(Outcome::is_safe)
}

impl Ids {
    /// How a request is known, if it is.
    fn of(&self, request: &Request) -> Result<Option<Named>, String> {
        let body = || sha256(&request.body);
        let Self::Headers(names) = self else { return Ok(Some(Named { id: body(), body: body(), shown: None })) };
        let found = names.iter().find_map(|name| Some((name, request.headers.get(name)?)));
        let Some((name, value)) = found else { return Ok(None) };
        match value.to_str() {
            Ok(id) if !id.is_empty() && id.len() <= LONGEST_ID => {
                let shown = Some((name.clone(), id.to_owned()));
                Ok(Some(Named { id: sha256(id.as_bytes()), body: body(), shown }))
            }
            _ => Err(format!("expected an id of at most {LONGEST_ID} letters of ASCII in the header {name}")),
        }
    }
}

fn is_json(content_type: &str) -> bool {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media == "application/json" || media.starts_with("application/") && media.ends_with("+json")
}

// Takes as long whatever the text, so that nobody can guess it letter by letter; digests are equally long.
fn same(given: &str, expected: &str) -> bool {
    memcmp::eq(&sha256(given.as_bytes()), &sha256(expected.as_bytes()))
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
