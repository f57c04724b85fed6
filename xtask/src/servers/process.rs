//! A server child process: start until ready, signals, log, end.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Error, Result, command, reaper};

const POLL: Duration = Duration::from_millis(10);
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Nobody wants the data of a dropped server: no long farewell.
const DROP_WITHIN: Duration = Duration::from_secs(3);

/// What every test server can do.
pub trait Server {
    /// The process behind it.
    fn process(&self) -> &Process;

    /// The process behind it.
    fn process_mut(&mut self) -> &mut Process;

    /// Stops it in good order (SIGTERM) and waits for its end. Port and data stay.
    fn stop(&mut self) -> Result<()> {
        self.process_mut().stop()
    }

    /// Kills it without warning (SIGKILL). Port and data stay.
    fn kill9(&mut self) -> Result<()> {
        self.process_mut().kill9()
    }

    /// Starts it again after [`stop`](Self::stop) or [`kill9`](Self::kill9), on the same port and data.
    fn start_again(&mut self) -> Result<()> {
        self.process_mut().start()
    }

    /// Stops it in good order and starts it again on the same port and data.
    fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start_again()
    }

    /// Freezes it (SIGSTOP): connections stay open, nobody answers.
    fn pause(&mut self) -> Result<()> {
        self.process_mut().pause()
    }

    /// Thaws it (SIGCONT).
    fn resume(&mut self) -> Result<()> {
        self.process_mut().resume()
    }
}

type Probe = Box<dyn Fn() -> bool + Send + Sync>;

/// How a server is started, and when it is ready.
pub(crate) struct Launch {
    /// What to call it in messages.
    pub name: &'static str,
    /// Program and arguments; standard streams and process group are set by [`Process`].
    pub command: Command,
    /// Some servers exit at the end of their input: keep it open.
    pub holds_stdin: bool,
    /// Whether it answers; must return within about a second.
    pub probe: Probe,
    /// How long it may take until it answers.
    pub ready_within: Duration,
}

/// A server process that ends when this value is dropped.
pub struct Process {
    launch: Launch,
    child: Option<Child>,
    paused: bool,
    dir: TempDir,
    log: PathBuf,
}

/// A folder for a server's files, which also goes when this process does not get to remove it.
pub(crate) fn folder(server: &str) -> Result<TempDir> {
    let dir = tempfile::Builder::new()
        .prefix(&format!("tocsin-{server}-"))
        .tempdir()
        .map_err(Error::io(format!("creating a folder for {server}")))?;
    reaper::remove(dir.path())?;
    Ok(dir)
}

impl Process {
    /// Starts a server whose files are in `dir` and waits until it is ready.
    pub(crate) fn launch(mut launch: Launch, dir: TempDir) -> Result<Self> {
        let log = dir.path().join("server.log");
        let open = || OpenOptions::new().create(true).append(true).open(&log);
        let file = open().map_err(Error::io(format!("creating {}", log.display())))?;
        let clone = file.try_clone().map_err(Error::io(format!("opening {}", log.display())))?;
        let stdin = if launch.holds_stdin { Stdio::piped() } else { Stdio::null() };
        launch
            .command
            .current_dir(dir.path())
            // Ctrl-C is for us: we end our servers.
            .process_group(0)
            .stdin(stdin)
            .stdout(file)
            .stderr(clone);
        let mut process = Self { launch, child: None, paused: false, dir, log };
        process.start()?;
        Ok(process)
    }

    /// Starts the server again and waits until it is ready; nothing to do if it runs.
    pub fn start(&mut self) -> Result<()> {
        if self.is_alive()? {
            return Ok(());
        }
        // What has ended by itself is still ours to forget.
        self.kill9()?;
        let child = self.launch.command.spawn().map_err(Error::io(format!("starting {}", self.launch.name)))?;
        let pid = child.id();
        self.child = Some(child);
        self.paused = false;
        reaper::watch(pid)?;
        self.wait_until_ready()
    }

    /// Ends it with SIGTERM; after 30 s it is killed, which is an error.
    pub fn stop(&mut self) -> Result<()> {
        if self.end(STOP_WITHIN)? {
            return Ok(());
        }
        Err(self.failure(format!("did not end within {STOP_WITHIN:?} of SIGTERM and was killed")))
    }

    /// Ends it with SIGKILL.
    pub fn kill9(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            let doing = || format!("killing {}", self.launch.name);
            child.kill().map_err(Error::io(doing()))?;
            child.wait().map_err(Error::io(doing()))?;
            reaper::forget(child.id());
        }
        Ok(())
    }

    /// Freezes it with SIGSTOP.
    pub fn pause(&mut self) -> Result<()> {
        self.signal("STOP")?;
        self.paused = true;
        Ok(())
    }

    /// Thaws it with SIGCONT.
    pub fn resume(&mut self) -> Result<()> {
        self.signal("CONT")?;
        self.paused = false;
        Ok(())
    }

    /// Whether the process runs (a paused one does).
    pub fn is_alive(&mut self) -> Result<bool> {
        Ok(self.child.is_some() && self.exit_status()?.is_none())
    }

    /// The process id, while it has not been stopped.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The temporary folder with its files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it has printed since the first start.
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(
            |error| format!("(reading {}: {error})", self.log.display()),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + self.launch.ready_within;
        loop {
            let answers = (self.launch.probe)();
            // In this order: what answers may be a stranger on the port of a server that has just given up.
            if let Some(status) = self.exit_status()? {
                let error = self.failure(format!("ended before it was ready ({status})"));
                return Err(self.give_up(error));
            }
            if answers {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let error = self.failure(format!("was not ready within {:?}", self.launch.ready_within));
                return Err(self.give_up(error));
            }
            std::thread::sleep(POLL);
        }
    }

    fn give_up(&mut self, error: Error) -> Error {
        // The first failure tells more than one about killing what is left.
        let _ = self.kill9();
        error
    }

    /// SIGTERM, then SIGKILL after a while; whether SIGTERM was enough.
    fn end(&mut self, within: Duration) -> Result<bool> {
        if self.exit_status()?.is_none() {
            if self.paused {
                self.resume()?;
            }
            self.signal("TERM")?;
            let deadline = Instant::now() + within;
            while self.exit_status()?.is_none() {
                if Instant::now() >= deadline {
                    self.kill9()?;
                    return Ok(false);
                }
                std::thread::sleep(POLL);
            }
        }
        if let Some(child) = self.child.take() {
            reaper::forget(child.id());
        }
        Ok(true)
    }

    fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.child {
            Some(child) => child.try_wait().map_err(Error::io(format!("looking after {}", self.launch.name))),
            None => Ok(Some(ExitStatus::default())),
        }
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let Some(child) = &self.child else {
            return Err(self.failure(format!("does not run and cannot be sent SIG{signal}")));
        };
        // The shell's own `kill`: the program of that name is not installed everywhere.
        let doing = format!("sending SIG{signal} to {}", self.launch.name);
        let id = child.id().to_string();
        command::run(Command::new("sh").args(["-c", "kill -s \"$1\" \"$2\"", "sh", signal, &id]), &doing, STOP_WITHIN)?;
        Ok(())
    }

    fn failure(&self, why: String) -> Error {
        Error::Server { server: self.launch.name.into(), why, log: command::tail(&self.log()) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.end(DROP_WITHIN).is_err() {
            let _ = self.kill9();
        }
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("name", &self.launch.name).field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Writes a configuration file of a server.
pub(crate) fn write(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    File::create(&path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(Error::io(format!("writing {}", path.display())))?;
    Ok(path)
}
