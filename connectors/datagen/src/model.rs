//! The small model of a topic's values in YAML: for each field what its values are like.

use std::sync::Arc;

use connect_api::{
    Schema, Value, logical,
    template::{Escape, Template},
};
use connect_files::{Node, Tree, node::Entry, read_text};
use rand_distr::{Normal, weighted::WeightedIndex};

use crate::{
    hints::USUAL,
    maker::{Length, Maker, Union},
    number::{Clock, Counting, Real, Whole},
    pattern::Pattern,
    plan::{Form, Plan},
};

/// Kinds of fields with the settings that each has.
const KINDS: &[(&str, &[&str])] = &[
    ("int", &["min", "max"]),
    ("long", &["min", "max"]),
    ("float", &["min", "max", "decimals"]),
    ("normal", &["mean", "deviation", "min", "max", "decimals"]),
    ("walk", &["start", "step", "min", "max", "decimals"]),
    ("sine", &["mean", "amplitude", "period", "noise", "decimals"]),
    ("bool", &["probability"]),
    ("choice", &["values", "weights", "type"]),
    ("constant", &["value", "type"]),
    ("text", &["template"]),
    ("letters", &["length"]),
    ("regex", &["pattern"]),
    ("name", &[]),
    ("email", &[]),
    ("uuid", &[]),
    ("now", &["as"]),
    ("sequence", &["start", "step", "restart"]),
    ("record", &["fields"]),
    ("array", &["of", "length"]),
    ("map", &["of", "keys", "length"]),
];

/// Settings that all kinds have.
const EVERYWHERE: &[&str] = &["name", "kind", "null"];

/// Makers for the values of a model, whose record has this name.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn plan(text: &str, name: Option<&str>, form: Form) -> Result<Plan, Vec<String>> {
    let documents = read_text("the model", text).map_err(|e| vec![e.to_string()])?;
    let [tree] = documents.as_slice() else {
        return Err(vec![format!("a model is one document, not {}", documents.len())]);
    };
    let mut reader = Reader { form, walks: Vec::new(), problems: Vec::new() };
    let made = reader.record(tree, name, "", false);
    match made {
        Some((maker, schema)) if reader.problems.is_empty() => {
            let schema = (form == Form::Struct).then_some(schema);
            Plan::new(maker, Vec::new(), schema, reader.walks)
        }
        _ => Err(reader.problems),
    }
}

struct Reader {
    form: Form,
    walks: Vec<f64>,
    problems: Vec<String>,
}

/// The settings of a field.
struct Field<'a> {
    entries: &'a [Entry],
    place: &'a str,
}

impl<'a> Field<'a> {
    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|e| e.key == key)
    }
}

type Made = Option<(Maker, Schema)>;

impl Reader {
    fn problem(&mut self, place: &str, what: impl std::fmt::Display) -> Made {
        self.problems.push(if place.is_empty() {
            format!("the model {what}")
        } else {
            format!("field {place} {what}")
        });
        None
    }

    /// A mapping from names to fields, or a list of fields with names.
    fn record(&mut self, tree: &Tree, name: Option<&str>, place: &str, repeated: bool) -> Made {
        let fields: Vec<(String, &Tree)> = match &tree.node {
            Node::Mapping(entries) => entries.iter().map(|e| (e.key.clone(), &e.value)).collect(),
            Node::List(items) => {
                let name = |item: &Tree| item.entry("name").and_then(|e| e.value.text()).map(str::to_owned);
                let named: Vec<_> = items.iter().filter_map(|item| Some((name(item)?, item))).collect();
                if named.len() != items.len() {
                    return self.problem(place, "has a field without name");
                }
                named
            }
            _ => return self.problem(place, format!("has to be a mapping of fields or a list, not {}", tree.kind())),
        };
        if fields.is_empty() {
            return self.problem(place, "has no fields");
        }
        let mut builder = Schema::structure();
        if let Some(name) = name {
            builder = builder.name(name);
        }
        let mut makers: Vec<(Arc<str>, Maker)> = Vec::with_capacity(fields.len());
        let mut whole = true;
        for (name, tree) in fields {
            let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            if makers.iter().any(|(known, _)| **known == name) {
                self.problem(&place, "is there twice");
            }
            match self.field(tree, &place, repeated) {
                Some((maker, schema)) => {
                    builder = builder.field(name.as_str(), schema);
                    makers.push((name.into(), maker));
                }
                None => whole = false,
            }
        }
        match builder.build() {
            _ if !whole => None,
            Ok(schema) => Some((Maker::Record((self.form == Form::Struct).then(|| schema.clone()), makers), schema)),
            Err(e) => self.problem(place, e),
        }
    }

