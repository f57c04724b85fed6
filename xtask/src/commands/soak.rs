//! `cargo xtask soak`: the long runs, which nobody waits for.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use xtask::servers::WITHOUT;

use crate::{
    Outcome, Without,
    interrupt::Interrupt,
    leftovers::{self, Marker},
};

/// A run: a command of cargo, and the time after which it is ended.
struct Step {
    name: &'static str,
    about: &'static str,
    words: &'static [&'static str],
    /// Whether it uses our programs as they are released.
    release: bool,
    /// What it finds in its environment: how much is to be done.
    environment: &'static [(&'static str, &'static str)],
    limit: Duration,
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// All runs, in order. Further ones are a line each.
const STEPS: [Step; 8] = [
    Step {
        name: "kills",
        about: "kill -9 at random moments, again and again (--kills)",
        words: &["test", "--package", "tocsin-tests", "--test", "kill", "--", "--nocapture"],
        release: false,
        environment: &[],
        limit: minutes(60),
    },
    Step {
        name: "compat",
        about: "the whole comparison with Kafka Connect",
        words: &["xtask", "compat"],
        release: false,
        environment: &[],
        limit: minutes(90),
    },
    Step {
        name: "faults",
        about: "outages, hangs, restarts and takeovers, one test after the other",
        words: &[
            "test",
            "--package",
            "tocsin-tests",
            "--no-fail-fast",
            "--test",
            "outage",
            "--test",
            "states",
            "--test",
            "restarts",
            "--test",
            "recreated",
            "--test",
            "takeover",
            "--",
            "--test-threads",
            "1",
        ],
        release: false,
        environment: &[],
        limit: minutes(30),
    },
    Step {
        name: "epics",
        about: "25,000 EPICS channels: connected, killed, hanging; 10,000 updates a second for a minute",
        words: &[
            "test",
            "--release",
            "--no-fail-fast",
            "--package",
            "connector-epics",
            "--package",
            "tocsin-tests",
            "--test",
            "load",
            "--test",
            "epics_commands",
            "--",
            "--nocapture",
            "--test-threads",
            "1",
        ],
        release: true,
        environment: &[
            ("TOCSIN_EPICS_CHANNELS", "25000"),
            ("TOCSIN_EPICS_ACTIVE", "1000"),
            ("TOCSIN_EPICS_SECONDS", "60"),
        ],
        limit: minutes(30),
    },
    Step {
        name: "loader",
        about: "numbered webhooks across kills and restarts of kafka (--kills)",
        words: &["test", "--package", "tocsin-tests", "--test", "webhook_loader", "--", "--nocapture"],
        release: false,
        environment: &[],
        limit: minutes(60),
    },
    Step {
        name: "webhooks",
        about: "how many webhooks a second are answered when kafka has them, by wrk",
        words: &["test", "--release", "--package", "tocsin-tests", "--test", "webhook_rate", "--", "--nocapture"],
        release: true,
        environment: &[],
        limit: minutes(20),
    },
    Step {
        name: "suite",
        about: "all tests in their release build, in which other things are slow than in the debug build",
        words: &["test", "--workspace", "--release", "--no-fail-fast"],
        release: true,
        environment: &[],
        limit: minutes(120),
    },
    Step {
        name: "benches",
        about: "what connectd costs beside Kafka Connect and bare librdkafka",
        words: &["bench", "--package", "tocsin-benches"],
        release: true,
        environment: &[],
        limit: minutes(60),
    },
];

/// How a run ended, and how long it took.
#[derive(Debug)]
struct Done {
    name: &'static str,
    took: Duration,
    outcome: Outcome,
}

/// Says which runs there are.
pub(crate) fn list() {
    for step in STEPS {
        let limit = step.limit.as_secs() / 60;
        println!("{:<8} {} (at most {limit} min)\n         cargo {}", step.name, step.about, step.words.join(" "));
    }
}

