//! Hints of Avro Random Generator: what `arg.properties` in a schema says about its values.

use connect_api::Value;
use serde_json::{Map as JsonMap, Value as Json};

use crate::{
    maker::{Length, Maker},
    number::{Counting, Whole},
    pattern::Pattern,
    random::of_iteration,
};

/// Attribute of a schema that has the hints.
pub const HINTS: &str = "arg.properties";

/// How long texts, bytes, lists and maps are that have no hint.
pub const USUAL: Length = Length(8, 15);

/// Hints of one place, and what is wrong with them.
pub struct Hints<'a> {
    all: Option<&'a JsonMap<String, Json>>,
    place: &'a str,
    problems: &'a mut Vec<String>,
}

impl<'a> Hints<'a> {
    /// Those that an attribute has; hints that the type does not have are problems.
    pub fn new(
        attribute: Option<&'a Json>,
        kind: &str,
        known: &[&str],
        place: &'a str,
        problems: &'a mut Vec<String>,
    ) -> Self {
        let all = attribute.and_then(Json::as_object);
        let mut hints = Self { all, place, problems };
        if attribute.is_some() && all.is_none() {
            hints.problem(format!("{HINTS} has to be an object"));
        }
        for name in all.into_iter().flat_map(JsonMap::keys).filter(|name| !known.contains(&name.as_str())) {
            let known =
                if known.is_empty() { "there are no hints".into() } else { format!("there are {}", known.join(", ")) };
            hints.problem(format!("{HINTS} has {name}, which is not supported here: for the type {kind} {known}"));
        }
        hints
    }

    /// Adds a problem of this place.
    pub fn problem(&mut self, what: impl std::fmt::Display) {
        self.problems.push(format!("{}: {what}", self.place));
    }

