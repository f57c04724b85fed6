//! From an Avro schema to the makers of its values.

use std::sync::Arc;

use connect_api::{
    Schema, Type, Value,
    json::from_json,
    logical::{DATE, TIME, TIMESTAMP},
};
use connect_converters::{
    avro_tree::{Kind, Node, RecordField, default_value, latin1},
    connect_schema_from_avro,
};
use rand_distr::weighted::WeightedIndex;
use serde_json::Value as Json;

use crate::{
    hints::{HINTS, Hints, USUAL},
    maker::{Length, Maker, NAMES, Union},
    number::{Clock, Real, Whole},
    plan::{Form, Plan},
};

/// What values without hints are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Anything that the type allows, as Avro Random Generator's.
    Random,
    /// As the mock of SAL's: small numbers, names, two zero bytes, lists of two.
    Sal,
}

/// More places than any schema has that somebody has written.
const MOST_PLACES: usize = 100_000;

/// Makers for the values of a schema.
///
/// # Errors
///
/// Everything that is wrong with the schema and its hints.
pub fn plan(text: &str, style: Style, form: Form) -> Result<Plan, Vec<String>> {
    let failed = |e: connect_api::Error| vec![e.to_string()];
    let node = Node::parse(text).map_err(failed)?;
    let mut planner = Planner { style, open: Vec::new(), named: Vec::new(), places: 0, problems: Vec::new() };
    if !ends(&node) {
        return Err(vec![
            "a record of the schema holds itself without an end: make the field a union with null".into(),
        ]);
    }
    let schema = match form {
        Form::Map => None,
        Form::Struct if recursive(&node) => {
            return Err(vec![
                "a record of the schema holds itself, which structs cannot; set datagen.form=map to write its values \
                 without schema"
                    .into(),
            ]);
        }
        Form::Struct => Some(connect_schema_from_avro(text).map_err(failed)?),
    };
    let maker = planner.maker(&node, schema.as_ref(), None, "the value", false);
    if planner.problems.is_empty() {
        Plan::new(maker, planner.named, schema, Vec::new())
    } else {
        Err(planner.problems)
    }
}

/// The text attribute of a schema's record, such as SAL's.
pub fn attribute(text: &str, name: &str) -> Option<String> {
    Node::parse(text).ok()?.text(name).map(str::to_owned)
}

struct Planner {
    style: Style,
    // Records that are being read, with their place among the named ones where they hold themselves.
    open: Vec<(String, Option<usize>)>,
    named: Vec<Maker>,
    places: usize,
    problems: Vec<String>,
}

impl Planner {
    fn maker(
        &mut self,
        node: &Node,
        schema: Option<&Schema>,
        of_field: Option<&Json>,
        place: &str,
        repeated: bool,
    ) -> Maker {
        self.places += 1;
        if self.places > MOST_PLACES {
            if self.places == MOST_PLACES + 1 {
                self.problems.push(format!("the schema has more than {MOST_PLACES} places when written out"));
            }
            return Maker::Constant(Value::Null);
        }
        let known: &[&str] = match &node.kind {
            Kind::Boolean => &["options", "iteration", "odds"],
            Kind::Int | Kind::Long | Kind::Float | Kind::Double => &["options", "range", "iteration"],
            Kind::Bytes | Kind::Array(_) => &["options", "length"],
            Kind::String => &["options", "length", "regex", "iteration", "kind", "prefix", "suffix"],
            Kind::Map(_) => &["options", "length", "keys"],
            Kind::Fixed { .. } | Kind::Enum { .. } | Kind::Record { .. } => &["options"],
            Kind::Union(_) => &["position", "distribution"],
            Kind::Null | Kind::Recursive(_) => &[],
        };
        let mut problems = std::mem::take(&mut self.problems);
        // Where the type is written in the field itself, so are its hints.
        let given = of_field.or_else(|| node.props.get(HINTS));
        let mut hints = Hints::new(given, node.type_name(), known, place, &mut problems);
        let maker = match &node.kind {
            Kind::Union(members) => self.union(members, schema, &mut hints, place, repeated),
            _ if known.contains(&"options") && hints.get("options").is_some() && !matches!(node.kind, Kind::String) => {
                hints.options(|json| option(node, schema, json)).unwrap_or(Maker::Constant(Value::Null))
            }
            _ => self.plain(node, schema, &mut hints, place, repeated),
        };
        // What the places within have found stands behind.
        problems.append(&mut self.problems);
        self.problems = problems;
        maker
    }

