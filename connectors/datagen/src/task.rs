//! When to make what: the task over its sequences, and what it counts.

use std::{sync::Arc, time::Duration};

use connect_api::{
    Counter, Error, Gauge, Receipt, Result, SourceBatch, SourceContext, SourceRecord, SourceTask, async_trait,
    template::{Escape, Template},
    time,
};
use futures_util::{StreamExt, stream};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::Instrument;

use crate::{
    DatagenConfig,
    config::Preset,
    discovery::{self, Assigned},
    preset::calls::Calls,
    random::any_seed,
    schedule::Schedule,
    sequence::{Parts, Position, Sequence, Values, partition},
    spec::{Pace, Spec},
};

/// How many schemas are fetched at a time.
const AT_ONCE: usize = 16;

/// How long making records may hold up everything else, such as a stop.
const MOMENT: Duration = Duration::from_millis(50);

/// The health of simulated calls lasts so long after the last one.
const HEALTHY: Duration = Duration::from_secs(120);

/// The running task.
pub struct DatagenTask {
    context: SourceContext,
    sequences: Vec<Sequence>,
    most: usize,
    /// Which sequence is the first to be asked, in turn.
    first: usize,
    /// A failure behind records that were handed over first.
    failed: Option<Error>,
    receipts: Option<mpsc::UnboundedSender<Receipt>>,
}

impl DatagenTask {
    /// Goes on with its sequences where their source offsets say.
    ///
    /// # Errors
    ///
    /// If a schema or model cannot be had, or has something wrong in it.
    pub async fn start(config: DatagenConfig, context: SourceContext) -> Result<Self> {
        let assigned = discovery::assigned(&config, context.settings()).await?;
        let headers = config
            .headers
            .iter()
            .map(|(name, text)| Ok((Arc::from(name.as_str()), Template::parse(text, Escape::None)?)));
        let headers = Arc::new(headers.collect::<Result<Vec<_>>>()?);
        let seed = config.seed.map_or_else(any_seed, |seed| seed as u64);
        let registry = if config.has_registry() { Some(config.registry()?) } else { None };
        let (begin, count) = (Instant::now(), assigned.len().max(1) as u32);
        let made = stream::iter(assigned.into_iter().zip(0..).map(|(one, index)| {
            let (config, context, headers, registry) = (&config, &context, headers.clone(), registry.as_ref());
            async move {
                let Assigned { spec, number } = one;
                let values = match spec.source.plan(config.form, registry).await? {
                    Some(plan) => Values::Plan(plan),
                    None => {
                        let (mean, scale) = (config.calls_mean, config.calls_scale);
                        Values::Calls(Calls::new(mean, scale, config.calls_form, config.form)?)
                    }
                };
                let offset = context.offset(&partition(&spec.topic, number)).await?;
                let position = offset.as_ref().map(|offset| {
                    Position::from_offset(offset).ok_or_else(|| {
                        Error::fatal(format!("the offset stored for {} is none of this connector", spec.topic))
                    })
                });
                let begin = begin + stagger(&spec).mul_f64(f64::from(index) / f64::from(count));
                let Spec { topic, pace, key, limit, .. } = spec;
                let schedule = Schedule::new(pace, begin, config.catch_up.0);
                let parts = Parts { topic: topic.into(), number, seed, values, key, headers, limit, schedule };
                Sequence::new(parts, position.transpose()?.unwrap_or_default())
            }
        }))
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
        let sequences = made.into_iter().collect::<Result<Vec<_>>>()?;
        let receipts = config.preset.map(|preset| follow(preset, &context));
        let most = usize::try_from(config.batch_size).unwrap_or(1);
        Ok(Self { context, sequences, most, first: 0, failed: None, receipts })
    }

    /// All records that are due, up to the size of a batch or as many as can be made in a moment.
    fn due(&mut self, now: Instant) -> Vec<SourceRecord> {
        let (began, clock) = (std::time::Instant::now(), time::now_ms());
        let count = self.sequences.len();
        // So that those without a limit leave room for each other.
        let unlimited = self.sequences.iter().filter(|s| s.schedule.unlimited() && !s.ended()).count();
        let share = (self.most / unlimited.max(1)).max(1);
        let mut records = Vec::new();
        'all: for i in 0..count {
            let sequence = &mut self.sequences[(self.first + i) % count];
            let before = records.len();
            while !sequence.ended() {
                if sequence.schedule.unlimited() && records.len() - before >= share {
                    break;
                }
                if records.len() >= self.most || began.elapsed() > MOMENT {
                    break 'all;
                }
                if !sequence.schedule.take(now) {
                    break;
                }
                match sequence.iteration(clock) {
                    Ok(made) => records.extend(made),
                    Err(error) => {
                        self.failed = Some(error);
                        break 'all;
                    }
                }
            }
        }
        self.first = (self.first + 1) % count.max(1);
        records
    }
}

#[async_trait]
impl SourceTask for DatagenTask {
    async fn poll(&mut self) -> Result<SourceBatch> {
        loop {
            let records = self.due(Instant::now());
            if !records.is_empty() {
                let Some(receipts) = &self.receipts else { return Ok(records.into()) };
                let mut batch = SourceBatch::default();
                // Its reader ends with the task.
                let _ = receipts.send(batch.push_with_receipt(records));
                return Ok(batch);
            }
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            let next = self.sequences.iter().filter(|s| !s.ended()).map(|s| s.schedule.next()).min();
            match next {
                Some(next) => sleep_until(next).await,
                None => {
                    self.context.note(Some("all records have been made; iterations says how many".into()));
                    std::future::pending().await
                }
            }
        }
    }
}

/// Topics do not all begin at once, but within the first second, or the first pause where that is shorter.
fn stagger(spec: &Spec) -> Duration {
    match spec.pace {
        Pace::Steady(period) => period.min(Duration::from_secs(1)),
        Pace::UpTo(_) | Pace::Unlimited => Duration::ZERO,
    }
}

/// Counts what Kafka has got of a preset's records.
fn follow(preset: Preset, context: &SourceContext) -> mpsc::UnboundedSender<Receipt> {
    let (sender, receipts) = mpsc::unbounded_channel();
    let stop = context.stopping().child_token();
    match preset {
        Preset::Salmock => {
            let counter =
                context.counter("salmock_produced_total", "Messages of the mock of SAL that Kafka has got.", &[]);
            tokio::spawn(stop.run_until_cancelled_owned(count(receipts, counter)).in_current_span());
        }
        Preset::Calls => {
            let help = "1 if Kafka has got a simulated call within the last 120 seconds, else 0.";
            let gauge = context.gauge("health_status", help, &[]);
            tokio::spawn(stop.run_until_cancelled_owned(health(receipts, gauge)).in_current_span());
        }
    }
    sender
}

async fn count(mut receipts: mpsc::UnboundedReceiver<Receipt>, counter: Counter) {
    while let Some(receipt) = receipts.recv().await {
        counter.add(receipt.await.stored as u64);
    }
}

async fn health(mut receipts: mpsc::UnboundedReceiver<Receipt>, gauge: Gauge) {
    let stored = async |receipts: &mut mpsc::UnboundedReceiver<Receipt>| {
        while let Some(receipt) = receipts.recv().await {
            if receipt.await.stored > 0 {
                return true;
            }
        }
        false
    };
    loop {
        match tokio::time::timeout(HEALTHY, stored(&mut receipts)).await {
            Ok(true) => gauge.set(1.0),
            Ok(false) => return,
            Err(_) => gauge.set(0.0),
        }
    }
}
