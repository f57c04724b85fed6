//! The whole screen, in a terminal.

use std::time::Duration;

use serde_json::json;
use tocsin_tests::{program, wait};

use crate::{plant::Plant, terminal::Terminal};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn the_view_is_driven_by_keys_and_leaves_the_terminal_as_it_was() {
    let Some(plant) = Plant::start() else { return };
    plant.alarms(&["set", "pump", "--priority", "P1", "--message", "low", "--severity", "MAJOR"]);
    plant.alarms(&["set", "door", "--priority", "P3", "--message", "open"]);
    let environment: Vec<(&str, &str)> = plant.places.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let program = program("connectctl");
    let await_names = |arguments: &[&str], names: &[&str]| {
        wait("the alarms", LIMIT, || (plant.names(arguments) == names).then_some(()));
    };

    let mut view = Terminal::start(&program, &["alarms"], &environment, 60);
    view.await_on_screen("pump");
    view.await_on_screen("door");
    assert!(!view.is_cooked());
    // The highest priority is first, and chosen.
    view.enter("a");
    view.await_on_screen("pump acknowledged");
    await_names(&["--acknowledged"], &["pump"]);
    // The other one goes on the shelf, with a reason, and is taken off it again.
    view.enter("s");
    view.await_on_screen("forever");
    view.enter("\u{7f}\u{7f}2h\r");
    view.await_on_screen("why:");
    view.enter("paint\r");
    view.await_on_screen("door shelved");
    await_names(&["--shelved"], &["door"]);
    assert_eq!(plant.json(&["list", "--shelved"])[0]["shelved"]["reason"], "paint");
    view.enter("3");
    view.await_on_screen("SHELVED");
    view.enter("u");
    view.await_on_screen("door unshelved");
    await_names(&["--shelved"], &[]);
    // What comes from elsewhere is seen, found by the filter, and told at length.
    plant.alarms(&["set", "valve", "--priority", "P2", "--message", "stuck", "--status", "HIHI"]);
    view.enter("1");
    view.await_on_screen("valve");
    view.enter("/valv\r");
    view.await_on_screen("1 by priority, filter: valv");
    view.resize(200);
    view.await_on_screen("SEVERITY");
    view.enter("\r");
    view.await_on_screen("status        HIHI");
    view.enter("x?");
    view.await_on_screen("PgDn");
    view.enter("xq");
    let (code, text, cooked) = view.end_with_modes();
    assert!(code == 0 && cooked, "{code} {text:?}");
    assert!(text.contains("\u{1b}[?1049l") && text.contains("\u{1b}[?25h"), "{text:?}");

    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::HUP] {
        let mut view = Terminal::start(&program, &["alarms", "view"], &environment, 60);
        view.await_on_screen("door");
        view.signal(signal);
        let (code, text, cooked) = view.end_with_modes();
        assert!(code == 0 && cooked && text.contains("\u{1b}[?1049l"), "{code} {text:?}");
    }
    let mut view = Terminal::start(&program, &["alarms", "view"], &environment, 200);
    view.await_on_screen("door");
    view.enter("\u{3}");
    let (code, _, cooked) = view.end_with_modes();
    assert!(code == 0 && cooked);
}
