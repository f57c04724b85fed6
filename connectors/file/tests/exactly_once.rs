//! Files of each partition: every record once and in order, whatever happens to the task and to the files.

mod once;

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    time::Duration,
};

use connect_api::{Connector, ErrorClass, Settings, SinkConnector, SinkRecord, config::Config};
use connect_testkit::{Host, sink};
use connector_file::FileSink;
use once::{contents, partition, record, settings, start};

/// The numbers of all records, file by file.
fn numbers(dir: &Path) -> Vec<i64> {
    let all = contents(dir);
    let lines = all.values().flat_map(|text| text.lines());
    let lines = lines.filter(|line| *line != "offset,value.n");
    lines.map(|line| line.split(',').next().expect("cell").parse().unwrap_or_else(|_| panic!("{line:?}"))).collect()
}

/// A random number without a library.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Leaves what a crash might have left: bytes that were not safe, files that had not been made yet or not got their names.
fn tear(dir: &Path, random: &mut Random) {
    let Ok(text) = fs::read_to_string(dir.join(".file-sink/test/t/0.json")) else { return };
    let journal: serde_json::Value = serde_json::from_str(&text).expect("journal");
    for entry in journal["files"].as_array().expect("files") {
        let name = entry["path"].as_str().expect("path");
        let (complete, part) = (dir.join(name), dir.join(format!("{name}.part")));
        let path = if entry["part"] == true { &part } else { &complete };
        if entry["done"] == true {
            if entry["part"] == true && complete.exists() && random.below(2) == 0 {
                fs::rename(&complete, &part).expect("rename");
            }
        } else if !path.exists() {
            // An earlier crash left that.
        } else if entry["inode"] == 0 && entry["length"] == 0 && random.below(2) == 0 {
            fs::remove_file(path).expect("remove");
        } else {
            let mut file = File::options().append(true).open(path).expect("file");
            file.write_all(&b"{\"torn\": \x1f\x8b"[..random.below(11) as usize]).expect("junk");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_in_one_file_whenever_the_task_dies() {
    let csv = ("file.csv.columns", "offset,value.n");
    let base = [("file.format", "csv"), csv];
    for (file, more) in [
        ("{{topic}}-{{partition}}.csv", &[("file.rotate.records", "7")][..]),
        ("{{topic}}-{{partition}}.csv", &[("file.rotate.bytes", "60"), ("file.gzip", "true")]),
        ("{{topic}}-{{partition}}.csv", &[("file.rotate.records", "20"), ("file.names", "in-place")]),
        ("{{topic}}-{{partition}}.csv", &[]),
        ("{{topic}}-{{partition}}.csv", &[("file.gzip", "true"), ("file.sync", "never")]),
        ("{{topic}}/{{key}}-{{partition}}.csv", &[("file.rotate.ms", "60000"), ("file.rotate.records", "9")]),
        (
            "{{topic}}/{{value.n}}-{{partition}}.csv",
            &[("file.rotate.ms", "1"), ("file.open.limit", "2"), ("file.sync", "put")],
        ),
    ] {
        for seed in 0..4 {
            let dir = tempfile::tempdir().expect("folder");
            let settings = settings(dir.path(), file, &[&base[..], more].concat());
            let (host, mut random) = (Host::new(), Random(seed * 7919 + 1));
            let (mut committed, mut at) = (0, 0);
            let mut task = start(&settings, &host).await;
            while committed < 100 {
                match random.below(5) {
                    0 => {
                        let put = [record(at - 1)];
                        if at > committed {
                            committed = sink::flush(&mut *task, &put).await.expect("flush")[0].offset;
                        }
                    }
                    1 => {
                        drop(task);
                        tear(dir.path(), &mut random);
                        task = start(&settings, &host).await;
                        at = committed;
                    }
                    _ => {
                        let end = at + 1 + random.below(6) as i64;
                        let records: Vec<SinkRecord> = (at..end).map(record).collect();
                        sink::deliver(&mut *task, &records, &host).await.expect("put");
                        at = end;
                    }
                }
            }
            sink::stop(task).await;
            // What was not committed is cut off at the next start.
            drop(start(&settings, &host).await);
            let mut found = numbers(dir.path());
            if !file.contains("key") && !file.contains("value") {
                assert!(found.is_sorted(), "{file} {more:?} {seed}: {found:?}");
            }
            found.sort_unstable();
            let expected: Vec<i64> = (0..i64::try_from(found.len()).expect("number")).collect();
            assert!(found == expected && found.len() as i64 >= committed, "{file} {more:?} {seed}: {found:?}");
            assert!(host.reported().is_empty());
            for (name, text) in contents(dir.path()) {
                assert!(text.is_empty() || text.starts_with("offset,value.n\n"), "{name}: {text}");
                assert_eq!(text.matches("offset").count().min(1), text.matches("offset").count(), "{name}: {text}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_complete_by_number_size_and_time() {
    let dir = tempfile::tempdir().expect("folder");
    let host = Host::new();
    let rules = [
        ("file.format", "value"),
        ("file.rotate.records", "3"),
        ("file.rotate.bytes", "17"),
        ("file.rotate.ms", "300"),
    ];
    let settings = settings(dir.path(), "{{topic}}-{{partition}}.jsonl", &rules);
    let mut task = start(&settings, &host).await;
    // Of 8 bytes each, of 9 from the tenth on.
    let records: Vec<SinkRecord> = [0, 1, 2, 10, 11].into_iter().map(record).collect();
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    let names = |dir: &Path| contents(dir).into_keys().collect::<Vec<_>>();
    assert_eq!(
        names(dir.path()),
        ["t-0-00000000000000000000.jsonl", "t-0-00000000000000000002.jsonl", "t-0-00000000000000000011.jsonl.part",]
    );
    assert_eq!(host.counted("tocsin_file_sink_files_total"), 2);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while host.counted("tocsin_file_sink_files_total") < 3 {
        assert!(std::time::Instant::now() < deadline, "{:?}", names(dir.path()));
        tokio::time::sleep_until(task.due().expect("a file that time ends")).await;
        task.put(&[]).await.expect("put");
    }
    assert_eq!(names(dir.path())[2], "t-0-00000000000000000011.jsonl");
    assert_eq!(task.due(), None);
    sink::stop(task).await;
    assert_eq!(contents(dir.path())["t-0-00000000000000000002.jsonl"], "{\"n\":2}\n{\"n\":10}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_keys_are_reported_and_their_neighbours_stored() {
    let dir = tempfile::tempdir().expect("folder");
    let host = Host::new();
    let base = dir.path().join("base");
    fs::create_dir(&base).expect("base");
    let settings = settings(&base, "{{topic}}-{{partition}}/{{key}}", &[("file.rotate.ms", "60000")]);
    let mut task = start(&settings, &host).await;
    let keys = ["ok", "..", "../../x", "a/b", "", ".file-sink", "last"];
    let records: Vec<SinkRecord> =
        keys.iter().enumerate().map(|(n, key)| sink::record("t", n as i64, *key, "v")).collect();
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    assert_eq!(sink::flush(&mut *task, &records).await.expect("flush")[0].offset, 7);
    sink::stop(task).await;
    let reported: Vec<_> = host.reported().into_iter().map(|(offset, e)| (offset, e.class())).collect();
    assert_eq!(reported, [1, 2, 4, 5].map(|n| (Some(n), ErrorClass::Data)));
    let names: Vec<String> = contents(dir.path()).into_keys().collect();
    let name = |key: &str, first: usize| format!("base/t-0/{key}-{first:020}.part");
    assert_eq!(names, [name("a%2Fb", 3), name("last", 6), name("ok", 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_removed_comes_again_and_what_somebody_renamed_stays() {
    let dir = tempfile::tempdir().expect("folder");
    let host = Host::new();
    let settings = settings(dir.path(), "{{topic}}-{{partition}}", &[("file.format", "value")]);
    let path = dir.path().join("t-0");
    let mut task = start(&settings, &host).await;
    let records: Vec<SinkRecord> = (0..4).map(record).collect();
    sink::deliver(&mut *task, &records[..1], &host).await.expect("put");
    sink::flush(&mut *task, &records[..1]).await.expect("flush");
    fs::rename(&path, dir.path().join("moved")).expect("rename");
    sink::deliver(&mut *task, &records[1..2], &host).await.expect("put");
    sink::flush(&mut *task, &records[1..2]).await.expect("flush");
    sink::deliver(&mut *task, &records[2..3], &host).await.expect("put");
    fs::remove_file(&path).expect("remove");
    let e = sink::flush(&mut *task, &records[2..3]).await.expect_err("not safe");
    assert!(e.class() == ErrorClass::Retriable && e.message().contains("was removed"), "{e:?}");
    // As the worker does after a failed flush.
    sink::deliver(&mut *task, &records[2..], &host).await.expect("put");
    sink::flush(&mut *task, &records).await.expect("flush");
    sink::stop(task).await;
    let all = contents(dir.path());
    assert_eq!((all["moved"].as_str(), all["t-0"].as_str()), ("{\"n\":0}\n{\"n\":1}\n", "{\"n\":2}\n{\"n\":3}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_has_one_owner_at_a_time() {
    let dir = tempfile::tempdir().expect("folder");
    let host = Host::new();
    let settings = settings(dir.path(), "{{topic}}-{{partition}}", &[("file.format", "value")]);
    let mut first = start(&settings, &host).await;
    sink::deliver(&mut *first, &[record(0)], &host).await.expect("put");
    let mut second = start(&settings, &host).await;
    let e = second.put(&[record(0)]).await.expect_err("taken");
    assert!(e.class() == ErrorClass::Retriable && e.message().contains("another task still has them"), "{e:?}");
    sink::flush(&mut *first, &[record(0)]).await.expect("flush");
    first.close(&[partition()]).await.expect("close");
    second.put(&[record(0), record(1)]).await.expect("put");
    sink::flush(&mut *second, &[record(1)]).await.expect("flush");
    sink::stop(first).await;
    sink::stop(second).await;
    assert_eq!(contents(dir.path())["t-0"], "{\"n\":0}\n{\"n\":1}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_with_one_path_are_told_and_neither_loses_anything() {
    let of = |topic: &str, partition: i32, offset: i64| {
        let mut record = sink::record(topic, offset, "k", format!("{topic}-{partition}-{offset}"));
        record.origin.partition = partition;
        record
    };
    let (one, other) = (|offset| of("t", 101, offset), |offset| of("t01", 1, offset));
    for more in [&[][..], &[("file.rotate.records", "9")]] {
        let dir = tempfile::tempdir().expect("folder");
        let host = Host::new();
        let settings = settings(dir.path(), "{{topic}}0{{partition}}", &[&[("file.format", "text")], more].concat());
        let both_at_once = async || {
            let mut task = start(&settings, &host).await;
            sink::deliver(&mut *task, &[one(0)], &host).await.expect("put");
            let e = sink::deliver(&mut *task, &[other(0)], &host).await.expect_err("the same path");
            assert!(e.class() == ErrorClass::Fatal && e.message().contains(".file-sink/test/t/101.json"), "{e:?}");
            sink::flush(&mut *task, &[one(0)]).await.expect("flush");
            sink::stop(task).await;
        };
        both_at_once().await;
        // One after the other, with restarts.
        let mut task = start(&settings, &host).await;
        let e = sink::deliver(&mut *task, &[other(0)], &host).await.expect_err("the same path");
        assert!(e.class() == ErrorClass::Fatal && e.message().contains("belongs to another partition"), "{e:?}");
        sink::stop(task).await;
        let mut task = start(&settings, &host).await;
        sink::deliver(&mut *task, &[one(1)], &host).await.expect("put");
        sink::flush(&mut *task, &[one(1)]).await.expect("flush");
        sink::stop(task).await;
        let all: Vec<String> = contents(dir.path()).into_values().collect();
        assert_eq!(all, ["t-101-0\nt-101-1\n"]);

        // Journals that both have the file: what may be the other's is not cut off.
        let journals = dir.path().join(".file-sink/test");
        fs::create_dir_all(journals.join("t01")).expect("folder");
        fs::copy(journals.join("t/101.json"), journals.join("t01/1.json")).expect("journal");
        let name = contents(dir.path()).into_keys().next().expect("a file");
        File::options()
            .append(true)
            .open(dir.path().join(&name))
            .and_then(|mut f| f.write_all(b"more\n"))
            .expect("more");
        let mut task = start(&settings, &host).await;
        let e = sink::deliver(&mut *task, &[one(2)], &host).await.expect_err("whose bytes?");
        assert!(e.class() == ErrorClass::Fatal && e.message().contains("belongs to another partition"), "{e:?}");
        sink::stop(task).await;
        assert_eq!(contents(dir.path())[&name], "t-101-0\nt-101-1\nmore\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_no_journal_knows_is_not_written_over() {
    let dir = tempfile::tempdir().expect("folder");
    let host = Host::new();
    let rules = [("file.rotate.records", "9"), ("file.format", "value")];
    let settings = settings(dir.path(), "{{topic}}/{{partition}}", &rules);
    let mut task = start(&settings, &host).await;
    sink::deliver(&mut *task, &[record(0)], &host).await.expect("put");
    sink::flush(&mut *task, &[record(0)]).await.expect("flush");
    sink::stop(task).await;
    fs::remove_dir_all(dir.path().join(".file-sink")).expect("a journal that somebody removed");
    let mut task = start(&settings, &host).await;
    let e = sink::deliver(&mut *task, &[record(0)], &host).await.expect_err("there already");
    assert!(e.class() == ErrorClass::Fatal && e.message().contains("0-00000000000000000000.part"), "{e:?}");
    sink::stop(task).await;
    assert_eq!(contents(dir.path())["t/0-00000000000000000000.part"], "{\"n\":0}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_told_and_nothing_is_lost_by_it() {
    let dir = tempfile::tempdir().expect("folder");
    let host = Host::new();
    let rules = [("file.rotate.records", "2"), ("file.format", "value")];
    let settings = settings(dir.path(), "{{topic}}/{{partition}}", &rules);
    fs::write(dir.path().join("t"), "a file where a folder is to be").expect("file");
    let mut task = start(&settings, &host).await;
    for _ in 0..2 {
        let e = task.put(&[record(0), record(1), record(2)]).await.expect_err("no folder");
        assert!(e.class() == ErrorClass::Retriable && e.message().contains(&*dir.path().to_string_lossy()), "{e:?}");
    }
    fs::remove_file(dir.path().join("t")).expect("remove");
    task.put(&[record(0), record(1), record(2)]).await.expect("put");
    // A complete file is never written over.
    sink::stop(task).await;
    fs::remove_dir_all(dir.path().join(".file-sink")).expect("a journal that somebody removed");
    let mut task = start(&settings, &host).await;
    let e = task.put(&[record(0)]).await.expect_err("there already");
    assert!(e.class() == ErrorClass::Fatal && e.message().contains("0-00000000000000000000"), "{e:?}");
    sink::stop(task).await;
    assert_eq!(contents(dir.path())["t/0-00000000000000000000"], "{\"n\":0}\n{\"n\":1}\n");
    let settings = self::settings(&dir.path().join("gone"), "{{topic}}/{{partition}}", &[]);
    let mut task = start(&settings, &host).await;
    let e = task.put(&[record(0)]).await.expect_err("no base");
    assert!(e.class() == ErrorClass::Retriable && e.message().contains("make its folder"), "{e:?}");
    sink::stop(task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_other_settings_are_completed_and_new_ones_begun() {
    let dir = tempfile::tempdir().expect("folder");
    let host = Host::new();
    let rules = [("file.rotate.records", "100"), ("file.format", "value")];
    let before = settings(dir.path(), "{{topic}}-{{partition}}", &rules);
    let mut task = start(&before, &host).await;
    sink::deliver(&mut *task, &[record(0)], &host).await.expect("put");
    sink::flush(&mut *task, &[record(0)]).await.expect("flush");
    sink::stop(task).await;
    let after = before.clone().with("file.gzip", "true");
    let mut task = start(&after, &host).await;
    sink::deliver(&mut *task, &[record(0), record(1)], &host).await.expect("put");
    sink::flush(&mut *task, &[record(1)]).await.expect("flush");
    sink::stop(task).await;
    let all: Vec<(String, String)> = contents(dir.path()).into_iter().collect();
    let expected = [("t-0-00000000000000000000", "{\"n\":0}\n"), ("t-0-00000000000000000001.gz.part", "{\"n\":1}\n")];
    assert_eq!(all, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_call_says_what_is_wrong_and_makes_nothing() {
    let dir = tempfile::tempdir().expect("folder");
    let host = Host::new();
    let trial = |settings: Settings| {
        let host = host.clone();
        async move {
            let config = <FileSink as Connector>::Config::parse(&settings).expect("settings");
            FileSink::start_trial(config, host.sink(&settings).0).await.expect("trial").expect("there is one")
        }
    };
    let e = trial(settings(dir.path(), "no/{{topic}}-{{partition}}", &[])).await.check().await.expect_err("no folder");
    assert!(e.message().contains("/no/: make its folder"), "{e:?}");
    fs::write(dir.path().join("file"), "").expect("file");
    let e = trial(settings(dir.path(), "file/{{topic}}-{{partition}}", &[])).await.check().await.expect_err("a file");
    assert!(e.message().contains("/file/"), "{e:?}");
    let rules = [("file.rotate.records", "3"), ("file.format", "value"), ("file.gzip", "true")];
    let mut right = trial(settings(dir.path(), "{{topic}}/{{partition}}.jsonl", &rules)).await;
    let passed = connect_api::Check::Passed(format!("files can be made in folder {}/", dir.path().display()));
    assert_eq!(right.check().await.expect("right"), passed);
    let connect_api::Rendering::Sent(sent) = right.render(&record(5)).expect("line") else { panic!("nothing") };
    let to = format!("append to {}/t/0-00000000000000000005.jsonl.gz.part", dir.path().display());
    assert_eq!((sent.to, sent.body.as_deref()), (to, Some("{\"n\":5}")));
    assert_eq!(fs::read_dir(dir.path()).expect("folder").count(), 1, "nothing was made");
}
