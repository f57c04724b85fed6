//! The diagnosis as monitoring plugins print it: one line, numbers behind a bar
//! (<https://nagios-plugins.org/doc/guidelines.html>, sections "Plugin Output for Nagios" and "Performance data").

use super::finding::{Level, Number, Report};

/// Exit code of what is wrong with the call itself, or cannot be known.
pub const UNKNOWN: u8 = 3;

/// Begins the line of every plugin's answer.
const SERVICE: &str = "CONNECT";

/// The line, and the exit code that goes with it.
pub(super) fn line(report: &Report) -> (String, u8) {
    let (word, code) = match report.level {
        Level::Ok => ("OK", 0),
        Level::Warn => ("WARNING", 1),
        Level::Fail => ("CRITICAL", 2),
        Level::Skipped => ("UNKNOWN", UNKNOWN),
    };
    let mut told: Vec<_> = report.findings.iter().filter(|f| f.level >= Level::Warn || f.blind).collect();
    told.sort_by_key(|f| std::cmp::Reverse(f.level));
    let mut parts: Vec<String> = told.iter().map(|f| format!("{}: {}", f.check.name(), f.text)).collect();
    if report.level == Level::Ok {
        let fine = report.findings.iter().filter(|f| f.level == Level::Ok).count();
        parts.insert(0, format!("{} well", super::connectors::counted(fine, "check")));
    }
    let text = if parts.is_empty() { "nothing could be checked".into() } else { parts.join("; ") };
    let numbers: Vec<String> = report.numbers.iter().map(|(name, number)| data(name, number)).collect();
    let bar = if numbers.is_empty() { String::new() } else { format!(" | {}", numbers.join(" ")) };
    (format!("{SERVICE} {word} - {}{bar}", plain(&text)), code)
}

/// What is said where there is no diagnosis.
pub fn unknown(why: &str) -> String {
    format!("{SERVICE} UNKNOWN - {}", plain(why))
}

/// A bar would begin the numbers, and a second line is of another kind.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "/")
}

/// `'label'=value[UOM];[warn];[crit];[min];[max]`; what ends with nothing is left out.
fn data(name: &str, number: &Number) -> String {
    let warn = number.warn.map(|at| format!(";{at}")).unwrap_or_default();
    format!("{name}={}{}{warn}", number.value, number.unit)
}

#[cfg(test)]
mod tests {
    use super::{
        super::finding::{Check, Finding, Found, tests::report},
        *,
    };

    #[test]
    fn what_is_worst_comes_first_and_numbers_come_behind_a_bar() {
        let expected = "CONNECT CRITICAL - topics: connect-configs has cleanup.policy=delete: old connectors are lost; \
                        connectors: slack task 0 is RESTARTING | connectors=2 lag=7;10000 clock=-0.25s;2";
        assert_eq!(line(&report()), (expected.into(), 2));
    }

    #[test]
    fn each_level_has_its_word_and_code() {
        let of = |level| line(&Report::new(Finding::new(Check::Lag, level, "a|b\n c").into()));
        assert_eq!(of(Level::Ok), ("CONNECT OK - 1 check well".into(), 0));
        assert_eq!(of(Level::Warn), ("CONNECT WARNING - lag: a/b c".into(), 1));
        assert_eq!(of(Level::Fail), ("CONNECT CRITICAL - lag: a/b c".into(), 2));
        assert_eq!(of(Level::Skipped), ("CONNECT UNKNOWN - nothing could be checked".into(), 3));
        assert_eq!(line(&Report::new(Found::default())).1, 3);
        let mut found = Found::from(Finding::ok(Check::Worker, "up"));
        found.add(Finding::skipped(Check::Lag, "not known of a: x").blind());
        found.add(Finding::skipped(Check::Disk, "none"));
        assert_eq!(line(&Report::new(found)), ("CONNECT OK - 1 check well; lag: not known of a: x".into(), 0));
        assert_eq!(unknown("x\ny"), "CONNECT UNKNOWN - x y");
    }
}
