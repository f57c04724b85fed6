//! Makes alarms of conditions: only changes are written.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use connect_api::{Receipt, Result, SourceBatch, SourceContext, SourceRecord, Table, time::now_ms};
use connector_alarm::{Alarm, AlarmConfig, Condition, Engine, Mapping, State, Writer, engine::NamedChange};
use futures_util::{FutureExt, future::Shared};
use serde_json::{Map, Value as Json};

use crate::intake::Verdict;

/// From this many on, receipts of changes that were stored are forgotten.
const SWEEP_AT: usize = 1024;

/// What the alarms of a connector need.
#[derive(Debug)]
pub struct Alarms {
    context: SourceContext,
    config: AlarmConfig,
    mapping: Mapping,
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
        let mapping = Mapping::new(config.clone(), connector.clone());
        Ok(Self {
            source: mapping.source()?,
            writer: Writer::new(&config, connector),
            table: context.table(&config.topic).await?,
            engine: Engine::start(&config, &context).await?,
            mapping,
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

    /// What to write, if anything, now that this was seen.
    pub fn see(&mut self, condition: Condition, names: Map<String, Json>, batch: &mut SourceBatch) -> Verdict {
        let (name, now) = (condition.name.clone(), condition.since.unwrap_or_else(now_ms));
        let state = match self.mapping.by_severity(condition, names) {
            Ok(state) => state,
            Err(e) => {
                let why = format!("making an alarm of the notification: {}", e.one_line());
                tracing::error!(alarm = %name, "{why}");
                return Verdict::Impossible(why);
            }
        };
        if state == State::Normal {
            self.normal.insert(name.clone());
        } else {
            self.normal.remove(&name);
        }
        match self.engine.observe(&name, &state, now) {
            Some(change) => Verdict::Sent(self.send(&change, now, batch)),
            None => match self.sent.get(&name) {
                Some(receipt) => Verdict::Sent(receipt.clone()),
                None => Verdict::Nothing,
            },
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
