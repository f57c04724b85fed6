//! Registrations, and what follows from them; files of them.

use apache_avro::types::Value as Avro;

use crate::{
    plant::{COMPACT, Plant},
    schemas::{THIRD_REGISTERED, of},
};

#[test]
fn registrations_are_written_described_and_carried_over() {
    let Some(plant) = Plant::start() else { return };
    plant.kafka.create("registered-alarms", 1, COMPACT);
    let id = plant.schemas.register("registered-alarms-value", THIRD_REGISTERED);
    plant.refused(&["register", "pump", "--source", "T:ai0"], 1, "does not fit org.jlab.kafka.alarms.RegisteredAlarm");
    let all =
        ["--source", "T:ai0", "--location", "NL", "--category", "RF", "--docurl", "http://docs", "--edmpath", "x.edl"];
    plant.refused(
        &[&["register", "pump", "--location", "Bath"][..], &all[..2], &all[4..]].concat(),
        1,
        "Bath is none of INJ, NL",
    );
    assert_eq!(plant.alarms(&[&["register", "pump", "--latching"][..], &all].concat()), "pump registered\n");
    let last = plant.last("registered-alarms");
    assert_eq!(last.value.as_deref().map(|v| &v[1..5]), Some(&id.to_be_bytes()[..]), "no schema of ours is registered");
    assert_eq!(of(&plant.read("registered-alarms", THIRD_REGISTERED), "latching"), &Avro::Boolean(true));
    assert_eq!(plant.alarms(&[&["register", "pump"][..], &all].concat()), "pump unchanged\n");
    assert_eq!(plant.alarms(&["register", "pump", "--maxshelvedduration", "60"]), "pump changed\n");
    plant.refused(&["shelve", "pump", "--for", "2h", "--reason", "r"], 1, "for at most 1m");
    let definitions = "door|T:ai1|SL|Safety|http://doors|/door.edl\n";
    let told = plant.ctl.fed(&["alarms", "register", "--file", "-", "--dry-run"], definitions).expect(0);
    assert_eq!(told.out, "door would be created: registered\n");
    plant.ctl.fed(&["alarms", "register", "--file", "-"], definitions).expect(0);
    assert_eq!(plant.names(&["--registered", "--category", "safety"]), ["door"]);

    // A latching alarm stays until it is acknowledged.
    plant.alarms(&["set", "pump", "--priority", "P2", "--message", "low"]);
    assert!(plant.alarms(&["unset", "pump"]).starts_with("pump latched: it stays until it is acknowledged"));
    assert_eq!(plant.names(&[]), ["pump"]);
    assert_eq!(plant.alarms(&["ack", "pump", "--user", "bob"]), "pump cleared\n");
    plant.alarms(&["set", "pump", "--priority", "P2", "--message", "low"]);
    assert_eq!(plant.alarms(&["unset", "pump", "--force"]), "pump cleared\n");
    plant.alarms(&["set", "pump", "--priority", "P2", "--message", "low", "--source", "s"]);

    let page = plant.alarms(&["describe", "pump"]);
    for part in [
        "pump active\n",
        "  priority      P2_PROPERTY\n",
        "  category      RF\n",
        "  latching      yes\n",
        "by alice, connectctl, ",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let history = plant.json(&["history", "pump"]);
    let changes: Vec<&str> = history.as_array().expect("records").iter().filter_map(|r| r["change"].as_str()).collect();
    assert_eq!(changes, ["registered", "registered", "active", "latched", "cleared", "active", "cleared", "active"]);
    assert_eq!(history[4]["written"]["user"], "bob");
    let table = plant.alarms(&["history", "pump", "--limit", "1"]);
    assert!(table.starts_with("TIME ") && table.contains("active  alice  connectctl"), "{table}");
    plant.refused(&["history", "pmup"], 1, "did you mean pump?");
    plant.refused(&["describe", "pmup"], 1, "did you mean pump?");

    // What is exported can be imported: nothing changes here, all of it elsewhere.
    for format in ["json", "yaml"] {
        let exported = plant.alarms(&["export", "-o", format]);
        let same = plant.ctl.fed(&["alarms", "import", "-f", "-"], &exported).expect(0);
        assert_eq!(same.out, "door unchanged\npump unchanged\n", "{format}: {exported}");
        let elsewhere = ["--active-topic", "a", "--shelved-topic", "s", "--registered-topic", "r"];
        let arguments = [&["alarms", "import", "-f", "-"][..], &elsewhere].concat();
        let told = plant.ctl.fed(&arguments, &exported).expect(0);
        if format == "json" {
            assert_eq!(told.out, "door created: registered\npump created: registered, active\n");
        }
        assert_eq!(plant.alarms(&[&["export", "-o", format][..], &elsewhere].concat()), exported);
    }
    // A file with a mistake is not written in part, one that says nothing new is not written at all.
    let half = "window|T:ai2|NL|RF|http://docs|x.edl\ngate|T:ai3|Bath|RF|http://docs|x.edl\n";
    let refused = plant.ctl.fed(&["alarms", "register", "--file", "-"], half).expect(1);
    assert!(refused.err.contains("<stdin>:2: gate: ") && refused.err.contains("Bath is none of"), "{refused:?}");
    assert!(refused.err.contains("1 of 2 alarms cannot be written, so none was"), "{refused:?}");
    plant.refused(&["describe", "window"], 1, "not found");
    let elsewhere = ["--registered-topic", "ours"];
    for result in ["created: registered", "unchanged"] {
        let told = plant.ctl.fed(&[&["alarms", "register", "--file", "-"][..], &elsewhere].concat(), definitions);
        assert_eq!(told.expect(0).out, format!("door {result}\n"));
    }
    let many: String = (0..1200).map(|n| format!("many-{n}|T:ai{n}|NL|RF|http://docs|x.edl\n")).collect();
    let told = plant.ctl.fed(&["alarms", "import", "-f", "-", "-o", "name"], &many).expect(0);
    assert_eq!(told.out.lines().count(), 1200);
    assert_eq!(plant.names(&["many-*", "--registered"]).len(), 1200);
    let wrong = plant.ctl.fed(&["alarms", "import", "-f", "-"], "name: a\nactive: { prio: P1 }\n").expect(1);
    assert!(wrong.err.contains("<stdin>:1: a: active has no prio"), "{wrong:?}");
    assert_eq!(plant.alarms(&["export", "--only", "shelved"]), "");
    assert_eq!(plant.alarms(&["register", "door", "--unset"]), "door unregistered\n");
    assert_eq!(plant.last("registered-alarms").value, None);
}
