//! All decoders of Channel Access over one input, shared by the fuzz target and the test that replays stored inputs.

use bytes::Bytes;
use connector_epics::ca::{
    dbr,
    protocol::{Decoder, Frame, Message, Reply, datagram_replies},
    search::Found,
};

/// The greatest payload that is taken.
const LIMIT: u32 = 4096;

/// Decodes the input as a stream and as a datagram, and checks what has to hold of any input. The first byte says in
/// which pieces the stream comes.
pub fn decode(input: &[u8]) {
    let Some((first, stream)) = input.split_first() else { return };
    let whole = frames(stream, stream.len().max(1));
    let cut = frames(stream, usize::from(*first).max(1));
    assert_eq!(whole, cut, "a stream in pieces is the same stream");
    for frame in whole {
        match frame {
            Frame::Message(message) => message_holds(message),
            Frame::TooLarge(header) => assert!(header.payload_len > LIMIT),
        }
    }
    let sender = [192, 0, 2, 1].into();
    for reply in datagram_replies(stream) {
        if let Some(found) = Found::from_reply(&reply, sender) {
            assert_ne!(found.server.port(), 0, "there is no such port");
        }
        reply_holds(&reply);
    }
}

fn frames(stream: &[u8], piece: usize) -> Vec<Frame> {
    let mut decoder = Decoder::new(LIMIT);
    let mut frames = Vec::new();
    for piece in stream.chunks(piece) {
        decoder.buffer().extend_from_slice(piece);
        frames.extend(std::iter::from_fn(|| decoder.next_frame()));
        assert!(decoder.buffer().len() <= LIMIT as usize + 24, "more is kept than one message");
    }
    frames
}

fn message_holds(message: Message) {
    assert!(message.header.payload_len <= LIMIT);
    assert_eq!(message.payload.len(), message.header.payload_len as usize);
    reply_holds(&Reply::from(message));
}

fn reply_holds(reply: &Reply) {
    if let Reply::Update { data_type, count, payload, .. } | Reply::ReadDone { data_type, count, payload, .. } = reply {
        values_hold(*data_type, *count, payload);
    }
}

fn values_hold(data_type: u16, count: u32, payload: &Bytes) {
    if let Ok(sample) = dbr::decode_time(data_type, count, payload) {
        assert_eq!(sample.value.len(), count as usize);
        assert_eq!(dbr::time_type(sample.value.native_type()), data_type);
        assert!(sample.time.nanos < 1_000_000_000);
    }
    if let Ok(control) = dbr::decode_control(data_type, count, payload) {
        assert_eq!(control.value.len(), count as usize);
        assert_eq!(dbr::control_type(control.value.native_type()), data_type);
        assert!(control.labels.len() <= 16);
    }
}
