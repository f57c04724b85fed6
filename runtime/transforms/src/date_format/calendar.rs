//! Java's calendar in UTC: Julian before 15 October 1582, weeks that begin on Sunday, and fields that are
//! added up leniently.

use connect_api::{logical::DAY_MS, time};

/// The first Gregorian day, since 1970.
const CUTOVER: i64 = -141_427;

/// What a moment is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Day since 1970.
    pub(super) day: i64,
    /// Year; 0 is 1 BC.
    pub(super) year: i64,
    /// From 1.
    pub(super) month: u32,
    pub(super) day_of_month: u32,
    pub(super) ms_of_day: i64,
}

impl Moment {
    pub(super) fn of(ms: i64) -> Self {
        let day = ms.div_euclid(DAY_MS.into());
        let (year, month, day_of_month) = if day >= CUTOVER { time::civil(day) } else { julian(day) };
        Self { day, year, month, day_of_month, ms_of_day: ms.rem_euclid(DAY_MS.into()) }
    }

    pub(super) fn day_of_year(&self) -> i64 {
        self.day - january(self.year) + 1
    }

    /// Year and number of the week; the week of 1 January is the first one.
    pub(super) fn week(&self) -> (i64, i64) {
        let start = week_start(self.day);
        if start == week_start(january(self.year + 1)) {
            return (self.year + 1, 1);
        }
        (self.year, (start - week_start(january(self.year))) / 7 + 1)
    }

    pub(super) fn week_of_month(&self) -> i64 {
        (week_start(self.day) - week_start(self.day - i64::from(self.day_of_month) + 1)) / 7 + 1
    }
}

/// 0 is Sunday.
pub(super) fn day_of_week(day: i64) -> i64 {
    (day + 4).rem_euclid(7)
}

fn week_start(day: i64) -> i64 {
    day - day_of_week(day)
}

fn january(year: i64) -> i64 {
    in_calendar(|first| first(year, 0))
}

/// The last day of the week's day `wanted` (0 is Sunday, 7 is Sunday again) that is not behind `day`.
fn on_or_before(day: i64, wanted: i64) -> i64 {
    day - (day_of_week(day) - wanted).rem_euclid(7)
}

/// First day of a month in one of the two calendars; months are counted from 0 and roll over.
type FirstOfMonth = fn(i64, i64) -> i64;

fn gregorian_month(year: i64, month: i64) -> i64 {
    time::days(year + month.div_euclid(12), month.rem_euclid(12) as u32 + 1, 1)
}

// By the arithmetic of `connect_api::time`.
fn julian_month(year: i64, month: i64) -> i64 {
    let (year, month) = (year + month.div_euclid(12), month.rem_euclid(12));
    let y = if month < 2 { year - 1 } else { year };
    let mp = (month + 10) % 12;
    365 * y + y.div_euclid(4) + (153 * mp + 2) / 5 - 719_470
}

/// A day of the calendar of its time, given as a sum that begins with the first day of a month.
fn in_calendar(day: impl Fn(FirstOfMonth) -> i64) -> i64 {
    let gregorian = day(gregorian_month);
    if gregorian >= CUTOVER { gregorian } else { day(julian_month) }
}

fn julian(day: i64) -> (i64, u32, u32) {
    let z = day + 719_470;
    let era = z.div_euclid(1461);
    let doe = z.rem_euclid(1461);
    let yoe = (doe - doe / 1460) / 365;
    let doy = doe - 365 * yoe;
    let mp = (5 * doy + 2) / 153;
    let day_of_month = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (era * 4 + yoe + i64::from(month <= 2), month, day_of_month)
}

/// Fields that have been read, each with when it was read: of fields that exclude each other the later counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    set: Vec<(Field, i64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// 0 is BC.
    Era,
    Year,
    WeekYear,
    /// From 0.
    Month,
    DayOfMonth,
    DayOfYear,
    WeekOfYear,
    WeekOfMonth,
    /// Which one of that day of the week it is in the month.
    DayOfWeekInMonth,
    /// 0 is Sunday.
    DayOfWeek,
    /// 0 is before noon.
    AmPm,
    Hour,
    HourOfDay,
    Minute,
    Second,
    Millisecond,
    /// Milliseconds east of UTC.
    Zone,
}

impl Fields {
    pub(super) fn set(&mut self, field: Field, value: i64) {
        self.set.retain(|(f, _)| *f != field);
        self.set.push((field, value));
    }

    /// Adds to a field that has been set, which does not make it a later one.
    pub(super) fn add(&mut self, field: Field, more: i64) {
        for (_, value) in self.set.iter_mut().filter(|(f, _)| *f == field) {
            *value += more;
        }
    }

    pub(super) fn get(&self, field: Field) -> Option<i64> {
        self.set.iter().find(|(f, _)| *f == field).map(|(_, v)| *v)
    }

    /// When the field was set; later is greater, `None` is never.
    fn stamp(&self, field: Field) -> Option<usize> {
        self.set.iter().position(|(f, _)| *f == field)
    }

    fn both(&self, a: Field, b: Field) -> Option<usize> {
        self.stamp(a).zip(self.stamp(b)).map(|(a, b)| a.max(b))
    }

