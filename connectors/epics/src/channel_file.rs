//! A file of channels, which is read again and compared, as connector files are.

use std::{path::Path, sync::Arc, time::Duration};

use connect_api::{CancellationToken, Error, Result};
use tokio::{sync::watch, time::interval};
use tracing::{Instrument, warn};

use crate::{
    EpicsConfig,
    channel_list::{self, ChannelSpec},
};

/// Between two looks. What is the same in two of them has been written to its end.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The channels of a file, as it last was right.
pub(crate) struct ChannelFile {
    channels: Vec<Arc<ChannelSpec>>,
    problem: Option<String>,
    news: watch::Receiver<Look>,
    path: String,
    config: Arc<EpicsConfig>,
}

/// What the file holds, or why it cannot be read.
type Look = std::result::Result<String, String>;

impl ChannelFile {
    /// Reads the file and goes on looking at it until the task stops.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is wrong.
    pub(crate) async fn follow(
        path: &str,
        config: &Arc<EpicsConfig>,
        stopping: &CancellationToken,
    ) -> Result<ChannelFile> {
        let doing = || format!("reading channels from {path}, which epics.channels.file names");
        let text = tokio::fs::read_to_string(path).await.map_err(|e| Error::fatal(doing()).caused_by(e))?;
        let channels = channel_list::read_file(&text, &config.monitor)
            .map_err(|problems| Error::fatal(format!("{}: {}", doing(), told(&problems))))?;
        let (told, news) = watch::channel(Ok(text));
        let look = look(path.to_owned(), told);
        tokio::spawn(stopping.clone().run_until_cancelled_owned(look).in_current_span());
        let channels = channels.into_iter().map(Arc::new).collect();
        Ok(ChannelFile { channels, problem: None, news, path: path.to_owned(), config: config.clone() })
    }

    /// The channels.
    pub(crate) fn channels(&self) -> &[Arc<ChannelSpec>] {
        &self.channels
    }

    /// What is wrong with the file as it is now.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Resolves when the file has changed, for better or worse; cancel-safe. While it is wrong, its channels stay.
    pub(crate) async fn changed(&mut self) {
        if self.news.changed().await.is_err() {
            return std::future::pending().await;
        }
        let look = self.news.borrow_and_update().clone();
        let read = look
            .and_then(|text| channel_list::read_file(&text, &self.config.monitor).map_err(|problems| told(&problems)));
        match read {
            Ok(channels) => {
                self.channels = channels.into_iter().map(Arc::new).collect();
                self.problem = None;
            }
            Err(problem) => {
                warn!("{} has no effect: {problem}", self.path);
                self.problem = Some(format!("{} has no effect: {problem}", self.path));
            }
        }
    }
}

/// The first problems, and how many more there are.
fn told(problems: &[String]) -> String {
    const MOST: usize = 5;
    let more = problems.len().saturating_sub(MOST);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", problems[..problems.len().min(MOST)].join("; "))
}

async fn look(path: String, told: watch::Sender<Look>) {
    let mut before = None;
    let mut looks = interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        let look = tokio::fs::read_to_string(Path::new(&path)).await.map_err(|e| format!("it cannot be read: {e}"));
        let is_settled = before.as_ref() == Some(&look);
        if is_settled && *told.borrow() != look && told.send(look.clone()).is_err() {
            return;
        }
        before = Some(look);
    }
}
