//! The text of values as Java's `toString` writes it: what the string converter and the file sink show.

use std::fmt;

use crate::{Struct, Value, time};

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Int8(v) => write!(f, "{v}"),
            Self::Int16(v) => write!(f, "{v}"),
            Self::Int32(v) => write!(f, "{v}"),
            Self::Int64(v) => write!(f, "{v}"),
            Self::Float32(v) => f.write_str(&float32(*v)),
            Self::Float64(v) => f.write_str(&float64(*v)),
            Self::Boolean(v) => write!(f, "{v}"),
            Self::String(v) => f.write_str(v),
            // Java prints an array's identity; its text is of no use to anybody.
            Self::Bytes(v) => f.write_str(&crate::json::base64(v)),
            Self::Array(items) => {
                f.write_str("[")?;
                for (i, v) in items.iter().enumerate() {
                    write!(f, "{}{v}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (i, (k, v)) in entries.iter().enumerate() {
                    write!(f, "{}{k}={v}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
            Self::Struct(s) => write!(f, "{s}"),
            Self::Decimal(d) => f.write_str(&crate::decimal_text(d)),
            Self::Date(days) => f.write_str(&time::date(i64::from(*days))),
            Self::Time(ms) => f.write_str(&time::time_of_day(i64::from(*ms))),
            Self::Timestamp(ms) => f.write_str(&time::rfc3339(*ms)),
        }
    }
}

impl fmt::Display for Struct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Struct{")?;
        let mut first = true;
        for (field, value) in self.schema().fields().iter().zip(self.values()) {
            if !value.is_null() {
                write!(f, "{}{}={value}", if first { "" } else { "," }, field.name())?;
                first = false;
            }
        }
        f.write_str("}")
    }
}

/// Java's `Double.toString`: at least one digit behind the point, exponent form below 1e-3 and from 1e7.
pub fn float64(v: f64) -> String {
    java_float(v, v.abs(), &scientific(v.abs()), &v.abs().to_string())
}

/// Java's `Float.toString`.
pub fn float32(v: f32) -> String {
    java_float(f64::from(v), f64::from(v.abs()), &scientific(v.abs()), &v.abs().to_string())
}

// Java writes at least two digits, and where one is enough to tell the number, the two that are nearest to it.
fn scientific(v: impl fmt::LowerExp) -> String {
    let shortest = format!("{v:e}");
    if shortest.contains('.') { shortest } else { format!("{v:.1e}") }
}

fn java_float(v: f64, abs: f64, scientific: &str, plain: &str) -> String {
    let sign = if v.is_sign_negative() { "-" } else { "" };
    if v.is_nan() {
        return "NaN".into();
    }
    if v.is_infinite() {
        return format!("{sign}Infinity");
    }
    if abs == 0.0 || (1e-3..1e7).contains(&abs) {
        let point = if plain.contains('.') { "" } else { ".0" };
        return format!("{sign}{plain}{point}");
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    format!("{sign}{mantissa}E{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Schema;

    #[test]
    fn numbers_look_as_in_java() {
        let cases = [
            (1.0, "1.0"),
            (1e10, "1.0E10"),
            (0.001, "0.001"),
            (1.5e-5, "1.5E-5"),
            (-0.0, "-0.0"),
            (1e7, "1.0E7"),
            (9999999.0, "9999999.0"),
        ];
        for (v, text) in cases {
            assert_eq!(float64(v), text);
        }
        assert_eq!(float64(f64::NEG_INFINITY), "-Infinity");
        assert_eq!(float32(12.2), "12.2");
        assert_eq!((float32(1e-45), float64(5e-324)), ("1.4E-45".into(), "4.9E-324".into()));
    }

    #[test]
    fn structs_leave_out_nulls() {
        let schema = Schema::structure()
            .field("a", Schema::int32())
            .field("b", Schema::optional_string())
            .field("c", Schema::string());
        let schema = schema.build().expect("schema");
        let mut s = Struct::new(&schema).expect("struct");
        s.put("a", 1).and_then(|s| s.put("c", "x")).expect("put");
        assert_eq!(s.to_string(), "Struct{a=1,c=x}");
        assert_eq!(Value::map([("a", Value::from(1))]).to_string(), "{a=1}");
    }
}
