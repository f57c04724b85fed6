//! The terminal: taken for the whole screen, and given back at every end.

use std::{
    io::{self, Stdout},
    panic,
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        event::{self, Event},
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use tokio::sync::mpsc;

use crate::error::Failure;

const POLL: Duration = Duration::from_millis(100);

/// The whole screen, and what is typed.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    events: mpsc::Receiver<Event>,
    stop: Arc<AtomicBool>,
}

fn failed(e: io::Error) -> Failure {
    Failure::Failed(format!("using the terminal: {e}"))
}

/// The terminal as it was. Where it is gone, there is nothing to give back.
fn give_back() {
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> Result<Self, Failure> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                // What a panic says is to be read.
                give_back();
                before(info);
            }));
        });
        enable_raw_mode().map_err(failed)?;
        let (sender, events) = mpsc::channel(64);
        let stop = Arc::new(AtomicBool::new(false));
        let opened = execute!(io::stdout(), EnterAlternateScreen)
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        let terminal = opened.map_err(|e| {
            give_back();
            failed(e)
        })?;
        let screen = Self { terminal, events, stop: stop.clone() };
        let reads = move || {
            while !stop.load(Ordering::Acquire) {
                let event = match event::poll(POLL) {
                    Ok(false) => continue,
                    Ok(true) => event::read(),
                    Err(e) => Err(e),
                };
                // Without a terminal there is nobody to type; the view ends with the channel.
                let Ok(event) = event else { return };
                if sender.blocking_send(event).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("keys".into()).spawn(reads).map_err(failed)?;
        Ok(screen)
    }

    /// Draws.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<(), Failure> {
        self.terminal.draw(draw).map(drop).map_err(failed)
    }

    /// What is typed next; none when the terminal is gone.
    pub(super) async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        give_back();
    }
}
