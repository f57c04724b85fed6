//! What the program does in a terminal only: colour, questions, an empty screen for each look.

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use serde_json::json;
use support::{answer, worker};
use terminal::Terminal;

const PROGRAM: &str = env!("CARGO_BIN_EXE_connectctl");

/// Runs it in a terminal to its end, beside the mock server.
async fn shown(url: &str, arguments: &'static [&'static str], variable: (&'static str, &'static str)) -> (i32, String) {
    let url = url.to_owned();
    let run = move || Terminal::start(PROGRAM, arguments, &[("CONNECT_URL", &url), variable], 60).end();
    tokio::task::spawn_blocking(run).await.expect("run")
}

const PLAIN: (&str, &str) = ("LANG", "C");

#[tokio::test]
async fn states_are_coloured_unless_that_is_refused() {
    let server = worker().await;
    let (code, text) = shown(&server.uri(), &["list"], PLAIN).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("\u{1b}[1mNAME") && text.contains("\u{1b}[32mRUNNING\u{1b}[0m"), "{text:?}");
    for (key, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let (_, text) = shown(&server.uri(), &["list"], (key, value)).await;
        assert!(text.contains("RUNNING") && !text.contains('\u{1b}'), "{text:?}");
    }
    let (_, text) = shown(&server.uri(), &["list", "-o", "json"], PLAIN).await;
    assert!(text.contains("RUNNING") && !text.contains('\u{1b}'), "{text:?}");
    let (_, text) = shown(&server.uri(), &["list", "-o", "wide"], PLAIN).await;
    assert!(
        text.lines().any(|l| l.chars().filter(|c| !c.is_control()).count() > 60),
        "wide is as wide as it is: {text:?}"
    );
}

#[tokio::test]
async fn deleting_asks_and_takes_no_for_an_answer() {
    let server = worker().await;
    answer(&server, "DELETE", "/connectors/alpha", 204, json!(null)).await;
    for (typed, code) in [("n\n", 2), ("\n", 2), ("y\n", 0)] {
        let url = server.uri();
        let run = move || {
            let mut terminal = Terminal::start(PROGRAM, &["delete", "alpha"], &[("CONNECT_URL", &url)], 80);
            terminal.await_text("delete connector alpha? [y/N] ");
            terminal.enter(typed);
            terminal.end()
        };
        let (ended, text) = tokio::task::spawn_blocking(run).await.expect("run");
        assert_eq!(ended, code, "{typed:?}: {text}");
        assert_eq!(text.contains("alpha deleted"), code == 0, "{text}");
        assert_eq!(text.contains("nothing was done"), code == 2, "{text}");
    }
    let deleted = server.received_requests().await.unwrap_or_default();
    assert_eq!(deleted.iter().filter(|r| r.method.as_str() == "DELETE").count(), 1);
}

#[tokio::test]
async fn top_looks_again_on_an_empty_screen() {
    let server = worker().await;
    let url = server.uri();
    let run = move || {
        let mut terminal =
            Terminal::start(PROGRAM, &["top", "--watch=0.1", "--sort", "name"], &[("CONNECT_URL", &url)], 60);
        terminal.await_screens(3);
    };
    tokio::task::spawn_blocking(run).await.expect("run");
}

#[test]
fn the_view_needs_a_terminal_and_leaves_it_alone_where_there_is_no_kafka() {
    let arguments = ["--bootstrap-servers", "127.0.0.1:9", "--timeout", "1", "alarms"];
    let (code, text, cooked) = Terminal::start(PROGRAM, &arguments, &[], 60).end_with_modes();
    assert!(code == 3 && cooked && text.contains("asked was Kafka at 127.0.0.1:9"), "{code} {text:?}");
    assert!(!text.contains("[?1049h"), "{text:?}");
    let piped = std::process::Command::new(PROGRAM).args(["alarms", "view"]).output().expect("run");
    let problem = String::from_utf8_lossy(&piped.stderr).into_owned();
    assert!(piped.status.code() == Some(2) && problem.contains("connectctl alarms list"), "{problem}");
}