    fn plain(
        &mut self,
        node: &Node,
        schema: Option<&Schema>,
        hints: &mut Hints<'_>,
        place: &str,
        repeated: bool,
    ) -> Maker {
        let sal = self.style == Style::Sal;
        let logical = node.logical_type().unwrap_or_default();
        match &node.kind {
            Kind::Boolean => boolean(hints, repeated),
            Kind::Int | Kind::Long => {
                let kind = whole(node, schema);
                if let Some(counting) = hints.iteration(repeated) {
                    return Maker::Counting(kind, counting);
                }
                match clock(logical, schema.is_some()) {
                    Some(clock) if hints.get("range").is_none() => Maker::Now(clock),
                    _ => hints.whole(kind, if sal { (0, 10) } else { kind.range() }),
                }
            }
            Kind::Float | Kind::Double => real(hints, matches!(node.kind, Kind::Float), repeated),
            Kind::Bytes | Kind::Fixed { .. } if logical == "decimal" => decimal(node, schema.is_none()),
            Kind::Bytes if sal && hints.get("length").is_none() => Maker::Zeros(2),
            Kind::Bytes => Maker::Bytes(hints.length().unwrap_or(USUAL)),
            Kind::Fixed { size, .. } => Maker::Bytes(Length(*size, *size)),
            Kind::String => {
                let usual = match logical {
                    "uuid" => Maker::Uuid,
                    _ if sal => Maker::Choice(NAMES.iter().map(|name| Value::from(*name)).collect(), None),
                    _ => Maker::Letters(USUAL),
                };
                hints.string(repeated, usual)
            }
            Kind::Enum { symbols, .. } => {
                if symbols.is_empty() {
                    hints.problem("the enum has no symbols");
                }
                Maker::Choice(symbols.iter().map(|s| Value::String(s.clone())).collect(), None)
            }
            Kind::Array(item) => {
                let length = hints.length().unwrap_or(usual_length(item, sal));
                let element = schema.and_then(|s| s.value_schema().ok().flatten());
                Maker::Array(Box::new(self.maker(item, element, None, &format!("{place}[]"), true)), length)
            }
            Kind::Map(value) => {
                let length = hints.length().unwrap_or(usual_length(value, sal));
                let keys = hints.get("keys");
                let keys_place = format!("the keys of {place}");
                let known = ["options", "length", "regex", "kind", "prefix", "suffix"];
                let mut problems = Vec::new();
                let keys =
                    Hints::new(keys, "string", &known, &keys_place, &mut problems).string(true, Maker::Letters(USUAL));
                self.problems.append(&mut problems);
                let element = schema.and_then(|s| s.value_schema().ok().flatten());
                let values = self.maker(value, element, None, &format!("{place}{{}}"), true);
                Maker::Map(Box::new(keys), Box::new(values), length)
            }
            Kind::Record { name, fields, .. } => self.record(&name.full, fields, schema, place, repeated),
            Kind::Recursive(name) => self.reference(name),
            Kind::Null | Kind::Union(_) => Maker::Constant(Value::Null),
        }
    }

    fn record(
        &mut self,
        name: &str,
        fields: &[RecordField],
        schema: Option<&Schema>,
        place: &str,
        repeated: bool,
    ) -> Maker {
        self.open.push((name.to_owned(), None));
        // What is counted in a record that comes again within itself would be counted several times.
        let repeated = repeated || fields.iter().any(|f| recursive(&f.node));
        let makers = fields.iter().map(|field| {
            let within = schema.and_then(|s| s.field(&field.name)).map(|f| f.schema());
            let place = if place == "the value" { field.name.clone() } else { format!("{place}.{}", field.name) };
            let hints = field.props.get(HINTS);
            (Arc::from(field.name.as_str()), self.maker(&field.node, within, hints, &place, repeated))
        });
        let maker = Maker::Record(schema.cloned(), makers.collect());
        if let Some((_, Some(slot))) = self.open.pop() {
            self.named[slot] = maker.clone();
        }
        maker
    }

