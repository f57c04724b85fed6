//! The program in a pseudo-terminal.

#![allow(dead_code, reason = "not every test file needs all of it")]

use std::{
    ffi::OsStr,
    fs::File,
    io::{Read, Write},
    os::{fd::OwnedFd, unix::ffi::OsStringExt},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

const LIMIT: Duration = Duration::from_secs(30);

/// A terminal with the program in it.
pub struct Terminal {
    child: Child,
    keys: File,
    shown: mpsc::Receiver<Vec<u8>>,
    text: String,
}

impl Terminal {
    /// Starts the program in a terminal of so many columns.
    pub fn start(program: impl AsRef<OsStr>, arguments: &[&str], environment: &[(&str, &str)], columns: u16) -> Self {
        let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&own).and_then(|()| unlockpt(&own)).expect("a pseudo-terminal");
        tcsetwinsize(&own, size(columns)).expect("a size");
        let name = ptsname(&own, Vec::new()).expect("its name").into_bytes();
        let path = std::path::PathBuf::from(std::ffi::OsString::from_vec(name));
        let end = || File::options().read(true).write(true).open(&path).expect("its other end");
        let (input, output, errors) = (end(), end(), end());
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("TERM", "xterm").env("CONNECTCTL_CONFIG", "/nonexistent/config.yaml");
        command.envs(environment.iter().copied());
        command.stdin(Stdio::from(input)).stdout(Stdio::from(output)).stderr(Stdio::from(errors));
        let child = command.spawn().expect("start");
        // The command holds ends of the terminal, too, which must be closed for its end to be seen.
        drop(command);
        let own: OwnedFd = own;
        let keys = File::from(own.try_clone().expect("a second handle"));
        let mut screen = File::from(own);
        let (sender, shown) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // At the end there is an error or nothing.
            while let Some(n) = screen.read(&mut bytes).ok().filter(|n| *n > 0) {
                if sender.send(bytes[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, shown, text: String::new() }
    }

    /// Waits until the text is shown.
    pub fn await_text(&mut self, text: &str) {
        self.until(text, |shown| shown.contains(text));
    }

    /// Waits until the text stands on the screen, where the program writes to places of it.
    pub fn await_on_screen(&mut self, text: &str) {
        self.until(text, |shown| on_screen(shown).contains(text));
    }

    /// Waits until the screen was emptied so often.
    pub fn await_screens(&mut self, count: usize) {
        self.until("another screen", |shown| shown.matches("\u{1b}[H\u{1b}[2J").count() >= count);
    }

    fn until(&mut self, what: &str, condition: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !condition(&self.text) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(e) => panic!("{what:?} is not shown ({e}): {}\n{:?}", on_screen(&self.text), self.text),
            }
        }
    }

    /// Makes it so many columns wide, and tells the program.
    pub fn resize(&mut self, columns: u16) {
        tcsetwinsize(&self.keys, size(columns)).expect("a size");
        self.signal(Signal::WINCH);
    }

    /// Sends the program a signal.
    pub fn signal(&mut self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal");
    }

    /// Whether the terminal itself edits lines and shows what is typed, as it does for a shell.
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.keys).expect("modes").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Types.
    pub fn enter(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("type");
    }

    /// Waits for its end: exit code, and everything that was shown.
    pub fn end(self) -> (i32, String) {
        let (code, text, _) = self.end_with_modes();
        (code, text)
    }

    /// As [`Terminal::end`], and whether the terminal is as a shell needs it.
    pub fn end_with_modes(mut self) -> (i32, String, bool) {
        // Without another end of it open, a terminal has no modes.
        let cooked = |this: &Self| tcgetattr(&this.keys).is_ok() && this.is_cooked();
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(e) => panic!("the program does not end ({e}): {:?}", self.text),
            }
        }
        let status = self.child.wait().expect("wait");
        let cooked = cooked(&self);
        (status.code().unwrap_or(-1), std::mem::take(&mut self.text), cooked)
    }
}

/// What stands on the screen after this has been written to it: texts, moves and clearing are understood.
fn on_screen(written: &str) -> String {
    let mut rows: Vec<Vec<char>> = vec![vec![' '; 250]; 60];
    let (mut y, mut x) = (0, 0);
    let mut rest = written.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' if rest.as_str().starts_with('[') => {
                rest.next();
                let mut parameters = String::new();
                let end = rest.by_ref().find(|c| {
                    let ends = c.is_ascii_alphabetic();
                    if !ends {
                        parameters.push(*c);
                    }
                    ends
                });
                let mut numbers = parameters.split(';').map(|n| n.parse::<usize>().unwrap_or(1).max(1) - 1);
                match end {
                    Some('H') => (y, x) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)),
                    Some('J') => rows.iter_mut().for_each(|row| row.fill(' ')),
                    _ => {}
                }
            }
            '\r' => x = 0,
            '\n' => y += 1,
            c => {
                if let Some(cell) = rows.get_mut(y).and_then(|row| row.get_mut(x)) {
                    *cell = c;
                }
                x += 1;
            }
        }
    }
    let lines = rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn size(columns: u16) -> Winsize {
    Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
