//! Numbers and times: the kinds of them, and how each comes out of a record's number, the clock or chance.

use connect_api::Value;
use rand::{RngExt, distr::Distribution};
use rand_distr::Normal;

use crate::maker::Draw;

/// Types of whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Whole {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Date,
    Time,
    Timestamp,
}

/// Units of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Days since 1970; `true` for the logical type.
    Days(bool),
    /// Since midnight, so many in a millisecond; `true` for the logical type, whose unit is the millisecond.
    OfDay(i64, bool),
    /// Milliseconds since 1970 as the logical type.
    Timestamp,
    /// Since 1970, so many in a millisecond.
    Since(i64),
    /// Whole seconds since 1970.
    Seconds,
    /// RFC 3339.
    Text,
}

/// Numbers that count records, from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counting {
    /// What it goes back to.
    pub start: f64,
    /// The first one.
    pub initial: f64,
    /// Added with each record.
    pub step: f64,
    /// Where it goes back to the start.
    pub restart: Option<f64>,
}

/// Shapes of numbers with a fraction.
#[derive(Debug, Clone)]
pub enum Real {
    /// Between two, the second one excluded.
    Uniform(f64, f64),
    /// Around a mean, cut off at two bounds.
    Normal(Normal<f64>, f64, f64),
    /// A wave over so many records, with noise.
    Sine {
        /// Middle.
        mean: f64,
        /// Half of the distance between its lowest and highest point.
        amplitude: f64,
        /// Records of one wave.
        period: f64,
        /// Standard deviation of what is added.
        noise: Option<Normal<f64>>,
    },
    /// A step from the one before, turned back at two bounds; the place of its state in [`Draw::walks`].
    Walk(Normal<f64>, f64, f64, usize),
    /// Counts records.
    Counting(Counting),
}

impl Real {
    /// A number.
    pub fn make(&self, draw: &mut Draw<'_>) -> f64 {
        match self {
            Self::Uniform(least, most) if least < most => draw.random.random_range(*least..*most),
            Self::Uniform(least, _) => *least,
            Self::Normal(normal, least, most) => normal.sample(&mut draw.random).clamp(*least, *most),
            Self::Sine { mean, amplitude, period, noise } => {
                let turn = (draw.iteration as f64 / period).fract() * std::f64::consts::TAU;
                mean + amplitude * turn.sin() + noise.map_or(0.0, |noise| noise.sample(&mut draw.random))
            }
            Self::Walk(step, least, most, place) => {
                let mut next = draw.walks[*place] + step.sample(&mut draw.random);
                if next > *most {
                    next = most - (next - most);
                }
                if next < *least {
                    next = least + (least - next);
                }
                draw.walks[*place] = next.clamp(*least, *most);
                draw.walks[*place]
            }
            Self::Counting(counting) => counting.real(draw.iteration),
        }
    }
}

impl Counting {
    /// The number of an iteration, whole.
    pub fn whole(&self, iteration: u64) -> i64 {
        // 128 bits hold any product of two numbers of 64.
        let (start, initial, step) = (self.start as i128, self.initial as i128, self.step as i128);
        let way = initial - start + step * i128::from(iteration);
        let way = self.restart.map_or(way, |restart| match restart as i128 - start {
            0 => 0,
            span => way % span,
        });
        (start + way) as i64
    }

    /// The number of an iteration, with its fraction.
    pub fn real(&self, iteration: u64) -> f64 {
        let way = self.initial - self.start + self.step * iteration as f64;
        self.start + self.restart.map_or(way, |restart| way % (restart - self.start))
    }
}

impl Whole {
    /// A number as a value of the type, whose range it is in.
    pub fn value(self, n: i64) -> Value {
        match self {
            Self::Int8 => Value::Int8(n as i8),
            Self::Int16 => Value::Int16(n as i16),
            Self::Int32 => Value::Int32(n as i32),
            Self::Int64 => Value::Int64(n),
            Self::Float32 => Value::Float32(n as f32),
            Self::Float64 => Value::Float64(n as f64),
            Self::Date => Value::Date(n as i32),
            Self::Time => Value::Time(n as i32),
            Self::Timestamp => Value::Timestamp(n),
        }
    }

    /// The least and the greatest number of the type.
    pub fn range(self) -> (i64, i64) {
        match self {
            Self::Int8 => (i8::MIN.into(), i8::MAX.into()),
            Self::Int16 => (i16::MIN.into(), i16::MAX.into()),
            Self::Int32 | Self::Date => (i32::MIN.into(), i32::MAX.into()),
            Self::Time => (0, connect_api::logical::DAY_MS.into()),
            Self::Int64 | Self::Timestamp => (i64::MIN, i64::MAX),
            // Whole numbers up to here have no gaps.
            Self::Float32 => (-(1 << 24), 1 << 24),
            Self::Float64 => (-(1 << 53), 1 << 53),
        }
    }
}

const DAY: i64 = connect_api::logical::DAY_MS as i64;

impl Clock {
    /// What it shows, so many milliseconds since 1970.
    pub fn value(self, now: i64) -> Value {
        match self {
            Self::Days(true) => Value::Date(now.div_euclid(DAY) as i32),
            Self::Days(false) => Value::Int32(now.div_euclid(DAY) as i32),
            Self::OfDay(_, true) => Value::Time(now.rem_euclid(DAY) as i32),
            Self::OfDay(1, false) => Value::Int32(now.rem_euclid(DAY) as i32),
            Self::OfDay(parts, false) => Value::Int64(now.rem_euclid(DAY) * parts),
            Self::Timestamp => Value::Timestamp(now),
            Self::Since(parts) => Value::Int64(now * parts),
            Self::Seconds => Value::Int64(now.div_euclid(1000)),
            Self::Text => Value::from(connect_api::time::rfc3339(now)),
        }
    }
}
