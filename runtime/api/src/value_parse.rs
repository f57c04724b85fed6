//! Values from texts without quotes around everything, as headers carry them (`Values.parseString`).

use std::sync::Arc;

use bigdecimal::BigDecimal;
use num_bigint::BigInt;

use crate::{
    Error, Map, Result, Schema, SchemaAndValue, Type, Value,
    logical::{self, Logical},
    time,
};

/// The value that a text stands for: numbers in the smallest type that holds them, booleans, dates, lists
/// and maps; everything else is the text itself. Times are UTC.
pub fn parse_value(text: &str) -> SchemaAndValue {
    if text.is_empty() {
        return string(text);
    }
    let mut parser = Parser { text, at: 0, depth: 0 };
    parser.top()
}

// What Java's `trim` takes away.
fn is_blank(c: char) -> bool {
    c <= ' '
}

fn typed(schema: Schema, value: impl Into<Value>) -> SchemaAndValue {
    SchemaAndValue { schema: Some(schema), value: value.into() }
}

fn string(text: &str) -> SchemaAndValue {
    typed(Schema::string(), text)
}

// Lists within lists beyond this are texts; a header is no place to exhaust the stack.
const DEPTH: usize = 64;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn top(&mut self) -> SchemaAndValue {
        for (word, value) in LITERALS {
            if self.accept(word) && self.at == self.text.len() {
                return literal(value);
            }
            self.at = 0;
        }
        if let Ok(Some(made)) = self.container() {
            return made;
        }
        self.at = 0;
        let token = self.next();
        if token.trim_matches(is_blank).is_empty() {
            return string(token);
        }
        self.scalar(token.trim_matches(is_blank)).unwrap_or_else(|| string(self.text))
    }

    fn embedded(&mut self) -> Result<SchemaAndValue> {
        if self.accept("\"") {
            return self.quoted();
        }
        for (word, value) in LITERALS {
            if self.accept(word) {
                return Ok(literal(value));
            }
        }
        let start = self.at;
        if let Some(made) = self.container()? {
            return Ok(made);
        }
        self.at = start;
        let token = self.next();
        self.scalar(token.trim_matches(is_blank)).ok_or_else(|| Error::data("Failed to parse embedded value"))
    }

    fn quoted(&mut self) -> Result<SchemaAndValue> {
        let start = self.at;
        while self.at < self.text.len() {
            let end = self.at;
            if self.next() == "\"" {
                let content = &self.text[start..end];
                return Ok(temporal(content).unwrap_or_else(|| string(content)));
            }
        }
        Err(Error::data("text is missing its closing quote"))
    }

    fn container(&mut self) -> Result<Option<SchemaAndValue>> {
        let map = match () {
            () if self.accept("[") => false,
            () if self.accept("{") => true,
            () => return Ok(None),
        };
        if self.depth == DEPTH {
            return Err(Error::data("too deep"));
        }
        self.depth += 1;
        let made = if map { self.map() } else { self.array() };
        self.depth -= 1;
        made.map(Some)
    }

    fn array(&mut self) -> Result<SchemaAndValue> {
        let mut common = Common::default();
        let mut items = Vec::new();
        // A comma may stand behind the last element.
        while !self.accept("]") {
            let item = self.embedded()?;
            common.merge(item.schema.as_ref());
            items.push(item.value);
            if !self.accept(",") && !self.before("]") {
                return Err(Error::data("Array elements missing ',' delimiter"));
            }
        }
        let schema = match common.schema() {
            Some(element) => {
                items = items.into_iter().map(|v| align(element, v)).collect::<Result<_>>()?;
                Schema::array(element.clone()).build()?
            }
            None => Schema::array(Schema::string()).without_elements(false, true).build()?,
        };
        Ok(typed(schema, Value::array(items)))
    }

    fn map(&mut self) -> Result<SchemaAndValue> {
        let (mut keys, mut values) = (Common::default(), Common::default());
        let mut entries = Vec::new();
        while !self.accept("}") {
            let key = self.embedded()?;
            if key.value.is_null() {
                return Err(Error::data("Map entry may not have a null key"));
            }
            if !self.accept(":") {
                return Err(Error::data("Map entry is missing ':'"));
            }
            let value = self.embedded()?;
            keys.merge(key.schema.as_ref());
            values.merge(value.schema.as_ref());
            entries.push((key.value, value.value));
            self.accept(",");
        }
        let key = keys.schema();
        // Without a schema of the keys there is none of the values, as in Java.
        let value = key.and_then(|_| values.schema());
        let builder =
            Schema::map(key.cloned().unwrap_or_else(Schema::string), value.cloned().unwrap_or_else(Schema::string));
        let schema = builder.without_elements(key.is_none(), value.is_none()).build()?;
        let aligned = entries.into_iter().map(|(k, v)| {
            let k = key.map_or(Ok(k.clone()), |s| align(s, k))?;
            let v = value.map_or(Ok(v.clone()), |s| align(s, v))?;
            Ok((k, v))
        });
        let entries = aligned.collect::<Result<Map>>()?;
        Ok(typed(schema, Value::Map(Arc::new(entries))))
    }

    fn scalar(&mut self, token: &str) -> Option<SchemaAndValue> {
        let first = token.as_bytes().first()?;
        if first.is_ascii_digit() {
            // A time's colons are delimiters: it is spread over five tokens.
            let start = self.at;
            let mut joined = token.to_owned();
            for _ in 0..4 {
                joined.push_str(self.next());
            }
            if let Some(made) = temporal(&joined) {
                return Some(made);
            }
            self.at = start;
            if let Some(made) = temporal(token) {
                return Some(made);
            }
        }
        if first.is_ascii_digit() || matches!(first, b'+' | b'-') { number(token) } else { None }
    }

    /// The next token, empty at the end: a delimiter or what stands between two.
    fn next(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let mut escaped = false;
        let mut end = rest.len();
        for (i, c) in rest.char_indices() {
            if !escaped && matches!(c, ':' | ',' | '{' | '}' | '[' | ']' | '"') {
                end = i.max(1);
                break;
            }
            escaped = c == '\\' && !escaped;
        }
        self.at += end;
        &rest[..end]
    }

    /// As [`Parser::accept`], without consuming it.
    fn before(&mut self, expected: &str) -> bool {
        let start = self.at;
        let found = self.accept(expected);
        self.at = start;
        found
    }

    /// Whether the next token that is not blank, trimmed, is this one, which is then consumed.
    fn accept(&mut self, expected: &str) -> bool {
        let start = self.at;
        loop {
            let token = self.next();
            if token.trim_matches(is_blank) == expected {
                return true;
            }
            if !token.trim_matches(is_blank).is_empty() || token.is_empty() {
                self.at = start;
                return false;
            }
        }
    }
}

