//! Connectors that hang where they are told to, for tests of the worker.
//!
//! - [`HangingSource`], [`HangingSink`], [`HangingTransform`]: the plugins, as `hanging-source`, `hanging-sink` and
//!   `Hanging`
//!
//! Test and plugin speak by files in `hang.folder`: the first call of the named method, or a later one where `hang.after`
//! says so, makes `begun` and hangs until the test makes `go`; every other call, also one of a task that is started again, goes on. So the successor of a task that
//! hangs does not hang itself.

mod sink;
mod source;
mod transform;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use connect_api::{Error, Result, Settings, State, TaskContext, config::Key};

pub use sink::HangingSink;
pub use source::HangingSource;
pub use transform::HangingTransform;

connect_api::config_enum! {
    /// Where to hang.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Place {
        /// Nowhere.
        Nowhere = "nowhere",
        /// Where settings are judged.
        Validate = "validate",
        /// Where the connector starts.
        Start = "start",
        /// Where it is asked for its tasks.
        TaskConfigs = "task_configs",
        /// Where it watches for changes.
        Watch = "watch",
        /// Where it stops.
        Stop = "stop",
        /// Where it is asked about other offsets.
        AlterOffsets = "alter_offsets",
        /// Where a task starts.
        TaskStart = "task.start",
        /// Where a task stops.
        TaskStop = "task.stop",
        /// Where a source task is polled.
        Poll = "poll",
        /// Where a sink task gets partitions.
        Open = "open",
        /// Where a sink task gets records.
        Put = "put",
        /// Where a sink task is flushed.
        Flush = "flush",
        /// Where a sink task loses partitions.
        Close = "close",
        /// Where a record is transformed.
        Transform = "transform",
    }
}

connect_api::config_enum! {
    /// How to hang.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum How {
        /// The thread does not come back.
        Block = "block",
        /// The thread is kept busy.
        Spin = "spin",
        /// The future stays pending. Methods without a future block.
        Await = "await",
    }
}

connect_api::config! {
    /// Settings of connectors and transforms that hang.
    #[derive(Debug, Clone)]
    pub struct HangingConfig {
        /// In which method to hang.
        place: Place = Key::new("hang.in").default("nowhere"),
        /// Whether to block the thread, keep it busy, or wait for ever.
        how: How = Key::new("hang.how").default("block"),
        /// How many calls of the method go on before that.
        after: i32 = Key::new("hang.after").default("0"),
        /// Folder of the files begun, go and done.
        folder: String = Key::new("hang.folder").non_empty(),
        /// Whether what hung in poll or put then reports a bad record and changes state, as what was given up may.
        misdeeds: bool = Key::new("hang.misdeeds").default("false"),
        /// Topic that the source writes to.
        topic: String = Key::new("topic").default(""),
    }
}

const LOOK: Duration = Duration::from_millis(20);

impl HangingConfig {
    fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.folder).join(name)
    }

    /// Whether this call is the one that hangs.
    fn hangs(&self, here: Place) -> bool {
        static CALLS: Mutex<BTreeMap<String, i32>> = Mutex::new(BTreeMap::new());
        if self.place != here {
            return false;
        }
        let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = calls.entry(self.folder.clone()).or_default();
        *calls += 1;
        *calls > self.after && fs::File::create_new(self.file("begun")).is_ok()
    }

    /// Hangs here if it is the place; tells whether it did. For methods without a future.
    fn block(&self, here: Place) -> bool {
        let hangs = self.hangs(here);
        while hangs && !self.file("go").exists() {
            if self.how != How::Spin {
                std::thread::sleep(LOOK);
            }
        }
        hangs
    }

    /// Hangs here if it is the place; tells whether it did.
    async fn hang(&self, here: Place) -> bool {
        if self.how != How::Await {
            return self.block(here);
        }
        let hangs = self.hangs(here);
        while hangs && !self.file("go").exists() {
            tokio::time::sleep(LOOK).await;
        }
        hangs
    }

    /// What tasks of this connector remember of each other.
    async fn memory(&self, context: &TaskContext) -> Result<Option<Arc<dyn State>>> {
        if self.misdeeds { Ok(Some(context.state("hanging").await?)) } else { Ok(None) }
    }

    /// Says what became of the misdeeds, line by line.
    fn done(&self, results: &[(&str, Result<()>)]) -> Result<()> {
        let text = |r: &Result<()>| r.as_ref().map_or_else(Error::one_line, |()| "done".to_owned());
        let lines: String = results.iter().map(|(what, result)| format!("{what}: {}\n", text(result))).collect();
        fs::write(self.file("done"), lines).map_err(|e| Error::fatal("telling what was done").caused_by(e))
    }

    /// Adds a line to the sink's output.
    fn note(&self, line: &str) -> Result<()> {
        let file = fs::File::options().create(true).append(true).open(self.file("out"));
        file.and_then(|mut file| writeln!(file, "{line}")).map_err(|e| Error::fatal("writing a line").caused_by(e))
    }
}

/// A name for each task that is started in this process: `1`, `2` …
fn instance() -> String {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    (STARTED.fetch_add(1, Ordering::Relaxed) + 1).to_string()
}

/// One task with nothing of its own.
fn one_task() -> Vec<Settings> {
    vec![Settings::new()]
}
