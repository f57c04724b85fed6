//! A disk without room: nothing is lost, and nothing twice when there is room again.

use std::{fs, process::Command};

use connect_api::{Connector, ErrorClass, Settings, SinkConnector, SinkRecord, Value, config::Config};
use connect_testkit::{Host, sink};
use connector_file::FileSink;

/// The variable with the folder in which the small disk is.
const DISK: &str = "SMALL_DISK";

#[test]
fn records_wait_for_room_on_the_disk() {
    let dir = tempfile::tempdir().expect("folder");
    let script = "mount -t tmpfs -o size=512k none \"$SMALL_DISK\" && exec \"$0\" --ignored --exact on_a_small_disk";
    let mut inside = Command::new("unshare");
    inside.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    inside.arg(std::env::current_exe().expect("this program")).env(DISK, dir.path());
    let output = inside.output();
    let said = output.as_ref().map(|o| [&o.stdout[..], &o.stderr].concat()).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let way_out = "a small disk cannot be mounted here: the test needs unshare (util-linux) and user namespaces";
    assert!(said.contains("running 1 test"), "{way_out}: {output:?}");
    assert!(output.is_ok_and(|o| o.status.success()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a small disk, which records_wait_for_room_on_the_disk mounts"]
async fn on_a_small_disk() {
    let dir = std::path::PathBuf::from(std::env::var_os(DISK).expect("the disk"));
    for (n, more) in [&[][..], &[("file.gzip", "true")], &[("file.rotate.records", "30")]].into_iter().enumerate() {
        let base = dir.join(n.to_string());
        fs::create_dir(&base).expect("folder");
        let mut settings: Settings = more.iter().copied().collect();
        settings.set("file", format!("{}/{{{{topic}}}}-{{{{partition}}}}", base.display()));
        settings.set("file.format", "text");
        let config = <FileSink as Connector>::Config::parse(&settings).expect("settings");
        let host = Host::new();
        let mut task = FileSink::start_task(config, host.sink(&settings).0).await.expect("task");
        // Such that no compression makes it small.
        let mut random = 1u64;
        let mut text = |offset: i64| {
            let mut word = || {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                format!("{random:016x}")
            };
            let words: String = (0..300).map(|_| word()).collect();
            sink::record("t", offset, Value::Null, format!("{offset} {words}"))
        };
        let records: Vec<SinkRecord> = (0..60).map(&mut text).collect();
        let ballast = base.join("ballast");
        fs::write(&ballast, vec![0; 430_000]).expect("ballast");
        let mut full = 0;
        for batch in records.chunks(10) {
            let mut put = task.put(batch).await;
            let mut flushed = Ok(Vec::new());
            if put.is_ok() {
                flushed = sink::flush(&mut *task, batch).await;
            }
            while let Some(e) = put.as_ref().err().or(flushed.as_ref().err()) {
                let text = e.one_line();
                assert!(e.class() == ErrorClass::Retriable && text.contains("make room on its disk"), "{text}");
                full += 1;
                if full == 3 {
                    fs::remove_file(&ballast).expect("room");
                }
                assert!(full < 10, "{text}");
                // As the worker does.
                put = task.put(batch).await;
                if put.is_ok() {
                    flushed = sink::flush(&mut *task, batch).await;
                }
            }
        }
        assert!(full >= 3, "the disk was too large");
        sink::stop(task).await;
        let mut found = Vec::new();
        let mut paths: Vec<_> = fs::read_dir(&base).expect("folder").map(|e| e.expect("entry").path()).collect();
        paths.sort();
        for path in paths.into_iter().filter(|path| path.is_file()) {
            let mut text = String::new();
            let file = fs::File::open(&path).expect("file");
            if path.to_string_lossy().contains(".gz") {
                std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(file), &mut text).expect("packed");
            } else {
                text = std::io::read_to_string(file).expect("text");
            }
            found.extend(text.lines().map(str::to_owned));
        }
        let expected: Vec<String> = records.iter().map(|r| r.value.to_string()).collect();
        assert!(found == expected, "{more:?}: {} lines of {}", found.len(), expected.len());
        fs::remove_dir_all(&base).expect("room for the next one");
    }
}