const LITERALS: [(&str, Option<bool>); 3] = [("null", None), ("true", Some(true)), ("false", Some(false))];

fn literal(value: Option<bool>) -> SchemaAndValue {
    value.map_or_else(SchemaAndValue::default, |v| typed(Schema::boolean(), v))
}

/// The schema that all elements share, if they do.
#[derive(Default)]
struct Common {
    schema: Option<Schema>,
    incompatible: bool,
}

impl Common {
    fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    fn merge(&mut self, new: Option<&Schema>) {
        let Some(new) = new else { return };
        if self.incompatible {
            return;
        }
        let wider = |a: &Schema, b: &Schema| {
            let (x, y) = (rank(a.kind())?, rank(b.kind())?);
            Some(if x > y { a.clone() } else { b.clone() })
        };
        self.schema = match &self.schema {
            None => Some(new.clone()),
            Some(old) if old.kind() == new.kind() => Some(new.clone()),
            Some(old) => wider(old, new),
        };
        self.incompatible = self.schema.is_none();
    }
}

fn rank(kind: Type) -> Option<usize> {
    [Type::Int8, Type::Int16, Type::Int32, Type::Int64, Type::Float32, Type::Float64].iter().position(|t| *t == kind)
}

fn align(schema: &Schema, value: Value) -> Result<Value> {
    if value.is_null() {
        return Err(Error::data("Unable to convert a null value to a schema that requires a value"));
    }
    let failed = || Error::data(format!("Unable to convert {value} (class {}) to a number", value.java_class()));
    let moment = matches!(value, Value::Date(_) | Value::Time(_) | Value::Timestamp(_));
    let whole = || value.as_i64().ok_or_else(failed);
    let float = || value.as_f64().ok_or_else(failed);
    match (Logical::of(schema), schema.kind()) {
        (Some(Logical::Date | Logical::Time | Logical::Timestamp), _) if moment => Ok(value),
        (Some(Logical::Date | Logical::Time), _) => logical::from_physical(schema, Value::Int32(whole()? as i32)),
        (Some(Logical::Timestamp), _) => logical::from_physical(schema, Value::Int64(whole()?)),
        (None, Type::Int16) => Ok(Value::Int16(whole()? as i16)),
        (None, Type::Int32) => Ok(Value::Int32(whole()? as i32)),
        (None, Type::Int64) => Ok(Value::Int64(whole()?)),
        (None, Type::Float32) => Ok(Value::Float32(float()? as f32)),
        (None, Type::Float64) => Ok(Value::Float64(float()?)),
        _ => Ok(value),
    }
}

