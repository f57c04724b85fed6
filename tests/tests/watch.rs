//! Connector files that are watched: what changes is taken up, and nothing else happens.

use std::{
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tocsin_tests::{Connectd, file, wait};
use xtask::servers::{Kafka, Server, without};

const SOON: Duration = Duration::from_secs(60);

struct Watched {
    connectd: Connectd,
    dir: TempDir,
}

/// A file source that waits for its file, with this batch size.
fn source(name: &str, batch: u32) -> String {
    format!("name: {name}\nconnector.class: file-source\nfile: /nonexistent/{name}\ntopic: t\nbatch.size: {batch}\n")
}

impl Watched {
    /// Starts with these files in the folder.
    fn start(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let folder = dir.path().join("connectors");
        fs::create_dir(&folder).expect("folder");
        for (name, text) in files {
            fs::write(folder.join(name), text).expect("file");
        }
        let connectd = Connectd::start(&["--watch", &folder.to_string_lossy()], &dir.path().join("log"));
        Self { connectd, dir }
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join("connectors").join(name), text).expect("file");
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("connectors").join(name)
    }

    fn names(&self) -> Vec<String> {
        serde_json::from_value(self.connectd.get("/connectors").1).expect("names")
    }

    fn batch(&self, name: &str) -> Json {
        self.connectd.get(&format!("/connectors/{name}/config")).1["batch.size"].clone()
    }

    fn await_batch(&self, name: &str, batch: &str) {
        wait(&format!("{name} with batch.size {batch}"), SOON, || (self.batch(name) == batch).then_some(()));
    }

    fn await_names(&self, names: &[&str]) {
        wait(&format!("the connectors {names:?}"), SOON, || (self.names() == names).then_some(()));
    }

    fn await_log(&self, part: &str) {
        wait(&format!("{part:?} in the log"), SOON, || self.connectd.log_text().contains(part).then_some(()));
    }

    fn note(&self, name: &str) -> String {
        let status = self.connectd.get(&format!("/connectors/{name}/status")).1;
        status["connector"]["detail"]["note"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the files as they are now have been taken up, which a further one shows.
    fn settle(&self) {
        let name = format!("z{}", self.names().len());
        self.put("zz-settle.yaml", &source(&name, 1));
        wait("a further connector", SOON, || self.names().contains(&name).then_some(()));
        fs::remove_file(self.at("zz-settle.yaml")).expect("remove");
        wait("its end", SOON, || (!self.names().contains(&name)).then_some(()));
    }
}

#[test]
fn files_that_come_change_move_and_go_are_taken_up() {
    let w = Watched::start(&[("a.yaml", &source("a", 1))]);
    w.await_names(&["a"]);
    w.connectd.await_state("a", "RUNNING");
    w.put("b.yaml", &format!("{}---\n{}", source("b", 1), source("c", 1)));
    w.await_names(&["a", "b", "c"]);
    w.put("a.yaml", &source("a", 2));
    w.await_batch("a", "2");

    // As editors save: another file takes the name.
    fs::write(w.at("a.yaml~"), source("a", 3)).expect("file");
    fs::rename(w.at("a.yaml~"), w.at("a.yaml")).expect("rename");
    w.await_batch("a", "3");

    // What is declared counts, not where, and not the comments.
    fs::rename(w.at("a.yaml"), w.at("moved.yml")).expect("rename");
    w.put("b.yaml", &format!("# both\n{}---\n{}", source("b", 1), source("c", 1)));
    w.settle();
    let log = w.connectd.log_text();
    let deleted: Vec<&str> = log.lines().filter(|l| l.contains("deleted, since")).collect();
    assert!(deleted.iter().all(|l| l.contains("zz-settle.yaml")), "{deleted:#?}");
    assert_eq!(log.matches("declares it").count(), log.matches("created as").count() + 2, "{log}");

    // A connector leaves its file, and a file its folder.
    w.put("b.yaml", &source("b", 1));
    w.await_names(&["a", "b"]);
    fs::remove_file(w.at("moved.yml")).expect("remove");
    w.await_names(&["b"]);

    // The last file: that may be an accident.
    fs::remove_file(w.at("b.yaml")).expect("remove");
    w.await_log("the folder holds no .yaml, .yml, .json or .properties file; its connectors go on");
    assert_eq!(w.names(), ["b"]);
    wait("the note", SOON, || w.note("b").contains("connectctl delete removes them").then_some(()));
}

#[test]
fn what_is_wrong_changes_nothing_and_is_said_with_its_place() {
    let w =
        Watched::start(&[("good.yaml", &source("good", 1)), ("bad.yaml", "name: bad\nconnector.class: nonesuch\n")]);
    // At start, too, a wrong file stops nobody else.
    w.await_names(&["good"]);
    w.await_log("bad.yaml:2: connector bad: connector.class: Class nonesuch could not be found.");
    w.put("bad.yaml", &source("bad", 1));
    w.await_names(&["bad", "good"]);

    w.put("good.yaml", "name: good\nconnector.class: file-source\nfile: [\n");
    w.await_log("good.yaml:4");
    wait("the note", SOON, || w.note("good").contains("good.yaml:4").then_some(()));
    w.connectd.await_state("good", "RUNNING");
    assert_eq!(w.batch("good"), "1");
    // While it cannot be read nothing is deleted: what is gone may have moved there.
    fs::remove_file(w.at("bad.yaml")).expect("remove");
    w.await_log("connector bad is declared no more; it goes on while a file cannot be read");
    assert_eq!(w.names(), ["bad", "good"]);

    w.put("good.yaml", &source("good", 0));
    w.await_log("good.yaml:5: connector good:");
    w.await_names(&["good"]);
    assert_eq!(w.batch("good"), "1");
    w.put("twice.yaml", &format!("{}---\n{}", source("good", 5), source("other", 1)));
    w.await_log("the connector good is declared twice");
    w.await_names(&["good", "other"]);
    assert_eq!(w.batch("good"), "1", "nobody can say which is meant");
    fs::remove_file(w.at("twice.yaml")).expect("remove");
    w.put("good.yaml", &source("good", 7));
    w.await_batch("good", "7");
    wait("no note", SOON, || w.note("good").is_empty().then_some(()));
    w.await_log("all connector files are right again");
}

#[test]
fn changes_over_the_rest_api_stay_until_the_declaration_changes() {
    let w = Watched::start(&[("a.yaml", &source("a", 1)), ("b.yaml", &source("b", 1))]);
    w.await_names(&["a", "b"]);
    let (status, body) = w.connectd.send("PATCH", "/connectors/a/config", Some(&json!({ "batch.size": "9" })));
    assert_eq!(status, 200, "{body}");
    assert_eq!(w.connectd.send("DELETE", "/connectors/b", None).0, 204);
    let created =
        json!({ "name": "c", "config": { "connector.class": "file-source", "file": "/nonexistent/c", "topic": "t" } });
    assert_eq!(w.connectd.send("POST", "/connectors", Some(&created)).0, 201);
    w.put("a.yaml", &format!("# the same\n{}", source("a", 1)));
    w.settle();
    assert_eq!(w.batch("a"), "9");
    assert_eq!(w.names(), ["a", "c"], "b stays deleted, and c is nobody's file");
    w.put("a.yaml", &source("a", 2));
    w.put("b.yaml", &source("b", 2));
    w.await_batch("a", "2");
    w.await_batch("b", "2");
    assert_eq!(w.connectd.send("PUT", "/connectors/a/pause", None).0, 202);
    w.connectd.await_state("a", "PAUSED");
    w.put("a.yaml", &source("a", 3));
    w.await_batch("a", "3");
    assert_eq!(w.connectd.states("a").0, "PAUSED", "its state is its own");
}

#[test]
fn a_file_that_is_still_being_written_is_waited_for() {
    let w = Watched::start(&[("a.yaml", &source("a", 1))]);
    w.await_names(&["a"]);
    // Each part is a whole document; taken up too early it would be another connector.
    let mut slow = fs::File::create(w.at("a.yaml")).expect("file");
    let text = source("a", 2) + "transforms: drop\ntransforms.drop.type: Filter\n";
    for line in text.lines() {
        slow.write_all(format!("{line}\n").as_bytes()).expect("line");
        let next = Instant::now() + Duration::from_millis(300);
        wait("the next line", SOON, || (Instant::now() >= next).then_some(()));
    }
    w.await_batch("a", "2");
    assert_eq!(w.connectd.get("/connectors/a/config").1["transforms"], "drop");
    let log = w.connectd.log_text();
    assert!(!log.contains("stays as it is") && !log.contains("deleted, since"), "{log}");
}

#[test]
fn a_config_map_is_swapped_as_a_whole() {
    let dir = tempfile::tempdir().expect("folder");
    let mount = dir.path().join("mount");
    fs::create_dir(&mount).expect("folder");
    let version = |name: &str, files: &[(&str, String)]| {
        fs::create_dir(mount.join(name)).expect("folder");
        for (file, text) in files {
            fs::write(mount.join(name).join(file), text).expect("file");
        }
    };
    let swap = |name: &str| {
        symlink(name, mount.join("..data_tmp")).expect("link");
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("swap");
    };
    let link = |file: &str| symlink(Path::new("..data").join(file), mount.join(file)).expect("link");
    version("..1", &[("a.yaml", source("a", 1)), ("b.yaml", source("b", 1))]);
    swap("..1");
    link("a.yaml");
    link("b.yaml");
    let connectd = Connectd::start(&["--watch", &mount.to_string_lossy()], &dir.path().join("log"));
    let w = Watched { connectd, dir };
    w.await_names(&["a", "b"]);
    version("..2", &[("a.yaml", source("a", 2)), ("c.yaml", source("c", 1))]);
    swap("..2");
    // Kubernetes adds and removes the links of files afterwards.
    symlink("..data/c.yaml", mount.join("c.yaml")).expect("link");
    fs::remove_file(mount.join("b.yaml")).expect("remove");
    w.await_batch("a", "2");
    w.await_names(&["a", "c"]);

    // The mount goes away and comes back.
    let aside = w.dir.path().join("aside");
    fs::rename(&mount, &aside).expect("rename");
    w.await_log("there is no such file or folder; its connectors go on");
    assert_eq!(w.names(), ["a", "c"]);
    fs::rename(&aside, &mount).expect("rename");
    w.await_log("all connector files are right again");
    assert_eq!(w.names(), ["a", "c"]);
}

#[test]
fn a_distributed_worker_takes_files_up_when_kafka_is_back_and_keeps_them() {
    if without("kafka") {
        return;
    }
    let mut kafka = Kafka::start().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let folder = dir.path().join("connectors");
    fs::create_dir(&folder).expect("folder");
    fs::write(folder.join("a.yaml"), source("a", 1)).expect("file");
    fs::write(folder.join("b.yaml"), source("b", 1)).expect("file");
    let text = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: StringConverter\ngroup.id: g\n\
         config.storage: {{ topic: c, replication.factor: 1 }}\noffset.storage: {{ topic: o, replication.factor: 1 }}\n\
         status.storage: {{ topic: s, replication.factor: 1 }}\nsession.timeout.ms: 6000\n",
        kafka.bootstrap()
    );
    let worker = file(dir.path(), "worker.yaml", &text);
    let folder = folder.to_string_lossy().into_owned();
    let connectd = Connectd::start(&["-c", &worker, "--watch", &folder], &dir.path().join("log"));
    let mut w = Watched { connectd, dir };
    w.await_names(&["a", "b"]);
    w.connectd.await_state("a", "RUNNING");

    kafka.stop().expect("stop kafka");
    w.put("a.yaml", &source("a", 2));
    let limit = Duration::from_secs(120);
    wait("the refusal in the log", limit, || {
        w.connectd
            .log_text()
            .lines()
            .any(|l| l.contains("a.yaml:1: connector a:") && l.contains("stays as it is"))
            .then_some(())
    });
    assert!(w.note("a").contains("not as its file declares it"), "{}", w.note("a"));
    kafka.start_again().expect("start kafka");
    wait("the change after all", limit, || (w.batch("a") == "2" && w.note("a").is_empty()).then_some(()));
    w.connectd.await_state("a", "RUNNING");

    // What changed while the worker was down counts when it starts; what is gone then is nobody's any more, and stays.
    assert!(w.connectd.terminate().1);
    w.put("a.yaml", &source("a", 3));
    fs::remove_file(w.at("b.yaml")).expect("remove");
    w.connectd.start_again();
    w.await_batch("a", "3");
    assert_eq!(w.names(), ["a", "b"]);
}

#[test]
fn connectors_of_a_file_in_which_something_is_wrong_go_on_also_if_it_does_not_declare_them_any_more() {
    let both = format!("{}---\n{}", source("a", 1), source("b", 1));
    let watched = Watched::start(&[("both.yaml", &both)]);
    watched.await_names(&["a", "b"]);
    // The beginning of the same file, as while it is being written.
    watched.put("both.yaml", "name: a\nconnector.class: file-source\n");
    wait("the note of b", SOON, || {
        watched.note("b").contains("it goes on while something is wrong in that file").then_some(())
    });
    assert_eq!(watched.names(), ["a", "b"]);
    watched.put("both.yaml", &source("a", 2));
    watched.await_batch("a", "2");
    watched.await_names(&["a"]);
}
