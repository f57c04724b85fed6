//! The worker settings and example connectors that come with Tocsin are right as they are.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tocsin_tests::program;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if path.is_dir() {
            files(&path, found);
        } else if ["yaml", "yml", "json", "properties"].contains(&ending) {
            found.push(path);
        }
    }
}

/// Files beside connectors, which are for other programs.
const OF_OTHERS: [&str; 2] = ["configs/calls/dashboard.json", "configs/calls/prometheus.yml"];

/// Checks as an admin would in the root of the repository; nothing wrong and nothing without effect.
fn check(arguments: &[&str]) {
    let output = Command::new(program("connectd")).current_dir(ROOT).arg("--check").args(arguments).output();
    let output = output.expect("connectd");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("all files are right"), "{arguments:?}: {said}");
    assert!(!said.to_lowercase().contains("warn"), "{arguments:?}: {said}");
}

#[test]
fn every_file_passes_the_check_without_a_warning() {
    let mut all = Vec::new();
    files(&Path::new(ROOT).join("configs"), &mut all);
    all.retain(|p| !OF_OTHERS.iter().any(|other| p.ends_with(other)));
    let (workers, connectors): (Vec<_>, Vec<_>) =
        all.iter().partition(|p| p.parent().is_some_and(|folder| folder.ends_with("worker")));
    assert!(workers.len() >= 2 && connectors.len() >= 10, "{all:?}");
    for path in workers {
        check(&["-c", &path.to_string_lossy()]);
    }
    for path in connectors {
        check(&[&path.to_string_lossy()]);
    }
}

#[test]
fn the_folders_of_the_demo_pass_the_check_as_a_whole() {
    for folders in [
        &["configs/demo"][..],
        &["configs/demo", "configs/demo-influxdb"],
        &["configs/connectors"],
        &["configs/calls/connectors"],
    ] {
        check(folders);
    }
}

#[test]
fn every_dead_letter_of_an_example_says_why_it_is_one() {
    let mut all = Vec::new();
    files(&Path::new(ROOT).join("configs"), &mut all);
    let texts = all.iter().map(|p| (p, fs::read_to_string(p).expect("text")));
    let with_queue: Vec<_> = texts.filter(|(_, text)| text.contains("deadletterqueue")).collect();
    assert!(with_queue.len() >= 5, "{with_queue:?}");
    for (path, text) in with_queue {
        // In YAML and in JSON.
        let plain = text.replace('"', "");
        assert!(plain.contains("context.headers.enable: true"), "{}", path.display());
    }
}

#[test]
fn every_connector_has_an_example() {
    let mut all = Vec::new();
    files(&Path::new(ROOT).join("configs"), &mut all);
    let texts: String = all.iter().map(|p| fs::read_to_string(p).expect("text")).collect();
    for names in [
        &["alert-stream-source"][..],
        &["datagen-source"],
        &["epics-source"],
        &["file-source", "FileStreamSource"],
        &["syslog-source"],
        &["webhook-source"],
        &["mqtt-source"],
        &["file-sink", "FileStreamSink"],
        &["influxdb-sink"],
        &["prometheus-sink"],
        &["slack-sink"],
        &["webhook-sink"],
        &["email-sink"],
    ] {
        assert!(names.iter().any(|name| texts.contains(name)), "{names:?} has no example below configs");
    }
}
