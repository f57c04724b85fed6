//! `--watch`: a command that looks at something looks again and again.

use std::time::Duration;

use crate::{args::seconds, commands::Context, error::Failure};

/// What commands take that look at something.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Watch {
    /// Look again every so many seconds, 2 if they are not said, until interrupted.
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