/// Runs all steps, or those that are named, also after one has failed; then says how each ended.
pub(crate) fn run(only: &[String], kills: u32, without: &Without) -> Outcome {
    if let Some(unknown) = only.iter().find(|name| !STEPS.iter().any(|step| step.name == name.as_str())) {
        let known = STEPS.map(|step| step.name).join(", ");
        return Err(format!("there is no run {unknown}; there are {known}"));
    }
    let interrupt = Interrupt::listen()?;
    super::servers::fetch(&without.wanted())?;
    let without = without.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(",");
    let wanted: Vec<Step> =
        STEPS.into_iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)).collect();
    // Tests run our own programs, which building the tests alone does not build.
    let marker = Marker::new();
    for release in [false, true] {
        if wanted.iter().any(|step| step.release == release) {
            let mut build = super::cargo();
            build.args(["build", "--workspace", "--bins"]).args(release.then_some("--release"));
            super::run_step(build, "building the workspace", &marker, &interrupt)?;
        }
    }
    let runs = wanted.into_iter().map(|step| {
        let mut command = super::cargo();
        command
            .args(step.words)
            .env("TOCSIN_KILLS", kills.to_string())
            .env("TOCSIN_RATE_SECONDS", "30")
            .env(WITHOUT, &without)
            .envs(step.environment.iter().copied());
        (step.name, command, step.limit)
    });
    summary(&run_all(runs.collect(), &interrupt))
}

fn run_all(runs: Vec<(&'static str, Command, Duration)>, interrupt: &Interrupt) -> Vec<Done> {
    let mut all = Vec::new();
    for (name, command, limit) in runs {
        if interrupt.came() {
            all.push(Done { name, took: Duration::ZERO, outcome: Err("was not begun".into()) });
            continue;
        }
        let (marker, began) = (Marker::new(), Instant::now());
        let outcome = super::run_within(command, name, &marker, interrupt, Some(limit));
        let left = leftovers::end(&marker);
        // What a run leaves behind when it was ended is its own; of one that ended well it is a mistake.
        let outcome = match outcome {
            Ok(()) if !left.is_empty() => Err(format!("{name} left processes running: {}", left.join("; "))),
            other => other,
        };
        all.push(Done { name, took: began.elapsed(), outcome });
    }
    all
}

fn summary(all: &[Done]) -> Outcome {
    println!();
    for done in all {
        let seconds = done.took.as_secs();
        let ended = done.outcome.as_ref().err().map_or("passed", String::as_str);
        println!("{:<8} {:>4}:{:02} min  {ended}", done.name, seconds / 60, seconds % 60);
    }
    let failed: Vec<&str> = all.iter().filter(|done| done.outcome.is_err()).map(|done| done.name).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("of the long runs these failed: {}", failed.join(", "))) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command
    }

    #[test]
    fn all_are_run_whatever_becomes_of_one_and_all_are_told() {
        let interrupt = Interrupt::listen().unwrap();
        let long = Duration::from_secs(60);
        let runs = vec![
            ("fails", command(&["false"]), long),
            ("hangs", command(&["sleep", "60"]), Duration::from_millis(300)),
            ("missing", command(&["/nonexistent/program"]), long),
            ("passes", command(&["true"]), long),
        ];
        let began = Instant::now();
        let all = run_all(runs, &interrupt);
        assert!(began.elapsed() < long);
        let texts: Vec<&str> = all.iter().map(|d| d.outcome.as_ref().err().map_or("", String::as_str)).collect();
        assert!(texts[0].starts_with("fails failed"), "{texts:?}");
        assert_eq!(texts[1], "hangs had not ended after 0 min and was ended");
        assert!(texts[2].starts_with("starting "), "{texts:?}");
        assert_eq!(texts[3], "");
        assert_eq!(summary(&all), Err("of the long runs these failed: fails, hangs, missing".into()));
        assert_eq!(summary(&all[3..]), Ok(()));
    }

    #[test]
    fn names_of_runs_are_told_apart() {
        let mut names = STEPS.map(|step| step.name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        let e = run(&["kill".into()], 1, &Without { kinds: Vec::new() }).unwrap_err();
        assert_eq!(e, "there is no run kill; there are kills, compat, faults, epics, loader, webhooks, suite, benches");
    }
}
