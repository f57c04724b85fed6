//! Finds whole numbers that would not stay what they are: what is beyond Kafka Connect's INT64 would become a float.

/// The first whole number in the text of a JSON document that INT64 cannot hold.
pub fn too_long(json: &[u8]) -> Option<&str> {
    let mut rest = json;
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'"' => after_string(after),
            b'-' | b'0'..=b'9' => {
                let is_part = |b: &u8| b.is_ascii_digit() || b"+-.eE".contains(b);
                let (number, after) = rest.split_at(rest.iter().position(|b| !is_part(b)).unwrap_or(rest.len()));
                if let Ok(text) = str::from_utf8(number)
                    && !text.contains(['.', 'e', 'E'])
                    && text.parse::<i64>().is_err()
                {
                    return Some(text);
                }
                after
            }
            _ => after,
        };
    }
    None
}

/// What follows a string literal, of which the opening quote is gone.
fn after_string(mut rest: &[u8]) -> &[u8] {
    loop {
        match rest {
            [b'\\', _, after @ ..] => rest = after,
            [b'"', after @ ..] => return after,
            [_, after @ ..] => rest = after,
            [] => return rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_beyond_int64_are_found() {
        for right in [
            r#"{"n": 9223372036854775807, "m": -9223372036854775808, "f": 123456789012345678901.5, "e": 1e300}"#,
            r#"{"12345678901234567890123": "12345678901234567890123", "q": "\"12345678901234567890123"}"#,
            "[]",
            "0",
        ] {
            assert_eq!(too_long(right.as_bytes()), None, "{right}");
        }
        for (wrong, number) in [
            (r#"{"a\\": [1, {"n":12345678901234567890123}]}"#, "12345678901234567890123"),
            ("9223372036854775808", "9223372036854775808"),
            ("[-9223372036854775809]", "-9223372036854775809"),
        ] {
            assert_eq!(too_long(wrong.as_bytes()), Some(number), "{wrong}");
        }
    }
}
