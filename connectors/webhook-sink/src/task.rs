//! Sends requests.

use std::collections::HashMap;

use connect_api::{
    Check, Error, ErrorClass, PartitionOffset, Rendered, Rendering, Result, SinkContext, SinkRecord, SinkTask,
    SinkTrial, TopicPartition, async_trait, time,
};
use connector_http::{Client, Delivery, Method, Url, header::HeaderValue, shown_url};

use crate::{
    plan::Plan,
    request::{HeaderPlan, Part, Place},
    responses::Responses,
    tries::Tries,
};

/// A running task.
#[derive(Debug)]
pub struct WebhookTask {
    sender: Sender,
    delivery: Delivery,
}

/// Makes requests of records.
#[derive(Debug)]
pub struct Sender {
    client: Client,
    plan: Plan,
    responses: Option<Responses>,
    tries: Tries,
}

/// What became of a record before anything was sent.
enum Made {
    /// Goes into a request to the place of this number.
    Part(usize, Option<Vec<u8>>),
    /// Nothing is sent.
    Nothing,
    /// It cannot be sent.
    Bad(Error),
}

/// What the records of a slice give to requests.
struct Slice<'a> {
    records: &'a [SinkRecord],
    made: Vec<Made>,
    places: Vec<Place>,
}

impl WebhookTask {
    /// Makes the task ready. Nothing is sent.
    pub fn new(plan: Plan, context: SinkContext) -> Result<Self> {
        let client = plan.client()?.counted_by(&context);
        let responses = plan.responses.as_ref().map(|plan| Responses::new(plan, &context)).transpose()?;
        let delivery = Delivery::new(context, &plan.delivery);
        Ok(Self { sender: Sender { client, plan, responses, tries: Tries::default() }, delivery })
    }
}

impl Sender {
    /// For test calls: nothing is written to topics.
    pub fn for_trial(plan: Plan) -> Result<Self> {
        Ok(Self { client: plan.client()?, plan, responses: None, tries: Tries::default() })
    }

