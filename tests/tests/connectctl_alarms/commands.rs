//! What the commands do, and what they tell.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tocsin_tests::avro::{JLAB, jlab_alarm, jlab_fields};

use crate::{
    plant::{COMPACT, Plant, header},
    schemas::{FIRST_ACTIVE, FIRST_SHELVED},
};

#[test]
fn alarms_are_raised_acknowledged_shelved_and_cleared() {
    let Some(plant) = Plant::start() else { return };
    let none = plant.ctl.run(&["alarms", "list"]).expect(0);
    assert!(none.out.is_empty() && none.err.contains("has no topic active-alarms"), "{none:?}");
    plant.refused(&["set", "pump"], 2, "--priority");
    plant.refused(&["set", "pump", "--priority", "P9"], 2, "P9 is none of the priorities");
    let trial = plant.alarms(&["set", "pump", "--priority", "P3", "--dry-run"]);
    assert_eq!(trial, "pump would be raised\n");
    assert!(!plant.kafka.topics().contains(&"active-alarms".to_owned()), "a dry run creates nothing");

    let raised = plant.alarms(&["set", "pump", "door", "--priority", "P3", "--message", "low", "--label", "zone=NL"]);
    assert_eq!(raised, "pump raised\ndoor raised\n");
    let first = plant.last("active-alarms");
    assert_eq!((header(&first, "user"), header(&first, "producer")), ("alice".into(), "connectctl".into()));
    assert!(!header(&first, "host").is_empty());
    assert_eq!(jlab_fields(&plant.read("active-alarms", JLAB)), ("P3_PRODUCTIVITY".into(), false));
    let listed = plant.json(&["list", "pump"]);
    assert_eq!((&listed[0]["state"], &listed[0]["active"]["message"]), (&json!("active"), &json!("low")));
    assert_eq!(listed[0]["active"]["labels"], json!({"zone": "NL"}));
    assert_eq!(listed[0]["active"]["written"]["user"], "alice");

    // Everything but a higher priority keeps the acknowledgement.
    assert_eq!(plant.alarms(&["ack", "pump"]), "pump acknowledged\n");
    assert_eq!(jlab_fields(&plant.read("active-alarms", JLAB)), ("P3_PRODUCTIVITY".into(), true));
    assert_eq!(plant.alarms(&["ack", "pump"]), "pump unchanged\n");
    assert_eq!(plant.names(&["--acknowledged"]), ["pump"]);
    plant.alarms(&["set", "pump", "--message", "lower"]);
    let pump = plant.json(&["list", "pump"]);
    assert_eq!((&pump[0]["active"]["acknowledged"], &pump[0]["active"]["message"]), (&json!(true), &json!("lower")));
    assert_eq!(pump[0]["active"]["raised"], listed[0]["active"]["raised"]);
    plant.alarms(&["set", "pump", "--priority", "P1"]);
    let pump = plant.json(&["list", "pump"]);
    assert_eq!(
        (&pump[0]["active"]["acknowledged"], &pump[0]["active"]["priority"]),
        (&json!(false), &json!("P1_LIFE"))
    );
    assert_eq!(plant.names(&[]), ["pump", "door"], "the highest priority first");
    assert_eq!(plant.names(&["--sort", "name"]), ["door", "pump"]);
    assert_eq!(plant.names(&["--priority", "life"]), ["pump"]);
    assert_eq!(plant.names(&["d*", "--reverse"]), ["door"]);
    let table = plant.alarms(&["list"]);
    assert!(table.starts_with("NAME  STATE   PRIORITY") && table.contains("\npump  active  P1_LIFE "), "{table}");

    plant.refused(&["shelve", "door", "--forever"], 2, "--reason");
    plant.refused(&["shelve", "door"], 2, "--for");
    let shelved = plant.alarms(&["shelve", "door", "--for", "2h", "--reason", "being painted"]);
    assert!(shelved.starts_with("door shelved: until 20"), "{shelved}");
    assert_eq!((plant.names(&[]), plant.names(&["--shelved"])), (vec!["pump".to_owned()], vec!["door".to_owned()]));
    let table = plant.alarms(&["list", "--shelved"]);
    assert!(table.contains("being painted") && table.contains("for 1h59m"), "{table}");
    assert_eq!(plant.alarms(&["unshelve", "*"]), "door unshelved\n");
    assert_eq!(plant.last("shelved-alarms").value, None);
    assert_eq!(plant.names(&["--shelved"]), Vec::<String>::new());

    plant.refused(&["unset", "p*"], 2, "there is no terminal to ask whether to clear the alarm pump; say --yes");
    assert_eq!(plant.alarms(&["unset", "p*", "--dry-run"]), "pump would be cleared\n");
    assert_eq!(plant.names(&["pump"]), ["pump"]);
    assert_eq!(plant.alarms(&["unset", "/^pu/", "--yes"]), "pump cleared\n");
    let count = plant.kafka.all("active-alarms").len();
    plant.refused(&["ack", "pump"], 1, "pump not found");
    plant.refused(&["ack", "doro"], 1, "did you mean door?");
    assert_eq!(plant.kafka.all("active-alarms").len(), count, "nothing is brought back");
    assert_eq!(plant.alarms(&["unset", "pump"]), "pump unchanged: it is not active\n");
    assert_eq!(plant.alarms(&["set", "door", "--unset"]), "door cleared\n");
}

