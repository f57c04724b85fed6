//! Commands about Kafka: what is said before it is asked, and where it does not answer.

mod support;

use support::{bare, ctl, worker};

#[tokio::test]
async fn what_cannot_be_is_told_with_the_way_out() {
    for (arguments, parts) in [
        (&["topics", "create"][..], &["<TOPIC>"][..]),
        (&["topics", "create", "a/b"], &["1 to 249 of the characters"]),
        (&["topics", "create", "a", "--partitions", "0"], &["0 is not in 1..="]),
        (&["topics", "create", "a", "--config", "x"], &["expected KEY=VALUE"]),
        (&["topics", "list", "/(/"], &["is no regular expression"]),
        (&["topics", "partitions", "a"], &["<N>"]),
        (&["topics", "config", "set", "a"], &["<KEY=VALUE>"]),
        (&["topics", "lst"], &["unrecognized subcommand 'lst'", "list"]),
        (&["groups", "reset", "g"], &["--to-earliest|--to-latest|--to-time <TIME>"]),
        (&["groups", "reset", "g", "--to-earliest", "--to-latest"], &["cannot be used with"]),
        (&["groups", "reset", "g", "--to-time", "soon"], &["expected a time as 2026-11-21T12:00:00Z"]),
        (&["brokers", "describe", "one"], &["invalid digit"]),
        (&["produce", "t", "a", "--file", "f"], &["cannot be used with"]),
        (&["produce", "t", "--tombstone"], &["--key <KEY>"]),
        (&["produce", "t", "a", "--key", "k", "--key-separator", ":"], &["cannot be used with"]),
        (&["produce", "t", "a", "-H", "=x"], &["the name is empty; expected NAME=VALUE"]),
        (&["produce", "t", "a", "--value-format", "protobuf"], &["string, json, avro"]),
        (&["produce", "t", "a", "--value-schema", "subject:"], &["the subject is empty; expected subject:NAME"]),
        (&["consume", "t", "--from", "start"], &["expected beginning, end, an offset, or a time"]),
        (&["consume", "t", "--max", "0"], &["0 is not in 1.."]),
        (&["consume", "t", "--key", "/(/"], &["is no regular expression"]),
        (&["consume", "t", "--template", "{vlaue}"], &["{vlaue} is unknown; there are {topic} {partition}"]),
        (&["tail", "t", "-n", "-1"], &["-1"]),
    ] {
        let run = bare(arguments).env("BOOTSTRAP_SERVERS", "127.0.0.1:9").run().await;
        let all = parts.iter().all(|part| run.err.contains(part));
        assert!(run.code == 2 && all && run.out.is_empty(), "{arguments:?}: {run:?}");
    }
}

#[tokio::test]
async fn a_broker_that_does_not_answer_is_named() {
    for arguments in [
        &["topics", "list"][..],
        &["topics", "delete", "a", "--yes"],
        &["brokers", "list"],
        &["groups", "describe", "g"],
        &["produce", "t", "a"],
        &["consume", "t", "--until-end"],
        &["tail", "t"],
    ] {
        let all = [arguments, &["--timeout", "0.5"]].concat();
        let run = bare(&all).env("BOOTSTRAP_SERVERS", "127.0.0.1:9").run().await;
        let told = run.err.contains("asked was Kafka at 127.0.0.1:9 (from --bootstrap-servers or BOOTSTRAP_SERVERS)");
        assert!(run.code == 3 && told && run.out.is_empty(), "{arguments:?}: {run:?}");
    }
    // Neither is there anybody who could say where Kafka is.
    let run = bare(&["topics", "list", "--url", "http://127.0.0.1:9"]).run().await;
    assert!(run.code == 3 && run.err.contains("it is not known where Kafka is"), "{run:?}");
}

#[tokio::test]
async fn states_are_shown_without_a_kafka_that_does_not_answer_and_that_is_said_once() {
    let server = worker().await;
    let begin = std::time::Instant::now();
    for command in [&["status"][..], &["status", "alpha", "beta"], &["describe", "alpha", "beta"], &["top", "--once"]] {
        let all = [command, &["--timeout", "1"]].concat();
        let run = ctl(&server.uri(), &all).env("BOOTSTRAP_SERVERS", "127.0.0.1:9").run().await;
        assert!(run.code == 0 && run.out.contains("alpha") && run.out.contains("RUNNING"), "{run:?}");
        assert!(run.err.starts_with("the lag of alpha, beta is not known: "), "{run:?}");
        assert!(run.err.contains("127.0.0.1:9 (from") && run.err.lines().count() == 1, "{run:?}");
    }
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
    // So it is where something ends the command.
    let watching = ["status", "--watch=0.1", "--fail-on", "FAILED", "--timeout", "1"];
    let run = ctl(&server.uri(), &watching).env("BOOTSTRAP_SERVERS", "127.0.0.1:9").run().await;
    assert_eq!((run.code, run.err.lines().count()), (4, 1), "{run:?}");
}

#[tokio::test]
async fn helps_have_examples() {
    for command in ["topics", "brokers", "groups", "produce", "consume", "tail"] {
        let run = bare(&[command, "--help"]).run().await;
        let example = format!("\n  connectctl {command} ");
        assert!(run.code == 0 && run.out.contains("Examples:") && run.out.contains(&example), "{run:?}");
    }
}
