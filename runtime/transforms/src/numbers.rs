//! Java's conversions between numbers.

use connect_api::{BigDecimal, Value, decimal_text};
use num_bigint::BigInt;

/// The low 64 bits of a decimal's whole part, as `BigDecimal.longValue` gives them.
pub(crate) fn low_64(d: &BigDecimal) -> i64 {
    let (unscaled, scale) = d.as_bigint_and_exponent();
    // Powers of ten from here on have their 64 low bits zero; digits beyond the number's leave nothing whole.
    if scale <= -64 {
        return 0;
    }
    let digits = unscaled.magnitude().to_string().len() as i64;
    if digits <= scale {
        return 0;
    }
    let ten = BigInt::from(10).pow(scale.unsigned_abs() as u32);
    let whole = if scale < 0 { unscaled * ten } else { unscaled / ten };
    let low = whole.magnitude().iter_u64_digits().next().unwrap_or(0) as i64;
    if whole.sign() == num_bigint::Sign::Minus { low.wrapping_neg() } else { low }
}

/// The value as a whole number of 32 bits, as `Number.intValue`: floats saturate, others wrap.
pub(crate) fn int(value: &Value) -> Option<i32> {
    match value {
        Value::Float32(v) => Some(*v as i32),
        Value::Float64(v) => Some(*v as i32),
        other => long(other).map(|v| v as i32),
    }
}

/// The value as a whole number of 64 bits, as `Number.longValue`.
pub(crate) fn long(value: &Value) -> Option<i64> {
    match value {
        Value::Float32(v) => Some(*v as i64),
        Value::Float64(v) => Some(*v as i64),
        Value::Decimal(d) => Some(low_64(d)),
        other => other.as_i64(),
    }
}

/// The value as a 32-bit float, as `Number.floatValue`.
pub(crate) fn float(value: &Value) -> Option<f32> {
    match value {
        Value::Float32(v) => Some(*v),
        Value::Float64(v) => Some(*v as f32),
        Value::Decimal(d) => decimal_text(d).parse().ok(),
        other => other.as_i64().map(|v| v as f32),
    }
}

/// The value as a 64-bit float, as `Number.doubleValue`.
pub(crate) fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Float32(v) => Some((*v).into()),
        Value::Float64(v) => Some(*v),
        Value::Decimal(d) => decimal_text(d).parse().ok(),
        other => other.as_i64().map(|v| v as f64),
    }
}

/// The digits of a text in the syntax of Java's `Float.parseFloat`, for Rust's parser; hexadecimal floats
/// are not among them.
pub(crate) fn java_float(text: &str) -> Option<&str> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return Some(text);
    }
    // The suffix of a literal is allowed. Rust knows words that Java does not.
    let digits = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    let allowed = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    digits.chars().all(allowed).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_low_bits() {
        let d = |unscaled: i64, scale| BigDecimal::new(unscaled.into(), scale);
        assert_eq!(low_64(&d(-199, 2)), -1);
        assert_eq!(low_64(&d(99, 2)), 0);
        assert_eq!(low_64(&d(5, -3)), 5000);
        assert_eq!(low_64(&d(1, -100)), 0);
        assert_eq!(low_64(&d(i64::MAX, -1)), i64::MAX.wrapping_mul(10));
    }
}