#[test]
fn what_cannot_be_decoded_is_told_and_the_rest_is_shown() {
    let Some(plant) = Plant::start() else { return };
    plant.kafka.create("active-alarms", 1, COMPACT);
    plant.write("active-alarms", "good", JLAB, jlab_alarm((0, "P1_LIFE"), false));
    plant.kafka.write("active-alarms", "empty", Some(b""));
    plant.kafka.write("active-alarms", "text", Some(b"hello"));
    plant.kafka.write("active-alarms", "unknown", Some(b"\0\0\0\x27\x0f\0"));
    plant.kafka.write("active-alarms", "json", Some(br#"{"priority":"P2_PROPERTY","message":"of a sink"}"#));
    let ran = plant.ctl.run(&["alarms", "list", "-o", "name"]).expect(1);
    assert_eq!(ran.out, "good\njson\n", "{ran:?}");
    for part in [
        "empty: the record at active-alarms:0:1 cannot be decoded",
        "text: the record at active-alarms:0:2",
        "unknown: the",
    ] {
        assert!(ran.err.contains(part), "{part}: {ran:?}");
    }
    // It is not written over, unless that is asked for; others are as they always are.
    plant.refused(&["set", "text", "--priority", "P1"], 1, "cannot be decoded");
    plant.refused(&["unset", "text"], 1, "--force clears it");
    let told = plant.ctl.run(&["alarms", "unset", "text", "empty", "unknown", "--force"]).expect(0);
    assert_eq!(told.out, "text cleared\nempty cleared\nunknown cleared\n", "{told:?}");
    assert_eq!(plant.alarms(&["ack", "json", "good"]), "json acknowledged\ngood acknowledged\n");
    let json: Json =
        serde_json::from_slice(plant.kafka.all("active-alarms")[8].value.as_deref().expect("a value")).expect("json");
    assert_eq!(json, json!({"priority": "P2_PROPERTY", "acknowledged": true, "message": "of a sink"}));
    assert_eq!(plant.names(&["--acknowledged"]), ["good", "json"]);
}

#[test]
fn schemas_are_dumped_and_changes_are_watched() {
    let Some(plant) = Plant::start() else { return };
    let dir = tempfile::tempdir().expect("folder");
    let folder = dir.path().display().to_string();
    plant.alarms(&["schemas", "dump", "--generation", "jlab-1", "--folder", &folder]);
    let dumped = std::fs::read_to_string(dir.path().join("jlab-1/shelved-alarms-value.avsc")).expect("a file");
    assert_eq!(dumped.trim(), FIRST_SHELVED.trim());
    plant.alarms(&["set", "pump", "--priority", "P2", "--profile", "jlab"]);
    plant.alarms(&["schemas", "dump", "--registered", "--folder", &folder]);
    let dumped = std::fs::read_to_string(dir.path().join("active-alarms-value.avsc")).expect("a file");
    let (dumped, original): (Json, Json) =
        (serde_json::from_str(&dumped).expect("json"), serde_json::from_str(FIRST_ACTIVE).expect("json"));
    assert_eq!(dumped, original);
    assert_eq!(plant.alarms(&["schemas", "list", "-o", "name"]), "active-alarms-value\n");

    std::thread::scope(|scope| {
        let watching = scope.spawn(|| plant.ctl.run(&["alarms", "watch", "p*", "--initial", "--count", "2"]));
        // It begins with what is there, so that a change must not come before it reads: changes go on until it ends.
        let changes =
            [&["set", "pump", "--priority", "P1"][..], &["set", "other", "--priority", "P1"], &["unset", "pump"]];
        let mut turns = changes.iter().cycle();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !watching.is_finished() && Instant::now() < deadline {
            plant.alarms(turns.next().expect("endless"));
        }
        let ran = watching.join().expect("watching").expect(0);
        let lines: Vec<&str> = ran.out.lines().collect();
        let fits = |line: &&str| line.contains("  pump  ") && line.contains("(alice connectctl ");
        assert!(lines.len() >= 2 && lines.iter().all(fits), "{ran:?}");
        assert!(
            lines.iter().any(|l| l.contains("  cleared  (")) && lines.iter().any(|l| l.contains("  active P1_LIFE")),
            "{ran:?}"
        );
    });
}
