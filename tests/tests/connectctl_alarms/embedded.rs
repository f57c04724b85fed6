//! The embedded broker, which has no requests that create topics.

use tocsin_tests::{Connectd, ctl::Ctl};

#[test]
fn alarms_are_written_to_topics_that_the_embedded_broker_has_not_got_yet() {
    let dir = tempfile::tempdir().expect("folder");
    // Beside each other: the worker tells where broker and registry are.
    let connectd = Connectd::start(&[], &dir.path().join("log"));
    let ctl = Ctl::new(connectd.url()).env("USER", "alice");
    let topics = ctl.out(&["topics", "list", "-o", "name"]);
    assert!(
        topics.contains("shelved-alarms") && !topics.contains("plant-"),
        "it begins with those of the usual names: {topics}"
    );
    let others =
        ["--active-topic", "plant-active", "--shelved-topic", "plant-shelved", "--registered-topic", "plant-alarms"];
    work(&ctl, &[]);
    work(&ctl, &others);
    let topics = ctl.out(&["topics", "list", "-o", "name"]);
    assert!(["plant-active", "plant-shelved", "plant-alarms"].iter().all(|topic| topics.contains(topic)), "{topics}");
}

fn work(ctl: &Ctl, topics: &[&str]) {
    let alarms = |arguments: &[&str]| ctl.out(&[&["alarms"], arguments, topics].concat());
    let names = |arguments: &[&str]| alarms(&[&["list", "-o", "name", "--sort", "name"], arguments].concat());

    assert_eq!(
        alarms(&["set", "pump", "door", "fan", "--priority", "P2", "--message", "low"]),
        "pump raised\ndoor raised\nfan raised\n"
    );
    assert_eq!(names(&[]), "door\nfan\npump\n");
    assert!(alarms(&["shelve", "pump", "--for", "1h", "--reason", "repair"]).starts_with("pump shelved: until"));
    assert_eq!((names(&[]).as_str(), names(&["--shelved"]).as_str()), ("door\nfan\n", "pump\n"));
    assert_eq!(alarms(&["register", "pump", "--source", "T:ai0"]), "pump registered\n");
    assert_eq!(alarms(&["ack", "door"]), "door acknowledged\n");
    assert_eq!(alarms(&["unset", "fan"]), "fan cleared\n");
    assert_eq!(names(&["--all"]), "door\npump\n");
    let exported = alarms(&["export"]);
    let same = ctl.fed(&[&["alarms", "import", "-f", "-"], topics].concat(), &exported).expect(0);
    assert_eq!(same.out, "door unchanged\npump unchanged\n");
}
