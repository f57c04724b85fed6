//! Kafka itself with `connectctl`: topics, brokers and groups, of a real broker and of the embedded one.

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, ctl::Ctl, kafka::Reader, sides::SOON, wait};
use xtask::servers::{Kafka, without};

/// No worker is there to be asked.
fn ctl(kafka: &Kafka) -> Ctl {
    Ctl::new("http://127.0.0.1:9").env("BOOTSTRAP_SERVERS", &kafka.bootstrap())
}

#[test]
fn topics_are_created_seen_changed_and_deleted() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let (ctl, reader) = (ctl(&kafka), Reader::new(&kafka.bootstrap()));
    let none = ctl.run(&["topics", "list"]).expect(0);
    assert!(none.out.is_empty() && none.err.contains("has no topics"), "{none:?}");
    created(&ctl, &reader);
    listed(&ctl, &reader);
    configured(&ctl);
    grown(&ctl);
    deleted(&ctl, &reader);
}

fn created(ctl: &Ctl, reader: &Reader) {
    let settings = ["--config", "cleanup.policy=compact", "-c", "segment.ms=60000"];
    let create = |more: &[&str]| {
        let all: Vec<&str> = ["topics", "create", "alarms", "-p", "2", "-r", "1"].into_iter().chain(settings).collect();
        ctl.run(&all.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let trial = create(&["--dry-run"]).expect(0);
    assert_eq!(trial.out, "alarms would be created\n");
    assert!(!reader.topics().contains(&"alarms".to_owned()), "a dry run creates nothing");
    assert_eq!(create(&[]).expect(0).out, "alarms created\n");
    // Other topics know which settings there are.
    let typo = ctl.run(&["topics", "create", "x", "--config", "retention.sm=1"]).expect(1);
    assert!(typo.err.contains("did you mean retention.ms?"), "{typo:?}");
    let again = create(&[]).expect(1);
    assert!(again.err.contains("alarms: the topic exists; --if-not-exists"), "{again:?}");
    assert_eq!(create(&["--if-not-exists"]).expect(0).out, "alarms unchanged\n");
    let other = ctl.run(&["topics", "create", "alarms", "-p", "3", "--if-not-exists"]).expect(0);
    assert!(other.err.contains("warning: it has 2 partitions, not 3"), "{other:?}");
    let many = ctl.run(&["topics", "create", "test-a", "test-b", "telemetry", "_own", "-o", "name"]).expect(0);
    assert_eq!(many.out, "test-a\ntest-b\ntelemetry\n_own\n");
    let few = ctl.run(&["topics", "create", "more", "--replication", "3"]).expect(1);
    assert!(few.err.contains("there are not so many brokers"), "{few:?}");
    let few = ctl.run(&["topics", "create", "more", "--replication", "3", "--dry-run"]).expect(1);
    assert!(few.err.contains("there are not so many brokers"), "{few:?}");
    let wrong = ctl.run(&["topics", "create", "a b"]).expect(2);
    assert!(wrong.err.contains("1 to 249 of the characters"), "{wrong:?}");
    let value = ctl.run(&["topics", "create", "more", "--config", "cleanup.policy=shred"]).expect(1);
    assert!(value.err.contains("more: cleanup.policy=shred: Invalid value shred"), "{value:?}");
}

fn listed(ctl: &Ctl, reader: &Reader) {
    reader.write_all("alarms", (0..5).map(|n| (format!("k{n}"), Some(b"x".to_vec()))));
    let all = ctl.json(&["topics", "list"]);
    let names: Vec<&str> = all.as_array().expect("topics").iter().filter_map(|t| t["name"].as_str()).collect();
    assert_eq!(names, ["alarms", "telemetry", "test-a", "test-b"]);
    assert_eq!(
        all[0],
        json!({"name": "alarms", "partitions": 2, "replicas": 1, "under_replicated": 0, "without_leader": 0,
               "cleanup": "compact", "retention_ms": 604_800_000, "records": 5})
    );
    assert!(ctl.out(&["topics", "list", "--all", "-o", "name"]).contains("_own\n"));
    assert_eq!(ctl.out(&["topics", "list", "test-*", "/^tele/", "-o", "name"]), "test-a\ntest-b\ntelemetry\n");
    let table = ctl.out(&["topics", "list", "alarms"]);
    assert_eq!(
        table,
        "NAME    PARTITIONS  REPLICAS  RECORDS  CLEANUP\nalarms           2         1        5  compact\n"
    );
    let near = ctl.run(&["topics", "describe", "alarsm"]).expect(1);
    assert!(near.err.contains("topic alarsm not found; did you mean alarms?"), "{near:?}");
    let none = ctl.run(&["topics", "list", "z*"]).expect(1);
    assert!(none.err.contains("no topic matches z*"), "{none:?}");

    let one = &ctl.json(&["topics", "describe", "alarms"])[0];
    assert_eq!(one["set"], json!({"cleanup.policy": "compact", "segment.ms": "60000"}));
    let places = one["partitions"].as_array().expect("partitions");
    let ends: i64 = places.iter().filter_map(|p| p["end"].as_i64()).sum();
    assert!(places.len() == 2 && ends == 5, "{one}");
    assert!(one["id"].as_str().is_some_and(|id| id.len() == 32), "{one}");
    assert!(places.iter().all(|p| p["replicas"] == p["in_sync"] && p["leader"].is_i64()), "{one}");
    let text = ctl.out(&["topics", "describe", "alarms"]);
    assert!(
        text.contains("\n  setting       cleanup.policy = compact\n") && text.contains("PARTITION  FIRST"),
        "{text}"
    );
}

fn configured(ctl: &Ctl) {
    let set = ["topics", "config", "set", "telemetry", "retention.ms=1000", "max.message.bytes=2000"];
    let trial = ctl.run(&[&set[..], &["--dry-run"]].concat()).expect(0);
    assert!(trial.out.contains("telemetry would be changed\n  retention.ms: 604800000 → 1000\n"), "{trial:?}");
    assert_eq!(ctl.json(&["topics", "config", "show", "telemetry"]), json!([{"name": "telemetry", "settings": []}]));
    let done = ctl.out(&set);
    assert!(
        done.starts_with("telemetry changed\n") && done.contains("\n  max.message.bytes: 1048588 → 2000\n"),
        "{done}"
    );
    assert_eq!(ctl.out(&set), "telemetry unchanged\n");
    // What is not named stays.
    ctl.out(&["topics", "config", "set", "telemetry", "retention.ms=5000"]);
    let shown = ctl.json(&["topics", "config", "show", "telemetry"]);
    let pairs: Vec<(&str, &str)> = shown[0]["settings"]
        .as_array()
        .expect("settings")
        .iter()
        .filter_map(|s| Some((s["key"].as_str()?, s["value"].as_str()?)))
        .collect();
    assert_eq!(pairs, [("max.message.bytes", "2000"), ("retention.ms", "5000")]);
    let one = ctl.out(&["topics", "config", "show", "telemetry", "--key", "segment.bytes"]);
    assert!(one.contains("segment.bytes") && one.contains("1073741824"), "{one}");
    let bad = ctl.run(&["topics", "config", "set", "telemetry", "retention.ms=soon"]).expect(1);
    assert!(bad.err.contains("retention.ms") && bad.err.contains("soon"), "the broker's words are told: {bad:?}");
    let bad = ctl.run(&["topics", "config", "set", "telemetry", "retention.ms=soon", "--dry-run"]).expect(1);
    assert!(bad.err.contains("soon"), "{bad:?}");
    let bad = ctl.run(&["topics", "create", "unborn", "-c", "retention.ms=7", "-c", "cleanup.policy=bogus"]).expect(1);
    assert!(bad.err.contains("unborn: cleanup.policy=bogus: ") && !bad.err.contains("telemetry"), "{bad:?}");
    let typo = ctl.run(&["topics", "config", "set", "telemetry", "retention.sm=1"]).expect(1);
    assert!(typo.err.contains("telemetry has no setting retention.sm; did you mean retention.ms?"), "{typo:?}");
    let unset = ctl.out(&["topics", "config", "unset", "telemetry", "retention.ms"]);
    assert_eq!(unset, "telemetry changed\n  retention.ms: 5000 → the default\n");
    assert_eq!(ctl.out(&["topics", "config", "show", "telemetry", "-o", "name"]), "max.message.bytes\n");
    let both = ctl.out(&["topics", "config", "set", "test-*", "retention.ms=7"]);
    assert!(both.contains("test-a changed\n") && both.contains("test-b changed\n"), "{both}");
}

fn grown(ctl: &Ctl) {
    let trial = ctl.run(&["topics", "partitions", "alarms", "3", "--dry-run"]).expect(0);
    assert_eq!(trial.out, "alarms would be changed: 2 → 3 partitions\n");
    assert!(trial.err.contains("may go to another partition") && trial.err.contains("is compacted"), "{trial:?}");
    ctl.run(&["topics", "partitions", "alarms", "3"]).expect(2);
    assert_eq!(ctl.json(&["topics", "list", "alarms"])[0]["partitions"], 2, "nothing was confirmed");
    ctl.out(&["topics", "partitions", "alarms", "3", "--yes"]);
    wait("the partition", SOON, || (ctl.json(&["topics", "list", "alarms"])[0]["partitions"] == 3).then_some(()));
    let same = ctl.out(&["topics", "partitions", "alarms", "3"]);
    assert_eq!(same, "alarms unchanged\n");
    let shrink = ctl.run(&["topics", "partitions", "alarms", "1", "--yes"]).expect(1);
    assert!(shrink.err.contains("alarms has 3 partitions, and Kafka cannot take partitions away"), "{shrink:?}");
}

fn deleted(ctl: &Ctl, reader: &Reader) {
    let trial = ctl.run(&["topics", "delete", "test-*", "--dry-run"]).expect(0);
    assert_eq!(trial.out, "test-a would be deleted\ntest-b would be deleted\n");
    let asked = ctl.run(&["topics", "delete", "test-*"]).expect(2);
    assert!(
        asked.err.contains("delete topics test-a, test-b with 0 records") && asked.err.contains("--yes"),
        "{asked:?}"
    );
    assert_eq!(ctl.out(&["topics", "delete", "test-*", "--yes", "-o", "name"]), "test-a\ntest-b\n");
    wait("the topics to be gone", SOON, || (!reader.topics().iter().any(|t| t.starts_with("test-"))).then_some(()));
    // What nobody has named is not deleted.
    ctl.out(&["topics", "delete", "*", "--yes"]);
    wait("the others to be gone", SOON, || (!reader.topics().contains(&"alarms".to_owned())).then_some(()));
    assert!(reader.topics().contains(&"_own".to_owned()));
    let own = ctl.run(&["topics", "delete", "_own", "--yes"]).expect(2);
    assert!(own.err.contains("--all deletes it all the same"), "{own:?}");
    assert_eq!(ctl.out(&["topics", "delete", "_own", "--yes", "--all"]), "_own deleted\n");
}

#[test]
fn brokers_and_groups_are_seen_and_changed() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let (ctl, reader) = (ctl(&kafka), Reader::new(&kafka.bootstrap()));
    reader.create("alarms", 1, &[]);
    reader.write_all("alarms", (0..10).map(|n| (format!("k{n}"), Some(b"x".to_vec()))));
    brokers(&ctl, &kafka);
    groups(&ctl, &reader, &kafka);
}

fn brokers(ctl: &Ctl, kafka: &Kafka) {
    let all = ctl.json(&["brokers", "list"]);
    assert_eq!((all.as_array().map(Vec::len), &all[0]["address"]), (Some(1), &json!(kafka.bootstrap())), "{all}");
    assert_eq!((&all[0]["controller"], &all[0]["out_of_sync"]), (&json!(true), &json!(0)), "{all}");
    assert!(all[0]["leads"].as_u64() >= Some(1) && all[0]["leads"] == all[0]["has"], "{all}");
    let id = all[0]["id"].to_string();
    assert_eq!(ctl.out(&["brokers", "list", "-o", "name"]), format!("{id}\n"));
    let text = ctl.out(&["brokers", "describe", &id]);
    assert!(text.contains(&format!("broker {id} at {}", kafka.bootstrap())), "{text}");
    assert!(text.contains("\n  roles         ") && text.contains("\n  version       4.0 or newer"), "{text}");
    let none = ctl.run(&["brokers", "describe", "77"]).expect(1);
    assert!(
        none.err.contains("broker 77 not found") && none.err.contains(&format!("has the brokers {id}")),
        "{none:?}"
    );
    let set = ["brokers", "config", "set", &id, "log.cleaner.threads=2"];
    let trial = ctl.out(&[&set[..], &["--dry-run"]].concat());
    assert_eq!(trial, format!("broker {id} would be changed\n  log.cleaner.threads: 1 → 2\n"));
    assert_eq!(ctl.out(&set), format!("broker {id} changed\n  log.cleaner.threads: 1 → 2\n"));
    let key = ["brokers", "config", "show", &id, "--key", "log.cleaner.threads"];
    wait("the broker to have it", SOON, || (ctl.json(&key)[0]["settings"][0]["origin"] == "broker").then_some(()));
    let fixed = ctl.run(&["brokers", "config", "set", &id, "process.roles=broker"]).expect(1);
    assert!(fixed.err.contains("cannot be changed while the broker runs"), "{fixed:?}");
    assert!(ctl.out(&["brokers", "config", "unset", &id, "log.cleaner.threads"]).contains("2 → the default"));
}

fn groups(ctl: &Ctl, reader: &Reader, kafka: &Kafka) {
    let none = ctl.run(&["groups", "list"]).expect(0);
    assert!(none.out.is_empty() && none.err.contains("has no groups"), "{none:?}");
    reader.commit("influx", "alarms", 0, 4);
    reader.commit("test-1", "alarms", 0, 0);
    let place = json!({"topic": "alarms", "partition": 0, "offset": 4, "end": 10, "lag": 6, "member": null});
    let one = &ctl.json(&["groups", "describe", "influx"])[0];
    assert_eq!((&one["state"], &one["lag"], &one["partitions"][0]), (&json!("Empty"), &json!(6), &place));
    assert_eq!(ctl.out(&["groups", "list", "-o", "name"]), "influx\ntest-1\n");
    let near = ctl.run(&["groups", "describe", "inflx"]).expect(1);
    assert!(near.err.contains("group inflx not found; did you mean influx?"), "{near:?}");

    let trial = ctl.run(&["groups", "reset", "influx", "--to-earliest", "--dry-run"]).expect(0);
    assert!(
        trial.out.starts_with("influx would go on there:\n") && trial.out.contains("alarms          0    4   0"),
        "{trial:?}"
    );
    ctl.run(&["groups", "reset", "influx", "--to-earliest"]).expect(2);
    assert_eq!(ctl.json(&["groups", "describe", "influx"])[0]["lag"], 6, "nothing was confirmed");
    for (to, new) in [(&["--to-earliest"][..], 0), (&["--to-latest"], 10), (&["--to-time", "1h"], 0)] {
        let all = [&["groups", "reset", "influx", "--yes"], to].concat();
        let done = ctl.json(&all);
        assert_eq!(done["partitions"][0]["new"], new, "{done}");
        assert_eq!(ctl.json(&["groups", "describe", "influx"])[0]["lag"], 10 - new);
    }
    ctl.run(&["groups", "reset", "influx", "--to-latest", "--to-earliest"]).expect(2);
    let gone = ctl.run(&["groups", "reset", "influx", "--to-latest", "--topic", "alarsm"]).expect(1);
    assert!(gone.err.contains("did you mean alarms?"), "{gone:?}");

    with_a_member(ctl, kafka);
    assert_eq!(ctl.out(&["groups", "delete", "test-*", "--dry-run"]), "test-1 would be deleted\n");
    ctl.run(&["groups", "delete", "test-*"]).expect(2);
    assert_eq!(ctl.out(&["groups", "delete", "test-*", "--yes"]), "test-1 deleted\n");
    assert_eq!(ctl.out(&["groups", "list", "-o", "name"]), "influx\n");
}

fn with_a_member(ctl: &Ctl, kafka: &Kafka) {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let mut settings = rdkafka::ClientConfig::new();
    settings.set("bootstrap.servers", kafka.bootstrap()).set("group.id", "influx").set("client.id", "reader");
    let consumer: BaseConsumer = settings.create().expect("consumer");
    consumer.subscribe(&["alarms"]).expect("subscribed");
    let member = wait("the member to read", SOON, || {
        drop(consumer.poll(std::time::Duration::from_millis(50)));
        let one = ctl.json(&["groups", "describe", "influx"])[0].clone();
        (one["partitions"][0]["member"] == "reader").then_some(one)
    });
    assert_eq!((&member["state"], &member["members"][0]["reads"]), (&json!("Stable"), &json!(1)), "{member}");
    let text = ctl.out(&["groups", "describe", "influx"]);
    assert!(text.contains("reader at /127.0.0.1, reads 1 partition\n"), "{text}");
    for arguments in
        [&["groups", "reset", "influx", "--to-latest", "--yes"][..], &["groups", "delete", "influx", "--yes"]]
    {
        let busy = ctl.run(arguments).expect(1);
        assert!(busy.err.contains("influx: the group has 1 member, which alone may change it"), "{busy:?}");
    }
    drop(consumer);
    wait("the member to be gone", SOON, || {
        (ctl.json(&["groups", "describe", "influx"])[0]["members"] == json!([])).then_some(())
    });
}

#[test]
fn a_broker_that_is_not_there_and_one_that_has_no_admin_requests_are_told() {
    let lost = Ctl::new("http://127.0.0.1:9").env("BOOTSTRAP_SERVERS", "127.0.0.1:9");
    let said = lost.run(&["topics", "list", "--timeout", "2"]).expect(3);
    assert!(said.err.contains("127.0.0.1:9 (from --bootstrap-servers or BOOTSTRAP_SERVERS)"), "{said:?}");
    for arguments in
        [&["topics", "list"][..], &["groups", "list"], &["brokers", "list"], &["alarms", "list"], &["tail", "t"]]
    {
        let said = lost.run(&[arguments, &["--timeout", "2"]].concat()).expect(3);
        assert_eq!((said.err.lines().count(), said.err.matches("refused").count()), (1, 1), "{said:?}");
        assert!(said.err.contains("kafka cannot be reached: ") && !said.err.contains("TransportFailure"), "{said:?}");
    }

    let dir = tempfile::tempdir().expect("folder");
    let connectd = Connectd::start(&[], &dir.path().join("log"));
    let ctl = Ctl::new(connectd.url());
    for arguments in [
        &["topics", "create", "new"][..],
        &["topics", "delete", "x", "--yes"],
        &["topics", "config", "show", "x"],
        &["topics", "partitions", "x", "2"],
        &["brokers", "config", "show"],
        &["groups", "list"],
        &["groups", "reset", "x", "--to-latest"],
    ] {
        let said = ctl.run(arguments).expect(1);
        assert!(
            said.err.contains("is the embedded broker of connectd, which has no admin requests"),
            "{arguments:?}: {said:?}"
        );
    }
    // All else works there, and topics come with the first record.
    let sent = ctl.run(&["produce", "new", "--key", "k", "v"]).expect(0);
    assert!(sent.out.starts_with("new: 1 record acknowledged, at "), "{sent:?}");
    assert_eq!(ctl.out(&["consume", "new", "--until-end", "--template", "{key} {value}"]), "k v\n");
    assert_eq!(ctl.out(&["tail", "new", "--template", "{value}"]), "v\n");
    let all: Json = ctl.json(&["topics", "list", "new"]);
    assert_eq!((&all[0]["records"], &all[0]["cleanup"]), (&json!(1), &Json::Null), "{all}");
    assert_eq!(ctl.json(&["topics", "describe", "new"])[0]["records"], 1);
    assert_eq!(ctl.json(&["brokers", "describe"])[0]["settings"], Json::Null);
}
