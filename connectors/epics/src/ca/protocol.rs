//! Messages of Channel Access 4.13 to bytes and back, without I/O (`caProto.h` and `caerr.h` of EPICS base).
//!
//! A message is a header of 16 bytes, big-endian throughout, and a payload padded to a multiple of 8. Payloads of 65535
//! bytes and more, or counts that need more than 16 bits, take the extended header of 24 bytes.

use std::net::Ipv4Addr;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::channel::Mask;

/// The minor version of the protocol that is spoken here. It brought subscriptions to "as many elements as there are".
pub const MINOR_VERSION: u16 = 13;
/// The first minor version in which a count of 0 means the current number of elements.
pub const DYNAMIC_COUNT_VERSION: u16 = 13;
/// The greatest size of a datagram in bytes.
pub const MAX_DATAGRAM: usize = 1024;
/// The greatest length of a channel name that fits a search datagram besides VERSION, its own header and the final zero.
pub const MAX_NAME: usize = MAX_DATAGRAM - 2 * HEADER_LEN - 1;

const HEADER_LEN: usize = 16;
const EXTENSION_LEN: usize = 8;
const EXTENDED: u16 = 0xffff;

/// The numbers of the commands.
pub mod command {
    #![allow(missing_docs, reason = "the names are those of caProto.h")]
    pub const VERSION: u16 = 0;
    pub const EVENT_ADD: u16 = 1;
    pub const EVENT_CANCEL: u16 = 2;
    pub const SEARCH: u16 = 6;
    pub const ERROR: u16 = 11;
    pub const CLEAR_CHANNEL: u16 = 12;
    pub const BEACON: u16 = 13;
    pub const NOT_FOUND: u16 = 14;
    pub const READ_NOTIFY: u16 = 15;
    pub const REPEATER_CONFIRM: u16 = 17;
    pub const CREATE_CHAN: u16 = 18;
    pub const WRITE_NOTIFY: u16 = 19;
    pub const CLIENT_NAME: u16 = 20;
    pub const HOST_NAME: u16 = 21;
    pub const ACCESS_RIGHTS: u16 = 22;
    pub const ECHO: u16 = 23;
    pub const REPEATER_REGISTER: u16 = 24;
    pub const CREATE_CH_FAIL: u16 = 26;
    pub const SERVER_DISCONN: u16 = 27;
}

/// A status code of Channel Access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Eca(pub u32);

impl Eca {
    /// The request succeeded.
    pub const NORMAL: Eca = Eca(1);
    /// The client may not read the channel.
    pub const NO_READ_ACCESS: Eca = Eca(46 << 3);

    /// The name without `ECA_`; `UNKNOWN` for codes that servers have no reason to send.
    pub fn name(self) -> &'static str {
        // The low three bits repeat how severe the condition is.
        match self.0 >> 3 {
            0 => "NORMAL",
            6 => "ALLOCMEM",
            9 => "TOLARGE",
            10 => "TIMEOUT",
            11 => "NOSUPPORT",
            12 => "STRTOBIG",
            14 => "BADTYPE",
            17 => "INTERNAL",
            18 => "DBLCLFAIL",
            19 => "GETFAIL",
            20 => "PUTFAIL",
            21 => "ADDFAIL",
            22 => "BADCOUNT",
            23 => "BADSTR",
            24 => "DISCONN",
            30 => "BADMONID",
            41 => "BADMASK",
            46 => "NORDACCESS",
            47 => "NOWTACCESS",
            50 => "NOCONVERT",
            51 => "BADCHID",
            54 => "UNAVAILINSERV",
            55 => "CHANDESTROY",
            56 => "BADPRIORITY",
            58 => "16KARRAYCLIENT",
            _ => "UNKNOWN",
        }
    }
}

/// The header of a message. What `p1` and `p2` mean depends on the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// One of [`command`].
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
    let short_len = u16::try_from(padded).ok().filter(|len| *len < 0xfff1);
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

