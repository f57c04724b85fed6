//! A topic that is deleted and created again under a running sink: what is in the new one arrives.

use std::{fs, path::Path, time::Duration};

use serde_json::json;
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, Server, without};

const SOON: Duration = Duration::from_secs(90);

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn records_of_a_topic_that_was_created_again_arrive_from_its_beginning() {
    if without("kafka") {
        return;
    }
    let mut kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name);
    let worker = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: StringConverter\n\
         offset: {{ storage.file.filename: {}, flush.interval.ms: 500 }}\n",
        kafka.bootstrap(),
        path("offsets").display()
    );
    let worker = file(dir.path(), "worker.yaml", &worker);
    let connectd = Connectd::start(&["-c", &worker], &path("log"));
    let text =
        |n: std::ops::Range<u32>| n.map(|n| (n.to_string(), Some(n.to_string().into_bytes()))).collect::<Vec<_>>();
    // After a restart of the broker the old topic's leader has a later epoch than the new one's.
    for (name, after, restart) in
        [("fewer", 5, false), ("more", 60, false), ("older", 5, true), ("older-more", 60, true)]
    {
        reader.create(name, 1, &[]);
        let out = path(name);
        let config = json!({
            "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "topics": name, "file": out
        });
        assert_eq!(connectd.send("PUT", &format!("/connectors/{name}/config"), Some(&config)).0, 201);
        reader.write_all(name, text(0..30));
        wait("the records of before", SOON, || (lines(&out).len() == 30).then_some(()));
        if restart {
            kafka.restart().expect("restart kafka");
            reader.write_all(name, text(30..31));
            wait("a record after the restart", SOON, || (lines(&out).len() == 31).then_some(()));
        }
        let known = lines(&out).len();
        kafka
            .tool(
                "org.apache.kafka.tools.TopicCommand",
                &["--bootstrap-server", &kafka.bootstrap(), "--delete", "--topic", name],
            )
            .expect("delete");
        reader.create(name, 1, &[]);
        reader.write_all(name, text(1000..1000 + after));
        wait(&format!("the records of the new topic ({name})"), SOON, || {
            let new = lines(&out).split_off(known);
            (new.len() as u32 == after && new[0] == "1000").then_some(())
        });
    }
}
