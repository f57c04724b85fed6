//! Which values of a channel are worth a record: beyond the deadband, and not sooner than the minimum period.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    channel::{Mask, Sample, Value},
    channel_list::ChannelSpec,
};

/// The gate of one channel, which passes changes of the alarm unseen. Few channels keep a value here, so that it is boxed.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// The number that was last passed on, and when anything was.
    last: Option<(Option<f64>, Instant)>,
    held: Option<Box<Sample>>,
    /// The value that was last passed on of a channel that is read again and again.
    read: Option<Box<Value>>,
}

/// What becomes of a sample.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It is told.
    Pass(Sample),
    /// It says nothing new.
    Drop,
    /// It waits until then, unless a newer one takes its place.
    Hold(Instant),
}

impl Gate {
    /// Judges a sample.
    pub(crate) fn judge(
        &mut self,
        channel: &ChannelSpec,
        sample: Sample,
        is_transition: bool,
        now: Instant,
    ) -> Verdict {
        // What is read again and again without having changed is no news, and the server knows nothing of the mask.
        let polled = channel.subscription.poll.is_some();
        if polled && !is_transition && self.last.is_some() {
            let wants_values = channel.subscription.mask.intersects(Mask::VALUE.with(Mask::LOG));
            if !wants_values || self.read.as_deref() == Some(&sample.value) {
                return Verdict::Drop;
            }
        }
        let band = channel.deadband.or(channel.subscription.poll.map(|_| 0.0));
        if !is_transition && let Some((last, at)) = self.last {
            let due = at + channel.min_period;
            if let (Some(band), Some(last)) = (band, last)
                && number(&sample.value).is_some_and(|number| is_within(number, last, band))
            {
                // Back where it was: what waits is out of date.
                self.held = None;
                return Verdict::Drop;
            }
            if channel.min_period > Duration::ZERO && now < due {
                self.held = Some(Box::new(sample));
                return Verdict::Hold(due);
            }
        }
        self.held = None;
        self.read = polled.then(|| Box::new(sample.value.clone()));
        self.last = Some((number(&sample.value), now));
        Verdict::Pass(sample)
    }

    /// What waits, to be told now.
    pub(crate) fn release(&mut self, now: Instant) -> Option<Sample> {
        let sample = *self.held.take()?;
        if self.read.is_some() {
            self.read = Some(Box::new(sample.value.clone()));
        }
        self.last = Some((number(&sample.value), now));
        Some(sample)
    }

    /// Forgets what was told: the next sample is the first one.
    pub(crate) fn reset(&mut self) {
        *self = Gate::default();
    }
}

/// Not a number is within the deadband of its like only.
fn is_within(number: f64, last: f64, band: f64) -> bool {
    number == last || (number - last).abs() < band || number.is_nan() && last.is_nan()
}

fn number(value: &Value) -> Option<f64> {
    Some(match value {
        Value::Short(v) => f64::from(*single(v)?),
        Value::Float(v) => f64::from(*single(v)?),
        Value::Enum(v) => f64::from(*single(v)?),
        Value::Char(v) => f64::from(*single(v)?),
        Value::Long(v) => f64::from(*single(v)?),
        Value::Double(v) => *single(v)?,
        Value::String(_) => return None,
    })
}

fn single<T>(values: &[T]) -> Option<&T> {
    if let [value] = values { Some(value) } else { None }
}

#[cfg(test)]
mod tests {
    use connect_api::{Settings, config::Config};

    use super::*;
    use crate::{
        alarm::{Severity, Status},
        channel::Timestamp,
        channel_list,
        config::MonitorConfig,
    };

    fn channel(settings: &[(&str, &str)]) -> ChannelSpec {
        let settings = settings.iter().copied().collect::<Settings>().with("epics.channels", "a");
        let config = MonitorConfig::parse(&settings).expect("valid settings");
        channel_list::read(&config).expect("a channel").remove(0)
    }

    fn sample(value: Value) -> Sample {
        let time = Timestamp { seconds: 0, nanos: 0 };
        Sample { status: Status::NoAlarm, severity: Severity::NoAlarm, time, value }
    }

