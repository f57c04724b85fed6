//! Asking both sides the same, and comparing what they say.

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime},
};

use regex::{Captures, Regex};
use serde_json::Value as Json;
use tocsin_tests::sides::{Answer, SOON, Side};

use crate::differences::{ABSENT, Report};

/// Both sides and the report.
pub struct Talk<'a> {
    /// Kafka Connect, then ours.
    pub both: &'a [Side; 2],
    /// What differs.
    pub report: &'a mut Report,
    /// The part of the conversation, for places.
    pub part: &'static str,
}

impl Talk<'_> {
    /// A request without body, or with one of JSON; status and body of Kafka Connect's answer.
    pub fn say(&mut self, method: &str, path: &str, body: Option<&str>) -> (u16, Json) {
        let headers: &[_] = if body.is_some() { &[("content-type", "application/json")] } else { &[] };
        self.say_with(method, path, headers, body)
    }

    /// Any request.
    pub fn say_with(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> (u16, Json) {
        let mut place = format!("{}: {method} {path}", self.part);
        for (name, value) in headers.iter().filter(|(_, value)| *value != "application/json") {
            place.push_str(&format!(" {name}: {value}"));
        }
        if let Some(body) = body {
            place.push_str(&format!(" {}", body.chars().take(300).collect::<String>()));
        }
        let [theirs, ours] = self.both.each_ref().map(|side| side.ask(method, path, headers, body));
        self.answers(&place, &theirs, &ours);
        (theirs.status, theirs.json())
    }

    fn answers(&mut self, place: &str, theirs: &Answer, ours: &Answer) {
        self.report.texts(&format!("{place} → status"), &theirs.status.to_string(), &ours.status.to_string());
        self.report.texts(&format!("{place} → content-type"), &theirs.content_type, &ours.content_type);
        self.report.texts(&format!("{place} → location"), &theirs.location, &ours.location);
        let [their_text, our_text] = [&theirs.text, &ours.text].map(|text| timeless(text));
        match (serde_json::from_str(&their_text), serde_json::from_str(&our_text)) {
            (Ok(theirs), Ok(ours)) => {
                let (mut theirs, mut ours): (Json, Json) = (theirs, ours);
                unordered(&mut theirs);
                unordered(&mut ours);
                self.report.values(&format!("{place} → body"), &theirs, &ours);
            }
            _ => self.report.texts(&format!("{place} → body"), &their_text, &our_text),
        }
    }

    /// Waits until a connector and its tasks are in these states on both sides. It is a difference when only one gets
    /// there.
    pub fn await_states(&mut self, connector: &str, state: &str, tasks: &[&str]) {
        let wanted = (state.to_owned(), tasks.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        let deadline = Instant::now() + SOON;
        let [theirs, ours] = self.both.each_ref().map(|side| {
            loop {
                let states = side.states(connector);
                if states == wanted || Instant::now() > deadline {
                    return states;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let place = format!("{}: {connector} → {state} {tasks:?}", self.part);
        self.report.texts(&place, &format!("{theirs:?}"), &format!("{ours:?}"));
        if theirs != wanted {
            let wanted = format!("{wanted:?} was expected of it");
            self.report.differ(place, format!("{theirs:?}"), wanted);
        }
    }

    /// Waits until something holds on both sides, which is a difference if it does not.
    pub fn await_both(&mut self, what: &str, holds: impl Fn(&Side) -> bool) {
        for side in self.both {
            let deadline = Instant::now() + SOON;
            while !holds(side) {
                if Instant::now() > deadline {
                    self.report.differ(
                        format!("{}: {what} of {}", self.part, side.name()),
                        "in time".into(),
                        ABSENT.into(),
                    );
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// Does something to both sides in turn.
    pub fn each(&self, act: impl FnMut(&Side)) {
        self.both.iter().for_each(act);
    }
}

/// Gives lists that have no order one.
fn unordered(json: &mut Json) {
    match json {
        Json::Object(members) => {
            members.values_mut().for_each(unordered);
            for name in ["offsets", "topics", "recommended_values"] {
                if let Some(list) = members.get_mut(name).and_then(Json::as_array_mut) {
                    list.sort_by_key(Json::to_string);
                }
            }
        }
        Json::Array(all) => {
            all.iter_mut().for_each(unordered);
            if all.iter().all(Json::is_string) {
                all.sort_by_key(Json::to_string);
            }
        }
        _ => {}
    }
}

/// A text with the moments of this run made one. Those of test data are long past.
pub fn timeless(text: &str) -> String {
    static MOMENT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\b1\d{12}\b|\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z").expect("an expression")
    });
    static STARTED: LazyLock<i64> = LazyLock::new(|| now() - 3_600_000);
    LazyLock::force(&STARTED);
    let moment = |found: &Captures<'_>| match found[0].parse::<i64>() {
        Ok(moment) if (*STARTED..=now() + 60_000).contains(&moment) => "1111111111111".to_owned(),
        Err(_) if !["2022", "2023", "2024"].iter().any(|year| found[0].starts_with(year)) => {
            "2000-01-01T00:00:00Z".to_owned()
        }
        _ => found[0].to_owned(),
    };
    MOMENT.replace_all(text, moment).into_owned()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock behind 1970");
    i64::try_from(since.as_millis()).expect("milliseconds")
}
