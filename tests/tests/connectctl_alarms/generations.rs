//! The scripts of each generation of JLab's console and ours read each other.

use apache_avro::types::Value as Avro;
use serde_json::{Value as Json, json};
use tocsin_tests::avro::{JLAB, jlab_alarm, jlab_fields};

use crate::{
    plant::{COMPACT, Plant},
    schemas::{
        FIRST_ACTIVE, FIRST_REGISTERED, FIRST_SHELVED, Messages, SECOND_SHELVED, THIRD_KEY, THIRD_SHELVED, of, record,
        text,
    },
};

#[test]
fn the_first_generations_scripts_and_ours_read_each_other() {
    let Some(plant) = Plant::start() else { return };
    for topic in ["alarms", "active-alarms", "shelved-alarms"] {
        plant.kafka.create(topic, 1, COMPACT);
    }
    // Theirs, read by us.
    plant.write("active-alarms", "theirs", FIRST_ACTIVE, record(&[("priority", Avro::Enum(1, "P2_PROPERTY".into()))]));
    let until = record(&[
        ("user", text("bob")),
        ("duration", Avro::Union(0, Box::new(record(&[("expiration", Avro::Long(4_000_000_000_000))])))),
    ]);
    plant.write("shelved-alarms", "quiet", FIRST_SHELVED, until);
    let producer = Avro::Union(0, Box::new(record(&[("pv", text("T:ai0"))])));
    let registered = record(&[
        ("producer", producer),
        ("location", Avro::Enum(1, "NL".into())),
        ("category", Avro::Enum(2, "RF".into())),
        ("docUrl", text("http://docs")),
        ("edmPath", text("x.edl")),
    ]);
    plant.write("alarms", "theirs", FIRST_REGISTERED, registered);
    let all = plant.json(&["list", "--all", "--sort", "name"]);
    assert_eq!(
        (&all[0]["name"], &all[0]["shelved"]["expiration"]),
        (&json!("quiet"), &json!("2096-10-02T07:06:40.000Z"))
    );
    assert_eq!(all[0]["shelved"]["user"], "bob");
    assert!(plant.alarms(&["describe", "quiet"]).contains("  user          bob\n"));
    let wide = plant.alarms(&["list", "--shelved", "-o", "wide"]);
    assert!(wide.contains("SHELVED BY") && wide.contains("  bob  "), "{wide}");
    assert_eq!(all[1]["registered"]["edmpath"], "x.edl");
    assert_eq!(all[1]["active"]["priority"], "P2_PROPERTY");
    assert_eq!(all[1]["registered"]["source"], "T:ai0");
    assert_eq!(all[1]["registered"]["documentation"], "http://docs");

    // Ours, read by them: in their very schemas.
    let told = plant.ctl.run(&["alarms", "set", "ours", "--priority", "P1", "--profile", "jlab"]).expect(0);
    assert_eq!((told.out.as_str(), told.err.as_str()), ("ours raised\n", ""), "nothing that was typed is left out");
    let last = plant.last("active-alarms");
    let fields = plant.schemas.decode(last.value.as_deref().expect("a value"), FIRST_ACTIVE);
    assert_eq!(fields, [("priority".to_owned(), Avro::Enum(0, "P1_LIFE".into()))]);
    assert_eq!(last.value.as_ref().map(|v| v.len()), Some(6), "written in the first schema");
    let typed = ["alarms", "set", "ours", "--message", "hot", "--label", "zone=NL", "--profile", "jlab"];
    let told = plant.ctl.run(&typed).expect(0);
    let warning = "warning: ours: left out, because org.jlab.ActiveAlarm of subject active-alarms-value has no place for it: message, labels; without --profile";
    assert!(told.err.contains(warning), "{told:?}");
    let told = plant.ctl.run(&["alarms", "shelve", "ours", "--for", "1h", "--reason", "why"]).expect(0);
    assert!(told.err.contains("no place for it: reason"), "{told:?}");
    let shelf = plant.read("shelved-alarms", FIRST_SHELVED);
    assert_eq!(of(&shelf, "user"), &text("alice"));
    assert!(matches!(of(&shelf, "duration"), Avro::Union(0, _)), "{shelf:?}");
    plant.alarms(&["shelve", "ours", "--forever", "--reason", "broken"]);
    let reason = Avro::Union(1, Box::new(record(&[("reason", text("broken"))])));
    assert_eq!(of(&plant.read("shelved-alarms", FIRST_SHELVED), "duration"), &reason);
    // Acknowledging needs a field that their first schema has not got; readers of it still understand.
    plant.alarms(&["ack", "theirs"]);
    assert_eq!(
        plant.read("active-alarms", FIRST_ACTIVE),
        [("priority".to_owned(), Avro::Enum(1, "P2_PROPERTY".into()))]
    );
    assert_eq!(jlab_fields(&plant.read("active-alarms", JLAB)), ("P2_PROPERTY".into(), true));
}

