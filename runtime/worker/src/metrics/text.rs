//! Prometheus's text format, version 0.0.4.

use std::{collections::HashSet, fmt::Write as _};

/// The media type of a page.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a value means to Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It grows until the task or the worker begins anew.
    Counter,
    /// It goes up and down.
    Gauge,
    /// The number of observations and their sum.
    Summary,
    /// Observations by buckets.
    Histogram,
}

impl Kind {
    /// The name on the page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Summary => "summary",
            Self::Histogram => "histogram",
        }
    }
}

/// A label with its value.
pub(super) type Label<'a> = (&'a str, &'a str);

/// A page under way.
#[derive(Debug, Default)]
pub(super) struct Text {
    page: String,
    names: HashSet<String>,
}

impl Text {
    /// Adds a metric with its values; without any it is left out.
    pub fn family<'a>(
        &mut self,
        (name, kind, about): (&str, Kind, &str),
        values: impl IntoIterator<Item = (Vec<Label<'a>>, f64)>,
    ) {
        for (labels, value) in values {
            self.lines((name, kind, about), &labels, &[("", value)]);
        }
    }

    /// Adds what one bearer of a metric has: values by what is added to the metric's name.
    pub fn lines(&mut self, (name, kind, about): (&str, Kind, &str), labels: &[Label<'_>], values: &[(&str, f64)]) {
        // Writing to a string cannot fail, here and below.
        if !self.names.contains(name) {
            self.names.insert(name.to_owned());
            let about = about.replace('\\', "\\\\").replace('\n', "\\n");
            let _ = write!(self.page, "# HELP {name} {about}\n# TYPE {name} {}\n", kind.name());
        }
        for (suffix, value) in values {
            let _ = write!(self.page, "{name}{suffix}");
            for (i, (label, value)) in labels.iter().enumerate() {
                let _ = write!(self.page, "{}{label}=\"{}\"", if i == 0 { '{' } else { ',' }, escaped(value));
            }
            if !labels.is_empty() {
                self.page.push('}');
            }
            let _ = writeln!(self.page, " {}", number(*value));
        }
    }

    /// Whether there is a metric of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The page.
    pub fn finish(self) -> String {
        self.page
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A number as the format has it.
pub(super) fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_as_prometheus_reads_them() {
        let mut text = Text::default();
        let labels = vec![("connector", "a\"b\\c\nd"), ("task", "0")];
        text.family(("m_total", Kind::Counter, "First\\ line\nand second."), [(labels, 1204.0), (vec![], 0.25)]);
        text.family(("none", Kind::Gauge, "Nothing."), []);
        text.family(("g", Kind::Gauge, "A gauge."), [(vec![], f64::NAN), (vec![], f64::INFINITY)]);
        let expected = "\
# HELP m_total First\\\\ line\\nand second.
# TYPE m_total counter
m_total{connector=\"a\\\"b\\\\c\\nd\",task=\"0\"} 1204
m_total 0.25
# HELP g A gauge.
# TYPE g gauge
g NaN
g +Inf
";
        assert_eq!(text.finish(), expected);
    }
}
