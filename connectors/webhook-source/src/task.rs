//! Takes requests from the queue and makes records of them.

use std::{net::SocketAddr, sync::Arc};

use connect_api::{Result, SourceBatch, SourceContext, SourceTask, async_trait};
use connector_alarm::RecordMapping;
use connector_http::{Listener, Route};
use futures_util::FutureExt;
use tokio::sync::{Semaphore, mpsc};

use crate::{
    alarms::Alarms,
    config::{Idempotency, WebhookSourceConfig},
    event::Reading,
    intake::{Ids, Intake, Pending, Verdict, are_safe},
    once::Once,
};

/// From this many records on, a batch is full.
const BATCH: usize = 1000;

/// A running task.
#[derive(Debug)]
pub struct WebhookTask {
    queue: mpsc::Receiver<Pending>,
    alarms: Option<Alarms>,
    routes: Vec<Route>,
}

impl WebhookTask {
    /// Listens. What this returns receives requests, which wait for the first poll.
    pub async fn start(config: WebhookSourceConfig, context: SourceContext) -> Result<Self> {
        let alarms = config.emits_alarms().then(|| config.with.of(config.format));
        let reading = Reading {
            bodies: config.bodies(),
            alarms: alarms.clone().map(|alarms| RecordMapping::new(alarms, context.connector().clone())),
            topic: config.topic()?,
        };
        let alarms = match alarms {
            Some(settings) => Some(Alarms::start(settings.alarm, context.clone()).await?),
            None => None,
        };
        let ids = match config.idempotency {
            Idempotency::Header => Some(Ids::Headers(config.id_headers.clone())),
            Idempotency::Body => Some(Ids::Body),
            Idempotency::None => None,
        };
        let remembered = usize::try_from(config.remembered).unwrap_or(1);
        let (sender, queue) = mpsc::channel(usize::try_from(config.queue).unwrap_or(1));
        let intake = Intake {
            reading,
            authorization: config.authorization(),
            signature: config.own.own.with.check(config.format),
            once: ids.map(|ids| (ids, Once::new(config.window.0, remembered))),
            queue: sender,
            room: Arc::new(Semaphore::new(usize::try_from(config.queue_bytes).unwrap_or(1))),
            ack_timeout: config.ack_timeout.0,
            stopping: context.stopping().clone(),
            context: context.clone(),
        };
        let listener = Listener::open(&config.own.with).await?;
        let (bodies, handler) = intake.handler(usize::try_from(config.body_limit).unwrap_or(0));
        let name = context.connector();
        let paths = config.paths_of(name);
        let routes = paths.iter().map(|path| listener.route(path, name, bodies.clone(), handler.clone()));
        let routes = routes.collect::<Result<Vec<_>>>()?;
        tracing::info!(address = %listener.address(), paths = paths.join(","), "receiving webhooks");
        Ok(Self { queue, alarms, routes })
    }

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> Option<SocketAddr> {
        self.routes.first().map(Route::address)
    }

    fn take(&mut self, pending: Pending, batch: &mut SourceBatch) {
        // Its caller was told to send it again.
        if pending.verdict.is_closed() {
            return;
        }
        let mut verdict = Verdict::new();
        if let Some(alarms) = &mut self.alarms {
            verdict.extend(pending.events.alarms.iter().filter_map(|seen| alarms.see(seen, batch)));
        }
        if !pending.events.records.is_empty() {
            verdict.push(batch.push_with_receipt(pending.events.records).shared());
        }
        // Also when its caller hangs up it is known what comes of it.
        if let Some(slot) = pending.slot {
            let receipts = verdict.clone();
            tokio::spawn(async move {
                if are_safe(receipts).await {
                    slot.stored();
                }
            });
        }
        // The caller may hang up at any time; what was sent stays sent.
        let _ = pending.verdict.send(verdict);
    }
}

// After the queue was closed nothing comes any more.
async fn received(queue: &mut mpsc::Receiver<Pending>) -> Option<Pending> {
    match queue.recv().await {
        None => std::future::pending().await,
        some => some,
    }
}

#[async_trait]
impl SourceTask for WebhookTask {
    async fn poll(&mut self) -> Result<SourceBatch> {
        loop {
            let mut batch = SourceBatch::default();
            let first = match &mut self.alarms {
                None => received(&mut self.queue).await,
                Some(alarms) => tokio::select! {
                    first = received(&mut self.queue) => first,
                    () = alarms.changed() => None,
                },
            };
            if let Some(alarms) = &mut self.alarms {
                alarms.recover().await?;
                if first.is_none() {
                    alarms.review(&mut batch);
                }
            }
            // Nothing that is taken waits for anything from here on: a poll that is dropped loses no request.
            if let Some(first) = first {
                self.take(first, &mut batch);
            }
            while batch.records.len() < BATCH
                && let Ok(next) = self.queue.try_recv()
            {
                self.take(next, &mut batch);
            }
            if !batch.records.is_empty() {
                return Ok(batch);
            }
        }
    }

    async fn stop(&mut self) -> Result<()> {
        self.routes.clear();
        // Callers whose requests were not taken are told to come again.
        self.queue.close();
        while self.queue.try_recv().is_ok() {}
        Ok(())
    }
}
