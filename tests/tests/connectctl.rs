//! Every command of `connectctl` that Kafka Connect's REST API can serve, on a worker of Kafka Connect itself and on ours.

use std::{fs, path::Path};

use serde_json::{Value as Json, json};
use tocsin_tests::{
    ctl::Ctl,
    file, program,
    sides::{SOON, Side, Sides},
    wait,
};
use xtask::servers::without;

const SOURCE: &str = "org.apache.kafka.connect.file.FileStreamSourceConnector";
const SINK: &str = "org.apache.kafka.connect.file.FileStreamSinkConnector";

struct Stage<'a> {
    side: &'a Side,
    ctl: Ctl,
    ours: bool,
}

impl Stage<'_> {
    fn path(&self, name: &str) -> String {
        self.side.dir().join(name).display().to_string()
    }

    /// A file of connectors: a source of lines, and a sink that has them.
    fn connectors(&self, name: &str, more: &str) -> String {
        let (from, to, topic) = (self.path("in.txt"), self.path("out.txt"), self.side.own("$SIDE-lines"));
        let text = format!(
            "name: in\nconnector.class: {SOURCE}\nfile: {from}\ntopic: {topic}\n{more}---\n\
             name: out\nconnector.class: {SINK}\nfile: {to}\ntopics: {topic}\n"
        );
        file(self.side.dir(), name, &text)
    }

    fn lines(&self, name: &str) -> usize {
        fs::read_to_string(self.path(name)).unwrap_or_default().lines().count()
    }
}

#[test]
fn both_kinds_of_workers_are_steered() {
    if without("kafka") {
        return;
    }
    let sides = Sides::start(&[]);
    for (side, ours) in sides.both.iter().zip([false, true]) {
        let ctl = Ctl::new(side.url()).env("BOOTSTRAP_SERVERS", &sides.kafka.bootstrap());
        let stage = Stage { side, ctl, ours };
        told(&stage);
        applied(&stage);
        changed(&stage);
        steered(&stage);
        positioned(&stage, &sides.kafka.bootstrap());
        used(&stage);
        moved(&stage);
    }
    grouped(&sides);
    asked_of_the_worker(&sides);
}

/// The workers of Kafka Connect are a group, too, whose members are no consumers.
fn grouped(sides: &Sides) {
    let ctl = Ctl::new("http://127.0.0.1:9").env("BOOTSTRAP_SERVERS", &sides.kafka.bootstrap());
    let all = ctl.json(&["groups", "list"]);
    let workers = all.as_array().into_iter().flatten().find(|g| g["type"] == "connect").expect("a group of workers");
    assert_eq!((&workers["state"], &workers["members"]), (&json!("Stable"), &json!(1)), "{all}");
    assert!(all.as_array().into_iter().flatten().any(|g| g["type"] == "consumer"), "{all}");
    let name = workers["name"].as_str().expect("name");
    let described = &ctl.json(&["groups", "describe", name])[0];
    let member = &described["members"][0];
    assert_eq!((&described["type"], &member["leader"]), (&json!("connect"), &json!(true)), "{described}");
    assert!(member["client"].is_string() && member["host"] == "/127.0.0.1", "{described}");
    assert!(member["url"].as_str().is_some_and(|url| url.starts_with("http://")), "{described}");
    assert!(member["connectors"].is_number() && member["tasks"].is_number(), "{described}");
    let text = ctl.out(&["groups", "describe", name]);
    assert!(text.contains("type          connect\n") && text.contains(", leads"), "{text}");
    assert!(ctl.out(&["groups", "list", "connect*", name]).contains(" connect"));
    for arguments in [&["groups", "delete", name, "--yes"][..], &["groups", "reset", name, "--to-latest", "--yes"]] {
        let said = ctl.run(arguments).expect(1);
        assert!(said.err.contains("is none of consumers, but of type connect"), "{said:?}");
    }
}