    fn reference(&mut self, name: &str) -> Maker {
        let Some((_, slot)) = self.open.iter_mut().rev().find(|(open, _)| open == name) else {
            self.problems.push(format!("the type {name} is not known"));
            return Maker::Constant(Value::Null);
        };
        let place = *slot.get_or_insert(self.named.len());
        if place == self.named.len() {
            self.named.push(Maker::Constant(Value::Null));
        }
        Maker::Reference(place)
    }

    fn union(
        &mut self,
        members: &[Arc<Node>],
        schema: Option<&Schema>,
        hints: &mut Hints<'_>,
        place: &str,
        repeated: bool,
    ) -> Maker {
        let is_null = |m: &Arc<Node>| matches!(m.kind, Kind::Null);
        // A union of null and one more is that one, optional.
        let alone = members.len() == 2 && members.iter().filter(|m| is_null(m)).count() == 1;
        let mut index = 0;
        let mut makers = Vec::with_capacity(members.len());
        for member in members {
            if is_null(member) {
                makers.push(None);
                continue;
            }
            let within = if alone { schema } else { schema.and_then(|s| s.fields().get(index)).map(|f| f.schema()) };
            index += 1;
            makers.push(Some(self.maker(member, within, None, place, repeated)));
        }
        let last = members.iter().position(is_null).or_else(|| members.iter().position(|m| ends(m))).unwrap_or(0);
        let weights = weights(hints, members.len());
        Maker::Union(Union { schema: schema.filter(|_| !alone).cloned(), members: makers, weights, last })
    }
}

/// Probabilities of a union's members.
fn weights(hints: &mut Hints<'_>, members: usize) -> Option<WeightedIndex<f64>> {
    let mut all = vec![0.0; members];
    if let Some(position) = hints.get("position") {
        match position.as_u64().and_then(|p| usize::try_from(p).ok()).and_then(|p| all.get_mut(p)) {
            Some(weight) => *weight = 1.0,
            None => hints.problem(format!("position has to be a number below {members}")),
        }
    }
    match hints.get("distribution") {
        None if hints.get("position").is_none() => return None,
        None => {}
        Some(Json::Object(given)) => {
            for (position, weight) in given {
                match (position.parse().ok().and_then(|p: usize| all.get_mut(p)), weight.as_f64()) {
                    (Some(slot), Some(weight)) => *slot = weight,
                    _ => hints.problem(format!("distribution has {position}: it has positions below {members}")),
                }
            }
        }
        Some(_) => hints.problem("distribution has to be an object with a probability for each position"),
    }
    let made = WeightedIndex::new(all);
    if made.is_err() {
        hints.problem("probabilities have to be at least 0, and one of them more");
    }
    made.ok()
}

fn boolean(hints: &mut Hints<'_>, repeated: bool) -> Maker {
    if let Some(iteration) = hints.get("iteration") {
        match iteration.get("start").and_then(Json::as_bool) {
            Some(_) if repeated => hints.problem("iteration is not supported within lists and maps"),
            Some(start) => return Maker::Alternating(start),
            None => hints.problem("iteration of a boolean needs start, true or false"),
        }
    }
    match hints.get("odds").map(Json::as_f64) {
        None => Maker::Boolean(0.5),
        Some(Some(odds)) if (0.0..=1.0).contains(&odds) => Maker::Boolean(odds),
        Some(_) => {
            hints.problem("odds has to be a number from 0 to 1");
            Maker::Boolean(0.5)
        }
    }
}

fn real(hints: &mut Hints<'_>, short: bool, repeated: bool) -> Maker {
    if let Some(counting) = hints.iteration(repeated) {
        return Maker::Real(Real::Counting(counting), short);
    }
    // A quarter, so that the distance of two can be told.
    let end = if short { f64::from(f32::MAX) / 4.0 } else { f64::MAX / 4.0 };
    let (least, most) = match hints.range() {
        None => (0.0, 1.0),
        Some((least, most)) => (least.unwrap_or(-end), most.unwrap_or(end)),
    };
    if least < -end || most > end {
        hints.problem("range is wider than the type");
        return Maker::Real(Real::Uniform(0.0, 1.0), short);
    }
    Maker::Real(Real::Uniform(least, most), short)
}

