//! The process: its pipes, and its process group, which ends as a whole.

use std::{
    io,
    process::{ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use connect_api::{CancellationToken, Error, Receipt, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncRead, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::timeout,
};
use tracing::Instrument as _;

use crate::{
    ExecConfig,
    lines::{self, Line},
};

/// The variable that tells the program where it was, as JSON; it is not set where nothing is known.
pub(crate) const OFFSET: &str = "TOCSIN_OFFSET";
/// How long the process group has after a request to end; then it is ended.
const MERCY: Duration = Duration::from_millis(500);
/// How long an ended one may take to be gone.
const GONE: Duration = Duration::from_millis(300);
/// Longest line of standard error that is logged as one.
const LOGGED: usize = 8192;
/// Bytes of lines that are read ahead of the task. A single line always has room.
const READ_AHEAD: usize = 8 << 20;
/// What a line takes beside its bytes, about.
const BESIDE: usize = 128;

/// A line that was read, with its room among those that wait, which it has until it is dropped.
pub(crate) struct Waiting {
    /// The line.
    pub(crate) line: Line,
    _room: OwnedSemaphorePermit,
}

/// Lines that Kafka will have, to be acknowledged in order.
pub(crate) struct Sent {
    /// Resolves when Kafka has them.
    pub(crate) receipt: Receipt,
    /// How many lines.
    pub(crate) lines: u64,
    /// The last position among them.
    pub(crate) offset: Option<Json>,
}

/// A running program. Dropping it ends its process group at once.
pub(crate) struct Program {
    /// Lines of its output; closed at its end.
    pub(crate) lines: mpsc::Receiver<Waiting>,
    /// Takes what was sent.
    pub(crate) sent: mpsc::UnboundedSender<Sent>,
    group: Arc<Group>,
    closing: CancellationToken,
    ended: oneshot::Receiver<io::Result<ExitStatus>>,
    last_words: Arc<Mutex<Option<String>>>,
}

impl Program {
    /// Starts the program of the settings, which was at that position.
    pub(crate) fn start(config: &ExecConfig, position: Option<&Json>) -> Result<Self> {
        let mut command = tokio::process::Command::new(&config.command.program);
        command.args(&config.command.arguments).envs(config.environment.iter().map(|(k, v)| (k, v)));
        match position {
            Some(position) => command.env(OFFSET, position.to_string()),
            None => command.env_remove(OFFSET),
        };
        if let Some(directory) = &config.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|e| not_started(config, e))?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::fatal("a program was started without its pipes"));
        };
        let group = Arc::new(Group::of(&child)?);
        let closing = CancellationToken::new();
        let limit = usize::try_from(config.line_limit).unwrap_or(1);
        let (lines_in, lines) = mpsc::channel(1024);
        let (sent, sent_out) = mpsc::unbounded_channel();
        let (told, news) = watch::channel(None);
        let (end, ended) = oneshot::channel();
        let last_words = Arc::default();
        tokio::spawn(read(output, limit, lines_in).in_current_span());
        tokio::spawn(log(errors, Arc::clone(&last_words)).in_current_span());
        tokio::spawn(settle(sent_out, told));
        tokio::spawn(acknowledge(input, news, closing.clone()));
        tokio::spawn(watch_over(child, group.clone(), end));
        Ok(Self { lines, sent, group, closing, ended, last_words })
    }

    /// Waits until the program has ended. An error says how it failed.
    pub(crate) async fn ended(&mut self, config: &ExecConfig) -> Result<()> {
        let program = &config.command.program;
        let status = match (&mut self.ended).await {
            Ok(Ok(status)) => status,
            Ok(Err(e)) => return Err(Error::fatal(format!("waiting for the program {program}")).caused_by(e)),
            Err(_) => return Err(Error::fatal(format!("the program {program} is not looked after any more"))),
        };
        if status.success() {
            return Ok(());
        }
        let said = self.last_words.lock().unwrap_or_else(PoisonError::into_inner).take();
        let said = said.map(|line| format!("; its last words: {line}")).unwrap_or_default();
        Err(Error::fatal(format!("the program {program} has failed ({status}){said}")))
    }

    /// Ends the program: its input is closed, its process group is asked to end, and ended if it does not.
    pub(crate) async fn stop(&mut self) {
        self.closing.cancel();
        self.group.signal(Signal::TERM);
        if timeout(MERCY, &mut self.ended).await.is_err() {
            tracing::warn!("the program did not end within {} ms after SIGTERM and is killed", MERCY.as_millis());
            self.group.signal(Signal::KILL);
            // It is reaped behind our back if it takes longer.
            let _ = timeout(GONE, &mut self.ended).await;
        }
        self.group.signal(Signal::KILL);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.closing.cancel();
        self.group.signal(Signal::KILL);
    }
}

