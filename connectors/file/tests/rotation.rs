//! The file source and files that are rotated, truncated, replaced, or no text.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use connect_api::{
    Connector, Error, ErrorClass, OffsetMap, Result, Settings, SourceConnector, SourceTask, Value, config::Config,
};
use connect_testkit::{Host, source};
use connector_file::FileSource;

struct Log {
    folder: tempfile::TempDir,
    host: Arc<Host>,
    settings: Settings,
}

impl Log {
    fn new(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("log").to_string_lossy().into_owned();
        let mut all = Settings::from([("file", path.as_str()), ("topic", "t"), ("file.rotation.wait.ms", "0")]);
        for (key, value) in settings {
            all.set(*key, *value);
        }
        Self { folder, host: Host::new(), settings: all }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn partition(&self) -> OffsetMap {
        [("filename".to_owned(), self.path("log").to_string_lossy().into_owned().into())].into_iter().collect()
    }

    async fn start(&self) -> Box<dyn SourceTask> {
        let config = <FileSource as Connector>::Config::parse(&self.settings).expect("settings");
        FileSource::start_task(config, self.host.source(&self.settings).0).await.expect("task")
    }

    async fn take(&self, task: &mut dyn SourceTask, count: usize) -> Vec<String> {
        let records = source::take(task, &self.host, count).await.expect("lines");
        records.iter().map(|r| r.value.to_string()).collect()
    }

    /// The lines that a new task finds first.
    async fn after_a_restart(&self, count: usize) -> Vec<String> {
        let mut task = self.start().await;
        let lines = self.take(&mut *task, count).await;
        source::stop(task).await;
        lines
    }

    async fn failure(&self) -> Error {
        let mut task = self.start().await;
        let polled: Result<_> = tokio::time::timeout(connect_testkit::PATIENCE, task.poll()).await.expect("in time");
        polled.expect_err("an error")
    }
}

fn append(path: &Path, text: impl AsRef<[u8]>) -> File {
    let mut file = File::options().create(true).append(true).open(path).expect("file");
    file.write_all(text.as_ref()).expect("write");
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_file_is_read_to_its_end_before_the_new_one() {
    let log = Log::new(&[("file.rotation.wait.ms", "4000")]);
    let mut old = append(&log.path("log"), "a\n");
    let mut task = log.start().await;
    assert_eq!(log.take(&mut *task, 1).await, ["a"]);
    fs::rename(log.path("log"), log.path("log.1")).expect("rename");
    append(&log.path("log"), "new\n");
    // The task has seen the new file, but who writes has the old one open.
    source::silent(&mut *task, Duration::from_millis(700)).await;
    old.write_all(b"late\nwithout end").expect("write");
    assert_eq!(log.take(&mut *task, 3).await, ["late", "without end", "new"]);
    append(&log.path("log"), "newer\n");
    assert_eq!(log.take(&mut *task, 1).await, ["newer"]);
    source::stop(task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_removed_is_followed_until_there_is_a_new_one() {
    let log = Log::new(&[]);
    let mut old = append(&log.path("log"), "a\n");
    let mut task = log.start().await;
    assert_eq!(log.take(&mut *task, 1).await, ["a"]);
    fs::remove_file(log.path("log")).expect("remove");
    source::silent(&mut *task, Duration::from_millis(600)).await;
    old.write_all(b"late\n").expect("write");
    assert_eq!(log.take(&mut *task, 1).await, ["late"]);
    append(&log.path("log"), "new\n");
    assert_eq!(log.take(&mut *task, 1).await, ["new"]);
    source::stop(task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_file_is_read_from_its_beginning() {
    let log = Log::new(&[]);
    let file = append(&log.path("log"), "first line\nunfinished");
    let mut task = log.start().await;
    assert_eq!(log.take(&mut *task, 1).await, ["first line"]);
    source::silent(&mut *task, Duration::from_millis(600)).await;
    file.set_len(0).expect("truncate");
    append(&log.path("log"), "x\n");
    assert_eq!(log.take(&mut *task, 2).await, ["unfinished", "x"], "what was read is not lost");
    // Written anew between two looks, and longer than before.
    fs::write(log.path("log"), "something else\nthat is longer\n").expect("write");
    assert_eq!(log.take(&mut *task, 2).await, ["something else", "that is longer"]);
    source::stop(task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_to_the_file_while_the_worker_was_down_is_found_out() {
    let log = Log::new(&[]);
    append(&log.path("log"), "a\nb\n");
    assert_eq!(log.after_a_restart(2).await, ["a", "b"]);
    append(&log.path("log"), "c\n");
    fs::rename(log.path("log"), log.path("log.1")).expect("rename");
    append(&log.path("log"), "quite another file\n");
    assert_eq!(log.after_a_restart(2).await, ["c", "quite another file"], "renamed");
    // A copy has another inode, and so has what an editor saves.
    fs::copy(log.path("log"), log.path("copy")).expect("copy");
    fs::rename(log.path("copy"), log.path("log")).expect("rename");
    assert_eq!(log.after_a_restart(1).await, ["quite another file"], "replaced");
    fs::write(log.path("log"), "s\n").expect("write");
    assert_eq!(log.after_a_restart(1).await, ["s"], "shorter");
    fs::write(log.path("log"), "t\nu\nv\n").expect("write");
    assert_eq!(log.after_a_restart(3).await, ["t", "u", "v"], "another beginning");
    append(&log.path("log"), "w\n");
    assert_eq!(log.after_a_restart(1).await, ["w"], "the same file");
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_kafkas_own_connector_are_accepted() {
    let log = Log::new(&[]);
    append(&log.path("log"), "a\nb\n");
    let kafkas = |position: u64| [("position".to_owned(), position.into())].into_iter().collect();
    log.host.commit(&log.partition(), kafkas(2));
    assert_eq!(log.after_a_restart(1).await, ["b"]);
    let offset = log.host.committed(&log.partition()).expect("an offset");
    assert_eq!(offset.get("position"), Some(&4.into()), "kafka's connector reads this one: {offset:?}");
    log.host.commit(&log.partition(), kafkas(99));
    assert_eq!(log.after_a_restart(2).await, ["a", "b"], "the file is shorter than that");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_no_text_are_bad_records_unless_the_encoding_takes_them() {
    let text = b"a\nb\xe9\nc\n";
    let log = Log::new(&[]);
    append(&log.path("log"), text);
    assert_eq!(log.after_a_restart(2).await, ["a", "c"]);
    let reported = log.host.reported();
    assert_eq!(reported.len(), 1);
    let e = &reported[0].1;
    assert_eq!(e.class(), ErrorClass::Data);
    let expected = format!("the line at byte 2 of {} is not UTF-8 from its byte 1 on", log.path("log").display());
    assert!(e.message().starts_with(&expected) && e.message().contains("file.encoding"), "{e}");

    let log = Log::new(&[]);
    append(&log.path("log"), &text[2..]);
    log.host.intolerant();
    assert!(log.failure().await.message().contains("byte 0"));
    assert_eq!(log.host.committed(&log.partition()), None);

    for (encoding, expected) in [
        ("utf-8-lossy", Value::from("b\u{fffd}")),
        ("iso-8859-1", "bé".into()),
        ("bytes", connect_api::Bytes::from_static(b"b\xe9").into()),
    ] {
        let log = Log::new(&[("file.encoding", encoding)]);
        append(&log.path("log"), text);
        let records = source::take(&mut *log.start().await, &log.host, 3).await.expect("lines");
        assert_eq!(records[1].value, expected, "{encoding}");
        assert!(log.host.reported().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_beyond_the_limit_are_bad_records_and_take_bounded_memory() {
    let log = Log::new(&[("file.line.limit", "1000")]);
    let mut file = append(&log.path("log"), "a\n");
    file.write_all(&vec![b'x'; 1_000_000]).expect("write");
    file.write_all(b"\nb\n").expect("write");
    assert_eq!(log.after_a_restart(2).await, ["a", "b"]);
    let reported = log.host.reported();
    assert_eq!(reported.len(), 1, "{reported:?}");
    let text = reported[0].1.message();
    assert!(text.contains("the line at byte 2 of") && text.contains("raise file.line.limit"), "{text}");

    let log = Log::new(&[("file.line.limit", "1000")]);
    append(&log.path("log"), vec![b'x'; 1001]);
    log.host.intolerant();
    assert_eq!(log.failure().await.class(), ErrorClass::Data, "a line without end fails at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_regular_file_is_refused_with_the_setting() {
    let log = Log::new(&[]);
    fs::create_dir(log.path("log")).expect("folder");
    let e = log.failure().await;
    assert_eq!(e.class(), ErrorClass::Fatal);
    assert!(e.message().ends_with("set file to the path of a regular file"), "{e:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_several_rotations_are_read_in_their_order() {
    let log = Log::new(&[]);
    append(&log.path("log"), "a1\n");
    let mut task = log.start().await;
    assert_eq!(log.take(&mut *task, 1).await, ["a1"]);
    // Nobody polls while Kafka is away.
    for (round, name) in ["a2", "b", "c", "d"].into_iter().enumerate() {
        append(&log.path("log"), format!("{name}\n"));
        for old in (0..=round).rev() {
            let of = |n: usize| if n == 0 { log.path("log") } else { log.path(&format!("log.{n}")) };
            fs::rename(of(old), of(old + 1)).expect("rename");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    append(&log.path("log"), "e\n");
    assert_eq!(log.take(&mut *task, 5).await, ["a2", "b", "c", "d", "e"]);
    source::stop(task).await;
    append(&log.path("log"), "f\n");
    assert_eq!(log.after_a_restart(1).await, ["f"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_compressed_while_the_worker_was_down_is_read_to_its_end() {
    let log = Log::new(&[]);
    append(&log.path("log"), "a1\na2\n");
    assert_eq!(log.after_a_restart(2).await, ["a1", "a2"]);
    compress(&log, "a1\na2\na3\n");
    append(&log.path("log"), "b1\n");
    assert_eq!(log.after_a_restart(2).await, ["a3", "b1"]);
    // What was read to its end before is not looked at again.
    compress(&log, "b1\n");
    append(&log.path("log"), "c1\n");
    assert_eq!(log.after_a_restart(1).await, ["c1"]);
}

/// What logrotate and gzip do: the copy keeps the time of the file.
fn compress(log: &Log, text: &str) {
    let before = fs::metadata(log.path("log")).expect("metadata");
    let grows = before.len() < text.len() as u64;
    fs::remove_file(log.path("log")).expect("remove");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).expect("packed");
    let path = log.path(if grows { "log.1.gz" } else { "log.2.gz" });
    fs::write(&path, encoder.finish().expect("packed")).expect("file");
    if !grows {
        let file = File::options().append(true).open(&path).expect("file");
        file.set_modified(before.modified().expect("time")).expect("time");
    }
}
