//! The example that follows all logs of an application: rotated while the worker is killed, compressed, and no text.

use std::{collections::BTreeSet, fs, io::Write, path::Path, time::Duration};

use tocsin_tests::{Connectd, file, kafka::Reader};
use xtask::servers::{Kafka, without};

const SOON: Duration = Duration::from_secs(120);
const EXAMPLE: &str = include_str!("../../configs/connectors/logs.yaml");

fn append(path: &Path, lines: impl IntoIterator<Item = u32>) {
    let mut file = fs::File::options().create(true).append(true).open(path).expect("file");
    let text: String = lines.into_iter().map(|n| format!("line {n}\n")).collect();
    file.write_all(text.as_bytes()).expect("write");
}

#[test]
fn no_line_is_left_out_when_logs_are_rotated_while_the_worker_is_killed() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    for topic in ["logs", "dead-logs"] {
        reader.create(topic, 1, &[]);
    }
    let dir = tempfile::tempdir().expect("folder");
    let logs = dir.path().join("logs/deep");
    fs::create_dir_all(&logs).expect("folder");
    let path = |name: &str| logs.join(name);
    let worker = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
         offset.storage.file.filename={}\noffset.flush.interval.ms=300\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    let worker = file(dir.path(), "worker.properties", &worker);
    let example = EXAMPLE.replace("/var/log/app", &dir.path().join("logs").to_string_lossy());
    assert_ne!(example, EXAMPLE);
    let connector = file(dir.path(), "logs.yaml", &example);
    append(&path("app.log"), 0..3000);
    fs::write(path("old.log.gz"), "left out\n").expect("file");
    let mut connectd = Connectd::start(&["-c", &worker, &connector], &dir.path().join("log"));
    let until = |least: usize| {
        let lines = |all: &[connect_kafka::RawRecord]| -> BTreeSet<String> {
            let text = |r: &connect_kafka::RawRecord| {
                String::from_utf8(r.value.as_deref().unwrap_or_default().to_vec()).expect("text")
            };
            all.iter().map(text).collect()
        };
        lines(&reader.until("logs", SOON, |all| lines(all).len() >= least))
    };
    let mut next = 3000;
    for round in 0..3 {
        until(next as usize / 2);
        connectd.kill9();
        append(&path("app.log"), next..next + 500);
        // From the oldest on, as rotation does; none is removed, as it may not have been read.
        for old in (0..=round).rev() {
            let name = |n: u32| if n == 0 { path("app.log") } else { path(&format!("app.log.{n}")) };
            fs::rename(name(old), name(old + 1)).expect("rename");
        }
        append(&path("app.log"), next + 500..next + 1000);
        append(&path(&format!("other{round}.log")), next + 1000..next + 1500);
        next += 1500;
        connectd.start_again();
    }
    let all = until(next as usize);
    assert_eq!(all, (0..next).map(|n| format!("line {n}")).collect());

    let mut broken = fs::File::options().append(true).open(path("app.log")).expect("file");
    broken.write_all(b"no \xff text\nlast\n").expect("write");
    let all = reader.until("logs", SOON, |all| all.last().is_some_and(|r| r.value.as_deref() == Some(b"last")));
    let header = all[all.len() - 1].headers.iter().find(|(name, _)| &**name == "path").expect("the header");
    assert_eq!(header.1.as_deref(), Some(path("app.log").to_string_lossy().as_bytes()));
    let dead = reader.until("dead-logs", SOON, |all| !all.is_empty());
    assert_eq!(dead[0].value.as_deref(), Some(&b"no \xff text"[..]));
}
