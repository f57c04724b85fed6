//! What makes values: one maker per place of a schema or model, put together once.

use std::sync::Arc;

use connect_api::{BigDecimal, Map, Result, Schema, Struct, Value, json::to_json, template::Template};
use rand::{Rng, RngExt, distr::Distribution};
use rand_distr::weighted::WeightedIndex;
use serde_json::{Value as Json, json};

use crate::{
    number::{Clock, Counting, Real, Whole},
    pattern::Pattern,
    random::{Random, uuid},
};

/// How deep records within themselves go.
pub const DEEPEST: usize = 4;

/// How often a text of an expression is made anew until it has the right length.
const TRIES: usize = 1000;

/// What makes the values of one place.
#[derive(Debug, Clone)]
pub enum Maker {
    /// Always the same.
    Constant(Value),
    /// True so often.
    Boolean(f64),
    /// True and false in turn.
    Alternating(bool),
    /// A whole number between two, both included.
    Whole(Whole, i64, i64),
    /// A number that counts records.
    Counting(Whole, Counting),
    /// A number with a fraction; `true` for 32 bits.
    Real(Real, bool),
    /// A number rounded to so many places behind the point.
    Rounded(Box<Maker>, i32),
    /// One of these, by weight if they have weights.
    Choice(Vec<Value>, Option<WeightedIndex<f64>>),
    /// Letters and digits.
    Letters(Length),
    /// A text that matches an expression; the last is one of right length.
    Pattern(Pattern, Length, Arc<str>),
    /// A text of a template over the fields before it.
    Template(Template),
    /// A name of a person; `true` for an address of e-mail.
    Name(bool),
    /// The value as text between two others.
    Between(Arc<str>, Box<Maker>, Arc<str>),
    /// A UUID as text.
    Uuid,
    /// Bytes.
    Bytes(Length),
    /// So many zero bytes.
    Zeros(usize),
    /// A decimal number of at most so many digits, and its scale; `true` for a plain number.
    Decimal(u32, i64, bool),
    /// The clock.
    Now(Clock),
    /// A list.
    Array(Box<Maker>, Length),
    /// A map: keys and values.
    Map(Box<Maker>, Box<Maker>, Length),
    /// A record: a struct if there is a schema, else a map.
    Record(Option<Schema>, Vec<(Arc<str>, Maker)>),
    /// One of several members.
    Union(Union),
    /// A record that has begun further up, by its place in [`Draw::named`].
    Reference(usize),
}

/// One of several members, each with the probability of being chosen.
#[derive(Debug, Clone)]
pub struct Union {
    /// Of a struct that has a field for each member that is not null; none where the member itself is the value.
    pub schema: Option<Schema>,
    /// Members in order; none stands for null.
    pub members: Vec<Option<Maker>>,
    /// Probabilities; none for the same of each.
    pub weights: Option<WeightedIndex<f64>>,
    /// The member that ends records within themselves.
    pub last: usize,
}

/// How long something is: at least, and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length(pub usize, pub usize);

impl Length {
    fn draw(self, random: &mut Random) -> usize {
        random.random_range(self.0..=self.1)
    }

    fn has(self, length: usize) -> bool {
        (self.0..=self.1).contains(&length)
    }
}

/// All that a value is made from.
pub struct Draw<'a> {
    /// Random numbers of this record.
    pub random: Random,
    /// Number of the record, from 0.
    pub iteration: u64,
    /// Milliseconds since 1970.
    pub now: i64,
    /// Topic of the record.
    pub topic: &'a str,
    /// Where each walk is.
    pub walks: &'a mut [f64],
    /// Makers of the records that have themselves within.
    pub named: &'a [Maker],
    /// How many of those this is within.
    pub depth: usize,
    /// What templates know: an object with the fields that were made before.
    pub names: Json,
}