#[test]
fn an_empty_subject_gets_the_schemas_of_the_profile() {
    let Some(plant) = Plant::start() else { return };
    plant.alarms(&["set", "a", "--priority", "P1", "--profile", "jlab"]);
    plant.alarms(&["shelve", "a", "--for", "1h", "--profile", "jlab-3", "--reason", "r"]);
    assert_eq!(plant.last("active-alarms").value.map(|v| v.len()), Some(6));
    let shelf = plant.read("shelved-alarms", THIRD_SHELVED);
    assert_eq!(of(&shelf, "reason"), &text("r"));
    // Their script registers its schema at each run: that it is there already, or goes with ours, is what counts.
    plant.schemas.register("active-alarms-value", FIRST_ACTIVE);
    plant.schemas.register("active-alarms-value", JLAB);
    plant.schemas.register("shelved-alarms-value", THIRD_SHELVED);
}

#[test]
fn the_second_generations_scripts_and_ours_read_each_other() {
    let Some(plant) = Plant::start() else { return };
    for topic in ["registered-alarms", "active-alarms", "shelved-alarms"] {
        plant.kafka.create(topic, 1, COMPACT);
    }
    plant.write("active-alarms", "theirs", JLAB, jlab_alarm((0, "P1_LIFE"), false));
    let why = record(&[("duration", Avro::Union(1, Box::new(record(&[("reason", text("broken"))]))))]);
    plant.write("shelved-alarms", "quiet", SECOND_SHELVED, why);
    assert_eq!(plant.names(&[]), ["theirs"]);
    assert_eq!(plant.json(&["list", "--shelved"])[0]["shelved"]["reason"], "broken");
    plant.alarms(&["ack", "theirs"]);
    let last = plant.last("active-alarms");
    assert_eq!(last.value.as_ref().map(|v| v.len()), Some(7), "written in their own schema");
    assert_eq!(jlab_fields(&plant.read("active-alarms", JLAB)), ("P1_LIFE".into(), true));
    plant.alarms(&["shelve", "theirs", "--forever", "--reason", "maintenance"]);
    let reason = Avro::Union(1, Box::new(record(&[("reason", text("maintenance"))])));
    assert_eq!(of(&plant.read("shelved-alarms", SECOND_SHELVED), "duration"), &reason);
    // With more to say than their schema has room for, ours is registered beside it, which their readers understand.
    plant.alarms(&["set", "theirs", "--message", "hot"]);
    assert_eq!(jlab_fields(&plant.read("active-alarms", JLAB)), ("P1_LIFE".into(), true));
    assert_eq!(plant.json(&["list", "theirs", "--all"])[0]["active"]["message"], "hot");
    plant.write("active-alarms", "theirs", JLAB, jlab_alarm((1, "P2_PROPERTY"), false));
    assert_eq!(plant.json(&["list", "theirs", "--all"])[0]["active"]["message"], "");
}

