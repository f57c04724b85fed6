//! Keyed state on Apache Kafka: what is put is there after a restart.

use connect_api::{Bytes, Settings};
use connect_kafka::Cut;
use connect_worker::{Worker, state::StateTopic};
use xtask::servers::{Kafka, without};

fn worker(bootstrap: &str) -> Worker {
    let settings = Settings::from([
        ("bootstrap.servers", bootstrap),
        ("key.converter", "StringConverter"),
        ("value.converter", "StringConverter"),
        ("offset.storage.file.filename", "unused"),
        ("state.storage.topic", "tocsin-state"),
    ]);
    Worker::read(settings, false).expect("settings")
}

#[test]
fn state_is_read_back_after_a_restart_and_each_connector_has_its_own() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let bytes = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    runtime.block_on(async {
        let topic = StateTopic::new(worker(&kafka.bootstrap()));
        let ours = topic.state("slack", "messages", &Cut::default()).await.expect("state");
        for n in 0..200 {
            ours.put("a", Some(n.to_string().into())).await.expect("put");
            assert_eq!(ours.get("a"), Some(n.to_string().into()), "what was put is there at once");
        }
        ours.put("b", bytes("2")).await.expect("put");
        ours.put("c", bytes("3")).await.expect("put");
        ours.put("b", None).await.expect("put");
        topic
            .state("other", "messages", &Cut::default())
            .await
            .expect("state")
            .put("a", bytes("theirs"))
            .await
            .expect("put");
    });
    runtime.block_on(async {
        let again = StateTopic::new(worker(&kafka.bootstrap()));
        let ours = again.state("slack", "messages", &Cut::default()).await.expect("state");
        let entries: Vec<(String, Bytes)> = ours.entries().into_iter().map(|(k, v)| (k.to_string(), v)).collect();
        assert_eq!(entries, [("a".to_owned(), "199".into()), ("c".to_owned(), "3".into())]);
        assert_eq!(ours.get("b"), None);
        assert_eq!(again.state("slack", "totals", &Cut::default()).await.expect("state").entries().len(), 0);
    });
    let described = kafka
        .tool(
            "kafka.admin.ConfigCommand",
            &["--bootstrap-server", &kafka.bootstrap(), "--describe", "--topic", "tocsin-state"],
        )
        .expect("describe");
    assert!(described.contains("cleanup.policy=compact"), "{described}");
}

#[test]
fn a_topic_that_would_lose_state_is_refused() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let create = ["--bootstrap-server", &kafka.bootstrap(), "--create", "--topic", "tocsin-state"];
    kafka.tool("org.apache.kafka.tools.TopicCommand", &create).expect("create");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let topic = StateTopic::new(worker(&kafka.bootstrap()));
    let e = runtime.block_on(topic.state("slack", "messages", &Cut::default())).err().expect("refused");
    let text = e.one_line();
    assert!(text.contains("'state.storage.topic'") && text.contains("currently has 'cleanup.policy=delete'"), "{text}");
}