/// The type of a whole number: that of the schema, or of Avro where there is none.
fn whole(node: &Node, schema: Option<&Schema>) -> Whole {
    match (schema.map(Schema::kind), schema.and_then(Schema::name)) {
        (_, Some(DATE)) => Whole::Date,
        (_, Some(TIME)) => Whole::Time,
        (_, Some(TIMESTAMP)) => Whole::Timestamp,
        (Some(Type::Int8), _) => Whole::Int8,
        (Some(Type::Int16), _) => Whole::Int16,
        _ if matches!(node.kind, Kind::Int) => Whole::Int32,
        _ => Whole::Int64,
    }
}

/// What a logical type shows of the clock. Connect has types for those in days and milliseconds.
fn clock(logical: &str, typed: bool) -> Option<Clock> {
    Some(match logical {
        "date" => Clock::Days(typed),
        "time-millis" => Clock::OfDay(1, typed),
        "time-micros" => Clock::OfDay(1000, false),
        "timestamp-millis" if typed => Clock::Timestamp,
        "timestamp-millis" | "local-timestamp-millis" => Clock::Since(1),
        "timestamp-micros" | "local-timestamp-micros" => Clock::Since(1000),
        "timestamp-nanos" | "local-timestamp-nanos" => Clock::Since(1_000_000),
        _ => return None,
    })
}

fn decimal(node: &Node, plain: bool) -> Maker {
    let number = |name: &str, usual: u64| node.props.get(name).and_then(Json::as_u64).unwrap_or(usual);
    let mut digits = number("precision", 10).clamp(1, 18) as u32;
    if let Kind::Fixed { size, .. } = node.kind {
        // One bit is the sign.
        let bits = (size * 8).saturating_sub(1).min(62) as u32;
        while digits > 0 && 10_i64.pow(digits) > 1 << bits {
            digits -= 1;
        }
    }
    Maker::Decimal(digits, i64::try_from(number("scale", 0)).unwrap_or(0), plain)
}

fn usual_length(item: &Node, sal: bool) -> Length {
    match sal {
        true => Length(2, 2),
        // Lists of records within themselves grow fast.
        false if recursive(item) => Length(0, 2),
        false => USUAL,
    }
}

fn option(node: &Node, schema: Option<&Schema>, json: &Json) -> Option<Value> {
    match &node.kind {
        Kind::Fixed { size, .. } if latin1(json.as_str()?)?.len() != *size => return None,
        Kind::Enum { symbols, .. } if !symbols.iter().any(|s| Some(&**s) == json.as_str()) => return None,
        _ => {}
    }
    match (schema, &node.kind) {
        (Some(schema), _) => default_value(schema, node, json).ok().filter(|v| v.fits(schema) && !v.is_null()),
        (None, Kind::Bytes | Kind::Fixed { .. }) => latin1(json.as_str()?).map(Value::Bytes),
        (None, kind) => {
            let fits = match kind {
                Kind::Boolean => json.is_boolean(),
                Kind::Int => json.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
                Kind::Long => json.is_i64(),
                Kind::Float | Kind::Double => json.is_number(),
                Kind::String | Kind::Enum { .. } => json.is_string(),
                Kind::Array(_) => json.is_array(),
                _ => json.is_object(),
            };
            fits.then(|| from_json(json))
        }
    }
}

/// Whether a schema holds a record that holds itself.
fn recursive(node: &Node) -> bool {
    match &node.kind {
        Kind::Recursive(_) => true,
        Kind::Array(item) | Kind::Map(item) => recursive(item),
        Kind::Union(members) => members.iter().any(|m| recursive(m)),
        Kind::Record { fields, .. } => fields.iter().any(|f| recursive(&f.node)),
        _ => false,
    }
}

/// Whether there is a value without a record within itself.
fn ends(node: &Node) -> bool {
    match &node.kind {
        Kind::Recursive(_) => false,
        Kind::Union(members) => members.iter().any(|m| ends(m)),
        Kind::Record { fields, .. } => fields.iter().all(|f| ends(&f.node)),
        _ => true,
    }
}
