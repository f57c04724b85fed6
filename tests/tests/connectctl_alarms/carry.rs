//! What is exported can be imported: where it was it changes nothing, and where it is gone it comes back as it was.

use apache_avro::types::Value as Avro;
use serde_json::{Value as Json, json};

use crate::{
    plant::{COMPACT, Plant},
    schemas::{FIRST_SHELVED, Messages, record, text},
};

/// Alarms with all that the commands can say of them, in these topics and schemas.
fn fill(plant: &Plant, topics: &[&str], profile: &str) {
    let run = |arguments: &[&str]| {
        plant.ctl.run(&[&["alarms"], arguments, topics, &["--profile", profile]].concat()).expect(0);
    };
    run(&[
        "set",
        "pump",
        "--priority",
        "P2",
        "--message",
        "low",
        "--value",
        "95.50",
        "--label",
        "zone=NL",
        "--source",
        "s",
    ]);
    run(&["set", "door", "--priority", "P1", "--severity", "MAJOR", "--status", "HIHI", "--ack"]);
    run(&["shelve", "pump", "--for", "2h", "--reason", "being repaired"]);
    run(&["shelve", "door", "--forever", "--reason", "broken"]);
    let all = ["--location", "NL", "--category", "RF", "--docurl", "http://docs", "--edmpath", "x.edl"];
    run(&[&["register", "pump", "--source", "T:ai0", "--latching", "--label", "a=b"], &all[..]].concat());
    run(&[&["register", "door", "--producerjar", "r.jar", "--maxshelvedduration", "60"], &all[..]].concat());
}

fn counts(plant: &Plant, topics: [&str; 3]) -> [usize; 3] {
    topics.map(|topic| plant.kafka.all(topic).len())
}

#[test]
fn importing_what_was_exported_writes_nothing_and_brings_back_what_is_gone() {
    let Some(plant) = Plant::start() else { return };
    let mut exports: Vec<(String, [String; 3], String)> = Vec::new();
    for profile in ["generic", "jlab", "jlab-2", "jlab-3"] {
        // The last generation's active alarms are messages, whose schemas its scripts register: another test has them.
        let written = if profile == "jlab-3" { "jlab-2" } else { profile };
        let topics = ["a", "s", "r"].map(|topic| format!("{topic}-{profile}"));
        let [active, shelved, registered] = &topics;
        let flags = ["--active-topic", active, "--shelved-topic", shelved, "--registered-topic", registered];
        if profile == "jlab-3" {
            plant.alarms(&[&["set", "pump", "--priority", "P1", "--profile", written], &flags[..]].concat());
        }
        fill(&plant, &flags, profile);
        let export = || plant.alarms(&[&["export"], &flags[..]].concat());
        let import = |input: &str| {
            plant
                .ctl
                .fed(&[&["alarms", "import", "-f", "-", "--profile", profile], &flags[..]].concat(), input)
                .expect(0)
        };
        let exported = export();
        let registrations = plant.alarms(&[&["export", "--only", "registered"], &flags[..]].concat());
        let before = counts(&plant, [active, shelved, registered]);
        let told = import(&exported);
        assert_eq!((told.out.as_str(), told.err.as_str()), ("door unchanged\npump unchanged\n", ""), "{profile}");
        assert_eq!(counts(&plant, [active, shelved, registered]), before, "{profile}: nothing is written");
        for gone in [["unset", "--force"], ["unshelve", "--user=x"], ["register", "--unset"]] {
            plant.alarms(&[&gone[..1], &["door", "pump"], &gone[1..], &flags[..]].concat());
        }
        assert_eq!(export(), "", "{profile}");
        // Registrations first, which limit what the shelf may hold: what was there comes back all the same.
        plant
            .ctl
            .fed(&[&["alarms", "register", "--file", "-", "--profile", profile], &flags[..]].concat(), &registrations)
            .expect(0);
        let told = import(&exported);
        assert_eq!(export(), exported, "{profile}: {told:?}");
        exports.push((profile.to_owned(), topics, exported));
    }
    // Elsewhere it is written once; what has no place there is told each time, and is no reason to write it again.
    for (from, _, exported) in &exports {
        for (to, [active, shelved, registered], _) in &exports {
            let flags = ["--active-topic", active, "--shelved-topic", shelved, "--registered-topic", registered];
            let arguments = [&["alarms", "import", "-f", "-"], &flags[..]].concat();
            plant.ctl.fed(&arguments, exported).expect(0);
            let before = counts(&plant, [active, shelved, registered]);
            let again = plant.ctl.fed(&arguments, exported).expect(0);
            assert_eq!(again.out, "door unchanged\npump unchanged\n", "{from} to {to}: {again:?}");
            assert_eq!(counts(&plant, [active, shelved, registered]), before, "{from} to {to}: nothing is written");
        }
    }
}

