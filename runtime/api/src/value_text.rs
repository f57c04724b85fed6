//! The text form of values in headers, which [`crate::parse_value`] reads again (`Values.convertToString`).

use std::fmt::Write;

use bigdecimal::BigDecimal;

use crate::{Value, float32, float64, json::base64, logical::DAY_MS, time};

/// The text of a value; `None` for null.
///
/// Texts are as they are at the top and in quotes within lists, maps and structs; bytes are base64.
pub fn value_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.to_string()),
        other => {
            let mut out = String::new();
            append(other, false, &mut out);
            Some(out)
        }
    }
}

fn append(value: &Value, embedded: bool, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::String(text) if embedded => quoted(text, out),
        Value::String(text) => out.push_str(text),
        Value::Bytes(bytes) if embedded => quoted(&base64(bytes), out),
        Value::Bytes(bytes) => out.push_str(&base64(bytes)),
        Value::Boolean(v) => out.push_str(if *v { "true" } else { "false" }),
        Value::Float32(v) => out.push_str(&float32(*v)),
        Value::Float64(v) => out.push_str(&float64(*v)),
        Value::Decimal(d) => out.push_str(&decimal_text(d)),
        Value::Date(days) => moment(i64::from(*days) * i64::from(DAY_MS), value, out),
        Value::Time(ms) => moment(i64::from(*ms), value, out),
        Value::Timestamp(ms) => moment(*ms, value, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                append(item, true, out);
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (i, (k, v)) in entries.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                append(k, true, out);
                out.push(':');
                append(v, true, out);
            }
            out.push('}');
        }
        Value::Struct(s) => {
            out.push('{');
            for field in s.schema().fields() {
                out.push_str(if field.index() > 0 { "," } else { "" });
                quoted(field.name(), out);
                out.push(':');
                append(s.at(field.index()), true, out);
            }
            out.push('}');
        }
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
            // Writing to a text cannot fail.
            let _ = write!(out, "{value}");
        }
    }
}

// In Java all three are one class, told apart by their value only. Before 1970 that would write dates as
// times of day, a loss that is not repeated here.
fn moment(ms: i64, value: &Value, out: &mut String) {
    let day = i64::from(DAY_MS);
    let text = match value {
        Value::Time(_) => time::time_of_day(ms.rem_euclid(day)),
        _ if (0..day).contains(&ms) => time::time_of_day(ms),
        _ if ms.rem_euclid(day) == 0 => time::date(ms.div_euclid(day)),
        _ => time::rfc3339(ms),
    };
    out.push_str(&text);
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// The text of a decimal number as Java's `BigDecimal.toString` writes it, also right as a JSON number.
pub fn decimal_text(d: &BigDecimal) -> String {
    let (unscaled, scale) = d.as_bigint_and_exponent();
    let text = unscaled.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    if scale == 0 {
        return text;
    }
    // The exponent of the first digit decides between the plain form and the one with an exponent.
    let exponent = digits.len() as i64 - 1 - scale;
    if scale > 0 && exponent >= -6 {
        return match usize::try_from(exponent) {
            Ok(before) => format!("{sign}{}.{}", &digits[..=before], &digits[before + 1..]),
            Err(_) => format!("{sign}0.{digits:0>width$}", width = scale as usize),
        };
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let plus = if exponent > 0 { "+" } else { "" };
    if exponent == 0 {
        format!("{sign}{first}{point}{rest}")
    } else {
        format!("{sign}{first}{point}{rest}E{plus}{exponent}")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{Schema, Struct};
    use bytes::Bytes;

    use super::*;

    fn text(v: impl Into<Value>) -> String {
        value_text(&v.into()).expect("text")
    }

    #[test]
    fn containers_quote_texts_and_bytes() {
        assert_eq!(text("a \"b\""), "a \"b\"");
        let list = Value::array(vec!["a \"b\\".into(), Value::Int8(1), Value::Null, Bytes::from_static(b"x").into()]);
        assert_eq!(text(list), r#"["a \"b\\",1,null,"eA=="]"#);
        assert_eq!(text(Value::map([("k", Value::Float64(1.0))])), r#"{"k":1.0}"#);
        let schema = Schema::structure().field("a", Schema::int8()).field("b", Schema::optional_string());
        let mut s = Struct::new(&schema.build().expect("schema")).expect("struct");
        s.put("a", 1i8).expect("put");
        assert_eq!(text(s), r#"{"a":1,"b":null}"#);
    }

    #[test]
    fn moments_are_told_apart_by_their_value() {
        assert_eq!(text(Value::Date(1)), "1970-01-02");
        assert_eq!(text(Value::Date(0)), "00:00:00.000Z");
        assert_eq!(text(Value::Date(-1)), "1969-12-31");
        assert_eq!(text(Value::Time(3_600_001)), "01:00:00.001Z");
        assert_eq!(text(Value::Timestamp(86_400_001)), "1970-01-02T00:00:00.001Z");
    }

    #[test]
    fn decimals_look_as_in_java() {
        for (unscaled, scale, expected) in [
            (156, 2, "1.56"),
            (100, 2, "1.00"),
            (5, 3, "0.005"),
            (-5, 3, "-0.005"),
            (5, 0, "5"),
            (5, -2, "5E+2"),
            (123, -1, "1.23E+3"),
            (1, 7, "1E-7"),
            (12, 8, "1.2E-7"),
            (0, 2, "0.00"),
            (0, -3, "0E+3"),
        ] {
            assert_eq!(text(Value::Decimal(Arc::new(BigDecimal::new(unscaled.into(), scale)))), expected);
        }
    }
}