    fn field(&mut self, tree: &Tree, place: &str, repeated: bool) -> Made {
        let (kind, entries): (&str, &[Entry]) = match &tree.node {
            Node::Scalar(kind) => (kind, &[]),
            Node::Mapping(entries) => match tree.entry("kind").map(|e| e.value.text()) {
                Some(Some(kind)) => (kind, entries),
                _ => return self.problem(place, format!("has no kind; kinds are {}", kinds())),
            },
            _ => return self.problem(place, format!("has to be a kind or a mapping with one, not {}", tree.kind())),
        };
        let Some((_, known)) = KINDS.iter().find(|(name, _)| *name == kind) else {
            return self.problem(place, format!("has the unknown kind {kind}; kinds are {}", kinds()));
        };
        let before = self.problems.len();
        for entry in
            entries.iter().filter(|e| !known.contains(&e.key.as_str()) && !EVERYWHERE.contains(&e.key.as_str()))
        {
            let has =
                if known.is_empty() { "nothing but null".to_owned() } else { format!("{}, null", known.join(", ")) };
            self.problem(place, format!("has {}, which {kind} does not have; it has {has}", entry.key));
        }
        let field = Field { entries, place };
        let made = self.kind(kind, &field, repeated);
        let null = field.entry("null").is_some().then(|| self.number(&field, "null", 0.0));
        if null.is_some_and(|null| !(0.0..=1.0).contains(&null)) {
            self.problem(place, "has null outside of 0 to 1: it is the probability of null");
        }
        let (maker, schema) = made.filter(|_| self.problems.len() == before)?;
        Some(match null {
            None => (maker, schema),
            Some(null) => {
                let weights = WeightedIndex::new([null, 1.0 - null]).ok();
                let union = Union { schema: None, members: vec![None, Some(maker)], weights, last: 0 };
                (Maker::Union(union), schema.with_optional(true))
            }
        })
    }

    fn kind(&mut self, kind: &str, field: &Field<'_>, repeated: bool) -> Made {
        let place = field.place;
        if repeated && matches!(kind, "walk" | "sequence") {
            return self.problem(place, format!("is a {kind} in a list or map, where it has no one before it"));
        }
        Some(match kind {
            "int" => (self.whole(field, Whole::Int32, (0, 100)), Schema::int32()),
            "long" => (self.whole(field, Whole::Int64, (0, 1_000_000)), Schema::int64()),
            "float" | "normal" | "walk" | "sine" => {
                let real = self.real(kind, field)?;
                let maker = Maker::Real(real, false);
                let maker = match field.entry("decimals") {
                    None => maker,
                    Some(_) => match self.number(field, "decimals", 0.0) {
                        places if (0.0..=12.0).contains(&places) => Maker::Rounded(Box::new(maker), places as i32),
                        _ => return self.problem(place, "has decimals outside of 0 to 12"),
                    },
                };
                (maker, Schema::float64())
            }
            "bool" => match self.number(field, "probability", 0.5) {
                odds if (0.0..=1.0).contains(&odds) => (Maker::Boolean(odds), Schema::boolean()),
                _ => return self.problem(place, "has a probability outside of 0 to 1"),
            },
            "choice" | "constant" => return self.choice(kind, field),
            "text" => match self.text(field, "template").map(|t| Template::parse(&t, Escape::Prose)) {
                Some(Ok(template)) => (Maker::Template(template), Schema::string()),
                Some(Err(e)) => return self.problem(place, format!("has a wrong template: {e}")),
                None => return self.problem(place, "has no template, such as \"device {{id}}\""),
            },
            "letters" => (Maker::Letters(self.length(field, USUAL)), Schema::string()),
            "regex" => match self.text(field, "pattern").map(|t| Pattern::parse(&t, None)) {
                Some(Ok(pattern)) => (Maker::Pattern(pattern, Length(0, usize::MAX), "".into()), Schema::string()),
                Some(Err(why)) => return self.problem(place, format!("has a pattern that cannot be used: {why}")),
                None => return self.problem(place, "has no pattern"),
            },
            "name" => (Maker::Name(false), Schema::string()),
            "email" => (Maker::Name(true), Schema::string()),
            "uuid" => (Maker::Uuid, Schema::string()),
            "now" => match self.text(field, "as").as_deref().unwrap_or("timestamp") {
                "timestamp" if self.form == Form::Struct => (Maker::Now(Clock::Timestamp), logical::timestamp()),
                "timestamp" | "millis" => (Maker::Now(Clock::Since(1)), Schema::int64()),
                "seconds" => (Maker::Now(Clock::Seconds), Schema::int64()),
                "text" => (Maker::Now(Clock::Text), Schema::string()),
                other => {
                    return self
                        .problem(place, format!("is as {other}; it can be as timestamp, millis, seconds, text"));
                }
            },
            "sequence" => {
                let start = self.number(field, "start", 0.0);
                let step = self.number(field, "step", 1.0);
                let restart = field.entry("restart").map(|_| self.number(field, "restart", start));
                if restart.is_some_and(|restart| (restart - start) * step <= 0.0) {
                    return self.problem(place, "has a restart that its steps do not lead to");
                }
                let counting = Counting { start, initial: start, step, restart };
                (Maker::Counting(Whole::Int64, counting), Schema::int64())
            }
            "record" => match field.entry("fields") {
                Some(fields) => return self.record(&fields.value, None, place, repeated),
                None => return self.problem(place, "has no fields"),
            },
            _ => return self.list(kind, field),
        })
    }