fn number(text: &str) -> Option<SchemaAndValue> {
    let d = parse_decimal(text)?;
    let scale = d.as_bigint_and_exponent().1;
    if let Some(v) = whole(&d) {
        return Some(match v {
            v if i8::try_from(v).is_ok() => typed(Schema::int8(), v as i8),
            v if i16::try_from(v).is_ok() => typed(Schema::int16(), v as i16),
            v if i32::try_from(v).is_ok() => typed(Schema::int32(), v as i32),
            v => typed(Schema::int64(), v),
        });
    }
    let (narrow, wide) = (text.parse::<f32>().ok()?, text.parse::<f64>().ok()?);
    if scale != 0 && narrow.is_finite() {
        return Some(typed(Schema::float32(), narrow));
    }
    if scale != 0 && wide.is_finite() {
        return Some(typed(Schema::float64(), wide));
    }
    let schema = logical::decimal(i32::try_from(scale).ok()?).build().ok()?;
    Some(SchemaAndValue { schema: Some(schema), value: Value::Decimal(Arc::new(d)) })
}

// The number if it is mathematically whole and within 64 bits. Exponents are bounded by `parse_decimal`.
fn whole(d: &BigDecimal) -> Option<i64> {
    let (unscaled, scale) = d.as_bigint_and_exponent();
    let ten = BigInt::from(10);
    let power = ten.pow(u32::try_from(scale.unsigned_abs()).ok()?);
    if scale <= 0 {
        return i64::try_from(unscaled * power).ok();
    }
    let (quotient, rest) = (&unscaled / &power, &unscaled % &power);
    if rest == BigInt::from(0) { i64::try_from(quotient).ok() } else { None }
}

// Beyond this a number is a text: its plain form would take memory out of proportion.
const MOST_DIGITS: usize = 4096;

/// A decimal number with all its digits, in Java's syntax; `None` also for absurdly many digits.
pub fn parse_decimal(text: &str) -> Option<BigDecimal> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (sign, digits) = match mantissa.as_bytes().first()? {
        b'-' => ("-", &mantissa[1..]),
        b'+' => ("", &mantissa[1..]),
        _ => ("", mantissa),
    };
    let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = before.bytes().chain(behind.bytes()).all(|b| b.is_ascii_digit());
    let length = before.len() + behind.len();
    if !all_digits || length == 0 || length > MOST_DIGITS {
        return None;
    }
    let scale = behind.len() as i64 - exponent.clamp(-1 << 32, 1 << 32);
    if scale.unsigned_abs() > MOST_DIGITS as u64 {
        return None;
    }
    Some(BigDecimal::new(format!("{sign}{before}{behind}").parse().ok()?, scale))
}

/// A date, time or moment, told apart by the length of the text; read as leniently as Java does.
fn temporal(text: &str) -> Option<SchemaAndValue> {
    let text = text.replace("\\:", ":");
    let mut scan = Scan(&text);
    match text.len() {
        10 => Some(typed_date(scan.date()?)),
        13 => {
            let ms = i32::try_from(scan.clock()?).ok()?;
            Some(SchemaAndValue { schema: Some(logical::time()), value: Value::Time(ms) })
        }
        24 => {
            let day = scan.date()?;
            scan.literal('T')?;
            let ms = day.checked_mul(i64::from(logical::DAY_MS))?.checked_add(scan.clock()?)?;
            Some(SchemaAndValue { schema: Some(logical::timestamp()), value: Value::Timestamp(ms) })
        }
        _ => None,
    }
}

fn typed_date(day: i64) -> SchemaAndValue {
    // Ten characters cannot hold a date beyond 32 bits of days.
    SchemaAndValue { schema: Some(logical::date()), value: Value::Date(day as i32) }
}

struct Scan<'a>(&'a str);