/// First names, as the mock of SAL has them.
pub const NAMES: [&str; 10] =
    ["James", "Mary", "John", "Patricia", "Robert", "Jennifer", "Michael", "Linda", "William", "Elizabeth"];

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl Maker {
    /// A value.
    ///
    /// # Errors
    ///
    /// If a template cannot be filled in.
    pub fn make(&self, draw: &mut Draw<'_>) -> Result<Value> {
        Ok(match self {
            Self::Constant(value) => value.clone(),
            Self::Boolean(odds) => Value::Boolean(draw.random.random_bool(*odds)),
            Self::Alternating(first) => Value::Boolean(*first == draw.iteration.is_multiple_of(2)),
            Self::Whole(kind, least, most) => kind.value(draw.random.random_range(*least..=*most)),
            Self::Counting(kind, counting) => kind.value(counting.whole(draw.iteration)),
            Self::Real(real, false) => Value::Float64(real.make(draw)),
            Self::Real(real, true) => Value::Float32(real.make(draw) as f32),
            Self::Rounded(inner, places) => match inner.make(draw)? {
                Value::Float64(v) => {
                    let factor = 10_f64.powi(*places);
                    Value::Float64((v * factor).round() / factor)
                }
                other => other,
            },
            Self::Choice(values, weights) => {
                let index = match weights {
                    Some(weights) => weights.sample(&mut draw.random),
                    None => draw.random.random_range(0..values.len()),
                };
                values[index].clone()
            }
            Self::Letters(length) => {
                let length = length.draw(&mut draw.random);
                let mut letter = || char::from(LETTERS[draw.random.random_range(0..LETTERS.len())]);
                Value::from((0..length).map(|_| letter()).collect::<String>())
            }
            Self::Pattern(pattern, length, known) => {
                let mut tries = (0..TRIES).map(|_| pattern.make(&mut draw.random));
                match tries.find(|text| length.has(text.chars().count())) {
                    Some(text) => Value::from(text),
                    None => Value::String(known.clone()),
                }
            }
            Self::Template(template) => Value::from(template.render_names(&draw.names)?),
            Self::Name(mail) => {
                let name = NAMES[draw.random.random_range(0..NAMES.len())];
                if *mail {
                    let number: u16 = draw.random.random_range(1..1000);
                    Value::from(format!("{}{number}@example.org", name.to_lowercase()))
                } else {
                    Value::from(name)
                }
            }
            Self::Between(before, inner, after) => {
                let inner = inner.make(draw)?;
                Value::from(format!("{before}{inner}{after}"))
            }
            Self::Uuid => Value::from(uuid(&mut draw.random)),
            Self::Bytes(length) => {
                let mut bytes = vec![0; length.draw(&mut draw.random)];
                draw.random.fill_bytes(&mut bytes);
                Value::Bytes(bytes.into())
            }
            Self::Zeros(length) => Value::Bytes(vec![0; *length].into()),
            Self::Decimal(digits, scale, plain) => {
                let most = 10_i64.pow(*digits) - 1;
                let unscaled = draw.random.random_range(-most..=most);
                if *plain {
                    Value::Float64(unscaled as f64 / 10_f64.powi(*scale as i32))
                } else {
                    Value::Decimal(Arc::new(BigDecimal::new(unscaled.into(), *scale)))
                }
            }
            Self::Now(clock) => clock.value(draw.now),
            Self::Array(item, length) => {
                let length = if draw.depth >= DEEPEST { 0 } else { length.draw(&mut draw.random) };
                Value::array((0..length).map(|_| item.make(draw)).collect::<Result<_>>()?)
            }
            Self::Map(key, value, length) => {
                let length = if draw.depth >= DEEPEST { 0 } else { length.draw(&mut draw.random) };
                let entries = (0..length).map(|_| Ok((key.make(draw)?, value.make(draw)?)));
                Value::Map(Arc::new(entries.collect::<Result<Map>>()?))
            }
            Self::Record(schema, fields) => record(schema.as_ref(), fields, draw)?,
            Self::Union(union) => union.make(draw)?,
            Self::Reference(place) => {
                draw.depth += 1;
                let made = draw.named[*place].make(draw);
                draw.depth -= 1;
                made?
            }
        })
    }

    /// How many values it makes at most, and how many records that hold themselves it then begins.
    pub fn size(&self) -> (f64, f64) {
        let times = |n: f64, (own, within): (f64, f64)| (1.0 + n * own, n * within);
        match self {
            Self::Reference(_) => (1.0, 1.0),
            Self::Letters(length) | Self::Bytes(length) => (1.0 + length.1 as f64 / 64.0, 0.0),
            Self::Between(_, inner, _) => inner.size(),
            Self::Array(item, length) => times(length.1 as f64, item.size()),
            Self::Map(_, value, length) => times(length.1 as f64, value.size()),
            Self::Record(_, fields) => {
                let sizes = fields.iter().map(|(_, maker)| maker.size());
                sizes.fold((1.0, 0.0), |all, one| (all.0 + one.0, all.1 + one.1))
            }
            Self::Union(union) => {
                let sizes = union.members.iter().flatten().map(Maker::size);
                sizes.fold((1.0, 0.0), |all, one| (all.0.max(one.0), all.1.max(one.1)))
            }
            _ => (1.0, 0.0),
        }
    }

    /// Whether it is made of the fields before it.
    fn is_templated(&self) -> bool {
        match self {
            Self::Template(_) => true,
            Self::Between(_, inner, _) | Self::Array(inner, _) | Self::Map(_, inner, _) => inner.is_templated(),
            Self::Union(union) => union.members.iter().flatten().any(Maker::is_templated),
            _ => false,
        }
    }
}

fn record(schema: Option<&Schema>, fields: &[(Arc<str>, Maker)], draw: &mut Draw<'_>) -> Result<Value> {
    let templated = fields.iter().any(|(_, maker)| maker.is_templated());
    let outer = templated.then(|| {
        let own = json!({"iteration": draw.iteration, "topic": draw.topic});
        std::mem::replace(&mut draw.names, own)
    });
    let mut values: Vec<Value> = Vec::with_capacity(fields.len());
    for (name, maker) in fields {
        let value = maker.make(draw)?;
        if templated {
            draw.names[&**name] = to_json(&value);
        }
        values.push(value);
    }
    if let Some(outer) = outer {
        draw.names = outer;
    }
    match schema {
        Some(schema) => Ok(Struct::from_values(schema, values)?.into_value()),
        None => Ok(Value::map(fields.iter().map(|(name, _)| name.clone()).zip(values))),
    }
}

impl Union {
    fn make(&self, draw: &mut Draw<'_>) -> Result<Value> {
        let chosen = match &self.weights {
            _ if draw.depth >= DEEPEST => self.last,
            Some(weights) => weights.sample(&mut draw.random),
            None => draw.random.random_range(0..self.members.len()),
        };
        let Some(maker) = &self.members[chosen] else { return Ok(Value::Null) };
        let value = maker.make(draw)?;
        let Some(schema) = &self.schema else { return Ok(value) };
        // Its fields are the members without null.
        let index = self.members[..chosen].iter().flatten().count();
        let mut values = vec![Value::Null; schema.fields().len()];
        values[index] = value;
        Ok(Struct::from_values(schema, values)?.into_value())
    }
}