    /// What passes of numbers that come a second apart; those with `!` change the alarm.
    fn passed(settings: &[(&str, &str)], numbers: &[(f64, &str)]) -> Vec<f64> {
        let (channel, start) = (channel(settings), Instant::now());
        let mut gate = Gate::default();
        let mut passed = Vec::new();
        for (second, (number, mark)) in (0..).zip(numbers) {
            let now = start + Duration::from_secs(second);
            let verdict = gate.judge(&channel, sample(Value::Double(vec![*number])), *mark == "!", now);
            if verdict != Verdict::Drop && !matches!(verdict, Verdict::Hold(_)) {
                passed.push(*number);
            }
        }
        passed
    }

    #[test]
    fn numbers_pass_that_leave_the_deadband() {
        let numbers = [
            (1.0, ""),
            (1.4, ""),
            (1.5, ""),
            (1.2, ""),
            (1.6, "!"),
            (1.7, ""),
            (f64::NAN, ""),
            (f64::NAN, ""),
            (1.0, ""),
        ];
        let found = passed(&[("epics.deadband", "0.5")], &numbers);
        assert_eq!(format!("{found:?}"), "[1.0, 1.5, 1.6, NaN, 1.0]");
        assert_eq!(passed(&[], &numbers[..5]).len(), 5, "without a deadband all do");
        assert_eq!(passed(&[("epics.poll.ms", "5")], &[(1.0, ""), (1.0, ""), (2.0, "")]), [1.0, 2.0], "read unchanged");
    }

    #[test]
    fn the_newest_value_waits_for_the_period_and_a_change_of_the_alarm_does_not() {
        let channel = channel(&[("epics.min.period.ms", "1000")]);
        let (start, mut gate) = (Instant::now(), Gate::default());
        let at = |ms| start + Duration::from_millis(ms);
        let number = |n| sample(Value::Double(vec![n]));
        assert_eq!(gate.judge(&channel, number(1.0), true, at(0)), Verdict::Pass(number(1.0)));
        assert_eq!(gate.judge(&channel, number(2.0), false, at(100)), Verdict::Hold(at(1000)));
        assert_eq!(gate.judge(&channel, number(3.0), false, at(200)), Verdict::Hold(at(1000)));
        assert_eq!(gate.release(at(1000)), Some(number(3.0)));
        assert_eq!(gate.release(at(1000)), None);
        assert_eq!(gate.judge(&channel, number(4.0), false, at(1500)), Verdict::Hold(at(2000)));
        assert_eq!(gate.judge(&channel, number(5.0), true, at(1600)), Verdict::Pass(number(5.0)));
        assert_eq!(gate.release(at(2000)), None, "it is out of date");
        assert_eq!(gate.judge(&channel, number(6.0), false, at(2600)), Verdict::Pass(number(6.0)));
    }

    #[test]
    fn texts_and_arrays_have_no_deadband() {
        let channel = channel(&[("epics.deadband", "5")]);
        for value in [Value::String(vec!["a".into()]), Value::Long(vec![1, 2])] {
            let mut gate = Gate::default();
            for _ in 0..2 {
                let verdict = gate.judge(&channel, sample(value.clone()), false, Instant::now());
                assert_eq!(verdict, Verdict::Pass(sample(value.clone())));
            }
        }
    }

    #[test]
    fn what_is_read_again_is_told_when_it_has_changed() {
        let channel = self::channel(&[("epics.poll.ms", "5")]);
        let mut gate = Gate::default();
        let mut judge = |texts: [&str; 1]| {
            let value = Value::String(texts.map(str::to_owned).to_vec());
            gate.judge(&channel, sample(value), false, Instant::now()) != Verdict::Drop
        };
        assert_eq!([judge(["a"]), judge(["a"]), judge(["b"])], [true, false, true]);
        let alarms = self::channel(&[("epics.poll.ms", "5"), ("epics.mask", "a")]);
        let mut gate = Gate::default();
        for (n, is_transition) in [(1.0, true), (2.0, false), (3.0, true)] {
            let verdict = gate.judge(&alarms, sample(Value::Double(vec![n])), is_transition, Instant::now());
            assert_eq!(verdict != Verdict::Drop, is_transition);
        }
    }
}