/// A message to a server or a repeater.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// The version spoken here; the first message of a circuit and of a datagram.
    Version,
    /// Asks who serves `name`; only who does answers. `cid` comes back.
    Search {
        /// The client's number of the channel.
        cid: u32,
        /// The channel's name.
        name: &'a str,
    },
    /// The name of the user, for the server's access rules.
    ClientName(&'a str),
    /// The name of the client's host, for the server's access rules.
    HostName(&'a str),
    /// Opens a channel.
    CreateChannel {
        /// The client's number of the channel.
        cid: u32,
        /// The channel's name.
        name: &'a str,
    },
    /// Closes a channel.
    ClearChannel {
        /// The server's number of the channel.
        sid: u32,
        /// The client's number of the channel.
        cid: u32,
    },
    /// Subscribes to a channel.
    Subscribe {
        /// The type wanted, such as [`time_type`](super::dbr::time_type).
        data_type: u16,
        /// The number of elements wanted; 0 for as many as there are.
        count: u32,
        /// The server's number of the channel.
        sid: u32,
        /// The client's number of the subscription.
        subscription: u32,
        /// The changes wanted.
        mask: Mask,
    },
    /// Ends a subscription.
    Unsubscribe {
        /// The type of the subscription.
        data_type: u16,
        /// The count of the subscription.
        count: u32,
        /// The server's number of the channel.
        sid: u32,
        /// The client's number of the subscription.
        subscription: u32,
    },
    /// Reads a channel once.
    Read {
        /// The type wanted, such as [`control_type`](super::dbr::control_type).
        data_type: u16,
        /// The number of elements wanted; 0 for as many as there are.
        count: u32,
        /// The server's number of the channel.
        sid: u32,
        /// The client's number of the request.
        ioid: u32,
    },
    /// Writes a channel and asks for the result.
    Write {
        /// The type of the payload.
        data_type: u16,
        /// The number of elements in the payload.
        count: u32,
        /// The server's number of the channel.
        sid: u32,
        /// The client's number of the request.
        ioid: u32,
        /// The elements.
        payload: &'a [u8],
    },
    /// Asks the server to show that it lives.
    Echo,
    /// Asks a repeater to pass on beacons to the sender's socket, bound to `address`.
    RegisterWithRepeater {
        /// The client's address.
        address: Ipv4Addr,
    },
}

/// Do not answer a search that is not for you.
const DONT_REPLY: u16 = 5;

impl Request<'_> {
    /// Appends the message's bytes to `out`.
    pub fn write(self, out: &mut BytesMut) {
        let minor = u32::from(MINOR_VERSION);
        let header = |command, data_type, count, p1, p2| Header { command, payload_len: 0, data_type, count, p1, p2 };
        match self {
            Request::Version => write_message(out, header(command::VERSION, 0, minor, 0, 0), &[]),
            Request::Search { cid, name } => {
                write_message(out, header(command::SEARCH, DONT_REPLY, minor, cid, cid), &terminated(name));
            }
            Request::ClientName(name) => {
                write_message(out, header(command::CLIENT_NAME, 0, 0, 0, 0), &terminated(name));
            }
            Request::HostName(name) => {
                write_message(out, header(command::HOST_NAME, 0, 0, 0, 0), &terminated(name));
            }
            Request::CreateChannel { cid, name } => {
                write_message(out, header(command::CREATE_CHAN, 0, 0, cid, minor), &terminated(name));
            }
            Request::ClearChannel { sid, cid } => {
                write_message(out, header(command::CLEAR_CHANNEL, 0, 0, sid, cid), &[]);
            }
            Request::Subscribe { data_type, count, sid, subscription, mask } => {
                // Three thresholds that no server reads, then the mask.
                let mut payload = [0; 16];
                payload[12..14].copy_from_slice(&mask.bits().to_be_bytes());
                write_message(out, header(command::EVENT_ADD, data_type, count, sid, subscription), &payload);
            }
            Request::Unsubscribe { data_type, count, sid, subscription } => {
                write_message(out, header(command::EVENT_CANCEL, data_type, count, sid, subscription), &[]);
            }
            Request::Read { data_type, count, sid, ioid } => {
                write_message(out, header(command::READ_NOTIFY, data_type, count, sid, ioid), &[]);
            }
            Request::Write { data_type, count, sid, ioid, payload } => {
                write_message(out, header(command::WRITE_NOTIFY, data_type, count, sid, ioid), payload);
            }
            Request::Echo => write_message(out, header(command::ECHO, 0, 0, 0, 0), &[]),
            Request::RegisterWithRepeater { address } => {
                write_message(out, header(command::REPEATER_REGISTER, 0, 0, 0, address.to_bits()), &[]);
            }
        }
    }
}

fn terminated(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 1);
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(0);
    bytes
}

