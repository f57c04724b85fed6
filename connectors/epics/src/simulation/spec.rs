//! What a simulated channel does, as a line of text: `T:temperature=sine,low=0,high=100,period=20s,hihi=90`.

use std::{collections::HashSet, str::FromStr, time::Duration};

use crate::alarm::{Severity, Status};

/// How a simulated channel moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From the lower to the upper bound in a period, then at once back.
    Ramp,
    /// A sine wave that starts in the middle.
    Sine,
    /// A random walk that starts in the middle and strays by about the whole range in a period.
    Walk,
}

/// A simulated channel.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatedChannel {
    /// The name by which it is monitored.
    pub name: String,
    /// How it moves.
    pub kind: Kind,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
    /// The time that [`Kind`] speaks of.
    pub period: Duration,
    /// The time between updates.
    pub interval: Duration,
    /// At or under this, status LOLO and severity MAJOR.
    pub lolo: Option<f64>,
    /// At or under this, status LOW and severity MINOR.
    pub low_alarm: Option<f64>,
    /// At or over this, status HIGH and severity MINOR.
    pub high_alarm: Option<f64>,
    /// At or over this, status HIHI and severity MAJOR.
    pub hihi: Option<f64>,
}

/// A simulated channel that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("simulated channel `{spec}`: {problem}")]
pub struct SpecError {
    /// The text.
    pub spec: String,
    /// What is wrong with it.
    pub problem: String,
}

impl SimulatedChannel {
    /// The alarm that a record with these limits has at `value`. Where several limits are met, the order is that of
    /// EPICS: HIHI, LOLO, HIGH, LOW.
    pub fn alarm(&self, value: f64) -> (Status, Severity) {
        let over = |limit: Option<f64>| limit.is_some_and(|limit| value >= limit);
        let under = |limit: Option<f64>| limit.is_some_and(|limit| value <= limit);
        if over(self.hihi) {
            (Status::HiHi, Severity::Major)
        } else if under(self.lolo) {
            (Status::LoLo, Severity::Major)
        } else if over(self.high_alarm) {
            (Status::High, Severity::Minor)
        } else if under(self.low_alarm) {
            (Status::Low, Severity::Minor)
        } else {
            (Status::NoAlarm, Severity::NoAlarm)
        }
    }
}

impl FromStr for SimulatedChannel {
    type Err = SpecError;

    /// Reads `<name>=<kind>` with `ramp`, `sine` or `walk`, then any of `low` (0), `high` (100), `period` (60s),
    /// `interval` (1s), `lolo`, `low_alarm`, `high_alarm` and `hihi`, each as `,key=value`. Times have a unit: `ms`, `s`,
    /// `m` or `h`.
    fn from_str(spec: &str) -> Result<SimulatedChannel, SpecError> {
        parse(spec).map_err(|problem| SpecError { spec: spec.to_owned(), problem })
    }
}

fn parse(spec: &str) -> Result<SimulatedChannel, String> {
    let mut items = spec.split(',').map(|item| {
        item.split_once('=')
            .map(|(key, value)| (key.trim(), value.trim()))
            .ok_or_else(|| format!("`{item}` has no `=`"))
    });
    // Splitting gives one item at least.
    let (name, kind) = items.next().unwrap_or_else(|| Err("it is empty".to_owned()))?;
    if name.is_empty() {
        return Err("it has no name".to_owned());
    }
    let kind = match kind {
        "ramp" => Kind::Ramp,
        "sine" => Kind::Sine,
        "walk" => Kind::Walk,
        other => return Err(format!("`{other}` is none of ramp, sine and walk")),
    };
    let mut channel = SimulatedChannel {
        name: name.to_owned(),
        kind,
        low: 0.0,
        high: 100.0,
        period: Duration::from_secs(60),
        interval: Duration::from_secs(1),
        lolo: None,
        low_alarm: None,
        high_alarm: None,
        hihi: None,
    };
    let mut seen = HashSet::new();
    for item in items {
        let (key, value) = item?;
        if !seen.insert(key) {
            return Err(format!("`{key}` is given twice"));
        }
        match key {
            "low" => channel.low = number(key, value)?,
            "high" => channel.high = number(key, value)?,
            "period" => channel.period = time(key, value)?,
            "interval" => channel.interval = time(key, value)?,
            "lolo" => channel.lolo = Some(number(key, value)?),
            "low_alarm" => channel.low_alarm = Some(number(key, value)?),
            "high_alarm" => channel.high_alarm = Some(number(key, value)?),
            "hihi" => channel.hihi = Some(number(key, value)?),
            _ => {
                return Err(format!(
                    "`{key}` is none of low, high, period, interval, lolo, low_alarm, high_alarm and hihi"
                ));
            }
        }
    }
    if channel.low >= channel.high {
        return Err(format!("low ({}) is not under high ({})", channel.low, channel.high));
    }
    let limits: Vec<f64> =
        [channel.lolo, channel.low_alarm, channel.high_alarm, channel.hihi].into_iter().flatten().collect();
    if !limits.is_sorted() {
        return Err("lolo, low_alarm, high_alarm and hihi do not rise in this order".to_owned());
    }
    Ok(channel)
}