impl Scan<'_> {
    fn number(&mut self) -> Option<i64> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        digits.parse().ok()
    }

    fn literal(&mut self, c: char) -> Option<()> {
        self.0 = self.0.strip_prefix(c)?;
        Some(())
    }

    // Months and days beyond their range roll over.
    fn date(&mut self) -> Option<i64> {
        let year = self.number()?;
        self.literal('-')?;
        let month = self.number()? - 1;
        self.literal('-')?;
        let day = self.number()?;
        let year = year.checked_add(month.div_euclid(12)).filter(|y| *y < 1_000_000)?;
        time::days(year, month.rem_euclid(12) as u32 + 1, 1).checked_add(day - 1)
    }

    fn clock(&mut self) -> Option<i64> {
        let hours = self.number()?;
        self.literal(':')?;
        let minutes = self.number()?;
        self.literal(':')?;
        let seconds = self.number()?;
        self.literal('.')?;
        let ms = self.number()?;
        self.literal('Z')?;
        let seconds = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?;
        seconds.checked_mul(1000)?.checked_add(ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        parse_value(text).value
    }

    #[test]
    fn numbers_take_the_smallest_type() {
        for (text, expected) in [
            ("1", Value::Int8(1)),
            ("-129", Value::Int16(-129)),
            ("1.0", Value::Int8(1)),
            ("1e3", Value::Int16(1000)),
            ("+40000", Value::Int32(40_000)),
            ("3000000000", Value::Int64(3_000_000_000)),
            ("9223372036854775807", Value::Int64(i64::MAX)),
            ("1.5", Value::Float32(1.5)),
            ("1e300", Value::Float64(1e300)),
            ("1,2", Value::Int8(1)),
            ("2024:x", Value::Int16(2024)),
            (" 7 ", Value::Int8(7)),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
        let big = parse_value("9223372036854775808");
        assert_eq!(big.schema, Some(logical::decimal(0).build().expect("schema")));
        assert_eq!(big.value.to_string(), "9223372036854775808");
    }

    #[test]
    fn everything_else_is_the_whole_text() {
        for text in
            ["", "abc", " a b ", "NaN", "0x1f", "\"quoted\"", "true x", "1_000", "-", "1e999999999", "1e", "[a]"]
        {
            assert_eq!(parse_value(text), string(text), "{text}");
        }
        assert_eq!(parse_value("   "), string("   "));
    }

    #[test]
    fn literals_stand_alone() {
        assert_eq!(parse_value(" null "), SchemaAndValue::default());
        assert_eq!(value("true"), Value::Boolean(true));
        assert_eq!(value("True"), Value::from("True"));
    }

    #[test]
    fn dates_are_known_by_their_length() {
        assert_eq!(value("1970-01-02"), Value::Date(1));
        assert_eq!(value("2019-13-01"), value("2020-01-01"));
        assert_eq!(value("01:00:00.001Z"), Value::Time(3_600_001));
        assert_eq!(value("1970-01-02T00:00:00.001Z"), Value::Timestamp(86_400_001));
        assert_eq!(value(r"1970-01-02T00\:00\:00.001Z"), Value::Timestamp(86_400_001));
        assert_eq!(value("[1970-01-02, 1970-01-03]"), Value::array(vec![Value::Date(1), Value::Date(2)]));
    }

    #[test]
    fn lists_share_a_schema_when_they_can() {
        let list = parse_value("[1, 2.5, 300]");
        assert_eq!(list.schema, Some(Schema::array(Schema::float32()).build().expect("schema")));
        let expected = [1.0, 2.5, 300.0].map(Value::Float32).to_vec();
        assert_eq!(list.value, Value::array(expected));
        let mixed = parse_value("[1, \"a\"]");
        let no_element = Schema::array(Schema::int8()).without_elements(false, true).build().expect("schema");
        assert_eq!(
            mixed,
            SchemaAndValue { schema: Some(no_element.clone()), value: Value::array(vec![1i8.into(), "a".into()]) }
        );
        assert_eq!(parse_value("[]").schema, Some(no_element.clone()));
        assert_eq!(parse_value("[null]").schema, Some(no_element));
        assert_eq!(value("[ \"x\" ] tail"), Value::array(vec!["x".into()]));
        assert_eq!(parse_value("[1, 2025-11-21]").value, Value::array(vec![Value::Date(1), Value::Date(20_413)]));
        assert_eq!(parse_value("[1,]").value, Value::array(vec![Value::Int8(1)]));
        for text in ["[1, null]", "[1,,2]", "[2025-11-21, 70000]", "[1", "[1 2]", "[a]", "{null:1}", "{1}", "[\"a]"] {
            assert_eq!(parse_value(text), string(text), "{text}");
        }
    }

    #[test]
    fn maps_allow_missing_commas_and_null_values() {
        let map = parse_value(r#"{"a": 1, "b": 200}"#);
        assert_eq!(map.schema, Some(Schema::map(Schema::string(), Schema::int16()).build().expect("schema")));
        assert_eq!(map.value, Value::map([("a", Value::Int16(1)), ("b", Value::Int16(200))]));
        let nulls = parse_value(r#"{"a":null}"#);
        let schema = Schema::map(Schema::string(), Schema::string()).without_elements(false, true).build();
        assert_eq!(nulls.schema, Some(schema.expect("schema")));
        assert_eq!(value(r#"{"a":[1]"b":[2]}"#).get("b"), Some(&Value::array(vec![Value::Int8(2)])));
    }

    #[test]
    fn hostile_texts_are_texts() {
        for text in ["[".repeat(100_000), "{".repeat(100_000), "9".repeat(100_000), "\\".repeat(9), "é:é".repeat(9)] {
            assert_eq!(parse_value(&text).value, Value::from(text));
        }
        assert_eq!(value("99999999-9"), Value::from("99999999-9"));
    }
}
