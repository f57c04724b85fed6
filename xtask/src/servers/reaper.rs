//! Ends servers when the process that started them goes without doing so.
//!
//! Statics are never dropped, and nothing is dropped when a process is killed. So one shell per process waits for the end
//! of its standard input, which comes when this process ends in whatever way; then it kills the servers that were not
//! reported as ended, and removes their folders.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::{Error, Result};

// Signals from the terminal are for the process that is watched: this shell must outlive it.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
pids=
while IFS= read -r line; do
    rest=${line#* }
    case $line in
        run\ *) pids="$pids $rest" ;;
        end\ *)
            left=
            for pid in $pids; do [ "$pid" = "$rest" ] || left="$left $pid"; done
            pids=$left
            ;;
        dir\ *) set -- "$@" "$rest" ;;
    esac
done
if [ -n "$pids" ]; then
    kill -KILL $pids 2>/dev/null
    sleep 0.2
fi
for dir in "$@"; do rm -rf "$dir"; done
"#;

static PIPE: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// Kill this process once we are gone.
pub(crate) fn watch(pid: u32) -> Result<()> {
    tell(&format!("run {pid}"))
}

/// This process has ended: its id may soon be another's.
pub(crate) fn forget(pid: u32) {
    // If the reaper is gone there is nothing that could kill the wrong process.
    let _ = tell(&format!("end {pid}"));
}

/// Remove this folder once we are gone.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    tell(&format!("dir {}", folder.display()))
}

fn tell(line: &str) -> Result<()> {
    let mut pipe = PIPE.lock().unwrap_or_else(PoisonError::into_inner);
    if pipe.is_none() {
        *pipe = Some(start()?);
    }
    let Some(stdin) = pipe.as_mut() else { return Ok(()) };
    stdin.write_all(format!("{line}\n").as_bytes()).map_err(Error::io("telling the reaper of a server"))
}

fn start() -> Result<ChildStdin> {
    let mut child = Command::new("sh")
        .args(["-c", SCRIPT, "tocsin-reaper"])
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        // Not ours: whoever reads our output must see its end when we end.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::io("starting the reaper, a shell"))?;
    child.stdin.take().ok_or_else(|| Error::Answer {
        doing: "starting the reaper, a shell".into(),
        answer: "it has no standard input".into(),
    })
}
