//! A crate outside the workspace, with a source, a sink, a transform and a `main` of its own, is built and run as its
//! author would.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, program, wait};
use xtask::servers::{Kafka, without};

const SOON: Duration = Duration::from_secs(90);

/// Builds it with what the workspace has built of crates that both use.
fn build() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("third-party");
    let target = program("connectd").ancestors().nth(2).expect("target folder").to_owned();
    // The versions that are fetched already.
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock"), own.join("Cargo.lock")).expect("versions");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--config", "profile.dev.debug='line-tables-only'"])
        .args(["--config", "profile.dev.package.'*'.debug=false"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&own)
        .output()
        .expect("starting cargo");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success() && !said.contains("warning: "), "{said}");
    target.join("debug/own-plugins")
}

fn create(server: &Connectd, name: &str, config: &Json) {
    let (code, answer) = server.send("PUT", &format!("/connectors/{name}/config"), Some(config));
    assert_eq!(code, 201, "{answer}");
}

#[test]
fn a_crate_outside_the_workspace_has_its_own_source_transform_and_sink() {
    if without("kafka") {
        return;
    }
    let own = build();
    let kafka = Kafka::start().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let text = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=JsonConverter\n\
         offset.storage.file.filename={}\noffset.flush.interval.ms=500\n",
        kafka.bootstrap(),
        path("offsets")
    );
    let worker = file(dir.path(), "worker.properties", &text);
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("numbers", 1, &[]);
    let mut server = Connectd::start_program(own, &["-c", &worker], &dir.path().join("log"));

    let (_, plugins) = server.get("/connector-plugins?connectorsOnly=false");
    for (class, kind) in
        [("counter-source", "source"), ("lines-sink", "sink"), ("scale", "transformation"), ("file-sink", "sink")]
    {
        let listed = plugins.as_array().into_iter().flatten().any(|p| p["class"] == class && p["type"] == kind);
        assert!(listed, "{class}: {plugins}");
    }
    let (_, keys) = server.get("/connector-plugins/scale/config");
    assert_eq!((&keys[0]["name"], &keys[0]["required"]), (&json!("factor"), &json!(true)), "{keys}");
    let source = json!({ "connector.class": "counter-source", "topic": "numbers", "interval.ms": "10",
        "transforms": "tens", "transforms.tens.type": "scale", "transforms.tens.factor": "10" });
    let mut wrong = source.clone();
    wrong["transforms.tens.factor"] = json!("x");
    let (code, answer) = server.send("PUT", "/connectors/numbers/config", Some(&wrong));
    let text = answer["message"].as_str().unwrap_or_default();
    assert!(code == 400 && text.contains("Invalid value x for configuration factor"), "{answer}");

    let sink = json!({ "connector.class": "lines-sink", "topics": "numbers", "file": path("out.txt") });
    let lines = || {
        let text = fs::read_to_string(path("out.txt")).unwrap_or_default();
        // The last line may be half written.
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete.lines().map(|l| l.parse::<i64>().expect("a number")).collect::<Vec<_>>()
    };
    let mut wanted = 20;
    for _ in 0..2 {
        create(&server, "numbers", &source);
        create(&server, "lines", &sink);
        let come = wait("numbers in the file", SOON, || Some(lines()).filter(|all| all.len() >= wanted));
        assert_eq!(come, (0..come.len() as i64).map(|n| n * 10).collect::<Vec<_>>(), "each once and in order");
        wanted = come.len() + 20;
        // The next run goes on where this one stops.
        assert!(server.terminate().1, "it ends well");
        server.start_again();
    }
    let first = &reader.all("numbers")[1];
    assert_eq!(
        first.value.as_deref(),
        Some(br#"{"schema":{"type":"int64","optional":false},"payload":10}"#.as_slice())
    );
}
