//! Offsets and active topics over REST where they are not to be had; where they are, `tests/side-by-side` has Kafka
//! Connect answer, too.

use std::fs;

use serde_json::json;
use tocsin_tests::{Connectd, rest::Rest, sides::SOON, wait};

#[test]
fn topics_are_not_tracked_or_reset_where_the_worker_says_so() {
    let dir = tempfile::tempdir().expect("folder");
    let off = Connectd::start(&["--set", "topic.tracking.enable=false"], &dir.path().join("off"));
    let fixed = Connectd::start(&["--set", "topic.tracking.allow.reset=false"], &dir.path().join("fixed"));
    let refused = |text: &str| (403, json!({ "error_code": 403, "message": text }));
    assert_eq!(off.get("/connectors/c/topics"), refused("Topic tracking is disabled."));
    assert_eq!(off.send("PUT", "/connectors/c/topics/reset", None), refused("Topic tracking is disabled."));
    assert_eq!(fixed.get("/connectors/c/topics"), (200, json!({ "c": { "topics": [] } })));
    assert_eq!(fixed.send("PUT", "/connectors/c/topics/reset", None), refused("Topic tracking reset is disabled."));
}

#[test]
fn offsets_of_sinks_are_shown_but_not_set_on_the_embedded_broker() {
    let rest = Rest::start(&[]);
    let input = rest.path("in.txt");
    fs::write(&input, "a\nb\n").expect("input");
    let source = json!({ "connector.class": "file-source", "file": input, "topic": "t",
        "value.converter": "StringConverter" });
    let sink = json!({ "connector.class": "file-sink", "file": rest.path("out.txt"), "topics": "t",
        "value.converter": "StringConverter" });
    rest.create("in", &source);
    rest.create("out", &sink);
    wait("the lines", SOON, || {
        (fs::read_to_string(rest.path("out.txt")).unwrap_or_default().lines().count() == 2).then_some(())
    });
    assert_eq!(rest.order("PUT", "/connectors/out/stop").status, 204);
    let offsets = rest.get("/connectors/out/offsets").json();
    // The topic has several partitions.
    let read = offsets["offsets"].as_array().into_iter().flatten().filter_map(|o| o["offset"]["kafka_offset"].as_i64());
    assert_eq!(read.sum::<i64>(), 2, "{offsets}");
    let forget = r#"{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":0},"offset":null}]}"#;
    for answer in
        [rest.send("PATCH", "/connectors/out/offsets", forget), rest.order("DELETE", "/connectors/out/offsets")]
    {
        let text = answer.message();
        assert!(answer.status == 500 && text.contains("the embedded broker cannot do that"), "{text}");
    }
    assert_eq!(rest.get("/health").status, 200);
}
