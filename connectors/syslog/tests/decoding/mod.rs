//! Whatever anybody sends to the source's sockets, decoded without a panic and without unbounded memory.

use std::sync::{Arc, LazyLock};

use connect_api::{Bytes, Settings, config::Config};
use connector_syslog::{
    clock::Clock,
    config::{Chosen, SyslogSourceConfig},
    framing::{End, Frame, Framer, Framing},
    listener::{Listen, Transport},
    message::{Expected, Message},
    record::{Arrival, Layout, Recording},
};

/// The first byte chooses how the rest comes: as a datagram, or in pieces of a stream in one of the framings.
pub fn decode(input: &[u8]) {
    let Some((choice, bytes)) = input.split_first() else { return };
    let framing = match choice % 4 {
        0 => return message(bytes),
        1 => Framing::Auto,
        2 => Framing::OctetCounting,
        _ => Framing::NonTransparent,
    };
    let whole = frames(framing, bytes, bytes.len().max(1));
    let cut = frames(framing, bytes, usize::from(choice / 4) + 1);
    assert_eq!(whole, cut, "a stream in pieces is the same stream");
    assert!(whole.iter().map(|frame| frame.bytes.len()).sum::<usize>() <= bytes.len(), "nothing is made up");
    for frame in whole {
        assert!(frame.bytes.len() <= LIMIT + PIECE_DIGITS, "the limit holds");
        message(&frame.bytes);
    }
}

const LIMIT: usize = 256;
/// What is left of a counted message whose end never came has its length before it.
const PIECE_DIGITS: usize = 10;

/// The messages of a stream that comes in pieces of this size, up to what cannot be understood.
fn frames(framing: Framing, bytes: &[u8], piece: usize) -> Vec<Frame> {
    let mut framer = Framer::new(framing, LIMIT);
    let mut all = Vec::new();
    for piece in bytes.chunks(piece) {
        framer.push(piece);
        loop {
            match framer.next_frame() {
                Ok(Some(frame)) => all.push(frame),
                Ok(None) => break,
                Err(broken) => {
                    assert!(broken.0.wrong.is_some());
                    return all;
                }
            }
        }
    }
    all.extend(framer.last(End::Orderly));
    all
}

fn message(bytes: &[u8]) {
    let received = 1_795_000_000_000;
    let arrival = Arrival {
        listener: Arc::new(Listen { transport: Transport::Udp, address: "127.0.0.1:5514".into() }),
        remote: ([127, 0, 0, 1], 40000).into(),
        received,
    };
    let kept = Bytes::copy_from_slice(bytes);
    for expected in [Expected::Auto, Expected::Rfc5424, Expected::Rfc3164] {
        let Ok(message) = Message::parse(bytes, expected, &Clock::utc(), received) else { continue };
        for recording in &*RECORDINGS {
            recording.record(&message, &arrival, &kept).expect("what was read can be written");
        }
    }
    RECORDINGS[0].record(&Message::unknown(bytes), &arrival, &kept).expect("anything can be written");
}

static RECORDINGS: LazyLock<[Recording; 2]> = LazyLock::new(|| {
    [Layout::Tocsin, Layout::Confluent].map(|layout| {
        let config = SyslogSourceConfig::parse(&Settings::new()).expect("defaults");
        Recording { layout, ..config.recording() }
    })
});