/// What a worker tells without any connector.
fn told(stage: &Stage<'_>) {
    let Stage { ctl, ours, .. } = stage;
    let info = ctl.json(&["info"]);
    assert_eq!(info["worker"].is_object(), *ours, "{info}");
    assert!(info["server"]["kafka_cluster_id"].is_string() && info["health"]["status"] == "healthy", "{info}");
    assert!(ctl.out(&["info"]).contains("connectors    none"));
    assert_eq!(ctl.run(&["status"]).expect(0).out, "");
    let plugins = ctl.out(&["plugins", "*FileStream*", "-o", "name"]);
    assert!(plugins.lines().any(|p| p == SOURCE), "{plugins}");
    let settings = ctl.json(&["plugins", SOURCE]);
    assert!(settings.as_array().is_some_and(|all| all.iter().any(|k| k["name"] == "topic")), "{settings}");
    let near = ctl.run(&["plugins", "FileStremSourceConnector"]).expect(1);
    assert!(near.err.contains(&format!("did you mean {SOURCE}?")), "{near:?}");
    let begun = ctl.out(&["init", SOURCE, "--set", "file=/tmp/x", "--name", "fresh"]);
    assert!(begun.contains("\nname: fresh\n") && begun.contains("\nfile: /tmp/x\n"), "{begun}");
    assert!(begun.contains("\ntopic: CHANGE-ME\n") && begun.contains("\n#tasks.max: "), "{begun}");
    let sink = ctl.json(&["init", SINK]);
    assert_eq!(sink["config"]["topics"], "CHANGE-ME", "{sink}");
    let written = stage.side.dir().join("begun.yaml");
    fs::write(&written, ctl.out(&["init", SINK])).expect("file");
    let written = written.display().to_string();
    for arguments in [&["validate", "-f", &written][..], &["apply", "-f", &written], &["test", &written]] {
        let said = ctl.run(arguments).expect(1);
        assert!(said.err.contains(": topics: CHANGE-ME stands for a value"), "{said:?}");
    }
    if *ours {
        let slack = ctl.out(&["init", "slack-sink"]);
        for part in [
            "# Needed: slack.webhook.url or slack.token is required\n#slack.webhook.url:\n",
            "# Needed: slack.webhook.url or slack.token is required\n#slack.token:\n",
            "# Needed with slack.token: slack.channel is required with slack.token\n#slack.channel:\n",
        ] {
            assert!(slack.contains(part), "{slack}");
        }
    }
    let logger = if *ours { "connect_worker" } else { "org.apache.kafka.connect.runtime.Worker" };
    ctl.out(&["loggers", "set", logger, "debug"]);
    assert_eq!(ctl.json(&["loggers", "show", logger])[logger]["level"], "DEBUG");
    ctl.out(&["loggers", "set", logger, "INFO", "--dry-run"]);
    assert!(ctl.out(&["loggers", "show", logger]).contains("DEBUG"));
    ctl.out(&["loggers", "set", logger, "INFO", "--cluster"]);
}

