//! Simulated telephone calls: batches by Poisson's distribution, durations exponentially distributed.

use std::sync::Arc;

use connect_api::{Error, Result, Schema, Struct, Value, json::to_json};
use rand::{RngExt, distr::Distribution};
use rand_distr::{Exp, Poisson};

use crate::{config::CallForm, plan::Form, random::Random};

/// Makes batches of calls.
#[derive(Debug, Clone)]
pub struct Calls {
    number: Poisson<f64>,
    minutes: Exp<f64>,
    form: CallForm,
    call: Schema,
    value: Schema,
    maps: bool,
}

const CALLED: &str = "called_phone_number";
const START: &str = "start_call_epoch_time";
const DURATION: &str = "call_duration";

impl Calls {
    /// Batches with this mean number of calls, of this mean duration in minutes.
    ///
    /// # Errors
    ///
    /// If one of them is not above 0.
    pub fn new(mean: f64, scale: f64, calls: CallForm, form: Form) -> Result<Self> {
        let number = Poisson::new(mean).map_err(|e| Error::fatal("calls.number.mean").caused_by(e))?;
        let minutes = Exp::new(1.0 / scale).map_err(|e| Error::fatal("calls.duration.scale").caused_by(e))?;
        let parts = |builder: connect_api::SchemaBuilder| {
            builder.field(CALLED, Schema::string()).field(START, Schema::int64()).field(DURATION, Schema::int64())
        };
        let call = parts(Schema::structure().name("calls.Call")).build()?;
        let value = match calls {
            CallForm::Call => call.clone(),
            CallForm::Text => {
                parts(Schema::structure().name("calls.CallWithKey").field("key", Schema::string())).build()?
            }
            CallForm::Keyed => {
                let builder = Schema::structure().name("calls.KeyedCall");
                builder.field("key", Schema::string()).field("value", call.clone()).build()?
            }
        };
        Ok(Self { number, minutes, form: calls, call, value, maps: form == Form::Map })
    }

    /// The schema of the values; none for maps.
    pub fn schema(&self) -> Option<Schema> {
        match self.form {
            CallForm::Text => Some(Schema::string()),
            _ => Some(self.value.clone()).filter(|_| !self.maps),
        }
    }

    /// Key and value of each call of a batch, which ended now, in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// None that would depend on the numbers.
    pub fn batch(&self, random: &mut Random, now: i64) -> Result<Vec<(Value, Value)>> {
        let calls = self.number.sample(random) as usize;
        (0..calls).map(|_| self.call(random, now.div_euclid(1000))).collect()
    }

    fn call(&self, random: &mut Random, now: i64) -> Result<(Value, Value)> {
        let duration = loop {
            let seconds = (self.minutes.sample(random) * 60.0) as i64;
            if seconds != 0 {
                break seconds;
            }
        };
        let called = number(random);
        let caller = Value::String(number(random));
        let call = [Value::String(called), Value::Int64(now - duration), Value::Int64(duration)];
        let value = match self.form {
            CallForm::Call => self.structure(&self.call, call.to_vec())?,
            CallForm::Keyed => {
                let call = Struct::from_values(&self.call, call.to_vec())?.into_value();
                self.structure(&self.value, vec![caller.clone(), call])?
            }
            CallForm::Text => {
                let [called, start, duration] = call;
                let values = vec![caller, called, start, duration];
                let value = Struct::from_values(&self.value, values)?.into_value();
                return Ok((Value::Null, Value::from(to_json(&value).to_string())));
            }
        };
        Ok((caller, value))
    }

    fn structure(&self, schema: &Schema, values: Vec<Value>) -> Result<Value> {
        let value = Struct::from_values(schema, values)?.into_value();
        Ok(if self.maps { connect_api::json::from_json(&to_json(&value)) } else { value })
    }
}

/// A telephone number.
fn number(random: &mut Random) -> Arc<str> {
    format!("0041{:07}", random.random_range(0..10_000_000)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::of_iteration;

    fn calls(form: CallForm) -> Calls {
        Calls::new(10.0, 2.0, form, Form::Struct).expect("calls")
    }

    #[test]
    fn numbers_and_durations_are_distributed_as_they_are_said_to_be() {
        let calls = calls(CallForm::Call);
        let batches: Vec<_> = (0..20_000)
            .map(|i| calls.batch(&mut of_iteration(7, "calls", 0, i), 1_000_000_000).expect("batch"))
            .collect();
        let numbers: Vec<f64> = batches.iter().map(|b| b.len() as f64).collect();
        let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let variance = numbers.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / numbers.len() as f64;
        // Of Poisson's distribution both are the parameter; the deviation of this mean is 0.022.
        assert!((9.9..10.1).contains(&mean) && (9.5..10.5).contains(&variance), "{mean} {variance}");

        let durations: Vec<i64> = batches
            .iter()
            .flatten()
            .map(|(_, value)| value.get(DURATION).and_then(Value::as_i64).expect("duration"))
            .collect();
        assert!(durations.iter().all(|d| *d >= 1));
        // Whole seconds of an exponential with a mean of 120, without those below one: 1 / (1 - exp(-1/120)).
        let mean = durations.iter().sum::<i64>() as f64 / durations.len() as f64;
        let expected = 1.0 / (1.0 - (-1.0_f64 / 120.0).exp());
        assert!((mean - expected).abs() < 1.5, "{mean} instead of {expected}");
        let above = durations.iter().filter(|d| **d > 240).count() as f64 / durations.len() as f64;
        assert!((above - (-2.0_f64).exp()).abs() < 0.01, "{above}");
    }

    #[test]
    fn the_three_forms_have_the_members_of_the_originals() {
        let first = |form| {
            let calls = calls(form);
            let batch = calls.batch(&mut of_iteration(3, "calls", 0, 1), 1_700_000_000_999).expect("batch");
            let (key, value) = batch.into_iter().next().expect("a call");
            if let Some(schema) = calls.schema() {
                connect_api::validate(&schema, &value).expect("valid");
            }
            (key, to_json(&value))
        };
        let (key, call) = first(CallForm::Call);
        let caller = key.as_str().expect("caller").to_owned();
        assert!(caller.starts_with("0041") && caller.len() == 11, "{caller}");
        let members: Vec<&str> = call.as_object().expect("object").keys().map(String::as_str).collect();
        assert_eq!(members, [CALLED, START, DURATION]);
        let (start, duration) = (call[START].as_i64().expect("start"), call[DURATION].as_i64().expect("duration"));
        assert_eq!(start + duration, 1_700_000_000);

        let (key, keyed) = first(CallForm::Keyed);
        assert_eq!(
            (key.as_str(), &keyed["key"], &keyed["value"]),
            (Some(caller.as_str()), &caller.as_str().into(), &call)
        );

        let (key, text) = first(CallForm::Text);
        assert!(key.is_null());
        let text: serde_json::Value = serde_json::from_str(text.as_str().expect("text")).expect("JSON in a text");
        let members: Vec<&str> = text.as_object().expect("object").keys().map(String::as_str).collect();
        assert_eq!(members, ["key", CALLED, START, DURATION]);
        assert_eq!((&text["key"], &text[DURATION]), (&caller.as_str().into(), &call[DURATION]));
    }
}
