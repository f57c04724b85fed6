//! Moments as texts.

use std::fmt::Write;

use super::{
    DateFormat, ERAS, HALF_DAYS, Item, MONTHS, SHORT, WEEKDAYS,
    calendar::{Moment, day_of_week},
};

impl DateFormat {
    /// The text of a moment in milliseconds since 1970.
    pub(crate) fn format(&self, ms: i64) -> String {
        let moment = Moment::of(ms);
        let mut out = String::new();
        for item in &self.items {
            match item {
                Item::Literal(text) => out.push_str(text),
                Item::Field(letter, count) => field(&moment, *letter, *count, &mut out),
            }
        }
        out
    }
}

fn field(moment: &Moment, letter: char, count: usize, out: &mut String) {
    let mut number = |v: i64, width: usize| {
        // Writing to a text cannot fail.
        let _ = write!(out, "{v:0width$}");
    };
    let ms = moment.ms_of_day;
    let hour = ms / 3_600_000;
    let weekday = day_of_week(moment.day);
    let year_of_era = if moment.year > 0 { moment.year } else { 1 - moment.year };
    match letter {
        'y' if count == 2 => number(year_of_era % 100, 2),
        'y' => number(year_of_era, count),
        'Y' if count == 2 => number(moment.week().0.rem_euclid(100), 2),
        'Y' => number(moment.week().0, count),
        'M' | 'L' if count < 3 => number(moment.month.into(), count),
        'd' => number(moment.day_of_month.into(), count),
        'k' => number(if hour == 0 { 24 } else { hour }, count),
        'H' => number(hour, count),
        'h' => number(if hour % 12 == 0 { 12 } else { hour % 12 }, count),
        'K' => number(hour % 12, count),
        'm' => number(ms / 60_000 % 60, count),
        's' => number(ms / 1000 % 60, count),
        'S' => number(ms % 1000, count),
        'D' => number(moment.day_of_year(), count),
        'F' => number((i64::from(moment.day_of_month) - 1) / 7 + 1, count),
        'w' => number(moment.week().1, count),
        'W' => number(moment.week_of_month(), count),
        'u' => number(if weekday == 0 { 7 } else { weekday }, count),
        'M' | 'L' => name(MONTHS[moment.month as usize - 1], count, out),
        'E' => name(WEEKDAYS[weekday as usize], count, out),
        'G' => out.push_str(ERAS[usize::from(moment.year > 0)]),
        'a' => out.push_str(HALF_DAYS[usize::from(hour >= 12)]),
        'z' => out.push_str(if count >= 4 { "Coordinated Universal Time" } else { "UTC" }),
        'Z' => out.push_str("+0000"),
        // Only X is left of the letters that a pattern can have.
        _ => out.push('Z'),
    }
}

fn name(name: &str, count: usize, out: &mut String) {
    out.push_str(if count >= 4 { name } else { &name[..SHORT] });
}