/// From files to connectors.
fn applied(stage: &Stage<'_>) {
    let Stage { ctl, side, ours } = stage;
    fs::write(side.dir().join("in.txt"), "one\ntwo\nthree\n").expect("input");
    let wrong = file(side.dir(), "wrong.yaml", &format!("name: in\nconnector.class: {SOURCE}\nfiel: x\n"));
    let said = ctl.run(&["validate", "-f", &wrong]).expect(1);
    assert!(
        said.err.contains("wrong.yaml:1: in: topic: ") && said.err.contains("wrong.yaml:3: warning: in: fiel: "),
        "{said:?}"
    );
    assert!(ctl.run(&["apply", "-f", &wrong]).expect(1).err.contains("nothing was applied"));

    let good = stage.connectors("good.yaml", "");
    ctl.run(&["validate", "-f", &good]).expect(0);
    let new = ctl.run(&["diff", "-f", &good]).expect(6);
    assert!(new.out.contains("in created\n") && new.out.contains("+ topic: "), "{new:?}");
    assert_eq!(ctl.out(&["apply", "-f", &good, "--dry-run"]), "in would be created\nout would be created\n");
    assert_eq!(ctl.out(&["list", "-o", "name"]), "");
    let done = ctl.run(&["apply", "-f", &good, "--wait"]).expect(0);
    assert_eq!(done.out, "in created\nout created\n");
    assert!(done.err.contains("in: RUNNING, 1 of 1 tasks running"), "{done:?}");
    ctl.run(&["diff", "-f", &good]).expect(0);
    wait("all lines to be written", SOON, || (stage.lines("out.txt") == 3).then_some(()));

    assert_eq!(ctl.out(&["list", "-o", "name"]), "in\nout\n");
    assert_eq!(ctl.json(&["list", "/^o/"])[0]["topics"], side.own("$SIDE-lines"));
    let status = ctl.json(&["status", "in"]);
    assert_eq!(status[0]["tasks"][0]["state"], "RUNNING", "{status}");
    assert_eq!(status[0]["tasks"][0]["detail"].is_object(), *ours, "{status}");
    for shown in [ctl.out(&["status"]), ctl.out(&["status", "in"]), ctl.out(&["describe", "in", "out"])] {
        assert!(shown.contains("RUNNING"), "{shown}");
    }
    ctl.run(&["status", "--fail-on", "FAILED,PAUSED"]).expect(0);
    ctl.run(&["list", "--fail-on", "RESTARTING"]).expect(0);
    let near = ctl.run(&["status", "inn"]).expect(1);
    assert!(near.err.contains("did you mean in?"), "{near:?}");
    assert_eq!(ctl.json(&["top", "--sort", "name"])[0]["name"], "in");
    let counted = ctl.run(&["metrics", "in"]);
    assert_eq!(counted.code == 0, *ours, "{counted:?}");
    let logged = ctl.run(&["logs", "in", "out"]);
    assert_eq!(logged.code == 0, *ours, "{logged:?}");
    if !ours {
        assert!(
            counted.err.contains("has no /metrics") && logged.err.contains("keeps no log lines"),
            "{counted:?} {logged:?}"
        );
    }
}

