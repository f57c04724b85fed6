//! Runs of other programs that end by themselves, bounded in time.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Error, Result, reaper};

/// What is shown of a long output.
const SHOWN_LINES: usize = 30;

/// Runs a command without input and returns its standard output; any status but 0 is an error.
pub(crate) fn run(command: &mut Command, doing: &str, within: Duration) -> Result<String> {
    run_from(command, Stdio::null(), doing, within)
}

/// As [`run`], with an input.
pub(crate) fn run_from(command: &mut Command, input: Stdio, doing: &str, within: Duration) -> Result<String> {
    let file = || tempfile::tempfile().map_err(Error::io(format!("{doing}: creating a file for the output")));
    let (mut stdout, mut stderr) = (file()?, file()?);
    let clone = |file: &File| file.try_clone().map_err(Error::io(format!("{doing}: opening a file for the output")));
    let (to_stdout, to_stderr) = (clone(&stdout)?, clone(&stderr)?);
    let mut child = command
        .stdin(input)
        .stdout(to_stdout)
        .stderr(to_stderr)
        .spawn()
        .map_err(Error::io(format!("{doing}: starting {}", command.get_program().display())))?;
    reaper::watch(child.id())?;
    let deadline = Instant::now() + within;
    let status = loop {
        match child.try_wait().map_err(Error::io(doing))? {
            Some(status) => break Some(status),
            None if Instant::now() >= deadline => {
                child.kill().map_err(Error::io(format!("{doing}: ending it after {within:?}")))?;
                child.wait().map_err(Error::io(doing))?;
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    reaper::forget(child.id());
    let printed = read(&mut stdout, doing)?;
    if status.is_some_and(|status| status.success()) {
        return Ok(printed);
    }
    let outcome = status.map_or_else(|| format!("not done within {within:?}"), |status| status.to_string());
    let output = tail(&format!("{printed}{}", read(&mut stderr, doing)?));
    Err(Error::Command { doing: doing.into(), outcome, output })
}

/// The last lines of a text.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

fn read(file: &mut File, doing: &str) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .map_err(Error::io(format!("{doing}: reading the output")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn sh(script: &str, within: Duration) -> Result<String> {
        run(Command::new("sh").args(["-c", script]), "trying", within)
    }

    #[test]
    fn success_returns_the_standard_output() {
        assert_eq!(sh("echo out; echo err >&2", Duration::from_secs(10)).unwrap(), "out\n");
    }

    #[test]
    fn failure_tells_the_status_and_both_outputs() {
        let error = sh("echo out; echo err >&2; exit 3", Duration::from_secs(10)).unwrap_err();
        assert_eq!(error.to_string(), "trying: exit status: 3\nout\nerr");
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let error = sh("echo begun; exec sleep 60", Duration::from_millis(300)).unwrap_err();
        assert_eq!(error.to_string(), "trying: not done within 300ms\nbegun");
    }

    #[test]
    fn the_tail_keeps_the_last_lines() {
        let text: String = (0..100).map(|line| format!("{line}\n")).collect();
        assert!(tail(&text).starts_with("70\n") && tail(&text).ends_with("\n99"));
        assert_eq!(tail("one"), "one");
    }
}
