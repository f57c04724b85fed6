//! Headers and payloads: where one message ends and the next begins, without I/O (`caProto.h` of EPICS base).
//!
//! A message is a header of 16 bytes, big-endian throughout, and a payload padded to a multiple of 8. Payloads of 65535
//! bytes and more, or counts that need more than 16 bits, take the extended header of 24 bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

pub(super) const HEADER_LEN: usize = 16;
const EXTENSION_LEN: usize = 8;
/// Instead of a length: the length and the count follow the header.
const EXTENDED: u16 = 0xffff;

/// The header of a message. What `p1` and `p2` mean depends on the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// One of [`command`](super::protocol::command).
    pub command: u16,
    /// The length of the payload in bytes, with its padding.
    pub payload_len: u32,
    /// The type of the elements, or something else that fits 16 bits.
    pub data_type: u16,
    /// The number of elements, or something else.
    pub count: u32,
    /// The first parameter.
    pub p1: u32,
    /// The second parameter.
    pub p2: u32,
}

impl Header {
    /// Reads a header from the start of `bytes`, with the number of bytes that it takes; none if there are too few.
    pub fn parse(mut bytes: &[u8]) -> Option<(Header, usize)> {
        if bytes.len() < HEADER_LEN {
            return None;
        }
        let command = bytes.get_u16();
        let short_len = bytes.get_u16();
        let data_type = bytes.get_u16();
        let short_count = bytes.get_u16();
        let (p1, p2) = (bytes.get_u32(), bytes.get_u32());
        let mut header =
            Header { command, payload_len: short_len.into(), data_type, count: short_count.into(), p1, p2 };
        if short_len != EXTENDED {
            return Some((header, HEADER_LEN));
        }
        if bytes.len() < EXTENSION_LEN {
            return None;
        }
        header.payload_len = bytes.get_u32();
        header.count = bytes.get_u32();
        Some((header, HEADER_LEN + EXTENSION_LEN))
    }
}

/// Appends one message to `out`. The payload is padded, and `header.payload_len` is computed from it.
///
/// # Panics
///
/// If the payload has 4 GiB or more.
pub fn write_message(out: &mut BytesMut, header: Header, payload: &[u8]) {
    let padded = payload.len().next_multiple_of(8);
    let short_len = u16::try_from(padded).ok().filter(|len| *len < EXTENDED);
    match (short_len, u16::try_from(header.count)) {
        (Some(len), Ok(count)) => {
            put_fixed(out, &header, len, count);
        }
        _ => {
            put_fixed(out, &header, EXTENDED, 0);
            out.put_u32(u32::try_from(padded).expect("payloads that are sent are far below 4 GiB"));
            out.put_u32(header.count);
        }
    }
    out.put_slice(payload);
    out.put_bytes(0, padded - payload.len());
}

fn put_fixed(out: &mut BytesMut, header: &Header, len: u16, count: u16) {
    for field in [header.command, len, header.data_type, count] {
        out.put_u16(field);
    }
    out.put_u32(header.p1);
    out.put_u32(header.p2);
}

/// A header with its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The header.
    pub header: Header,
    /// The payload with its padding: exactly `header.payload_len` bytes.
    pub payload: Bytes,
}

/// What a [`Decoder`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message.
    Message(Message),
    /// The header of a message whose payload is over the limit and is passed over.
    TooLarge(Header),
}

/// Splits a stream of bytes into messages. Bytes come in pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    limit: u32,
    /// Bytes still to come of a payload over the limit.
    pass_over: u64,
}

impl Decoder {
    /// A decoder that passes over payloads of more than `limit` bytes.
    pub fn new(limit: u32) -> Decoder {
        Decoder { buffer: BytesMut::new(), limit, pass_over: 0 }
    }

    /// The greatest payload in bytes.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Where received bytes are appended to.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next frame, or none until more bytes came.
    pub fn next_frame(&mut self) -> Option<Frame> {
        let passed = usize::try_from(self.pass_over).map_or(self.buffer.len(), |all| all.min(self.buffer.len()));
        self.buffer.advance(passed);
        self.pass_over -= passed as u64;
        if self.pass_over > 0 {
            return None;
        }
        let (header, header_len) = Header::parse(&self.buffer)?;
        if header.payload_len > self.limit {
            self.buffer.advance(header_len);
            self.pass_over = header.payload_len.into();
            return Some(Frame::TooLarge(header));
        }
        let payload_len = header.payload_len as usize;
        if self.buffer.len() - header_len < payload_len {
            // One allocation for a large payload instead of one for each doubling.
            self.buffer.reserve(header_len + payload_len - self.buffer.len());
            return None;
        }
        self.buffer.advance(header_len);
        let payload = self.buffer.split_to(payload_len).freeze();
        Some(Frame::Message(Message { header, payload }))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::protocol::{Reply, Request, command, datagram_replies},
        *,
    };