/// Settings, looked at and changed.
fn changed(stage: &Stage<'_>) {
    let Stage { ctl, side, .. } = stage;
    assert_eq!(ctl.out(&["get", "in", "file"]), format!("{}\n", stage.path("in.txt")));
    assert!(ctl.run(&["get", "in", "flie"]).expect(1).err.contains("did you mean file?"));
    let refused = ctl.run(&["set", "in", "batch.size=many"]).expect(1);
    assert!(refused.err.contains("batch.size"), "{refused:?}");
    assert_eq!(ctl.out(&["set", "in", "batch.size=7", "--dry-run"]), "in would be changed: batch.size\n");
    ctl.run(&["get", "in", "batch.size"]).expect(1);
    let odd = ctl.run(&["set", "in", "batch.size=7", "btach.size=8", "--wait"]).expect(0);
    assert_eq!(odd.out, "in changed: batch.size, btach.size\n");
    assert!(odd.err.contains("in: warning: btach.size is not a setting of"), "{odd:?}");
    assert_eq!(ctl.out(&["set", "in", "--unset", "btach.size", "batch.size=7", "--wait"]), "in changed: btach.size\n");
    assert_eq!(ctl.json(&["get", "in"])[0]["config"]["batch.size"], "7");

    let edit = |editor: &str, more: &[&str]| {
        let ctl = Ctl::new(side.url()).env("EDITOR", editor);
        ctl.run(&[&["edit", "in"], more].concat())
    };
    assert_eq!(edit("true", &[]).expect(0).out, "in unchanged\n");
    let tried = edit("sed -i 's/^batch.size: .*/batch.size: 9/'", &["--dry-run"]).expect(0);
    assert_eq!(tried.out, "in would be changed: batch.size\n");
    assert!(tried.err.contains("- batch.size: 7") && tried.err.contains("+ batch.size: 9"), "{tried:?}");
    let done = edit("sed -i 's/^batch.size: .*/batch.size: 9/'", &["--wait"]).expect(0);
    assert_eq!(done.out, "in changed: batch.size\n");
    let wrong = edit("sed -i 's/^batch.size: .*/batch.size: x/'", &[]).expect(1);
    assert!(
        wrong.err.contains("connector.yaml:") && wrong.err.contains("nothing was changed; the text is in "),
        "{wrong:?}"
    );
    assert!(edit("false", &[]).expect(1).err.contains("the editor false ended with"));
    assert!(edit("sed -i 's/^name: .*/name: other/'", &[]).expect(1).err.contains("in cannot become other"));
    assert_eq!(ctl.out(&["get", "in", "batch.size"]), "9\n");
    // While the editor is open others change the connector.
    let other = |setting: &str, value: &str| {
        let other = format!("{} --url {} set in {setting} >&2", program("connectctl").display(), side.url());
        edit(&format!("{other} && sed -i 's/^batch.size: .*/batch.size: {value}/'"), &["--wait"])
    };
    assert_eq!(other("beside=1", "10").expect(0).out, "in changed: batch.size\n");
    assert_eq!(ctl.json(&["get", "in"])[0]["config"]["beside"], "1");
    let both = other("batch.size=11", "12").expect(1);
    assert!(both.err.contains("somebody else has changed batch.size of in while it was edited"), "{both:?}");
    assert_eq!(ctl.out(&["get", "in", "batch.size"]), "11\n");
    assert_eq!(
        ctl.out(&["set", "in", "--unset", "beside", "batch.size=9", "--wait"]),
        "in changed: batch.size, beside\n"
    );
}

/// States.
fn steered(stage: &Stage<'_>) {
    let Stage { ctl, .. } = stage;
    assert_eq!(ctl.out(&["pause", "*", "--wait"]), "in paused\nout paused\n");
    ctl.run(&["status", "--fail-on", "PAUSED"]).expect(4);
    assert!(ctl.out(&["status", "in"]).contains("→ connectctl resume in lets it run again"));
    assert_eq!(ctl.out(&["resume", "in", "out", "--wait"]), "in resumed\nout resumed\n");
    assert!(ctl.out(&["restart", "in", "--tasks", "--wait"]).starts_with("in restarted: the connector and task 0"));
    assert_eq!(ctl.out(&["restart", "out", "--task", "0", "--wait"]), "out restarted: task 0\n");
    assert!(ctl.out(&["restart", "/./", "--only-failed", "--tasks"]).contains("in unchanged: nothing of it is FAILED"));
    assert_eq!(ctl.out(&["stop", "in", "--wait"]), "in stopped\n");
    assert_eq!(ctl.json(&["status", "in"])[0]["tasks"], json!([]));
    ctl.run(&["delete", "in"]).expect(2);
}