/// A message from a server or a repeater.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The minor version that the server speaks.
    Version {
        /// The minor version.
        minor: u16,
    },
    /// A server has a channel that was searched for.
    Found {
        /// The client's number of the channel.
        cid: u32,
        /// The server's address; none stands for the sender's.
        address: Option<Ipv4Addr>,
        /// The server's TCP port.
        port: u16,
    },
    /// A server does not have a channel that was searched for.
    NotFound {
        /// The client's number of the channel.
        cid: u32,
    },
    /// A channel is open.
    ChannelCreated {
        /// The client's number of the channel.
        cid: u32,
        /// The server's number of the channel.
        sid: u32,
        /// The type of its values; see [`NativeType`](crate::channel::NativeType).
        data_type: u16,
        /// The greatest number of elements.
        count: u32,
    },
    /// The server does not have the channel after all.
    CreateFailed {
        /// The client's number of the channel.
        cid: u32,
    },
    /// What the client may do with a channel.
    AccessRights {
        /// The client's number of the channel.
        cid: u32,
        /// Whether it may be read.
        read: bool,
        /// Whether it may be written.
        write: bool,
    },
    /// An update of a subscription, or the confirmation of its end, which has no payload.
    Update {
        /// The client's number of the subscription.
        subscription: u32,
        /// Whether the update is good.
        eca: Eca,
        /// The type of the payload.
        data_type: u16,
        /// The number of elements in the payload.
        count: u32,
        /// The value with what comes before it.
        payload: Bytes,
    },
    /// The answer to [`Request::Read`].
    ReadDone {
        /// The client's number of the request.
        ioid: u32,
        /// Whether it succeeded.
        eca: Eca,
        /// The type of the payload.
        data_type: u16,
        /// The number of elements in the payload.
        count: u32,
        /// The value with what comes before it.
        payload: Bytes,
    },
    /// The answer to [`Request::Write`].
    WriteDone {
        /// The client's number of the request.
        ioid: u32,
        /// Whether it succeeded.
        eca: Eca,
    },
    /// A channel is closed at the client's request.
    ChannelCleared {
        /// The client's number of the channel.
        cid: u32,
    },
    /// The server closed a channel.
    ChannelGone {
        /// The client's number of the channel.
        cid: u32,
    },
    /// A request failed.
    Error {
        /// The client's number of the channel that the request was about.
        cid: u32,
        /// What went wrong.
        eca: Eca,
        /// The command of the request; none if the server did not quote it.
        request: Option<u16>,
        /// What the server says about it.
        text: String,
    },
    /// The server lives.
    Echo,
    /// A server, or a repeater on its behalf, says that it lives.
    Beacon {
        /// The server's address; none stands for the sender's.
        address: Option<Ipv4Addr>,
        /// The server's TCP port.
        port: u16,
        /// Counts the server's beacons.
        id: u32,
    },
    /// A repeater took the registration.
    RepeaterConfirmed,
    /// A command that no server sends to this client.
    Other {
        /// The command.
        command: u16,
    },
}

impl From<Message> for Reply {
    fn from(Message { header, payload }: Message) -> Reply {
        let Header { command, data_type, count, p1, p2, .. } = header;
        match command {
            // A count of more than 16 bits is nothing a server can mean: newer than anything known.
            command::VERSION => Reply::Version { minor: u16::try_from(count).unwrap_or(u16::MAX) },
            command::SEARCH => Reply::Found { cid: p2, address: address(p1), port: data_type },
            command::NOT_FOUND => Reply::NotFound { cid: p2 },
            command::CREATE_CHAN => Reply::ChannelCreated { cid: p1, sid: p2, data_type, count },
            command::CREATE_CH_FAIL => Reply::CreateFailed { cid: p1 },
            command::ACCESS_RIGHTS => Reply::AccessRights { cid: p1, read: p2 & 1 != 0, write: p2 & 2 != 0 },
            command::EVENT_ADD => Reply::Update { subscription: p2, eca: Eca(p1), data_type, count, payload },
            command::READ_NOTIFY => Reply::ReadDone { ioid: p2, eca: Eca(p1), data_type, count, payload },
            command::WRITE_NOTIFY => Reply::WriteDone { ioid: p2, eca: Eca(p1) },
            command::CLEAR_CHANNEL => Reply::ChannelCleared { cid: p2 },
            command::SERVER_DISCONN => Reply::ChannelGone { cid: p1 },
            command::ERROR => error(p1, Eca(p2), &payload),
            command::ECHO => Reply::Echo,
            command::BEACON => {
                // The port is the count: a u16, whatever form the header has.
                Reply::Beacon { address: address(p2), port: count as u16, id: p1 }
            }
            command::REPEATER_CONFIRM => Reply::RepeaterConfirmed,
            command => Reply::Other { command },
        }
    }
}

