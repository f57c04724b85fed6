//! When to send what: the task, and the player in the background that reads ahead for it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use connect_api::{Error, OffsetMap, Result, SourceBatch, SourceContext, SourceRecord, SourceTask, async_trait, time};
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{Instant, sleep_until},
};
use tokio_util::sync::DropGuard;
use tracing::{Instrument, info};

use crate::{
    AlertStreamConfig,
    playlist::{self, Position},
    round::{Played, Round, Target},
};

/// Between two looks at an empty folder when the interval is 0.
const IDLE: Duration = Duration::from_secs(1);

/// The running task.
pub struct AlertStreamTask {
    context: SourceContext,
    played: mpsc::Receiver<Result<Played>>,
    /// Received, but not yet reported.
    broken: Option<(SourceRecord, Error)>,
    _player: DropGuard,
}

impl AlertStreamTask {
    /// Starts to play where the source offset says.
    pub async fn start(config: AlertStreamConfig, context: SourceContext) -> Result<AlertStreamTask> {
        // A mistake in their names is better told now than round by round.
        if find(&config.files).await?.is_empty() {
            let why = playlist::why_nothing(&config.files);
            return Err(Error::fatal(format!("{why}: put Avro files there or correct alert.stream.files")));
        }
        let partition: OffsetMap = [("files".to_owned(), config.files.join(",").into())].into_iter().collect();
        let position = context.offset(&partition).await?.as_ref().and_then(Position::from_offset);
        let (batches, played) = mpsc::channel(1);
        let stop = context.stopping().child_token();
        let player = Player { target: Target::new(&config, partition)?, config, batches };
        // What it logs belongs to the task.
        tokio::spawn(stop.clone().run_until_cancelled_owned(player.run(position)).in_current_span());
        Ok(AlertStreamTask { context, played, broken: None, _player: stop.drop_guard() })
    }
}

#[async_trait]
impl SourceTask for AlertStreamTask {
    async fn poll(&mut self) -> Result<SourceBatch> {
        loop {
            if let Some((record, error)) = self.broken.clone() {
                self.context.report(record, error).await?;
                self.broken = None;
            }
            match self.played.recv().await {
                Some(Ok(Played::Batch(records))) => return Ok(records.into()),
                Some(Ok(Played::Broken(record, error))) => self.broken = Some((*record, error)),
                Some(Err(error)) => return Err(error),
                // All rounds have been played.
                None => std::future::pending().await,
            }
        }
    }
}

/// Plays rounds into a channel, whose room holds it up when Kafka is slower.
struct Player {
    config: AlertStreamConfig,
    target: Arc<Target>,
    batches: mpsc::Sender<Result<Played>>,
}

impl Player {
    async fn run(self, mut position: Option<Position>) {
        let mut round = position.as_ref().map_or(0, |p| p.round);
        let repeats = self.config.repeats;
        while repeats == 0 || round < repeats {
            let started = Instant::now();
            if let Err(error) = self.play(round, position.take()).await
                && self.batches.send(Err(error)).await.is_err()
            {
                return;
            }
            info!(round, duration = ?started.elapsed(), "round played");
            round += 1;
            if repeats == 0 || round < repeats {
                sleep_until(next_round(self.config.interval.0, time::now_ms(), started)).await;
            }
        }
        info!(rounds = round, "all rounds played");
    }

    /// Plays one round, or what is left of it. Errors are those of finding the files.
    async fn play(&self, number: i64, after: Option<Position>) -> Result<()> {
        let files = playlist::remaining(find(&self.config.files).await?, after.as_ref());
        let mut round = Round::new(self.target.clone(), number, files);
        let (began, mut sent) = (Instant::now(), 0usize);
        loop {
            if self.config.rate > 0.0 {
                sleep_until(began + Duration::from_secs_f64(sent as f64 / self.config.rate)).await;
            }
            // Reading and decoding would hold up other tasks of the worker.
            let next = spawn_blocking(move || (round.next(), round)).await;
            let (played, rest) = next.map_err(|e| Error::fatal("reading alert packets").caused_by(e))?;
            round = rest;
            let Some(played) = played else { return Ok(()) };
            if let Played::Batch(records) = &played {
                sent += records.len();
            }
            if self.batches.send(Ok(played)).await.is_err() {
                return Ok(());
            }
        }
    }
}

async fn find(names: &[String]) -> Result<Vec<PathBuf>> {
    let failed = |e: Box<dyn std::error::Error + Send + Sync>| {
        Error::fatal(format!("looking for {}: correct alert.stream.files", names.join(", "))).caused_by(e)
    };
    let owned = names.to_vec();
    let found = spawn_blocking(move || playlist::find(&owned)).await;
    found.map_err(|e| failed(e.into()))?.map_err(|e| failed(e.into()))
}

/// When the clock, which shows `now_ms`, shows the next multiple of the interval.
fn next_round(interval: Duration, now_ms: i64, round_started: Instant) -> Instant {
    let now = Instant::now();
    match i64::try_from(interval.as_millis()) {
        // An empty round takes no time and must not be tried again at once.
        Ok(0) => now + if now - round_started < Duration::from_millis(1) { IDLE } else { Duration::ZERO },
        Ok(ms) => now + Duration::from_millis((ms - now_ms.rem_euclid(ms)).unsigned_abs()),
        Err(_) => now + interval,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rounds_begin_at_multiples_of_the_interval() {
        let now = Instant::now();
        let wait = |ms: u64, at: i64| next_round(Duration::from_millis(ms), at, now) - now;
        assert_eq!(wait(39_000, 39_000 * 7 + 1), Duration::from_millis(38_999));
        assert_eq!(wait(39_000, 39_000 * 7), Duration::from_secs(39));
        assert_eq!(wait(0, 5), IDLE, "an empty round");
        tokio::time::advance(IDLE).await;
        assert_eq!(next_round(Duration::ZERO, 5, now), Instant::now());
    }
}