/// Where connectors stand, and are sent.
fn positioned(stage: &Stage<'_>, bootstrap: &str) {
    let Stage { ctl, side, .. } = stage;
    let topic = side.own("$SIDE-lines");
    let positions = || ctl.json(&["offsets", "show", "in"])[0]["offsets"][0]["offset"]["position"].clone();
    assert_eq!(positions(), 14);
    let shown = ctl.out(&["offsets", "show", "in", "-o", "yaml"]).replace("position: 14", "position: 4");
    let refused = ctl.fed(&["offsets", "set", "in", "--from", "-"], &shown).expect(2);
    assert!(refused.err.contains("say --yes"), "{refused:?}");
    ctl.fed(&["offsets", "set", "in", "--from", "-", "--yes"], &shown).expect(0);
    assert_eq!(positions(), 4);
    ctl.run(&["offsets", "reset", "in", "--to-end", "--yes"]).expect(1);
    let reset = ctl.run(&["offsets", "reset", "in", "--yes"]).expect(0);
    assert_eq!((reset.out.as_str(), positions()), ("in reset\n", Json::Null));

    // A sink that runs is left alone unless it may be stopped for it.
    let of_sink = || {
        wait("the sink's offsets", SOON, || {
            let shown = ctl.json(&["offsets", "show", "out"]);
            // Both workers' sinks are called alike, and so are their groups.
            let own = |one: &&Json| one["partition"]["kafka_topic"] == topic.as_str();
            shown[0]["offsets"].as_array().into_iter().flatten().find(own).and_then(Json::as_object).cloned()
        })
    };
    wait("the sink to have committed", SOON, || (of_sink()["lag"] == 0).then_some(()));
    let running = ctl.run(&["offsets", "set", "out", &format!("{topic}:0=1"), "--yes"]).expect(1);
    assert!(running.err.contains("out is RUNNING") && running.err.contains("--stop"), "{running:?}");
    let table = ctl.out(&["offsets", "show", "out"]);
    assert!(table.starts_with("NAME  PARTITION") && table.contains("END  LAG"), "{table}");
    let before = stage.lines("out.txt");
    let tried = ctl.out(&["offsets", "reset", "out", "--to-beginning", "--stop", "--dry-run"]);
    assert_eq!(tried, format!("out would be reset: {topic}:0 = 0\n").replace("reset:", "set:"));
    ctl.out(&["offsets", "reset", "out", "--to-beginning", "--stop", "--yes"]);
    wait("the lines to be written again", SOON, || (stage.lines("out.txt") == before + 3).then_some(()));
    ctl.out(&["stop", "out", "--wait"]);
    let at = |arguments: &[&str]| {
        ctl.out(&[&["offsets", "reset", "out", "--yes"], arguments].concat());
        of_sink()["offset"]["kafka_offset"].as_i64()
    };
    assert_eq!(at(&["--to-time", "1970-01-01T00:00:00Z"]), Some(0));
    assert_eq!(at(&["--to-time", "0s"]), Some(3));
    assert_eq!(at(&["--to-beginning", "--topic", &topic]), Some(0));
    assert_eq!(at(&["--to-end"]), Some(3));
    let asked = Ctl::new(side.url()).env("BOOTSTRAP_SERVERS", bootstrap).env("COMPLETE", "fish");
    let completed = asked.out(&["--", "connectctl", "offsets", "reset", "out", "--topic", &topic[..6]]);
    assert_eq!(completed.lines().filter(|l| *l == topic).count(), 1, "{completed}");
    let unknown = ctl.run(&["offsets", "reset", "out", "--to-end", "--topic", "side-x-lines", "--yes"]).expect(1);
    assert!(unknown.err.contains("topic side-x-lines not found"), "{unknown:?}");
    ctl.out(&["offsets", "set", "out", &format!("{topic}:0=2"), "--yes"]);
    assert_eq!((of_sink()["offset"]["kafka_offset"].as_i64(), of_sink()["lag"].as_i64()), (Some(2), Some(1)));
    ctl.out(&["offsets", "reset", "out", "--yes"]);
    assert_eq!(ctl.json(&["offsets", "show", "out"])[0]["offsets"], json!([]));
    ctl.out(&["resume", "*", "--wait"]);
}

