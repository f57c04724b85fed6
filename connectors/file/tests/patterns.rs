//! The file source with a pattern: many files, their rotation, and files that are compressed.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use connect_api::{Connector, OffsetMap, Settings, SourceConnector, SourceRecord, SourceTask, Value, config::Config};
use connect_testkit::{Host, source};
use connector_file::FileSource;
use flate2::{Compression, write::GzEncoder};

struct Logs {
    folder: tempfile::TempDir,
    host: Arc<Host>,
    settings: Settings,
}

impl Logs {
    fn new(pattern: &str, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join(pattern).to_string_lossy().into_owned();
        let mut all = Settings::from([
            ("file", path.as_str()),
            ("topic", "t"),
            ("file.rotation.wait.ms", "500"),
            ("file.scan.interval.ms", "50"),
            ("file.header", "path"),
        ]);
        for (key, value) in settings {
            all.set(*key, *value);
        }
        Self { folder, host: Host::new(), settings: all }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn start(&self) -> Box<dyn SourceTask> {
        let config = <FileSource as Connector>::Config::parse(&self.settings).expect("settings");
        FileSource::start_task(config, self.host.source(&self.settings).0).await.expect("task")
    }

    /// So many lines, sorted, each with the name of its file.
    async fn take(&self, task: &mut dyn SourceTask, count: usize) -> Vec<String> {
        let records = source::take(task, &self.host, count).await.expect("lines");
        let mut lines: Vec<String> = records.iter().map(|r| self.shown(r)).collect();
        lines.sort();
        lines
    }

    fn shown(&self, record: &SourceRecord) -> String {
        let header = record.headers.last("path").expect("the header").value.to_string();
        let name = Path::new(&header).strip_prefix(self.folder.path()).expect("inside").display().to_string();
        format!("{name}: {}", record.value)
    }

    /// The lines that a new task finds.
    async fn after_a_restart(&self, count: usize) -> Vec<String> {
        let mut task = self.start().await;
        let lines = self.take(&mut *task, count).await;
        source::silent(&mut *task, Duration::from_millis(400)).await;
        source::stop(task).await;
        lines
    }
}

fn append(path: &Path, text: impl AsRef<[u8]>) -> File {
    let mut file = File::options().create(true).append(true).open(path).expect("file");
    file.write_all(text.as_ref()).expect("write");
    file
}

fn packed(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_ref()).expect("packed");
    encoder.finish().expect("packed")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_files_are_followed_also_those_that_come_later() {
    let logs = Logs::new("*.log", &[]);
    append(&logs.path("a.log"), "a1\na2\n");
    append(&logs.path("b.log"), "b1\n");
    append(&logs.path("c.txt"), "none\n");
    let mut task = logs.start().await;
    assert_eq!(logs.take(&mut *task, 3).await, ["a.log: a1", "a.log: a2", "b.log: b1"]);
    append(&logs.path("d.log"), "d1\n");
    append(&logs.path("a.log"), "a3\n");
    assert_eq!(logs.take(&mut *task, 2).await, ["a.log: a3", "d.log: d1"]);
    source::stop(task).await;
    append(&logs.path("b.log"), "b2\n");
    assert_eq!(logs.after_a_restart(1).await, ["b.log: b2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rotated_is_read_to_its_end_and_not_again_under_its_new_name() {
    let logs = Logs::new("*.log*", &[]);
    let mut old = append(&logs.path("a.log"), "a1\n");
    let mut task = logs.start().await;
    assert_eq!(logs.take(&mut *task, 1).await, ["a.log: a1"]);
    fs::rename(logs.path("a.log"), logs.path("a.log.1")).expect("rename");
    append(&logs.path("a.log"), "new\n");
    assert_eq!(logs.take(&mut *task, 1).await, ["a.log: new"]);
    old.write_all(b"late\n").expect("write");
    let late = logs.take(&mut *task, 1).await;
    assert!(late[0].ends_with(": late"), "{late:?}");
    source::silent(&mut *task, Duration::from_millis(900)).await;
    source::stop(task).await;
    fs::rename(logs.path("a.log.1"), logs.path("a.log.2")).expect("rename");
    fs::rename(logs.path("a.log"), logs.path("a.log.1")).expect("rename");
    append(&logs.path("a.log"), "newest\n");
    append(&logs.path("a.log.1"), "more\n");
    assert_eq!(logs.after_a_restart(2).await, ["a.log.1: more", "a.log: newest"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_loses_its_name_is_read_to_its_end() {
    let logs = Logs::new("*.log", &[]);
    let mut old = append(&logs.path("a.log"), "a1\n");
    let mut task = logs.start().await;
    assert_eq!(logs.take(&mut *task, 1).await, ["a.log: a1"]);
    fs::rename(logs.path("a.log"), logs.path("a.1")).expect("rename");
    append(&logs.path("a.log"), "new\n");
    old.write_all(b"late\nwithout end").expect("write");
    assert_eq!(logs.take(&mut *task, 3).await, ["a.log: late", "a.log: new", "a.log: without end"]);
    fs::remove_file(logs.path("a.log")).expect("remove");
    source::silent(&mut *task, Duration::from_millis(900)).await;
    source::stop(task).await;

    // While the worker is down.
    append(&logs.path("b.log"), "b1\n");
    assert_eq!(logs.after_a_restart(1).await, ["b.log: b1"]);
    append(&logs.path("b.log"), "b2\n");
    fs::rename(logs.path("b.log"), logs.path("b.1")).expect("rename");
    append(&logs.path("b.log"), "anew\n");
    assert_eq!(logs.after_a_restart(2).await, ["b.1: b2", "b.log: anew"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_anew_is_read_from_its_beginning() {
    let logs = Logs::new("*.log", &[]);
    append(&logs.path("a.log"), "one\ntwo\n");
    append(&logs.path("b.log"), "three\n");
    let mut task = logs.start().await;
    logs.take(&mut *task, 3).await;
    fs::write(logs.path("a.log"), "x\n").expect("write");
    assert_eq!(logs.take(&mut *task, 1).await, ["a.log: x"]);
    source::stop(task).await;
    fs::write(logs.path("b.log"), "another beginning\n").expect("write");
    assert_eq!(logs.after_a_restart(1).await, ["b.log: another beginning"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_files_than_may_be_open_are_all_read_and_followed() {
    let logs = Logs::new("**/*.log", &[]);
    let (count, mut expected) = (400, BTreeSet::new());
    for n in 0..count {
        let folder = logs.path(&format!("{}", n % 7));
        fs::create_dir_all(&folder).expect("folder");
        append(&folder.join(format!("{n}.log")), format!("first {n}\n"));
        expected.insert(format!("{}/{n}.log: first {n}", n % 7));
    }
    let mut task = logs.start().await;
    let lines: BTreeSet<String> = logs.take(&mut *task, count).await.into_iter().collect();
    assert_eq!(lines, expected);
    for n in [3, 200, 399] {
        append(&logs.path(&format!("{}/{n}.log", n % 7)), format!("second {n}\n"));
    }
    let second = logs.take(&mut *task, 3).await;
    assert_eq!(second, ["0/399.log: second 399", "3/3.log: second 3", "4/200.log: second 200"]);
    source::stop(task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_files_are_unpacked_and_gone_on_with() {
    let logs = Logs::new("*.gz", &[("batch.size", "10")]);
    let lines: String = (0..25).map(|n| format!("{n:02}\n")).collect();
    fs::write(logs.path("a.gz"), packed(&lines)).expect("file");
    let mut task = logs.start().await;
    let first = source::poll(&mut *task, &logs.host, source::Fate::Stored).await.expect("a batch");
    assert_eq!(first.len(), 10);
    source::stop(task).await;
    let rest = logs.after_a_restart(15).await;
    assert_eq!((rest[0].as_str(), rest[14].as_str()), ("a.gz: 10", "a.gz: 24"));
    append(&logs.path("a.gz"), packed("more\n"));
    assert_eq!(logs.after_a_restart(1).await, ["a.gz: more"]);

    // The same in a file that is followed by its name.
    let one = Logs::new("a.gz", &[]);
    fs::write(one.path("a.gz"), packed("one\ntwo")).expect("file");
    let mut task = one.start().await;
    assert_eq!(one.take(&mut *task, 1).await, ["a.gz: one"]);
    append(&one.path("a.gz"), packed("'s end\n"));
    assert_eq!(one.take(&mut *task, 1).await, ["a.gz: two's end"]);
    source::stop(task).await;
    let as_it_is = Logs::new("a.gz", &[("file.gunzip", "false"), ("file.encoding", "bytes")]);
    fs::write(as_it_is.path("a.gz"), [packed("one\n").as_slice(), b"\n"].concat()).expect("file");
    let mut task = as_it_is.start().await;
    let records = source::take(&mut *task, &as_it_is.host, 1).await.expect("bytes");
    let Value::Bytes(bytes) = &records[0].value else { panic!("{:?}", records[0].value) };
    assert!(bytes.starts_with(&[0x1f, 0x8b]));
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_bad_records_and_hold_up_no_others() {
    let logs = Logs::new("*", &[]);
    let content: String = (0..30_000).map(|n| format!("{}\n", n * 7919 % 30_011)).collect();
    let mut bytes = packed(&content);
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8].fill(0xff);
    fs::write(logs.path("a.gz"), &bytes).expect("file");
    fs::write(logs.path("cut.gz"), &packed("one\ntwo\n")[..12]).expect("file");
    let mut task = logs.start().await;
    while logs.host.reported().is_empty() {
        let polled = tokio::time::timeout(Duration::from_millis(200), task.poll()).await;
        assert!(!matches!(polled, Ok(Err(_))), "it fails");
    }
    let error = logs.host.reported()[0].1.message().to_owned();
    assert!(error.contains("a.gz: its compressed data is damaged behind byte"), "{error}");
    append(&logs.path("b"), "b1\n");
    assert_eq!(logs.take(&mut *task, 1).await, ["b: b1"]);
    fs::write(logs.path("cut.gz"), packed("one\ntwo\n")).expect("file");
    assert_eq!(logs.take(&mut *task, 2).await, ["cut.gz: one", "cut.gz: two"]);
    assert_eq!(logs.host.reported().len(), 1);
    source::stop(task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_by_inode_and_what_is_left_out_is_not_read() {
    let logs = Logs::new("*", &[("file.exclude", "*.gz")]);
    append(&logs.path("a"), "a1\n");
    fs::write(logs.path("a.gz"), packed("a1\n")).expect("file");
    assert_eq!(logs.after_a_restart(1).await, ["a: a1"]);
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(logs.path("a")).expect("metadata")).to_string();
    let pattern = logs.path("*").to_string_lossy().into_owned();
    let partition: OffsetMap =
        [("filename".to_owned(), pattern.into()), ("inode".to_owned(), inode.into())].into_iter().collect();
    assert_eq!(logs.host.committed(&partition).expect("an offset").get("position"), Some(&3.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_compressed_while_the_worker_was_down_is_read_to_its_end_although_copies_are_left_out() {
    let logs = Logs::new("*.log*", &[("file.exclude", "*.gz")]);
    append(&logs.path("a.log"), "a1\na2\n");
    append(&logs.path("b.log"), "b1\n");
    assert_eq!(logs.after_a_restart(3).await, ["a.log: a1", "a.log: a2", "b.log: b1"]);
    fs::remove_file(logs.path("a.log")).expect("remove");
    fs::write(logs.path("a.log.1.gz"), packed("a1\na2\na3\na4\n")).expect("file");
    append(&logs.path("a.log"), "new\n");
    assert_eq!(logs.after_a_restart(3).await, ["a.log.1.gz: a3", "a.log.1.gz: a4", "a.log: new"]);
    append(&logs.path("a.log"), "newer\n");
    assert_eq!(logs.after_a_restart(1).await, ["a.log: newer"], "the copy is not read again");
}
