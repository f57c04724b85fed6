//! `connectctl alarms view`: alarms on the whole screen, as they come and go.
//!
//! - `model`: what is shown and what a key does, without terminal or Kafka
//! - `feed`: news, also while Kafka or the registry is away
//! - `screen`: drawing it
//! - `terminal`: the terminal, which is as it was at every end

mod feed;
mod model;
mod screen;
mod terminal;

use std::{io::IsTerminal, time::Duration};

use connect_api::time;
use connector_alarm::{Kind, ShelvedAlarm};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    feed::Feed,
    model::{Model, Wish},
    terminal::Screen,
};
use super::{
    super::Context,
    ack,
    replay::Replay,
    set::Told,
    shelve,
    state::Alarms,
    topics::{Topics, Writes},
    write::Writing,
};
use crate::{error::Failure, paint};

/// How often Kafka is asked for news, and the screen is drawn at least.
const EVERY: Duration = Duration::from_millis(500);

/// What `alarms view` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) topics: Topics,
    #[command(flatten)]
    writes: Writes,
}

impl Args {
    /// What it takes where nothing is said.
    pub(super) fn plain() -> Self {
        #[derive(clap::Parser)]
        struct Alone {
            #[command(flatten)]
            args: Args,
        }
        <Alone as clap::Parser>::parse_from(["view"]).args
    }
}

pub(super) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::Usage("the view needs a terminal; connectctl alarms list needs none".into()));
    }
    let mut replay = Replay::new(context, &args.topics, &Kind::ALL).await?;
    let alarms = replay.read().await?;
    let failed = |e: std::io::Error| Failure::Failed(format!("waiting for signals: {e}"));
    let mut ends = [signal(SignalKind::terminate()).map_err(failed)?, signal(SignalKind::hangup()).map_err(failed)?];
    let mut screen = Screen::open()?;
    let [terminate, hangup] = &mut ends;
    tokio::select! {
        done = show(args, &mut replay, alarms, &mut screen) => done,
        _ = terminate.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
    }
}

async fn show(args: &Args, replay: &mut Replay<'_>, mut alarms: Alarms, screen: &mut Screen) -> Result<(), Failure> {
    let mut model = Model::new(paint::wanted(&std::io::stdout()));
    let mut feed = Feed::default();
    loop {
        if !alarms.unread.is_empty() {
            let last = alarms.unread.last().map(|(_, unread)| unread.to_string()).unwrap_or_default();
            model.tell_unread(alarms.unread.len(), &last);
        }
        screen.draw(|frame| screen::draw(frame, &mut model, &alarms, time::now_ms()))?;
        let event = tokio::select! {
            biased;
            event = screen.event() => Some(event),
            news = news(replay, &mut feed, &mut alarms) => {
                model.answered(news.err().as_ref().map(ToString::to_string).as_deref(), time::now_ms());
                None
            }
        };
        let Some(event) = event else { continue };
        let Some(event) = event else { return Ok(()) };
        match model.take(&event, &alarms, time::now_ms()) {
            Wish::Nothing => {}
            Wish::End => return Ok(()),
            wish => {
                model.tell(wish.progress());
                screen.draw(|frame| screen::draw(frame, &mut model, &alarms, time::now_ms()))?;
                let said = fulfil(&wish, args, replay, &alarms).await;
                model.tell(&said);
                // What was written is shown at once.
                let news = read(replay, &mut feed, &mut alarms).await;
                model.answered(news.err().as_ref().map(ToString::to_string).as_deref(), time::now_ms());
            }
        }
    }
}

/// Waits a moment, and takes what has been written since.
async fn news(replay: &mut Replay<'_>, feed: &mut Feed, alarms: &mut Alarms) -> Result<(), Failure> {
    tokio::time::sleep(EVERY).await;
    read(replay, feed, alarms).await
}

async fn read(replay: &mut Replay<'_>, feed: &mut Feed, alarms: &mut Alarms) -> Result<(), Failure> {
    feed.read(replay).await?;
    feed.take(replay, alarms).await
}

/// Does what was wished, and says what became of it.
async fn fulfil(wish: &Wish, args: &Args, replay: &Replay<'_>, alarms: &Alarms) -> String {
    let mut writing = Writing::new(replay, &args.writes);
    let (names, done) = match wish {
        Wish::Acknowledge(names) => (names, "acknowledged"),
        Wish::Shelve(names, ..) => (names, "shelved"),
        Wish::Unshelve(names) => (names, "unshelved"),
        Wish::Nothing | Wish::End => return String::new(),
    };
    let (mut count, mut remark) = (0, None);
    for name in names {
        let told: Result<Told, Failure> = match wish {
            Wish::Shelve(_, span, reason) => {
                let expiration = span.map(|ms| time::now_ms() + ms);
                let shelf = ShelvedAlarm { expiration, reason: reason.clone() };
                shelve::put(&mut writing, name, &shelf, alarms).await
            }
            Wish::Unshelve(_) => shelve::off(&mut writing, name, alarms).await.map(|outcome| (outcome, None)),
            _ => ack::one(&mut writing, replay, name, alarms).await,
        };
        match told {
            Ok((outcome, left_out)) => {
                count += usize::from(outcome.result != "unchanged");
                remark = left_out.map(|left_out| left_out.to_string()).or(remark);
            }
            Err(e) => remark = Some(e.to_string()),
        }
    }
    let would = if writing.dry_run { "would be " } else { "" };
    let what = match names.as_slice() {
        [name] if count == 1 => format!("{name} {would}{done}"),
        _ => format!("{count} of {} {would}{done}", names.len()),
    };
    remark.map_or_else(|| what.clone(), |remark| format!("{what}; {remark}"))
}