/// Topics that were used.
fn used(stage: &Stage<'_>) {
    let Stage { ctl, side, .. } = stage;
    let topic = side.own("$SIDE-lines");
    assert_eq!(ctl.out(&["topics", "used", "in", "-o", "name"]), format!("{topic}\n"));
    assert!(ctl.run(&["topics", "used", "inn"]).expect(1).err.contains("did you mean in?"));
    ctl.run(&["topics", "forget", "in"]).expect(2);
    ctl.out(&["stop", "*", "--wait"]);
    assert_eq!(ctl.out(&["topics", "forget", "in", "--yes"]), "in forgotten: topics\n");
    wait("the topics to be forgotten", SOON, || (ctl.json(&["topics", "used", "in"])["in"] == json!([])).then_some(()));
}

/// Everything as files, and back.
fn moved(stage: &Stage<'_>) {
    let Stage { ctl, .. } = stage;
    let folder = stage.path("exported");
    let before = ctl.json(&["get", "*"]);
    let files = ctl.out(&["export", "--folder", &folder]);
    assert_eq!(files, format!("{folder}/in.yaml\n{folder}/out.yaml\n"));
    let text = fs::read_to_string(Path::new(&folder).join("in.yaml")).expect("exported");
    assert!(text.starts_with("name: in\ninitial_state: stopped\nconfig:\n"), "{text}");
    assert_eq!(ctl.out(&["export", "in"]), text);
    ctl.run(&["diff", "-f", &folder]).expect(0);
    let one = format!("{folder}/in.yaml");
    let diff = ctl.run(&["diff", "-f", &one, "--prune"]).expect(6);
    assert_eq!(diff.out, "in unchanged\nout deleted\n");
    ctl.run(&["apply", "-f", &one, "--prune"]).expect(2);
    assert_eq!(ctl.out(&["apply", "-f", &one, "--prune=o*", "--yes", "--wait"]), "in unchanged\nout deleted\n");
    assert_eq!(ctl.out(&["delete", "in", "--yes", "--wait"]), "in deleted\n");
    assert_eq!(ctl.out(&["list", "-o", "name"]), "");
    ctl.out(&["apply", "-f", &folder, "--wait"]);
    assert_eq!(ctl.json(&["get", "*"]), before);
    assert_eq!(ctl.json(&["status", "in"])[0]["connector"]["state"], "STOPPED");
    ctl.out(&["delete", "*", "--yes", "--wait"]);
}

/// Our worker says where Kafka is; Kafka Connect's does not, and is told so.
fn asked_of_the_worker(sides: &Sides) {
    let [theirs, ours] = &sides.both;
    for side in [theirs, ours] {
        let ctl = Ctl::new(side.url());
        let stage = Stage { side, ctl, ours: side.name() == ours.name() };
        let sink = stage.connectors("good.yaml", "");
        stage.ctl.out(&["apply", "-f", &sink, "--wait"]);
        wait("the sink to have all", SOON, || (stage.lines("out.txt") >= 3).then_some(()));
        stage.ctl.out(&["stop", "out", "--wait"]);
        let asked = stage.ctl.run(&["offsets", "reset", "out", "--to-end", "--yes"]);
        if stage.ours {
            assert_eq!(asked.code, 0, "{asked:?}");
        } else {
            assert_eq!(asked.code, 1, "{asked:?}");
            let text = "it is not known where Kafka is: the worker at ";
            assert!(asked.err.contains(text) && asked.err.contains("--bootstrap-servers"), "{asked:?}");
        }
        stage.ctl.out(&["delete", "*", "--yes"]);
    }
    let dead = Ctl::new(ours.url()).env("BOOTSTRAP_SERVERS", "127.0.0.1:1");
    let good = Stage { side: ours, ctl: Ctl::new(ours.url()), ours: true }.connectors("good.yaml", "");
    dead.out(&["apply", "-f", &good]);
    let asked = dead.run(&["offsets", "reset", "out", "--to-end", "--stop", "--yes", "--timeout", "3"]).expect(3);
    assert!(asked.err.contains("127.0.0.1:1 (from --bootstrap-servers or BOOTSTRAP_SERVERS)"), "{asked:?}");
    dead.out(&["delete", "*", "--yes"]);
}