    fn slice<'a>(&self, records: &'a [SinkRecord]) -> Slice<'a> {
        let (mut made, mut places) = (Vec::with_capacity(records.len()), Vec::new());
        let mut numbers: HashMap<Place, usize> = HashMap::new();
        for record in records {
            made.push(match self.plan.request.part(record) {
                Err(e) => Made::Bad(e),
                Ok(None) => Made::Nothing,
                Ok(Some(Part { place, body })) => {
                    let number = *numbers.entry(place).or_insert_with_key(|place| {
                        places.push(place.clone());
                        places.len() - 1
                    });
                    Made::Part(number, body)
                }
            });
        }
        Slice { records, made, places }
    }

    /// How many records, from the first, one request takes.
    fn fitting(&self, slice: &Slice<'_>, rest: &[&SinkRecord]) -> usize {
        let tried = self.tries.alike(rest);
        let rest = &rest[..tried];
        let made = || rest.iter().map(|record| slice.of(record));
        match (made().next(), &self.plan.batch) {
            (Some(Made::Nothing), _) => made().take_while(|made| matches!(made, Made::Nothing)).count(),
            (Some(Made::Part(place, Some(_))), Some(batch)) => {
                // What sends nothing is in nobody's way.
                let size = |made: &Made| match made {
                    Made::Part(other, Some(body)) if other == place => Some(Some(body.len())),
                    Made::Nothing => Some(None),
                    _ => None,
                };
                let mut parts = batch.fitting(made().map_while(size).flatten());
                let fits = |size: Option<usize>| {
                    let fits = size.is_none() || parts > 0;
                    parts -= usize::from(fits && size.is_some());
                    fits
                };
                made().map_while(size).map(fits).take_while(|fits| *fits).count()
            }
            _ => 1,
        }
    }

    async fn send(&self, slice: &Slice<'_>, group: Vec<&SinkRecord>) -> Result<()> {
        let (mut bodies, mut place) = (Vec::with_capacity(group.len()), None);
        for record in &group {
            match slice.of(record) {
                Made::Nothing => {}
                Made::Bad(e) => return Err(e.clone()),
                Made::Part(number, body) => {
                    place = slice.places.get(*number);
                    bodies.extend(body.as_deref());
                }
            }
        }
        let Some(place) = place else { return Ok(()) };
        let Some(limit) = self.plan.verdicts.limit else {
            return self.request(place, self.body(&bodies), &group).await;
        };
        if let Some(e) = self.tries.given_up(&group) {
            return Err(e);
        }
        let sent = self.request(place, self.body(&bodies), &group).await;
        sent.map_err(|e| self.tries.failed(e, limit, &group))
    }

    fn body(&self, bodies: &[&[u8]]) -> Option<Vec<u8>> {
        match (&self.plan.batch, bodies) {
            (_, []) => None,
            (Some(batch), bodies) => Some(batch.join(bodies.iter().copied())),
            (None, [first, ..]) => Some(first.to_vec()),
        }
    }

    async fn request(&self, place: &Place, body: Option<Vec<u8>>, group: &[&SinkRecord]) -> Result<()> {
        let to = shown_url(&place.url);
        let mut request = self.client.request(place.method.clone(), place.url.clone());
        for (name, value) in &place.headers {
            request = request.header(name, value);
        }
        if let Some(signer) = &self.plan.signer {
            let body = body.as_deref().unwrap_or_default();
            request = request.headers(signer.headers(&id(group), body, time::now_ms())?);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let doing = || match group.len() {
            1 => format!("sending a record to {to} ({})", self.plan.keys.url),
            n => format!("sending {n} records to {to} ({})", self.plan.keys.url),
        };
        let answer = self.client.send(request, doing).await?;
        let failed = self.plan.verdicts.judge(&answer, doing);
        if let Some(responses) = &self.responses {
            match (&failed, group) {
                (None, group) => responses.taken(group, &answer, &to).await?,
                (Some(e), [record]) if e.class() == ErrorClass::Data => responses.refused(record, &answer, &to).await?,
                _ => {}
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn ask(&self, url: &Url) -> Result<Check> {
        let to = shown_url(url);
        let mut request = self.client.request(Method::GET, url.clone());
        for header in &self.plan.request.headers {
            if let HeaderPlan::Fixed(name, value) = header {
                request = request.header(name, value);
            }
        }
        let doing = || format!("asking {to}, as a test call may");
        let answer = self.client.send(request, doing).await?;
        match answer.is_success() {
            true => Ok(Check::Passed(format!("{to} answers {} to GET", answer.status))),
            false => Err(answer.error(doing())),
        }
    }
}

impl Slice<'_> {
    fn of(&self, record: &SinkRecord) -> &Made {
        // They are references into the slice; asking where they stand is cheaper than asking who they are.
        let bytes = std::ptr::from_ref(record).addr() - self.records.as_ptr().addr();
        &self.made[bytes / size_of::<SinkRecord>()]
    }

    fn place(&self, record: &SinkRecord) -> usize {
        if let Made::Part(place, _) = self.of(record) { *place } else { 0 }
    }
}

/// Tells a request from all others, and is the same when it comes again.
fn id(group: &[&SinkRecord]) -> String {
    let of = |record: &SinkRecord| {
        let origin = &record.origin;
        format!("{}-{}-{}-{}", origin.topic, origin.partition, origin.offset, record.timestamp.unwrap_or_default())
    };
    match group {
        [] => String::new(),
        [record] => of(record),
        [first, .., last] => format!("{}--{}--{}", of(first), of(last), group.len()),
    }
}

#[async_trait]
impl SinkTrial for Sender {
    // What the server says to a request, only a request tells.
    async fn check(&mut self) -> Result<Check> {
        if let Some(url) = &self.plan.check {
            return self.ask(url).await;
        }
        let has_token = self.client.has_token().await?;
        let check = match self.plan.request.url.server() {
            Some(server) => self.client.knock(&server).await?,
            None => Check::NotChecked(format!("which server it is depends on the record ({})", self.plan.keys.url)),
        };
        Ok(match check {
            Check::Partly(text) if has_token => Check::Partly(format!("{text}; the token endpoint gave a token")),
            check => check,
        })
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        let Some(Part { place, body }) = self.plan.request.part(record)? else {
            return Ok(Rendering::Nothing("tombstones are ignored".into()));
        };
        let shown = |value: &HeaderValue| match value.to_str() {
            Ok(text) if !value.is_sensitive() => text.to_owned(),
            _ => "[hidden]".to_owned(),
        };
        let headers = place.headers.iter().map(|(name, value)| (name.to_string(), shown(value)));
        let body = self.body(&body.as_deref().into_iter().collect::<Vec<_>>());
        let hidden = |body: Vec<u8>| {
            let text = String::from_utf8_lossy(&body).into_owned();
            self.plan.hidden.iter().fold(text, |text, secret| text.replace(secret.reveal(), "[hidden]"))
        };
        let to = format!("{} {}", place.method, shown_url(&place.url));
        Ok(Rendering::Sent(Rendered { to, headers: headers.collect(), body: body.map(hidden) }))
    }
}

#[async_trait]
impl SinkTask for WebhookTask {
    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.delivery.opened(partitions);
        self.sender.tries.clear();
        Ok(())
    }

    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let sender = &self.sender;
        sender.responses.as_ref().map_or(Ok(()), Responses::check)?;
        let slice = &sender.slice(records);
        let batched = sender.plan.batch.is_some();
        let place = |record: &SinkRecord| if batched { slice.place(record) } else { 0 };
        let fitting = |rest: &[&SinkRecord]| sender.fitting(slice, rest);
        self.delivery.deliver_by(records, place, fitting, |group| sender.send(slice, group)).await?;
        sender.tries.finished(records);
        Ok(())
    }

    async fn flush(&mut self, offsets: &[PartitionOffset]) -> Result<Vec<PartitionOffset>> {
        if let Some(responses) = &self.sender.responses {
            responses.flush().await?;
        }
        Ok(offsets.to_vec())
    }
}
