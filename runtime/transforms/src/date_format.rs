//! Patterns of Java's `SimpleDateFormat`, in UTC and with English names.

mod calendar;
mod format;
mod parse;

/// A pattern that formats and reads moments.
#[derive(Debug, Clone)]
pub(crate) struct DateFormat {
    pattern: String,
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Literal(String),
    /// A letter and how often it stands.
    Field(char, usize),
}

const LETTERS: &str = "GyMdkHmsSEDFwWahKzZYuXL";

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// How many letters of a name its short form has.
const SHORT: usize = 3;
const ERAS: [&str; 2] = ["BC", "AD"];
const HALF_DAYS: [&str; 2] = ["AM", "PM"];

impl DateFormat {
    /// Reads a pattern; the error has Java's words.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut rest = pattern.chars().peekable();
        let mut quoted = false;
        while let Some(c) = rest.next() {
            match c {
                '\'' if rest.peek() == Some(&'\'') => {
                    rest.next();
                    literal(&mut items, '\'');
                }
                '\'' => quoted = !quoted,
                c if !quoted && c.is_ascii_alphabetic() => {
                    if !LETTERS.contains(c) {
                        return Err(format!("Illegal pattern character '{c}'"));
                    }
                    let mut count = 1;
                    while rest.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    if c == 'X' && count > 3 {
                        return Err(format!("invalid ISO 8601 format: length={count}"));
                    }
                    items.push(Item::Field(c, count));
                }
                c => literal(&mut items, c),
            }
        }
        if quoted {
            return Err("Unterminated quote".into());
        }
        Ok(Self { pattern: pattern.to_owned(), items })
    }

    /// The pattern's text.
    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }
}

fn literal(items: &mut Vec<Item>, c: char) {
    match items.last_mut() {
        Some(Item::Literal(text)) => text.push(c),
        _ => items.push(Item::Literal(c.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_make_letters_literal() {
        let items = DateFormat::new("yyyy'T''s'''X").expect("pattern").items;
        assert_eq!(items, [Item::Field('y', 4), Item::Literal("T's'".into()), Item::Field('X', 1)]);
        assert_eq!(DateFormat::new("yyyy-bb").expect_err("letter"), "Illegal pattern character 'b'");
        assert_eq!(DateFormat::new("yyyy'T").expect_err("quote"), "Unterminated quote");
        assert_eq!(DateFormat::new("XXXX").expect_err("zone"), "invalid ISO 8601 format: length=4");
    }

    #[test]
    fn moments_go_both_ways() {
        let ms = 1_763_702_383_042;
        for pattern in ["yyyy-MM-dd'T'HH:mm:ss.SSSX", "EEE, d MMM yyyy hh:mm:ss.SSS a z", "yyyyMMddHHmmssSSS"] {
            let format = DateFormat::new(pattern).expect("pattern");
            assert_eq!(format.parse(&format.format(ms)), Some(ms), "{pattern}");
        }
    }
    #[test]
    fn two_digits_mean_a_year_from_eighty_years_ago_on() {
        let now = connect_api::time::civil(connect_api::time::now_ms() / 86_400_000).0;
        for (pattern, first) in [("yy-DDD", "001"), ("YY-w-u", "2-1")] {
            let format = DateFormat::new(pattern).expect("pattern");
            let read = |year: i64, day: &str| {
                let text = format!("{:02}-{day}", year.rem_euclid(100));
                let ms = format.parse(&text).expect("moment");
                connect_api::time::civil(ms.div_euclid(86_400_000)).0
            };
            // Of 80 years ago itself, what is more than 80 years ago is 20 years ahead.
            assert!((now - 80..=now + 20).contains(&read(now - 80, first)), "{pattern}");
            assert_eq!(read(now - 79, first), now - 79, "{pattern}");
            assert_eq!(read(now + 19, first), now + 19, "{pattern}");
        }
    }
}