/// The address of a server, which both all ones and all zeros leave to the datagram's sender.
fn address(bits: u32) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from_bits(bits)).filter(|address| !address.is_broadcast() && !address.is_unspecified())
}

/// An ERROR carries the header of the request, then a text.
fn error(cid: u32, eca: Eca, payload: &[u8]) -> Reply {
    let (request, text) = match Header::parse(payload) {
        Some((request, len)) => (Some(request.command), payload.get(len..).unwrap_or_default()),
        None => (None, payload),
    };
    Reply::Error { cid, eca, request, text: super::dbr::text(text) }
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

/// The replies in one datagram, up to the first that is cut off.
pub fn datagram_replies(datagram: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    let mut rest = datagram;
    while let Some((header, header_len)) = Header::parse(rest) {
        let after_header = &rest[header_len..];
        let Some((payload, next)) = after_header.split_at_checked(header.payload_len as usize) else {
            break;
        };
        replies.push(Message { header, payload: Bytes::copy_from_slice(payload) }.into());
        rest = next;
    }
    replies
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(request: Request<'_>) -> Vec<u8> {
        let mut out = BytesMut::new();
        request.write(&mut out);
        out.to_vec()
    }

    fn frames(decoder: &mut Decoder) -> Vec<Frame> {
        std::iter::from_fn(|| decoder.next_frame()).collect()
    }

    fn reply(bytes: &[u8]) -> Reply {
        let mut replies = datagram_replies(bytes);
        assert_eq!(replies.len(), 1);
        replies.remove(0)
    }

    #[test]
    fn requests_have_the_bytes_of_channel_access() {
        assert_eq!(written(Request::Version), [0, 0, 0, 0, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            written(Request::Search { cid: 0x0102_0304, name: "T:ai0" }),
            *b"\x00\x06\x00\x08\x00\x05\x00\x0d\x01\x02\x03\x04\x01\x02\x03\x04T:ai0\0\0\0"
        );
        assert_eq!(
            written(Request::CreateChannel { cid: 7, name: "T:seven" }),
            *b"\x00\x12\x00\x08\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x0dT:seven\0"
        );
        assert_eq!(
            written(Request::Subscribe {
                data_type: 20,
                count: 0,
                sid: 3,
                subscription: 7,
                mask: Mask::VALUE.with(Mask::ALARM)
            }),
            *b"\x00\x01\x00\x10\x00\x14\x00\x00\x00\x00\x00\x03\x00\x00\x00\x07\0\0\0\0\0\0\0\0\0\0\0\0\x00\x05\0\0"
        );
        assert_eq!(
            written(Request::Unsubscribe { data_type: 20, count: 0, sid: 3, subscription: 7 }),
            [0, 2, 0, 0, 0, 20, 0, 0, 0, 0, 0, 3, 0, 0, 0, 7]
        );
        assert_eq!(
            written(Request::ClearChannel { sid: 3, cid: 7 }),
            [0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 7]
        );
        assert_eq!(
            written(Request::Read { data_type: 34, count: 1, sid: 3, ioid: 9 }),
            [0, 15, 0, 0, 0, 34, 0, 1, 0, 0, 0, 3, 0, 0, 0, 9]
        );
        assert_eq!(
            written(Request::Write { data_type: 1, count: 1, sid: 3, ioid: 9, payload: &[0, 5] }),
            [0, 19, 0, 8, 0, 1, 0, 1, 0, 0, 0, 3, 0, 0, 0, 9, 0, 5, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(written(Request::ClientName("me")), *b"\0\x14\0\x08\0\0\0\0\0\0\0\0\0\0\0\0me\0\0\0\0\0\0");
        assert_eq!(written(Request::HostName("h")), *b"\0\x15\0\x08\0\0\0\0\0\0\0\0\0\0\0\0h\0\0\0\0\0\0\0");
        assert_eq!(written(Request::Echo), [0, 23, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            written(Request::RegisterWithRepeater { address: Ipv4Addr::LOCALHOST }),
            [0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 127, 0, 0, 1]
        );
    }

    #[test]
    fn replies_are_read_from_their_bytes() {
        assert_eq!(reply(&[0, 0, 0, 0, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0, 0]), Reply::Version { minor: 13 });
        assert_eq!(
            reply(&[0, 6, 0, 8, 0x13, 0xc8, 0, 0, 255, 255, 255, 255, 0, 0, 0, 7, 0, 13, 0, 0, 0, 0, 0, 0]),
            Reply::Found { cid: 7, address: None, port: 5064 }
        );
        assert_eq!(
            reply(&[0, 6, 0, 0, 0x13, 0xc8, 0, 0, 192, 0, 2, 1, 0, 0, 0, 7]),
            Reply::Found { cid: 7, address: Some(Ipv4Addr::new(192, 0, 2, 1)), port: 5064 }
        );
        assert_eq!(reply(&[0, 14, 0, 0, 0, 10, 0, 13, 0, 0, 0, 7, 0, 0, 0, 7]), Reply::NotFound { cid: 7 });
        assert_eq!(
            reply(&[0, 18, 0, 0, 0, 6, 0, 2, 0, 0, 0, 7, 0, 0, 0, 3]),
            Reply::ChannelCreated { cid: 7, sid: 3, data_type: 6, count: 2 }
        );
        assert_eq!(reply(&[0, 26, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0]), Reply::CreateFailed { cid: 7 });
        assert_eq!(
            reply(&[0, 22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 2]),
            Reply::AccessRights { cid: 7, read: false, write: true }
        );
        assert_eq!(reply(&[0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 7]), Reply::ChannelCleared { cid: 7 });
        assert_eq!(reply(&[0, 27, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0]), Reply::ChannelGone { cid: 7 });
        assert_eq!(reply(&[0, 23, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Reply::Echo);
        assert_eq!(
            reply(&[0, 13, 0, 0, 0, 13, 0x13, 0xc8, 0, 0, 0, 9, 127, 0, 0, 1]),
            Reply::Beacon { address: Some(Ipv4Addr::LOCALHOST), port: 5064, id: 9 }
        );
        assert_eq!(reply(&[0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 127, 0, 0, 1]), Reply::RepeaterConfirmed);
        assert_eq!(
            reply(&[0, 19, 0, 0, 0, 6, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9]),
            Reply::WriteDone { ioid: 9, eca: Eca::NORMAL }
        );
        assert_eq!(
            reply(&[0, 15, 0, 8, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9, 0, 5, 0, 0, 0, 0, 0, 0]),
            Reply::ReadDone {
                ioid: 9,
                eca: Eca::NORMAL,
                data_type: 1,
                count: 1,
                payload: Bytes::from_static(&[0, 5, 0, 0, 0, 0, 0, 0])
            }
        );
        assert_eq!(
            reply(&[0, 1, 0, 0, 0, 20, 0, 0, 0, 0, 1, 0x70, 0, 0, 0, 7]),
            Reply::Update { subscription: 7, eca: Eca::NO_READ_ACCESS, data_type: 20, count: 0, payload: Bytes::new() }
        );
        assert_eq!(reply(&[0, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Reply::Other { command: 99 });
    }

    #[test]
    fn errors_quote_the_request() {
        let mut quoted = BytesMut::new();
        Request::Read { data_type: 99, count: 1, sid: 3, ioid: 9 }.write(&mut quoted);
        quoted.extend_from_slice(b"bad type\0");
        let mut out = BytesMut::new();
        write_message(&mut out, Header { command: command::ERROR, p1: 7, p2: 114, ..Header::default() }, &quoted);
        let (request, text) = (Some(command::READ_NOTIFY), "bad type".to_owned());
        assert_eq!(reply(&out), Reply::Error { cid: 7, eca: Eca(114), request, text });
        assert_eq!(Eca(114).name(), "BADTYPE");
        assert_eq!(
            reply(&[0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 114]),
            Reply::Error { cid: 7, eca: Eca(114), request: None, text: String::new() }
        );
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
        Request::Version.write(&mut stream);
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

    #[test]
    fn the_longest_name_fits_a_datagram() {
        let name = "n".repeat(MAX_NAME);
        let mut out = BytesMut::new();
        Request::Version.write(&mut out);
        Request::Search { cid: 1, name: &name }.write(&mut out);
        assert_eq!(out.len(), MAX_DATAGRAM);
    }
}
