//! Asking before something is done that cannot be undone, and trying out what would be done.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::error::Failure;

/// What commands take that ask first.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Consent {
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
}

/// What commands take that change something.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct DryRun {
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

impl Consent {
    /// Asks at the terminal whether to do this; `what` is a sentence without its end, such as `delete connector a`. Without
    /// a terminal it is wrong usage not to have said `--yes`.
    pub fn ask(&self, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        let (input, mut output) = (io::stdin(), io::stderr());
        if !input.is_terminal() || !output.is_terminal() {
            return Err(Failure::Usage(format!("there is no terminal to ask whether to {what}; say --yes")));
        }
        // If it cannot be asked, there is no answer either.
        let _ = write!(output, "{}? [y/N] ", crate::output::visible(what)).and_then(|()| output.flush());
        let mut answer = String::new();
        let read = input.lock().read_line(&mut answer);
        read.map_err(|e| Failure::Failed(format!("reading the answer: {e}")))?;
        if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        Err(Failure::Usage("nothing was done".into()))
    }
}

/// Several names in a sentence: all of a few, the first of many.
pub fn listed(names: &[String]) -> String {
    const FEW: usize = 5;
    match names.len() {
        0..=FEW => names.join(", "),
        n => format!("{} and {} more", names[..FEW].join(", "), n - FEW),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_counted() {
        let names: Vec<String> = (0..8).map(|n| format!("c{n}")).collect();
        assert_eq!(listed(&names[..2]), "c0, c1");
        assert_eq!(listed(&names), "c0, c1, c2, c3, c4 and 3 more");
    }
}
