//! Writes alarms of observations: only changes.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use connect_api::{Receipt, Result, SourceBatch, SourceContext, SourceRecord, Table, time::now_ms};
use connector_alarm::{Alarm, AlarmConfig, Engine, Mapping, Observation, State, Writer, engine::NamedChange};
use futures_util::{FutureExt, future::Shared};

/// From this many on, receipts of changes that were stored are forgotten.
const SWEEP_AT: usize = 1024;

/// What the alarms of a connector need.
#[derive(Debug)]
pub struct Alarms {
    context: SourceContext,
    config: AlarmConfig,
    source: String,
    writer: Writer,
    table: Table,
    engine: Engine,
    /// Alarms of which a clear was the last thing heard.
    normal: HashSet<Arc<str>>,
    /// The last change of each alarm, on its way to Kafka: who reports the same again must wait for it, too.
    sent: HashMap<Arc<str>, Shared<Receipt>>,
    /// Set when a change did not get there, which the engine does not know.
    lost: Arc<AtomicBool>,
}

impl Alarms {
    /// Follows the alarm topics.
    pub async fn start(config: AlarmConfig, context: SourceContext) -> Result<Self> {
        let connector = context.connector().clone();
        Ok(Self {
            source: Mapping::new(config.clone(), connector.clone()).source()?,
            writer: Writer::new(&config, connector),
            table: context.table(&config.topic).await?,
            engine: Engine::start(&config, &context).await?,
            context,
            config,
            normal: HashSet::new(),
            sent: HashMap::new(),
            lost: Arc::default(),
        })
    }

    /// Begins anew from what the topic says, if a change was lost on its way.
    pub async fn recover(&mut self) -> Result<()> {
        if self.lost.load(Ordering::Acquire) {
            // What is still on its way would not be in the topic yet.
            for receipt in self.sent.values() {
                receipt.clone().await;
            }
            self.engine = Engine::start(&self.config, &self.context).await?;
            self.sent.clear();
            self.lost.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Waits until others have changed the topic; cancel-safe.
    pub async fn changed(&mut self) {
        self.engine.changed().await;
    }

    /// What to write after others have changed the topic, such as the clear of an alarm that waited to be acknowledged.
    pub fn review(&mut self, batch: &mut SourceBatch) {
        let now = now_ms();
        let (normal, table) = (&self.normal, &self.table);
        // After a restart only the alarm itself knows that it is over.
        let latched = |name: &str| table.get(name).is_some_and(|row| Alarm::from_value(&row.value).latched);
        let changes = self.engine.review(&self.source, |name| normal.contains(name) || latched(name), now);
        for change in changes {
            drop(self.send(&change, now, batch));
        }
    }

    /// Writes what there is to write now that this was seen. Answers what tells when Kafka has it, or the same that was
    /// written before; none if there is nothing to wait for.
    pub fn see(&mut self, seen: &Observation, batch: &mut SourceBatch) -> Option<Shared<Receipt>> {
        let Observation { name, state } = seen;
        let now = now_ms();
        if *state == State::Normal {
            self.normal.insert(name.clone());
        } else {
            self.normal.remove(name);
        }
        match self.engine.observe(name, state, now) {
            Some(change) => Some(self.send(&change, now, batch)),
            None => self.sent.get(name).cloned(),
        }
    }

    fn send(&mut self, change: &NamedChange, now: i64, batch: &mut SourceBatch) -> Shared<Receipt> {
        let records = self.writer.records(change, Some(now)).into_iter();
        let receipt = batch.push_with_receipt(records.map(|record| SourceRecord { record, source: None })).shared();
        let (watched, lost) = (receipt.clone(), self.lost.clone());
        tokio::spawn(async move {
            if !watched.await.is_safe() {
                lost.store(true, Ordering::Release);
            }
        });
        if self.sent.len() >= SWEEP_AT {
            self.sent.retain(|_, receipt| receipt.peek().is_none_or(|outcome| !outcome.is_safe()));
        }
        self.sent.insert(change.name.clone(), receipt.clone());
        receipt
    }
}