    fn list(&mut self, kind: &str, field: &Field<'_>) -> Made {
        let Some(of) = field.entry("of") else {
            return self.problem(field.place, "does not say what it is of: the kind of its values");
        };
        let length = self.length(field, Length(1, 5));
        let (item, schema) = self.field(&of.value, &format!("{}[]", field.place), true)?;
        let (maker, built) = if kind == "array" {
            (Maker::Array(Box::new(item), length), Schema::array(schema).build())
        } else {
            let keys = match field.entry("keys").map(|e| &e.value.node) {
                None => Maker::Letters(USUAL),
                Some(Node::List(items)) if !items.is_empty() && items.iter().all(|i| i.text().is_some()) => {
                    Maker::Choice(items.iter().filter_map(Tree::text).map(Value::from).collect(), None)
                }
                Some(_) => return self.problem(field.place, "has keys that are no list of texts"),
            };
            (Maker::Map(Box::new(keys), Box::new(item), length), Schema::map(Schema::string(), schema).build())
        };
        match built {
            Ok(schema) => Some((maker, schema)),
            Err(e) => self.problem(field.place, e),
        }
    }

    fn whole(&mut self, field: &Field<'_>, kind: Whole, usual: (i64, i64)) -> Maker {
        let least = self.number(field, "min", usual.0 as f64);
        let most = self.number(field, "max", (usual.1 as f64).max(least));
        let (first, last) = kind.range();
        if least > most || least < first as f64 || most > last as f64 {
            self.problem(field.place, "has a min above its max, or outside of the type");
            return Maker::Whole(kind, 0, 0);
        }
        Maker::Whole(kind, least as i64, most as i64)
    }

    fn real(&mut self, kind: &str, field: &Field<'_>) -> Option<Real> {
        let bound = |reader: &mut Self, key: &str, usual: f64| reader.number(field, key, usual);
        let normal = |reader: &mut Self, mean: f64, deviation: f64, key: &str| match Normal::new(mean, deviation) {
            Ok(normal) if deviation >= 0.0 => Some(normal),
            _ => {
                reader.problem(field.place, format!("has a {key} that is no number from 0"));
                None
            }
        };
        let (least, most) = match kind {
            "float" => (bound(self, "min", 0.0), bound(self, "max", 1.0)),
            _ => (bound(self, "min", f64::MIN), bound(self, "max", f64::MAX)),
        };
        if least > most {
            self.problem(field.place, "has a min above its max");
            return None;
        }
        Some(match kind {
            "float" => Real::Uniform(least, most),
            "normal" => {
                let (mean, deviation) = (self.number(field, "mean", 0.0), self.number(field, "deviation", 1.0));
                Real::Normal(normal(self, mean, deviation, "deviation")?, least, most)
            }
            "walk" => {
                let step = self.number(field, "step", 1.0);
                let step = normal(self, 0.0, step, "step")?;
                let start = self.number(field, "start", 0.0_f64.clamp(least, most));
                if !(least..=most).contains(&start) {
                    self.problem(field.place, "has a start outside of min and max");
                }
                self.walks.push(start);
                Real::Walk(step, least, most, self.walks.len() - 1)
            }
            _ => {
                let noise = self.number(field, "noise", 0.0);
                let noise = if noise == 0.0 { None } else { Some(normal(self, 0.0, noise, "noise")?) };
                let period = self.number(field, "period", 60.0);
                if period <= 0.0 {
                    self.problem(field.place, "has a period that is not above 0: it is the records of one wave");
                }
                let (mean, amplitude) = (self.number(field, "mean", 0.0), self.number(field, "amplitude", 1.0));
                Real::Sine { mean, amplitude, period, noise }
            }
        })
    }