    fn frames(decoder: &mut Decoder) -> Vec<Frame> {
        std::iter::from_fn(|| decoder.next_frame()).collect()
    }

    #[test]
    fn long_payloads_and_counts_take_the_extended_header() {
        let mut out = BytesMut::new();
        let header = Header { command: 1, data_type: 20, count: 8192, p1: 1, p2: 2, payload_len: 0 };
        write_message(&mut out, header, &[7; 65_536]);
        assert_eq!(out[..24], [0, 1, 255, 255, 0, 20, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0x20, 0]);
        assert_eq!(Header::parse(&out), Some((Header { payload_len: 65_536, ..header }, 24)));
        assert_eq!(Header::parse(&out[..23]), None);

        out.clear();
        write_message(&mut out, Header { count: 70_000, ..header }, &[]);
        assert_eq!(Header::parse(&out), Some((Header { count: 70_000, ..header }, 24)));
    }

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_messages() {
        let mut stream = BytesMut::new();
        Request::Version { priority: 0 }.write(&mut stream);
        Request::CreateChannel { cid: 7, name: "T:ai0" }.write(&mut stream);
        write_message(&mut stream, Header { command: 1, count: 70_000, ..Header::default() }, &[1; 24]);
        Request::Echo.write(&mut stream);

        let mut whole = Decoder::new(64);
        whole.buffer().extend_from_slice(&stream);
        let expected = frames(&mut whole);
        assert_eq!(expected.len(), 4);
        for cut in 0..stream.len() {
            let mut decoder = Decoder::new(64);
            decoder.buffer().extend_from_slice(&stream[..cut]);
            let mut got = frames(&mut decoder);
            decoder.buffer().extend_from_slice(&stream[cut..]);
            got.extend(frames(&mut decoder));
            assert_eq!(got, expected, "cut at {cut}");
        }
    }

    #[test]
    fn payloads_over_the_limit_are_passed_over() {
        let mut stream = BytesMut::new();
        let large = Header { command: 1, count: 3, p2: 7, ..Header::default() };
        write_message(&mut stream, large, &[1; 24]);
        Request::Echo.write(&mut stream);
        let mut decoder = Decoder::new(16);
        let mut got = Vec::new();
        for byte in &stream {
            decoder.buffer().put_u8(*byte);
            got.extend(frames(&mut decoder));
        }
        let echo = Header { command: command::ECHO, ..Header::default() };
        assert_eq!(
            got,
            [
                Frame::TooLarge(Header { payload_len: 24, ..large }),
                Frame::Message(Message { header: echo, payload: Bytes::new() })
            ]
        );
    }

    #[test]
    fn no_bytes_make_the_decoder_panic_or_buffer_more_than_the_limit() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        for round in 0..3000 {
            let mut bytes: Vec<u8> = (0..next() % 400).map(|_| next() as u8).collect();
            // Half of the rounds begin like a message, or random lengths would hide what comes behind the header.
            if round % 2 == 0 && bytes.len() > 8 {
                let command = (next() % 28) as u8;
                bytes[..8].copy_from_slice(&[0, command, 0, (next() % 200) as u8, 0, (next() % 40) as u8, 0, 1]);
            }
            for reply in datagram_replies(&bytes) {
                if let Reply::Update { data_type, count, payload, .. } = reply {
                    let _ = super::super::dbr::decode_time(data_type, count, &payload);
                    let _ = super::super::dbr::decode_control(data_type, count, &payload);
                }
            }
            let mut decoder = Decoder::new(128);
            for piece in bytes.chunks(1 + (next() % 50) as usize) {
                decoder.buffer().extend_from_slice(piece);
                for frame in frames(&mut decoder) {
                    match frame {
                        Frame::Message(message) => {
                            assert_eq!(message.payload.len(), message.header.payload_len as usize);
                            let _ = Reply::from(message);
                        }
                        Frame::TooLarge(header) => assert!(header.payload_len > 128),
                    }
                }
                assert!(decoder.buffer().len() < 128 + 24, "the decoder holds back bytes");
            }
        }
    }
}
