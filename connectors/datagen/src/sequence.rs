//! The records of one topic, one after the other, and where among them a source offset stands.

use std::{collections::VecDeque, sync::Arc};

use connect_api::{Error, OffsetMap, Result, Schema, SourceRecord, Topic, Value, json::to_json, template::Template};
use serde_json::json;

use crate::{maker::Draw, plan::Plan, preset::calls::Calls, random::of_iteration, schedule::Schedule, spec::KeySpec};

/// Where a sequence stands: behind its last record.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Position {
    /// Number of the iteration that comes next, from 0.
    pub iteration: u64,
    /// How many of its records have been there already, where an iteration has several.
    pub records: u64,
    /// Where walks are; empty before the first record, and where there are none.
    pub walks: Vec<f64>,
}

impl Position {
    /// As a source offset.
    pub fn to_offset(&self) -> OffsetMap {
        let mut offset: OffsetMap = [("iteration".to_owned(), self.iteration.into())].into_iter().collect();
        if self.records > 0 {
            offset.insert("records".into(), self.records.into());
        }
        if !self.walks.is_empty() {
            // Offsets are flat: all walks are one text.
            offset.insert("walks".into(), json!(self.walks).to_string().into());
        }
        offset
    }

    /// From a source offset; none if it is of something else.
    pub fn from_offset(offset: &OffsetMap) -> Option<Self> {
        let records = offset.get("records").map_or(Some(0), |n| n.as_u64())?;
        let walks = offset.get("walks").map_or(Some(Vec::new()), |w| serde_json::from_str(w.as_str()?).ok())?;
        Some(Self { iteration: offset.get("iteration")?.as_u64()?, records, walks })
    }
}

/// The source partition of a topic's sequence.
pub fn partition(topic: &str, sequence: u32) -> OffsetMap {
    let mut partition: OffsetMap = [("topic".to_owned(), topic.into())].into_iter().collect();
    if sequence > 0 {
        partition.insert("sequence".into(), sequence.into());
    }
    partition
}

/// What values are made by.
#[derive(Debug)]
pub enum Values {
    /// One value an iteration.
    Plan(Plan),
    /// A batch of calls an iteration.
    Calls(Calls),
}

/// The records of a topic.
#[derive(Debug)]
pub struct Sequence {
    topic: Topic,
    partition: Arc<OffsetMap>,
    number: u32,
    seed: u64,
    values: Values,
    key: Option<KeySpec>,
    key_schema: Option<Schema>,
    headers: Arc<Vec<(Arc<str>, Template)>>,
    position: Position,
    limit: Option<u64>,
    /// When its records are due.
    pub schedule: Schedule,
}

/// All that makes a sequence.
pub struct Parts {
    /// Topic.
    pub topic: Topic,
    /// Number of the sequence among those of its topic.
    pub number: u32,
    /// Seed of all random numbers.
    pub seed: u64,
    /// What makes the values.
    pub values: Values,
    /// What makes the keys.
    pub key: Option<KeySpec>,
    /// Templates of headers.
    pub headers: Arc<Vec<(Arc<str>, Template)>>,
    /// How many iterations there are.
    pub limit: Option<u64>,
    /// When.
    pub schedule: Schedule,
}

impl Sequence {
    /// The sequence behind a position.
    ///
    /// # Errors
    ///
    /// If there are no keys as they are wanted, or a template cannot be filled in.
    pub fn new(parts: Parts, mut position: Position) -> Result<Self> {
        let Parts { topic, number, seed, values, key, headers, limit, schedule } = parts;
        let mut key_schema = None;
        if let Values::Plan(plan) = &values {
            match &key {
                Some(KeySpec::Field(path)) => key_schema = field_schema(plan, path, &topic)?,
                Some(KeySpec::Template(_)) => key_schema = Some(Schema::string()),
                None => {}
            }
            // Another model than the one that the offset is of begins its walks anew.
            if position.walks.len() != plan.walks.len() {
                position.walks.clone_from(&plan.walks);
            }
        } else {
            key_schema = Some(Schema::string());
        }
        let partition = Arc::new(partition(&topic, number));
        let mut made =
            Self { topic, partition, number, seed, values, key, key_schema, headers, position, limit, schedule };
        // A template with a wrong name is better told now than record by record.
        let before = made.position.clone();
        made.iteration(0)?;
        made.position = before;
        Ok(made)
    }

