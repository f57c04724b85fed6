//! The workspace's crates depend on each other as ARCHITECTURE.md says.

use std::{collections::BTreeMap, process::Command};

/// What each crate may depend on, within the workspace, outside of its tests.
fn allowed(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "connect-api" | "connect-rest-model" | "connect-files" | "xtask" => &[],
        "connect-kafka" | "connect-converters" | "connect-transforms" | "connect-embedded" | "connect-testkit" => {
            &["connect-api"]
        }
        "connect-worker" => &["connect-api", "connect-kafka", "connect-rest-model"],
        "connectctl" => &[
            "connect-api",
            "connect-converters",
            "connect-files",
            "connect-kafka",
            "connect-rest-model",
            "connector-alarm",
            "connector-sal",
        ],
        "connector-alarm" | "connector-http" => &["connect-api"],
        "connector-datagen" => &["connect-api", "connect-converters", "connect-files"],
        "connector-sal" => &["connect-api", "connect-converters"],
        "connector-kafka" => &["connect-api", "connect-kafka"],
        "connector-webhook-sink" => &["connect-api", "connect-kafka", "connector-alarm", "connector-http"],
        name if name.starts_with("connector-") => &["connect-api", "connector-alarm", "connector-http"],
        // The server, the end-to-end tests and the benches know everything.
        "connectd" | "tocsin-tests" | "tocsin-benches" => return None,
        other => panic!("{other} is a new crate: say in this test what it may depend on"),
    })
}

fn packages() -> BTreeMap<String, Vec<(String, bool)>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output =
        Command::new(cargo).args(["metadata", "--format-version", "1", "--no-deps"]).output().expect("cargo metadata");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("json");
    let packages = metadata["packages"].as_array().expect("packages");
    let dependencies = |p: &serde_json::Value| {
        let all = p["dependencies"].as_array().expect("dependencies").iter();
        let own = all.filter(|d| d["path"].is_string() && d["kind"] != "dev");
        own.map(|d| {
            (d["name"].as_str().expect("name").to_owned(), d["features"].as_array().is_some_and(|f| !f.is_empty()))
        })
        .collect()
    };
    packages.iter().map(|p| (p["name"].as_str().expect("name").to_owned(), dependencies(p))).collect()
}

#[test]
fn arrows_run_one_way() {
    let mut wrong = Vec::new();
    for (name, dependencies) in packages() {
        let Some(allowed) = allowed(&name) else { continue };
        let bad = dependencies.iter().filter(|(d, _)| !allowed.contains(&d.as_str()));
        wrong.extend(bad.map(|(d, _)| format!("{name} must not depend on {d}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_crate_is_a_collection_of_features() {
    for (name, dependencies) in packages() {
        let with: Vec<_> = dependencies.iter().filter(|(_, features)| *features).map(|(d, _)| d).collect();
        assert!(with.is_empty(), "{name} switches features of {with:?} on: plugins are registered in a list");
    }
}

#[test]
fn unsafe_code_is_allowed_in_calls_of_librdkafka_only() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<_> =
        ["runtime", "connectors", "tests", "xtask", "schemas"].iter().map(|name| root.join(name)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("source");
                // Written so that this file itself is none.
                if text.contains(concat!("(unsafe", "_code")) {
                    found.push(path.strip_prefix(&root).expect("below the root").to_owned());
                }
            }
        }
    }
    found.sort();
    let calls =
        ["cluster.rs", "group_offsets.rs", "groups.rs", "owned.rs", "resource.rs", "revival.rs", "topic_ids.rs"];
    assert_eq!(found, calls.map(|name| std::path::Path::new("runtime/kafka/src").join(name)));
}