    /// A hint.
    pub fn get(&self, name: &str) -> Option<&'a Json> {
        self.all?.get(name)
    }

    /// A hint that is a text.
    pub fn text(&mut self, name: &str) -> Option<&'a str> {
        let hint = self.get(name)?;
        if hint.as_str().is_none() {
            self.problem(format!("{name} has to be a text"));
        }
        hint.as_str()
    }

    fn number(&mut self, object: &Json, name: &str, member: &str) -> Option<f64> {
        let found = object.get(member)?;
        if found.as_f64().is_none() {
            self.problem(format!("{name}.{member} has to be a number"));
        }
        found.as_f64()
    }

    /// The list of possible values, each read by `read`.
    pub fn options(&mut self, mut read: impl FnMut(&Json) -> Option<Value>) -> Option<Maker> {
        let options = self.get("options")?;
        let Some(list) = options.as_array().filter(|list| !list.is_empty()) else {
            self.problem("options has to be a list with at least one value; lists from files are not read");
            return None;
        };
        let mut values = Vec::with_capacity(list.len());
        for option in list {
            match read(option) {
                Some(value) => values.push(value),
                None => self.problem(format!("the option {option} is not of the type")),
            }
        }
        Some(Maker::Choice(values, None))
    }

    /// How long; the greatest length is excluded, as in a range.
    pub fn length(&mut self) -> Option<Length> {
        let hint = self.get("length")?;
        let (least, most) = match hint {
            Json::Object(_) => {
                let least = self.number(hint, "length", "min");
                let most = self.number(hint, "length", "max");
                let least = least.unwrap_or(0.0);
                (least, most.map_or(least.max(USUAL.1 as f64), |most| most - 1.0))
            }
            other => {
                let exact = other.as_f64().unwrap_or(-1.0);
                (exact, exact)
            }
        };
        if least < 0.0 || most < least || most > 1_000_000.0 {
            self.problem("length has to be a number up to a million, or an object with min and a greater max");
            return None;
        }
        Some(Length(least as usize, most as usize))
    }

    /// From the least number to that which is excluded.
    pub fn range(&mut self) -> Option<(Option<f64>, Option<f64>)> {
        let hint = self.get("range")?;
        let (least, most) = (self.number(hint, "range", "min"), self.number(hint, "range", "max"));
        match (least, most) {
            (None, None) => self.problem("range needs min, max or both"),
            (Some(least), Some(most)) if least >= most => self.problem("range.max has to be greater than range.min"),
            _ => return Some((least, most)),
        }
        None
    }

    /// Whole numbers of a range, or of the usual one.
    pub fn whole(&mut self, kind: Whole, usual: (i64, i64)) -> Maker {
        let (first, last) = kind.range();
        let Some((least, most)) = self.range() else { return Maker::Whole(kind, usual.0, usual.1) };
        let least = least.map_or(first, |least| least.ceil() as i64).max(first);
        // Beyond 64 bits a number is the last one of them.
        let most = most.map_or(last, |most| if most >= last as f64 { last } else { (most - 1.0).ceil() as i64 });
        if least > most {
            self.problem("there is no number of the type in range");
            return Maker::Whole(kind, first, last);
        }
        Maker::Whole(kind, least, most)
    }

    /// Counting of records. Where a place comes several times in a record, there is nothing to count by.
    pub fn iteration(&mut self, repeated: bool) -> Option<Counting> {
        let hint = self.get("iteration")?;
        if repeated {
            self.problem("iteration is not supported within lists, maps and records within themselves");
            return None;
        }
        let number = |hints: &mut Self, member: &str| hints.number(hint, "iteration", member);
        let Some(start) = number(self, "start") else {
            self.problem("iteration needs start");
            return None;
        };
        let restart = number(self, "restart");
        if restart == Some(start) {
            self.problem("iteration.restart has to differ from iteration.start");
            return None;
        }
        let step = number(self, "step").unwrap_or(if restart.is_some_and(|r| r < start) { -1.0 } else { 1.0 });
        if restart.is_some_and(|restart| (restart - start) * step < 0.0) {
            self.problem("iteration.step leads away from iteration.restart");
        }
        Some(Counting { start, initial: number(self, "initial").unwrap_or(start), step, restart })
    }

    /// The maker of texts: what the hints say, else the usual one.
    pub fn string(&mut self, repeated: bool, usual: Maker) -> Maker {
        let length = self.length();
        let mut maker = usual;
        if let Some(length) = length {
            maker = Maker::Letters(length);
        }
        if let Some(counting) = self.iteration(repeated) {
            maker = Maker::Counting(Whole::Int64, counting);
            maker = Maker::Between("".into(), Box::new(maker), "".into());
        }
        match self.text("kind") {
            None => {}
            Some("uuid") => maker = Maker::Uuid,
            Some("name") => maker = Maker::Name(false),
            Some("email") => maker = Maker::Name(true),
            Some(other) => self.problem(format!("the kind {other} is not supported; there are uuid, name and email")),
        }
        if let Some(text) = self.text("regex") {
            // A mere number is the least length there.
            let length = match self.get("length") {
                Some(Json::Number(_)) => length.map_or(Length(0, usize::MAX), |l| Length(l.0, usize::MAX)),
                Some(hint) if hint.get("max").is_none() => length.map_or(USUAL, |l| Length(l.0, usize::MAX)),
                _ => length.unwrap_or(Length(0, usize::MAX)),
            };
            maker = self.pattern(text, length).unwrap_or(maker);
        }
        if let Some(options) = self.options(|json| json.as_str().map(Value::from)) {
            maker = options;
        }
        match (self.text("prefix"), self.text("suffix")) {
            (None, None) => maker,
            (before, after) => {
                Maker::Between(before.unwrap_or_default().into(), Box::new(maker), after.unwrap_or_default().into())
            }
        }
    }

    fn pattern(&mut self, text: &str, length: Length) -> Option<Maker> {
        let open = if length.1 == usize::MAX { length.0.saturating_mul(2) } else { length.1 };
        let pattern = match Pattern::parse(text, (length != Length(0, usize::MAX)).then_some(open)) {
            Ok(pattern) => pattern,
            Err(why) => {
                self.problem(format!("the regex {text} cannot be used: {why}"));
                return None;
            }
        };
        let mut random = of_iteration(0, text, 0, 0);
        let fits = |text: &String| (length.0..=length.1).contains(&text.chars().count());
        let Some(known) = (0..1000).map(|_| pattern.make(&mut random)).find(fits) else {
            self.problem(format!("no text of the wanted length was found for the regex {text}"));
            return None;
        };
        Some(Maker::Pattern(pattern, length, known.into()))
    }
}