    fn choice(&mut self, kind: &str, field: &Field<'_>) -> Made {
        let texts = |tree: &Tree| match &tree.node {
            Node::List(items) => items.iter().map(|i| i.text().map(str::to_owned)).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        let weights: Option<Vec<(String, f64)>> = field.entry("weights").map(|e| {
            let entries = e.value.entries().unwrap_or_default().iter();
            entries.map(|e| (e.key.clone(), e.value.text().and_then(|t| t.parse().ok()).unwrap_or(-1.0))).collect()
        });
        let (values, weights) = match (kind, field.entry("values"), weights) {
            ("constant", ..) => (self.text(field, "value").into_iter().collect(), None),
            (_, Some(values), None) => (texts(&values.value).unwrap_or_default(), None),
            (_, None, Some(weights)) => {
                let made = WeightedIndex::new(weights.iter().map(|(_, weight)| *weight));
                let Ok(made) = made else {
                    return self.problem(
                        field.place,
                        "has weights that are no mapping from values to numbers from 0, one of them above",
                    );
                };
                (weights.into_iter().map(|(value, _)| value).collect(), Some(made))
            }
            (_, Some(_), Some(_)) => {
                return self.problem(field.place, "has both values and weights; weights name values");
            }
            _ => Default::default(),
        };
        if values.is_empty() {
            let needed = if kind == "constant" { "value" } else { "values, a list, or weights, a mapping" };
            return self.problem(field.place, format!("has no {needed}"));
        }
        let wanted = self.text(field, "type");
        let read = |kind: &str| -> Option<(Vec<Value>, Schema)> {
            let (schema, parse): (Schema, fn(&str) -> Option<Value>) = match kind {
                "int" => (Schema::int64(), |t| t.parse().ok().map(Value::Int64)),
                "float" => (Schema::float64(), |t| t.parse().ok().map(Value::Float64)),
                "bool" => (Schema::boolean(), |t| t.parse().ok().map(Value::Boolean)),
                "text" => (Schema::string(), |t| Some(Value::from(t))),
                _ => return None,
            };
            Some((values.iter().map(|t| parse(t)).collect::<Option<_>>()?, schema))
        };
        let made = match wanted.as_deref() {
            Some(wanted) => read(wanted),
            None => ["int", "float", "bool", "text"].iter().find_map(|kind| read(kind)),
        };
        match made {
            Some((values, schema)) => Some((Maker::Choice(values, weights), schema)),
            None => self.problem(field.place, "has values that are not of its type, which is int, float, bool or text"),
        }
    }

    /// A number, or two as a list: from one to the other.
    fn length(&mut self, field: &Field<'_>, usual: Length) -> Length {
        let Some(entry) = field.entry("length") else { return usual };
        let number = |tree: &Tree| tree.text().and_then(|t| t.parse::<usize>().ok());
        let found = match &entry.value.node {
            Node::Scalar(_) => number(&entry.value).map(|n| Length(n, n)),
            Node::List(items) => match items.as_slice() {
                [a, b] => number(a).zip(number(b)).map(|(a, b)| Length(a, b)),
                _ => None,
            },
            _ => None,
        };
        match found.filter(|l| l.0 <= l.1 && l.1 <= 100_000) {
            Some(length) => length,
            None => {
                self.problem(field.place, "has a length that is no number up to 100000 and no list of two");
                usual
            }
        }
    }

    fn number(&mut self, field: &Field<'_>, key: &str, usual: f64) -> f64 {
        let Some(entry) = field.entry(key) else { return usual };
        match entry.value.text().and_then(|t| t.parse::<f64>().ok()).filter(|n| n.is_finite()) {
            Some(number) => number,
            None => {
                self.problem(field.place, format!("has {key} that is no number"));
                usual
            }
        }
    }

    fn text(&mut self, field: &Field<'_>, key: &str) -> Option<String> {
        let entry = field.entry(key)?;
        if entry.value.text().is_none() {
            self.problem(field.place, format!("has {key} that is no single value but {}", entry.value.kind()));
        }
        entry.value.text().map(str::to_owned)
    }
}

fn kinds() -> String {
    KINDS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
