//! Topics that are deleted and created again: their offsets mean other records.

mod once;

use std::fs;

use connect_api::{Connector, ErrorClass, SinkConnector, SinkRecord, config::Config};
use connect_testkit::{Host, sink};
use connector_file::FileSink;
use once::{contents, partition, record, settings, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_again_is_not_taken_for_the_old_one() {
    let dir = tempfile::tempdir().expect("folder");
    let host = Host::new();
    let settings = settings(dir.path(), "{{topic}}-{{partition}}.x", &[("file.format", "value")]);
    let mut task = start(&settings, &host).await;
    let records: Vec<SinkRecord> = (0..4).map(record).collect();
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    sink::flush(&mut *task, &records).await.expect("flush");
    sink::stop(task).await;
    let mut task = start(&settings, &host).await;
    sink::deliver(&mut *task, &records[2..], &host).await.expect("what is there is passed over");
    let mut other = record(1);
    other.timestamp = Some(1_000_000);
    let e = sink::deliver(&mut *task, &[other.clone()], &host).await.expect_err("another record");
    assert!(
        e.class() == ErrorClass::Fatal && e.message().contains("t-0: its files have records up to offset 3"),
        "{e:?}"
    );
    sink::stop(task).await;

    // A person says so.
    let config = <FileSink as Connector>::Config::parse(&settings).expect("settings");
    assert!(FileSink::alter_offsets(&config, &[(partition(), Some(1))]).expect("altered"));
    let mut task = start(&settings, &host).await;
    sink::deliver(&mut *task, &[other], &host).await.expect("put");
    sink::flush(&mut *task, &records[1..2]).await.expect("flush");
    sink::stop(task).await;
    assert_eq!(contents(dir.path())["t-0.x"], "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":1}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_another_id_is_written_from_its_beginning_whatever_its_time_stamps() {
    let dir = tempfile::tempdir().expect("folder");
    let host = Host::new();
    host.topic_id("t", "first");
    let settings = settings(dir.path(), "{{topic}}-{{partition}}.x", &[("file.format", "value")]);
    let old: Vec<SinkRecord> = (0..4).map(record).collect();
    let new: Vec<SinkRecord> = (0..6).map(|offset| sink::record("t", offset, "k", offset + 10)).collect();
    let mut task = start(&settings, &host).await;
    sink::deliver(&mut *task, &old, &host).await.expect("put");
    sink::flush(&mut *task, &old).await.expect("flush");
    // While the task runs: what was not flushed of the old topic is written before.
    sink::deliver(&mut *task, &[record(4)], &host).await.expect("put");
    host.topic_id("t", "second");
    sink::deliver(&mut *task, &new[..3], &host).await.expect("put");
    sink::deliver(&mut *task, &new[..5], &host).await.expect("what comes again is passed over");
    sink::flush(&mut *task, &new[..5]).await.expect("flush");
    sink::stop(task).await;
    // While it does not.
    host.topic_id("t", "third");
    let mut task = start(&settings, &host).await;
    sink::deliver(&mut *task, &new[..2], &host).await.expect("put");
    sink::flush(&mut *task, &new[..2]).await.expect("flush");
    sink::stop(task).await;
    let mut task = start(&settings, &host).await;
    sink::deliver(&mut *task, &new[..3], &host).await.expect("put");
    sink::flush(&mut *task, &new[..3]).await.expect("flush");
    sink::stop(task).await;
    let n = (0..5).map(|n| format!("{{\"n\":{n}}}"));
    let lines: Vec<String> = n.chain([10, 11, 12, 13, 14, 10, 11, 12].map(|n| n.to_string())).collect();
    assert_eq!(contents(dir.path())["t-0.x"].lines().collect::<Vec<_>>(), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_files_of_a_topic_that_is_gone_are_complete_and_not_written_over() {
    let dir = tempfile::tempdir().expect("folder");
    let host = Host::new();
    host.topic_id("t", "first");
    let settings =
        settings(dir.path(), "{{topic}}-{{partition}}", &[("file.format", "value"), ("file.rotate.records", "9")]);
    let mut task = start(&settings, &host).await;
    sink::deliver(&mut *task, &[record(0)], &host).await.expect("put");
    sink::flush(&mut *task, &[record(0)]).await.expect("flush");
    sink::stop(task).await;
    host.topic_id("t", "second");
    let mut task = start(&settings, &host).await;
    let name = "t-0-00000000000000000000";
    assert_eq!(contents(dir.path()).into_keys().collect::<Vec<_>>(), [name]);
    let e = sink::deliver(&mut *task, &[record(0)], &host).await.expect_err("the name is taken");
    assert!(e.class() == ErrorClass::Fatal && e.message().contains("already there"), "{e:?}");
    sink::stop(task).await;
    fs::rename(dir.path().join(name), dir.path().join("old")).expect("moved");
    let mut task = start(&settings, &host).await;
    sink::deliver(&mut *task, &[record(0), record(1)], &host).await.expect("put");
    sink::flush(&mut *task, &[record(1)]).await.expect("flush");
    sink::stop(task).await;
    let all = contents(dir.path());
    assert_eq!((all["old"].as_str(), all[&format!("{name}.part")].as_str()), ("{\"n\":0}\n", "{\"n\":0}\n{\"n\":1}\n"));
}