fn number(key: &str, text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("`{key}` is `{text}`, which is not a number"))
}

/// The longest period or interval: a year. Much longer ones could not be added to a clock.
const MAX_TIME: Duration = Duration::from_secs(366 * 86_400);

fn time(key: &str, text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{key}` is `{text}`, which is not a time from 1ms to a year, such as 500ms, 20s, 5m or 1h");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let time = Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())?;
    if (Duration::from_millis(1)..=MAX_TIME).contains(&time) { Ok(time) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_line_is_read() {
        let line = "T:ai0=sine, low=-10,high=1e2,period=1.5m,interval=250ms,lolo=1,low_alarm=2,high_alarm=80,hihi=90";
        let expected = SimulatedChannel {
            name: "T:ai0".into(),
            kind: Kind::Sine,
            low: -10.0,
            high: 100.0,
            period: Duration::from_secs(90),
            interval: Duration::from_millis(250),
            lolo: Some(1.0),
            low_alarm: Some(2.0),
            high_alarm: Some(80.0),
            hihi: Some(90.0),
        };
        assert_eq!(line.parse(), Ok(expected));
        let defaults: SimulatedChannel = "x=walk".parse().expect("a kind is enough");
        assert_eq!((defaults.low, defaults.high, defaults.period.as_secs()), (0.0, 100.0, 60));
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("", "`` has no `=`"),
            ("x", "`x` has no `=`"),
            ("=sine", "it has no name"),
            ("x=square", "`square` is none of ramp, sine and walk"),
            ("x=sine,low", "`low` has no `=`"),
            ("x=sine,low=a", "`low` is `a`, which is not a number"),
            ("x=sine,low=NaN", "`low` is `NaN`, which is not a number"),
            ("x=sine,low=1,low=2", "`low` is given twice"),
            ("x=sine,low=100", "low (100) is not under high (100)"),
            ("x=sine,lo=1", "`lo` is none of low, high, period, interval, lolo, low_alarm, high_alarm and hihi"),
            ("x=sine,hihi=1,lolo=2", "lolo, low_alarm, high_alarm and hihi do not rise in this order"),
        ];
        for (spec, problem) in cases {
            let error = SpecError { spec: spec.to_owned(), problem: problem.to_owned() };
            assert_eq!(spec.parse::<SimulatedChannel>(), Err(error));
        }
        for time in ["20", "s", "0s", "-1s", "1d", "1..5s", "9999999h", "0.1ms"] {
            let error = format!("x=sine,period={time}").parse::<SimulatedChannel>().expect_err(time);
            assert!(error.problem.starts_with(&format!("`period` is `{time}`, which is not a time")), "{error}");
        }
    }

    #[test]
    fn limits_raise_the_alarms_of_a_record() {
        let channel: SimulatedChannel =
            "x=ramp,lolo=10,low_alarm=20,high_alarm=80,hihi=90".parse().expect("a valid channel");
        let cases = [
            (5.0, Status::LoLo, Severity::Major),
            (10.0, Status::LoLo, Severity::Major),
            (20.0, Status::Low, Severity::Minor),
            (50.0, Status::NoAlarm, Severity::NoAlarm),
            (80.0, Status::High, Severity::Minor),
            (95.0, Status::HiHi, Severity::Major),
        ];
        for (value, status, severity) in cases {
            assert_eq!(channel.alarm(value), (status, severity), "at {value}");
        }
    }
}