#[test]
fn who_shelved_and_what_only_others_say_is_carried_over() {
    let Some(plant) = Plant::start() else { return };
    for topic in ["shelved-alarms", "active-alarms"] {
        plant.kafka.create(topic, 1, COMPACT);
    }
    let until = record(&[
        ("user", text("bob")),
        ("duration", Avro::Union(0, Box::new(record(&[("expiration", Avro::Long(4_000_000_000_000))])))),
    ]);
    plant.write("shelved-alarms", "quiet", FIRST_SHELVED, until);
    let odd = json!({ "priority": "P7", "message": "odd", "ticket": { "id": 7 }, "labels": { "zone": "NL" } });
    plant.kafka.write("active-alarms", "odd", Some(odd.to_string().as_bytes()));
    plant.kafka.write("active-alarms", "other", Some(br#"{"priority":"P2_PROPERTY"}"#));
    let told = plant.ctl.run(&["alarms", "export"]).expect(0);
    assert!(told.err.contains("warning: odd: P7 is none of the priorities"), "{told:?}");
    let exported = told.out;
    let listed = plant.json(&["list", "odd"]);
    assert_eq!(listed[0]["active"]["others"], json!({ "ticket": { "id": 7 } }));
    assert!(plant.alarms(&["describe", "odd"]).contains("  ticket        {\"id\":7}\n"));
    let same = plant.ctl.fed(&["alarms", "import", "-f", "-"], &exported).expect(0);
    assert_eq!(same.out, "odd unchanged\nother unchanged\nquiet unchanged\n", "{exported}");
    plant.alarms(&["unset", "odd"]);
    plant.alarms(&["unshelve", "quiet"]);
    plant.ctl.fed(&["alarms", "import", "-f", "-", "--user", "carol"], &exported).expect(0);
    assert_eq!(plant.alarms(&["export"]), exported);
    let quiet = plant.json(&["list", "quiet", "--all"]);
    assert_eq!(
        (&quiet[0]["shelved"]["user"], &quiet[0]["shelved"]["written"]["user"]),
        (&json!("bob"), &json!("carol"))
    );
    let value = plant.last("active-alarms").value.expect("a value");
    assert_eq!(serde_json::from_slice::<Json>(&value).expect("json"), odd);
    // Where a schema knows four priorities, another is refused with its place, and nothing is written.
    let elsewhere = ["alarms", "import", "-f", "-", "--active-topic", "a", "--shelved-topic", "s"];
    let refused = plant.ctl.fed(&elsewhere, &exported).expect(1);
    assert!(refused.err.contains(": odd: ") && refused.err.contains("P7 is none of P1_LIFE"), "{refused:?}");
    assert!(refused.err.contains("1 of 3 alarms cannot be written, so none was"), "{refused:?}");
    // Ours has no place for who put it there: that is told, and is no reason to write it again.
    let shelf = plant.alarms(&["export", "--only", "shelved"]);
    for result in ["created: shelved", "unchanged"] {
        let told = plant.ctl.fed(&elsewhere, &shelf).expect(0);
        assert_eq!(told.out, format!("quiet {result}\n"));
        assert!(told.err.contains("warning: quiet: left out") && told.err.contains("for it: user; "), "{told:?}");
    }
}

#[test]
fn messages_of_the_last_generation_are_carried_over() {
    let Some(plant) = Plant::start() else { return };
    plant.kafka.create("active-alarms", 1, COMPACT);
    let messages = Messages(&plant);
    messages.send(&messages.key("simple", 0), Some(&messages.value(0, &[])));
    messages.send(&messages.key("simple", 1), Some(&messages.value(1, &[])));
    messages.send(&messages.key("minor", 2), Some(&messages.channel((1, "MINOR"), (4, "HIGH"))));
    // Acknowledged as if it were a major one, which counts, and stays so.
    let ack = [("ack", Avro::Enum(2, "MAJOR_ACK".into()))];
    messages.send(&messages.key("minor", 3), Some(&messages.value(3, &ack)));
    messages.send(&messages.key("major", 2), Some(&messages.channel((2, "MAJOR"), (3, "HIHI"))));
    let exported = plant.alarms(&["export"]);
    assert!(exported.contains("ack: MAJOR_ACK"), "{exported}");
    let before = plant.kafka.all("active-alarms").len();
    let same = plant.ctl.fed(&["alarms", "import", "-f", "-"], &exported).expect(0);
    assert_eq!(same.out, "major unchanged\nminor unchanged\nsimple unchanged\n", "{same:?}");
    assert_eq!(plant.kafka.all("active-alarms").len(), before);
    plant.alarms(&["unset", "simple", "minor", "major"]);
    assert_eq!(plant.alarms(&["export"]), "");
    plant.ctl.fed(&["alarms", "import", "-f", "-"], &exported).expect(0);
    assert_eq!(plant.alarms(&["export"]), exported);
    // What they have no place for is told, and is no reason to write them again.
    let ours =
        "name: minor\nactive: { priority: P2, severity: MINOR, status: HIGH, message: hot, acknowledged: true }\n";
    let before = plant.kafka.all("active-alarms").len();
    let told = plant.ctl.fed(&["alarms", "import", "-f", "-"], ours).expect(0);
    assert_eq!(told.out, "minor unchanged\n");
    assert!(told.err.contains("warning: minor: left out, because messages of JLab's last generation have no place for it: priority, message; "), "{told:?}");
    assert_eq!(plant.kafka.all("active-alarms").len(), before);
}
