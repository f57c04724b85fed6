//! Traces without what only a JVM's debugger needs.

const CAUSE: &str = "Caused by: ";

/// The message, which is the trace's first line, and the chain of causes.
pub(super) fn causes(trace: &str) -> Vec<&str> {
    let mut lines = trace.lines().map(str::trim_end).filter(|l| !l.trim().is_empty());
    let first = lines.next().map(str::trim);
    let causes = lines.filter_map(|l| l.strip_prefix(CAUSE));
    first.into_iter().chain(causes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_frames_are_left_out() {
        let java = "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded\n\tat a.B.c(B.java:1)\n\
                    Caused by: org.x.DataException: bad\n\tat d.E.f(E.java:2)\n\t... 3 more\n\tCaused by: not a cause\n";
        assert_eq!(
            causes(java),
            ["org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded", "org.x.DataException: bad"]
        );
        assert_eq!(causes("writing 2 points\nCaused by: timed out"), ["writing 2 points", "timed out"]);
        assert_eq!(causes(" \n"), [""; 0]);
    }
}
