//! The program in a pseudo-terminal.

use std::{
    fs::File,
    io::{Read, Write},
    os::{fd::OwnedFd, unix::ffi::OsStringExt},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
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
    /// Starts it in a terminal of so many columns.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)], columns: u16) -> Self {
        let own = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&own).and_then(|()| unlockpt(&own)).expect("a pseudo-terminal");
        tcsetwinsize(&own, Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).expect("a size");
        let name = ptsname(&own, Vec::new()).expect("its name").into_bytes();
        let path = std::path::PathBuf::from(std::ffi::OsString::from_vec(name));
        let end = || File::options().read(true).write(true).open(&path).expect("its other end");
        let (input, output, errors) = (end(), end(), end());
        let mut command = Command::new(env!("CARGO_BIN_EXE_connectctl"));
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
                Err(e) => panic!("{what:?} is not shown ({e}): {:?}", self.text),
            }
        }
    }

    /// Types.
    pub fn enter(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("type");
    }

    /// Waits for its end: exit code, and everything that was shown.
    pub fn end(mut self) -> (i32, String) {
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
        (status.code().unwrap_or(-1), std::mem::take(&mut self.text))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
