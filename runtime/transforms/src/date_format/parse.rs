//! Texts as moments, as leniently as Java reads them: what stands behind the pattern is ignored, numbers
//! beyond their range roll over.

use connect_api::time;

use super::{
    DateFormat, ERAS, HALF_DAYS, Item, MONTHS, SHORT, WEEKDAYS,
    calendar::{Field, Fields, Moment},
};

impl DateFormat {
    /// The moment in milliseconds since 1970; `None` if the text does not begin as the pattern says.
    pub(crate) fn parse(&self, text: &str) -> Option<i64> {
        let text: Vec<char> = text.chars().collect();
        let century_start = Moment::of(time::now_ms()).year - 80;
        let mut scan = Scan { text: &text, at: 0, fields: Fields::default(), century_start, ambiguous: false };
        for (i, item) in self.items.iter().enumerate() {
            match item {
                Item::Literal(literal) => literal.chars().try_for_each(|c| scan.literal(c))?,
                Item::Field(letter, count) => {
                    // A number in front of another number has just as many digits as the pattern has letters.
                    let bounded = matches!(self.items.get(i + 1), Some(Item::Field(next, n)) if is_number(*next, *n));
                    scan.field(*letter, *count, bounded)?;
                }
            }
        }
        scan.moment()
    }
}

fn is_number(letter: char, count: usize) -> bool {
    match letter {
        'M' | 'L' => count <= 2,
        letter => "ydkHmsSDFwWhKYu".contains(letter),
    }
}

struct Scan<'a> {
    text: &'a [char],
    at: usize,
    fields: Fields,
    century_start: i64,
    // A year of two digits that could be of the century before or behind.
    ambiguous: bool,
}

