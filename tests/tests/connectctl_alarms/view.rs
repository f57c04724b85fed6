//! The whole screen, in a terminal.

use std::{
    io,
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

use tocsin_tests::{
    avro::{JLAB, jlab_alarm},
    program, wait,
};

use crate::{
    plant::Plant,
    schemas::{FIRST_ACTIVE, record},
    terminal::Terminal,
};

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

/// Passes on what is sent.
const OPEN: u8 = 0;
/// Closes connections as soon as they are there.
const CLOSED: u8 = 1;
/// Takes connections and answers nothing.
const SILENT: u8 = 2;

/// A way to a server that can be closed.
struct Gate {
    address: String,
    state: Arc<AtomicU8>,
}

impl Gate {
    fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let state = Arc::new(AtomicU8::new(OPEN));
        let (server, now) = (server.to_owned(), state.clone());
        thread::spawn(move || {
            let mut silent = Vec::new();
            for client in listener.incoming().map_while(Result::ok) {
                match now.load(Ordering::Acquire) {
                    OPEN => pass(&client, &TcpStream::connect(&server).expect("the server"), &now),
                    SILENT => silent.push(client),
                    _ => {}
                }
            }
        });
        Self { address, state }
    }

    fn set(&self, state: u8) {
        self.state.store(state, Ordering::Release);
    }
}

/// Passes on what is sent in both directions, while the gate is open.
fn pass(client: &TcpStream, server: &TcpStream, state: &Arc<AtomicU8>) {
    for (from, to) in [(client, server), (server, client)] {
        let (mut from, mut to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
        let state = state.clone();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Some(count) = io::Read::read(&mut from, &mut bytes).ok().filter(|n| *n > 0) {
                if state.load(Ordering::Acquire) != OPEN || io::Write::write_all(&mut to, &bytes[..count]).is_err() {
                    break;
                }
            }
            // The other direction ends with it.
            let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
        });
    }
}

#[test]
fn the_view_goes_on_while_the_registry_is_away_and_recovers() {
    let Some(plant) = Plant::start() else { return };
    plant.write("active-alarms", "pump", JLAB, jlab_alarm((0, "P1_LIFE"), false));
    let url = plant.places[1].1.clone();
    let gate = Gate::to(url.trim_start_matches("http://").split('/').next().expect("an address"));
    let by_gate = url.replace(url.trim_start_matches("http://").split('/').next().expect("an address"), &gate.address);
    let environment =
        [("BOOTSTRAP_SERVERS", plant.places[0].1.as_str()), ("SCHEMA_REGISTRY", &by_gate), ("USER", "alice")];
    let first = record(&[("priority", apache_avro::types::Value::Enum(1, "P2_PROPERTY".into()))]);
    let unknown = plant.schemas.encode("active-alarms-value", FIRST_ACTIVE, first);

    let mut view = Terminal::start(program("connectctl"), &["alarms", "--timeout", "15"], &environment, 60);
    view.await_on_screen("pump");
    gate.set(CLOSED);
    // Its schema has not been asked for yet.
    plant.kafka.write("active-alarms", "new", Some(&unknown));
    view.await_on_screen("as of ");
    // What needs nobody to be asked is shown all the same, and keys do what they do.
    plant.write("active-alarms", "door", JLAB, jlab_alarm((2, "P3_PRODUCTIVITY"), false));
    view.await_on_screen("door");
    view.enter("/doo\r");
    view.await_on_screen("1 by priority, filter: doo");
    view.enter("\u{1b}");
    view.await_on_screen("2 by priority");
    // Writing needs the registry; that is told, and nothing ends.
    view.enter("s\rwhy\r");
    view.await_on_screen("0 of 1 shelved");
    // Where it takes connections and says nothing, what it is needed for waits, too.
    gate.set(SILENT);
    view.await_on_screen("has not answered");
    plant.write("active-alarms", "gate", JLAB, jlab_alarm((2, "P3_PRODUCTIVITY"), false));
    view.await_on_screen("Active 3");
    gate.set(OPEN);
    view.await_on_screen("Active 4");
    view.enter("q");
    let (code, text, cooked) = view.end_with_modes();
    assert!(code == 0 && cooked, "{code} {text:?}");
}
