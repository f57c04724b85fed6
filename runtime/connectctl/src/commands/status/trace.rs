//! Traces without what only a JVM's debugger needs.

const CAUSE: &str = "Caused by: ";

/// The message, which is the trace's first line, and the chain of causes.
pub(in super::super) fn causes(trace: &str) -> Vec<&str> {
    let mut lines = trace.lines().map(str::trim_end).filter(|l| !l.trim().is_empty());
    let first = lines.next().map(str::trim);
    let causes = lines.filter_map(|l| l.strip_prefix(CAUSE));
    first.into_iter().chain(causes).map(without_package).collect()
}

/// Message and causes in one line; a cause that the text before it ends with already is not said twice.
pub(crate) fn one_line(trace: &str) -> String {
    let mut line = String::new();
    for cause in causes(trace) {
        if line.is_empty() {
            line.push_str(cause);
        } else if !line.ends_with(cause) {
            // Messages of Java often end as if the cause were behind them.
            line.truncate(line.trim_end_matches([':', ' ']).len());
            line.push_str(": ");
            line.push_str(cause);
        }
    }
    line
}

/// A line without the package of the class that it begins with.
fn without_package(line: &str) -> &str {
    let class = line.split(": ").next().unwrap_or_default();
    let package = class.rfind('.').map_or(0, |dot| dot + 1);
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '$');
    let is_class = class.chars().all(is_name) && class[package..].starts_with(|c: char| c.is_ascii_uppercase());
    if is_class { &line[package..] } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_frames_are_left_out() {
        let java = "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded\n\tat a.B.c(B.java:1)\n\
                    Caused by: org.x.DataException: bad\n\tat d.E.f(E.java:2)\n\t... 3 more\n\tCaused by: not a cause\n";
        assert_eq!(causes(java), ["ConnectException: Tolerance exceeded", "DataException: bad"]);
        assert_eq!(causes("org.x.NoMessageException"), ["NoMessageException"]);
        for plain in ["writing to a.b.Table: no", "a.topic: no", "x.", ".", "v1.2 of File.txt"] {
            assert_eq!(causes(plain), [plain]);
        }
        assert_eq!(causes("writing 2 points\nCaused by: timed out"), ["writing 2 points", "timed out"]);
        assert_eq!(causes(" \n"), [""; 0]);
        assert_eq!(one_line(java), "ConnectException: Tolerance exceeded: DataException: bad");
        assert_eq!(one_line("reading failed: \nCaused by: timed out"), "reading failed: timed out");
        assert_eq!(one_line("writing: timed out\nCaused by: timed out"), "writing: timed out");
    }
}