    /// Whether there is nothing more to come.
    pub fn ended(&self) -> bool {
        self.limit.is_some_and(|limit| self.position.iteration >= limit)
    }

    /// The records of the next iteration; nothing has been there if this fails.
    ///
    /// # Errors
    ///
    /// If a template cannot be filled in.
    pub fn iteration(&mut self, now: i64) -> Result<VecDeque<SourceRecord>> {
        let number = self.position.iteration;
        let mut random = of_iteration(self.seed, &self.topic, self.number, number);
        let mut walks = self.position.walks.clone();
        let (values, schema) = match &self.values {
            Values::Plan(plan) => {
                let mut draw = Draw {
                    random,
                    iteration: number,
                    now,
                    topic: &self.topic,
                    walks: &mut walks,
                    named: &plan.named,
                    depth: 0,
                    names: serde_json::Value::Null,
                };
                let value = plan.make(&mut draw)?;
                (vec![(self.key_of(&value, number)?, value)], plan.schema.clone())
            }
            Values::Calls(calls) => (calls.batch(&mut random, now)?, calls.schema()),
        };
        let (count, done) = (values.len() as u64, self.position.records);
        let mut records = VecDeque::with_capacity(values.len());
        for ((key, value), behind) in values.into_iter().zip(1..).skip(done as usize) {
            // Behind the last one the next iteration comes.
            let (iteration, behind) = if behind < count { (number, behind) } else { (number + 1, 0) };
            let offset = Position { iteration, records: behind, walks: walks.clone() }.to_offset();
            let key_schema = self.key_schema.clone().filter(|_| !key.is_null());
            let mut record = SourceRecord::new(self.topic.clone()).key(key_schema, key).value(schema.clone(), value);
            self.add_headers(&mut record, number)?;
            records.push_back(record.at(&self.partition, offset));
        }
        self.position = Position { iteration: number + 1, records: 0, walks };
        Ok(records)
    }

    fn key_of(&self, value: &Value, iteration: u64) -> Result<Value> {
        Ok(match &self.key {
            None => Value::Null,
            Some(KeySpec::Field(path)) => {
                let null = &Value::Null;
                path.iter().fold(value, |value, name| value.get(name).unwrap_or(null)).clone()
            }
            Some(KeySpec::Template(template)) => {
                let names = json!({"topic": &*self.topic, "iteration": iteration, "value": to_json(value)});
                Value::from(template.render_names(&names)?)
            }
        })
    }

    fn add_headers(&self, record: &mut SourceRecord, iteration: u64) -> Result<()> {
        if self.headers.is_empty() {
            return Ok(());
        }
        let extra = [("iteration".to_owned(), iteration.into())].into_iter().collect::<serde_json::Map<_, _>>();
        let made =
            self.headers.iter().map(|(name, template)| Ok((name.clone(), template.render(record, extra.clone())?)));
        for (name, text) in made.collect::<Result<Vec<_>>>()? {
            record.headers.add_string(name, text);
        }
        Ok(())
    }
}

/// The schema of the field that keys are; none for values without schema.
fn field_schema(plan: &Plan, path: &[String], topic: &str) -> Result<Option<Schema>> {
    if !plan.has(path) {
        let field = path.join(".");
        return Err(Error::fatal(format!("schema.keyfield: the values of {topic} have no field {field}")));
    }
    let mut schema = plan.schema.clone();
    let mut optional = false;
    for name in path {
        schema = schema.and_then(|s| s.field(name).map(|f| f.schema().clone()));
        optional |= schema.as_ref().is_some_and(Schema::is_optional);
    }
    Ok(schema.map(|s| s.with_optional(optional)))
}