#[test]
fn the_last_generations_scripts_and_ours_read_each_other() {
    let Some(plant) = Plant::start() else { return };
    for topic in ["registered-alarms", "active-alarms", "shelved-alarms"] {
        plant.kafka.create(topic, 1, COMPACT);
    }
    let messages = Messages(&plant);
    let key = |name: &str, kind: usize| messages.key(name, kind);
    let value = |branch: u32, members: &[(&str, Avro)]| messages.value(branch, members);
    let send = |key: &[u8], value: Option<&[u8]>| messages.send(key, value);
    let epics = [("sevr", Avro::Enum(2, "MAJOR".into())), ("stat", Avro::Enum(3, "HIHI".into()))];
    send(&key("simple", 0), Some(&value(0, &[])));
    send(&key("channel", 2), Some(&value(2, &epics)));
    send(&key("acked", 0), Some(&value(0, &[])));
    send(&key("acked", 1), Some(&value(1, &[])));
    send(
        &key("well", 2),
        Some(&value(2, &[("sevr", Avro::Enum(0, "NO_ALARM".into())), ("stat", Avro::Enum(0, "NO_ALARM".into()))])),
    );
    let shelf = record(&[("expiration", Avro::Union(0, Box::new(Avro::Null))), ("reason", text("broken"))]);
    plant.write("shelved-alarms", "quiet", THIRD_SHELVED, shelf);
    assert_eq!(plant.names(&["--sort", "name"]), ["acked", "channel", "simple"]);
    assert_eq!(plant.names(&["--acknowledged"]), ["acked"]);
    let channel = plant.json(&["list", "channel"]);
    assert_eq!((&channel[0]["active"]["severity"], &channel[0]["active"]["status"]), (&json!("MAJOR"), &json!("HIHI")));
    assert_eq!(channel[0]["active"]["priority"], Json::Null);

    plant.alarms(&["ack", "simple", "channel"]);
    let all = plant.kafka.all("active-alarms");
    let said = all[all.len() - 2..].iter().map(|raw| {
        let bytes = |part: &Option<bytes::Bytes>| part.clone().expect("bytes").to_vec();
        (plant.schemas.decode(&bytes(&raw.key), THIRD_KEY), bytes(&raw.value)[5..].to_vec())
    });
    let said: Vec<_> = said.collect();
    assert_eq!(said[0].0, [("name".to_owned(), text("simple")), ("type".to_owned(), Avro::Enum(1, "Ack".into()))]);
    assert_eq!(of(&said[1].0, "type"), &Avro::Enum(3, "AckEPICS".into()));
    // The second member of the union, which is empty; the fourth, with the third symbol.
    assert_eq!((said[0].1.as_slice(), said[1].1.as_slice()), (&[2][..], &[6, 4][..]));
    assert_eq!(plant.names(&["--acknowledged"]).len(), 3);

    // What is raised anew is not acknowledged.
    send(&key("simple", 0), Some(&value(0, &[])));
    assert_eq!(plant.names(&["--acknowledged"]).len(), 2);
    plant.alarms(&["set", "fresh", "--severity", "MINOR", "--status", "LOW"]);
    let last = plant.last("active-alarms");
    let fresh = plant.schemas.decode(last.key.as_deref().expect("key"), THIRD_KEY);
    assert_eq!(of(&fresh, "type"), &Avro::Enum(2, "AlarmingEPICS".into()));
    plant.alarms(&["unset", "fresh", "acked"]);
    assert_eq!(plant.names(&["--sort", "name"]), ["channel", "simple"]);
    // Who acknowledges a minor alarm has not seen that it is a major one by now, whoever wrote first.
    send(&key("rising", 2), Some(&messages.channel((1, "MINOR"), (4, "HIGH"))));
    plant.alarms(&["ack", "rising"]);
    let last = plant.last("active-alarms");
    assert_eq!(last.value.as_deref().map(|v| &v[5..]), Some(&[6, 2][..]), "a MINOR_ACK");
    assert!(plant.names(&["--acknowledged"]).contains(&"rising".to_owned()));
    send(&key("rising", 2), Some(&messages.channel((2, "MAJOR"), (3, "HIHI"))));
    send(&key("rising", 3), last.value.as_deref());
    assert!(!plant.names(&["--acknowledged"]).contains(&"rising".to_owned()));
    plant.alarms(&["ack", "rising"]);
    assert_eq!(plant.last("active-alarms").value.as_deref().map(|v| &v[5..]), Some(&[6, 4][..]), "a MAJOR_ACK");
    assert!(plant.alarms(&["describe", "rising"]).contains("yes with MAJOR_ACK, "));
    // An acknowledgement that is written with the alarm is of the severity that stays.
    send(&key("slow", 2), Some(&messages.channel((1, "MINOR"), (4, "HIGH"))));
    let told = plant
        .ctl
        .run(&["alarms", "set", "slow", "--status", "LOW", "--ack", "--message", "m", "--label", "a=b"])
        .expect(0);
    assert!(told.err.contains("warning: slow: left out") && told.err.contains("for it: message, labels; "), "{told:?}");
    assert_eq!(plant.last("active-alarms").value.as_deref().map(|v| &v[5..]), Some(&[6, 2][..]), "a MINOR_ACK");
    plant.alarms(&["unset", "rising", "slow"]);
    // What cannot be decoded is removed by its own key.
    send(&key("broken", 2), Some(b"hello"));
    plant.refused(&["unset", "broken"], 1, "--force clears it");
    assert_eq!(plant.alarms(&["unset", "broken", "--force"]), "broken cleared\n");
    let last = plant.last("active-alarms");
    assert_eq!((last.key.as_deref(), last.value), (Some(key("broken", 2).as_slice()), None));
    plant.alarms(&["shelve", "simple", "--for", "1h", "--reason", "why"]);
    let shelf = plant.read("shelved-alarms", THIRD_SHELVED);
    assert!(of(&shelf, "reason") == &text("why") && matches!(of(&shelf, "expiration"), Avro::Union(1, _)), "{shelf:?}");
}
