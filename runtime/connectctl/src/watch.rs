//! `--watch`: a command that looks at something looks again and again.

use std::{ffi::OsString, time::Duration};

use crate::{args::seconds, commands::Context, error::Failure};

/// What commands take that look at something.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Watch {
    /// Look again every so many seconds, 2 if they are not said, until interrupted.
    ///
    /// Seconds stand right behind it: -w5, -w=5 or --watch=5. What follows behind a blank is a name.
    #[arg(
        short,
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = seconds
    )]
    pub watch: Option<Duration>,
}

impl Watch {
    /// Looks once, or again and again. A worker that does not answer is waited for; a state of `--fail-on` and what was not
    /// found end it.
    pub async fn run(self, context: &Context<'_>, look: impl AsyncFn() -> Result<(), Failure>) -> Result<(), Failure> {
        let Some(every) = self.watch else { return look().await };
        loop {
            context.output.clear_first();
            match look().await {
                Ok(()) => {}
                Err(e @ Failure::Unreachable(_)) => context.output.problem(&e.to_string()),
                Err(e) => return Err(e),
            }
            tokio::time::sleep(every).await;
        }
    }
}

/// The words of a command line with `-w5` as `-w=5`. Without the equals sign the grammar takes the seconds for further options,
/// since they need not be there.
pub fn with_equals(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut is_option = true;
    let one = |word: OsString| {
        is_option &= word != "--";
        match word.to_str().and_then(|text| text.strip_prefix("-w")) {
            Some(seconds) if is_option && seconds.starts_with(|c: char| c.is_ascii_digit()) => {
                format!("-w={seconds}").into()
            }
            _ => word,
        }
    };
    words.into_iter().map(one).collect()
}

/// What to say where a command fails that has a number behind `--watch` and a blank, which is a name.
pub fn remark(words: &[OsString]) -> Option<String> {
    let pairs = words.windows(2).take_while(|pair| pair[0] != "--");
    let mut pairs = pairs.filter(|pair| pair[0] == "-w" || pair[0] == "--watch").map(|pair| pair[1].to_string_lossy());
    let number = pairs.find(|word| seconds(word).is_ok())?;
    Some(format!("{number} behind --watch and a blank is a name; for every {number} seconds write --watch={number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(Into::into).collect()
    }

    #[test]
    fn seconds_may_stand_right_behind_the_short_option() {
        for (written, read) in [
            ("status -w1", "status -w=1"),
            ("status -w0.5 a", "status -w=0.5 a"),
            ("status -w -wo json --watch=1", "status -w -wo json --watch=1"),
            ("status -w=1", "status -w=1"),
            ("status -- -w1", "status -- -w1"),
        ] {
            assert_eq!(with_equals(words(written)), words(read));
        }
    }

    #[test]
    fn a_number_behind_a_blank_is_remarked_on() {
        let said = "5 behind --watch and a blank is a name; for every 5 seconds write --watch=5";
        for written in ["status -w 5", "status --watch 5 a"] {
            assert_eq!(remark(&words(written)).as_deref(), Some(said));
        }
        for written in ["status -w five", "status -w=5", "status -w", "status -- -w 5", "status 5 -w"] {
            assert_eq!(remark(&words(written)), None, "{written}");
        }
    }
}
