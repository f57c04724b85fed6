//! The file connectors, driven as the worker drives them.

use std::{fs, io::Write, path::Path, time::Duration};

use connect_api::{Connector, Settings, SinkConnector, SinkTask, SourceConnector, SourceTask, Value, config::Config};
use connect_testkit::{Host, sink, source};
use connector_file::{FileSink, FileSource, FileStreamSink};

async fn follow(path: &Path, host: &std::sync::Arc<Host>) -> Box<dyn SourceTask> {
    let settings = Settings::from([("file", path.to_string_lossy().as_ref()), ("topic", "t"), ("batch.size", "2")]);
    let config = <FileSource as Connector>::Config::parse(&settings).expect("settings");
    FileSource::start_task(config, host.source(&settings).0).await.expect("task")
}

fn texts(records: &[connect_api::SourceRecord]) -> Vec<&str> {
    records.iter().filter_map(|r| r.value.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_followed_and_resumed_behind_what_was_stored() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("in.txt");
    let host = Host::new();
    let mut task = follow(&path, &host).await;
    // The file may come later.
    source::silent(&mut *task, Duration::from_millis(100)).await;
    let mut file = fs::File::create(&path).expect("file");
    file.write_all("a\r\nbé\nc\nunfinished".as_bytes()).expect("write");
    let records = source::take(&mut *task, &host, 3).await.expect("lines");
    assert_eq!(texts(&records), ["a", "bé", "c"]);
    // What was not acknowledged comes again after a restart.
    file.write_all(b" line\nd\n").expect("write");
    let refused = source::poll(&mut *task, &host, source::Fate::Refused).await.expect("lines");
    assert_eq!(texts(&refused), ["unfinished line", "d"]);
    source::stop(task).await;
    let mut task = follow(&path, &host).await;
    assert_eq!(texts(&source::take(&mut *task, &host, 2).await.expect("again")), ["unfinished line", "d"]);
    source::stop(task).await;
}

async fn write<C: SinkConnector>(path: &Path, host: &std::sync::Arc<Host>) -> Box<dyn SinkTask> {
    let settings = Settings::from([("file", path.to_string_lossy().as_ref())]);
    let config = C::Config::parse(&settings).expect("settings");
    C::start_task(config, host.sink(&settings).0).await.expect("task")
}

#[tokio::test(flavor = "multi_thread")]
async fn records_become_json_lines_and_a_line_cut_off_by_a_crash_is_removed() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("out.jsonl");
    fs::write(&path, "{\"whole\":1}\n{\"topic\":\"t\",\"par").expect("file");
    let host = Host::new();
    let mut task = write::<FileSink>(&path, &host).await;
    let records =
        [sink::record("t", 7, "k", Value::map([("a", Value::Int64(1))])), sink::record("t", 8, "k", Value::Null)];
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    assert_eq!(sink::flush(&mut *task, &records).await.expect("flush")[0].offset, 9);
    sink::stop(task).await;
    let text = fs::read_to_string(&path).expect("file");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "{\"whole\":1}");
    assert_eq!(lines[1], r#"{"topic":"t","partition":0,"offset":7,"timestamp":7000,"key":"k","value":{"a":1}}"#);
    assert_eq!(lines[2], r#"{"topic":"t","partition":0,"offset":8,"timestamp":8000,"key":"k","value":null}"#);
    assert_eq!(lines.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_kafkas_name_lines_are_the_text_of_values() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("out.txt");
    let host = Host::new();
    let mut task = write::<FileStreamSink>(&path, &host).await;
    let records = [sink::record("t", 0, Value::Null, "x"), sink::record("t", 1, Value::Null, Value::Null)];
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    sink::stop(task).await;
    assert_eq!(fs::read_to_string(&path).expect("file"), "x\nnull\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_share_a_file_do_not_tear_each_others_lines() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("out.txt");
    let host = Host::new();
    let long = "x".repeat(3000);
    let mut writers = Vec::new();
    for n in 0..4i64 {
        let mut task = write::<FileStreamSink>(&path, &host).await;
        let (host, long) = (host.clone(), long.clone());
        writers.push(tokio::spawn(async move {
            for i in 0..50 {
                let record = sink::record("t", i, Value::Null, format!("{n}{long}"));
                sink::deliver(&mut *task, &[record], &host).await.expect("put");
            }
        }));
    }
    for writer in writers {
        writer.await.expect("writer");
    }
    let text = fs::read_to_string(&path).expect("file");
    assert_eq!(text.lines().filter(|l| l.len() == 3001 && l[1..] == long).count(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_somebody_else_wrote_stay() {
    let dir = tempfile::tempdir().expect("folder");
    for (name, text) in [("a", "line one\nprecious"), ("b", "no line at all"), ("c", "{\"other\":1")] {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("file");
        sink::stop(write::<FileSink>(&path, &Host::new()).await).await;
        sink::stop(write::<FileStreamSink>(&path, &Host::new()).await).await;
        assert_eq!(fs::read_to_string(&path).expect("file"), format!("{text}\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_renamed_is_made_anew_and_keeps_what_was_written() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("out.txt");
    let host = Host::new();
    let mut task = write::<FileStreamSink>(&path, &host).await;
    let records: Vec<_> = (0..3).map(|n| sink::record("t", n, Value::Null, n.to_string())).collect();
    sink::deliver(&mut *task, &records[..1], &host).await.expect("put");
    fs::rename(&path, dir.path().join("out.txt.1")).expect("rename");
    sink::deliver(&mut *task, &records[1..2], &host).await.expect("put");
    assert_eq!(sink::flush(&mut *task, &records[..2]).await.expect("flush")[0].offset, 2);
    fs::write(dir.path().join("new"), "another\n").expect("file");
    fs::rename(dir.path().join("new"), &path).expect("rename");
    sink::deliver(&mut *task, &records[2..], &host).await.expect("put");
    sink::stop(task).await;
    assert_eq!(fs::read_to_string(dir.path().join("out.txt.1")).expect("file"), "0\n");
    assert_eq!(fs::read_to_string(&path).expect("file"), "another\n2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_went_with_a_removed_file_are_not_safe() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("out.txt");
    let host = Host::new();
    let mut task = write::<FileStreamSink>(&path, &host).await;
    let records = [sink::record("t", 0, Value::Null, "a"), sink::record("t", 1, Value::Null, "b")];
    for seen_by_put in [false, true] {
        sink::deliver(&mut *task, &records[..1], &host).await.expect("put");
        fs::remove_file(&path).expect("remove");
        if seen_by_put {
            sink::deliver(&mut *task, &records[1..], &host).await.expect("put");
        }
        let e = sink::flush(&mut *task, &records).await.expect_err("not safe");
        assert_eq!(e.class(), connect_api::ErrorClass::Retriable);
        assert!(e.message().contains("was removed"), "{e:?}");
        // As the worker does after a failed flush.
        sink::deliver(&mut *task, &records, &host).await.expect("put");
        sink::flush(&mut *task, &records).await.expect("flush");
    }
    assert_eq!(fs::read_to_string(&path).expect("file"), "b\na\nb\n");
    fs::remove_file(&path).expect("remove");
    sink::flush(&mut *task, &records).await.expect("what was flushed before is the remover's");
    sink::stop(task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_opened_is_told_with_the_way_out() {
    let dir = tempfile::tempdir().expect("folder");
    for (path, way_out) in
        [(dir.path().join("no/out"), "make its folder"), (dir.path().to_owned(), "set file to the path of a file")]
    {
        let settings = Settings::from([("file", path.to_string_lossy().as_ref())]);
        let config = <FileSink as Connector>::Config::parse(&settings).expect("settings");
        let e = FileSink::start_task(config, Host::new().sink(&settings).0).await.err().expect("an error");
        assert!(e.message().contains(&*path.to_string_lossy()) && e.message().contains(way_out), "{e:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_is_written_to_while_somebody_reads_it() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    let host = Host::new();
    let reader = std::thread::spawn({
        let path = path.clone();
        move || fs::read_to_string(path).expect("what was written")
    });
    let mut task = write::<FileStreamSink>(&path, &host).await;
    let records = [sink::record("t", 0, "k", Value::from("one")), sink::record("t", 1, "k", Value::from("two"))];
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    assert_eq!(sink::flush(&mut *task, &records).await.expect("flush")[0].offset, 2);
    sink::stop(task).await;
    assert_eq!(reader.join().expect("no panic"), "one\ntwo\n");
}