    /// The moment in milliseconds since 1970; fields beyond their range roll over.
    pub(super) fn milliseconds(&self) -> i64 {
        let of = |field, default| self.get(field).unwrap_or(default);
        let by_half_days = self.both(Field::Hour, Field::AmPm).or(match self.stamp(Field::HourOfDay) {
            Some(_) => None,
            None => self.stamp(Field::Hour).max(self.stamp(Field::AmPm)),
        });
        let hours = if self.stamp(Field::HourOfDay) >= by_half_days {
            of(Field::HourOfDay, 0)
        } else {
            of(Field::Hour, 0) + 12 * of(Field::AmPm, 0)
        };
        let ms = ((hours * 60 + of(Field::Minute, 0)) * 60 + of(Field::Second, 0)) * 1000 + of(Field::Millisecond, 0);
        let more = ms.div_euclid(DAY_MS.into());
        let day = in_calendar(|first| self.day(first) + more);
        // Numbers are read as 32 bits, so that only a year in the millions of millennia gets out of range.
        day.saturating_mul(DAY_MS.into()).saturating_add(ms.rem_euclid(DAY_MS.into())) - of(Field::Zone, 0)
    }

    fn day(&self, first: FirstOfMonth) -> i64 {
        use Field as F;
        let of = |field, default| self.get(field).unwrap_or(default);
        if self.stamp(F::WeekYear) > self.stamp(F::Year) {
            let start = week_start(first(of(F::WeekYear, 0), 0));
            return start + 7 * (of(F::WeekOfYear, 1) - 1) + of(F::DayOfWeek, 0);
        }
        let year = of(F::Year, 1970);
        let year = if self.get(F::Era) == Some(0) { 1 - year } else { year };
        let month = first(year, of(F::Month, 0));
        let weekday = self.stamp(F::DayOfWeek);
        let mut by_week_of_month = self.both(F::WeekOfMonth, F::DayOfWeek);
        let mut by_nth_weekday = self.both(F::DayOfWeekInMonth, F::DayOfWeek);
        let mut by_week_of_year = self.both(F::WeekOfYear, F::DayOfWeek);
        let by_day = self.stamp(F::DayOfMonth);
        let by_day_of_year = self.stamp(F::DayOfYear);
        let best = |all: [Option<usize>; 5]| all.into_iter().max().flatten();
        let mut latest = best([by_day, by_week_of_month, by_nth_weekday, by_day_of_year, by_week_of_year]);
        if latest.is_none() {
            by_week_of_month = self.stamp(F::WeekOfMonth);
            by_nth_weekday = self.stamp(F::DayOfWeekInMonth).max(weekday);
            by_week_of_year = self.stamp(F::WeekOfYear);
            latest = best([None, by_week_of_month, by_nth_weekday, None, by_week_of_year]);
        }
        let week_is_later = |field| self.stamp(field) >= self.stamp(F::WeekOfYear);
        if latest.is_none() || latest == by_day {
            return month + of(F::DayOfMonth, 1) - 1;
        }
        if latest == by_week_of_month && week_is_later(F::WeekOfMonth) {
            let start = week_start(month) + weekday.map_or(0, |_| of(F::DayOfWeek, 0));
            return start + 7 * (of(F::WeekOfMonth, 1) - 1);
        }
        if latest == by_nth_weekday && week_is_later(F::DayOfWeekInMonth) {
            let (wanted, nth) = (of(F::DayOfWeek, 0), of(F::DayOfWeekInMonth, 1));
            if nth >= 0 {
                return on_or_before(month + 7 * nth - 1, wanted);
            }
            let next = first(year, of(F::Month, 0) + 1);
            return on_or_before(next + 7 * (nth + 1) - 1, wanted);
        }
        let january = first(year, 0);
        if latest == by_day_of_year {
            return january + of(F::DayOfYear, 1) - 1;
        }
        week_start(january) + weekday.map_or(0, |_| of(F::DayOfWeek, 0)) + 7 * (of(F::WeekOfYear, 1) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_changes_in_1582() {
        let day = |ms: i64| {
            let m = Moment::of(ms);
            (m.year, m.month, m.day_of_month)
        };
        assert_eq!(day(CUTOVER * i64::from(DAY_MS)), (1582, 10, 15));
        assert_eq!(day(CUTOVER * i64::from(DAY_MS) - 1), (1582, 10, 4));
        assert_eq!(day(-62_135_769_600_000), (1, 1, 1));
        for at in (-1_000_000..CUTOVER).step_by(101) {
            let (y, m, d) = julian(at);
            assert_eq!(in_calendar(|first| first(y, i64::from(m) - 1) + i64::from(d) - 1), at);
        }
    }

    #[test]
    fn weeks_begin_on_sunday_and_the_first_holds_the_first_of_january() {
        // Thursday, 31 December 2026 is in the first week of 2027.
        let m = Moment::of(time::days(2026, 12, 31) * i64::from(DAY_MS));
        assert_eq!((m.week(), m.day_of_year(), m.week_of_month()), ((2027, 1), 365, 5));
        assert_eq!(Moment::of(0).week(), (1970, 1));
    }
}