impl Scan<'_> {
    fn moment(mut self) -> Option<i64> {
        let ms = self.fields.milliseconds();
        if self.ambiguous {
            let now = Moment::of(time::now_ms());
            let mut start = Fields::default();
            start.set(Field::Year, self.century_start);
            start.set(Field::Month, i64::from(now.month) - 1);
            start.set(Field::DayOfMonth, now.day_of_month.into());
            start.set(Field::Millisecond, now.ms_of_day);
            if ms < start.milliseconds() {
                self.fields.add(Field::Year, 100);
                self.fields.add(Field::WeekYear, 100);
                return Some(self.fields.milliseconds());
            }
        }
        Some(ms)
    }

    fn literal(&mut self, c: char) -> Option<()> {
        (self.text.get(self.at) == Some(&c)).then(|| self.at += 1)
    }

    fn field(&mut self, letter: char, count: usize, bounded: bool) -> Option<()> {
        let start = self.at;
        while matches!(self.text.get(self.at), Some(' ' | '\t')) {
            self.at += 1;
        }
        if self.at == self.text.len() {
            return None;
        }
        match letter {
            'G' => return self.name(start, Field::Era, &ERAS, None),
            'M' | 'L' if count > 2 => return self.name(start, Field::Month, &MONTHS, Some(SHORT)),
            'E' => return self.name(start, Field::DayOfWeek, &WEEKDAYS, Some(SHORT)),
            'a' => return self.name(start, Field::AmPm, &HALF_DAYS, None),
            'z' | 'Z' => return self.zone(),
            'X' => return self.iso_zone(count),
            _ => {}
        }
        let first = self.at;
        let end = if bounded { start + count } else { self.text.len() };
        let value = self.number(end)?;
        let digits = self.at - first;
        let (field, value) = match letter {
            'y' | 'Y' => {
                let field = if letter == 'y' { Field::Year } else { Field::WeekYear };
                let two = count <= 2 && digits == 2 && self.text[first].is_ascii_digit();
                (field, if two { self.full_year(value) } else { value })
            }
            'M' | 'L' => (Field::Month, value - 1),
            'd' => (Field::DayOfMonth, value),
            'k' => (Field::HourOfDay, if value == 24 { 0 } else { value }),
            'H' => (Field::HourOfDay, value),
            'h' => (Field::Hour, if value == 12 { 0 } else { value }),
            'K' => (Field::Hour, value),
            'm' => (Field::Minute, value),
            's' => (Field::Second, value),
            'S' => (Field::Millisecond, value),
            'D' => (Field::DayOfYear, value),
            'F' => (Field::DayOfWeekInMonth, value),
            'w' => (Field::WeekOfYear, value),
            'W' => (Field::WeekOfMonth, value),
            // Only u is left of the letters that a pattern can have: 1 is Monday, 7 Sunday. What is beyond is
            // counted as Java counts, from Sunday as 1.
            _ => match value {
                1..=6 => (Field::DayOfWeek, value),
                7 => (Field::DayOfWeek, 0),
                beyond => (Field::DayOfWeek, beyond - 1),
            },
        };
        self.fields.set(field, value);
        Some(())
    }

    /// Two digits mean a year from 80 years ago on.
    fn full_year(&mut self, value: i64) -> i64 {
        let start = self.century_start.rem_euclid(100);
        self.ambiguous = value == start;
        value + self.century_start.div_euclid(100) * 100 + if value < start { 100 } else { 0 }
    }

    /// A number that ends before `end`, which must be within the text.
    fn number(&mut self, end: usize) -> Option<i64> {
        let text = self.text.get(..end)?;
        let negative = text.get(self.at) == Some(&'-');
        let first = self.at + usize::from(negative);
        let digits: String = text.get(first..)?.iter().take_while(|c| c.is_ascii_digit()).collect();
        if digits.is_empty() {
            return None;
        }
        self.at = first + digits.len();
        // As Java narrows it to 32 bits: what has more than 64 saturates.
        let value = digits.parse::<i64>().map_or(i32::MAX, |v| v as i32);
        Some((if negative { value.wrapping_neg() } else { value }).into())
    }

    fn name(&mut self, start: usize, field: Field, names: &[&str], short: Option<usize>) -> Option<()> {
        let matches = |name: &str| {
            let found = self.text.get(start..start + name.len());
            found.is_some_and(|found| found.iter().zip(name.chars()).all(|(a, b)| a.eq_ignore_ascii_case(&b)))
        };
        // Blanks in front of a name are not skipped, which is Java's doing.
        let long = names.iter().map(|name| (*name).len());
        let (index, length) = names.iter().zip(long).enumerate().find_map(|(i, (name, length))| {
            let length = if matches(name) { length } else { short.filter(|n| matches(&name[..*n]))? };
            Some((i, length))
        })?;
        self.at = start + length;
        self.fields.set(field, index as i64);
        Some(())
    }

    fn sign(&mut self) -> Option<i64> {
        let sign = match self.text.get(self.at)? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        self.at += 1;
        Some(sign)
    }

    fn zone(&mut self) -> Option<()> {
        if let Some(sign) = self.sign() {
            return self.offset(sign, true, false);
        }
        let (name, offset) = ZONES.iter().find(|(name, _)| {
            let found = self.text.get(self.at..self.at + name.len());
            found.is_some_and(|found| found.iter().zip(name.chars()).all(|(a, b)| a.eq_ignore_ascii_case(&b)))
        })?;
        self.at += name.len();
        if *name == "GMT"
            && let Some(sign) = self.sign()
        {
            return self.offset(sign, true, true);
        }
        self.fields.set(Field::Zone, offset * 3_600_000);
        Some(())
    }

    fn iso_zone(&mut self, count: usize) -> Option<()> {
        if self.literal('Z').is_some() {
            self.fields.set(Field::Zone, 0);
            return Some(());
        }
        let sign = self.sign()?;
        self.offset(sign, count > 1, count == 3)
    }

    fn offset(&mut self, sign: i64, minutes: bool, colon: bool) -> Option<()> {
        let mut total = self.two_digits().filter(|hours| *hours <= 23)? * 60;
        if minutes {
            if colon {
                self.literal(':')?;
            }
            total += self.two_digits().filter(|minutes| *minutes <= 59)?;
        }
        self.fields.set(Field::Zone, sign * total * 60_000);
        Some(())
    }

    fn two_digits(&mut self) -> Option<i64> {
        let digits: String = self.text.get(self.at..self.at + 2)?.iter().collect();
        self.at += 2;
        digits.parse::<u8>().ok().filter(|_| !digits.starts_with('+')).map(i64::from)
    }
}

/// Names of zones and their hours east of UTC. Java knows many more, with their history.
const ZONES: [(&str, i64); 18] = [
    ("Coordinated Universal Time", 0),
    ("UTC", 0),
    ("GMT", 0),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
    ("CEST", 2),
    ("CET", 1),
    ("EEST", 3),
    ("EET", 2),
    ("WEST", 1),
    ("WET", 0),
    ("JST", 9),
];