fn not_started(config: &ExecConfig, e: io::Error) -> Error {
    let program = &config.command.program;
    let folder = config.directory.as_deref().filter(|folder| !std::path::Path::new(folder).is_dir());
    let way_out = match (e.kind(), folder) {
        (_, Some(folder)) => format!("exec.directory {folder} is no folder"),
        (io::ErrorKind::NotFound, _) => "there is no such program: correct exec.command".into(),
        (io::ErrorKind::PermissionDenied, _) => "the worker's user may not execute it".into(),
        _ => "see whether exec.command is right".into(),
    };
    Error::fatal(format!("starting the program {program}: {way_out}")).caused_by(e)
}

/// A process group, until it is gone.
struct Group {
    leader: Pid,
    gone: AtomicBool,
}

impl Group {
    fn of(child: &Child) -> Result<Self> {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let leader = id.ok_or_else(|| Error::fatal("a program was started without a process id"))?;
        Ok(Self { leader, gone: AtomicBool::new(false) })
    }

    fn signal(&self, signal: Signal) {
        if self.gone.load(Ordering::Acquire) {
            return;
        }
        match kill_process_group(self.leader, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(e) => tracing::warn!("sending a signal to the program's process group: {e}"),
        }
    }
}

/// Waits for the program; what it leaves behind in its group ends with it.
async fn watch_over(mut child: Child, group: Arc<Group>, end: oneshot::Sender<io::Result<ExitStatus>>) {
    let status = child.wait().await;
    group.signal(Signal::TERM);
    // Who keeps the output open would be read from for ever.
    tokio::spawn(async move {
        tokio::time::sleep(MERCY).await;
        group.signal(Signal::KILL);
        group.gone.store(true, Ordering::Release);
    });
    // The task may have been stopped.
    let _ = end.send(status);
}

async fn read(output: impl AsyncRead + Unpin, limit: usize, lines: mpsc::Sender<Waiting>) {
    let room = Arc::new(Semaphore::new(READ_AHEAD));
    let mut output = BufReader::with_capacity(65_536, output);
    loop {
        match lines::next(&mut output, limit).await {
            Ok(Some(line)) => {
                let size = u32::try_from((line.bytes.capacity() + BESIDE).min(READ_AHEAD)).unwrap_or(u32::MAX);
                // The program is not read while there is no room, and none comes when the task is gone.
                let room = tokio::select! {
                    room = room.clone().acquire_many_owned(size) => room,
                    () = lines.closed() => return,
                };
                let Ok(_room) = room else { return };
                if lines.send(Waiting { line, _room }).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(e) => return tracing::warn!("reading the program's output: {e}"),
        }
    }
}

async fn log(errors: impl AsyncRead + Unpin, last_words: Arc<Mutex<Option<String>>>) {
    let mut errors = BufReader::new(errors);
    loop {
        match lines::next(&mut errors, LOGGED).await {
            Ok(Some(line)) => {
                let text = String::from_utf8_lossy(&line.bytes).into_owned();
                tracing::info!("program: {text}");
                if !text.trim().is_empty() {
                    *last_words.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
                }
            }
            Ok(None) => return,
            Err(e) => return tracing::warn!("reading the program's standard error: {e}"),
        }
    }
}

/// Counts what Kafka has, in order; ends at the first that it has not got.
async fn settle(mut sent: mpsc::UnboundedReceiver<Sent>, told: watch::Sender<Option<Json>>) {
    let (mut lines, mut offset) = (0u64, None);
    while let Some(next) = sent.recv().await {
        if !next.receipt.await.is_safe() {
            return;
        }
        lines += next.lines;
        offset = next.offset.or(offset);
        told.send_replace(Some(json!({ "acknowledged": lines, "offset": offset })));
    }
}

/// Writes the newest acknowledgement to the program's input; one that does not read it misses those between.
async fn acknowledge(mut input: ChildStdin, mut news: watch::Receiver<Option<Json>>, closing: CancellationToken) {
    let write = async {
        loop {
            if news.changed().await.is_err() {
                // The input stays open: its end tells the program to end.
                return std::future::pending().await;
            }
            let Some(line) = news.borrow_and_update().as_ref().map(|line| format!("{line}\n")) else { continue };
            if input.write_all(line.as_bytes()).await.is_err() {
                // A program need not read.
                return std::future::pending().await;
            }
        }
    };
    tokio::select! {
        () = closing.cancelled() => {}
        () = write => {}
    }
}
