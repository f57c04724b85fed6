//! Messages of Channel Access 4.13 to bytes and back, without I/O (`caProto.h` and `caerr.h` of EPICS base).

use std::net::Ipv4Addr;

use bytes::{Bytes, BytesMut};

use super::frame::HEADER_LEN;
pub use super::frame::{Decoder, Frame, Header, Message, write_message};
use crate::channel::Mask;

/// The minor version of the protocol that is spoken here. It brought subscriptions to "as many elements as there are".
pub const MINOR_VERSION: u16 = 13;
/// The first minor version in which a count of 0 means the current number of elements.
pub const DYNAMIC_COUNT_VERSION: u16 = 13;
/// The greatest size of a datagram in bytes.
pub const MAX_DATAGRAM: usize = 1024;
/// The greatest length of a channel name that fits a search datagram besides VERSION, its own header and the final zero.
pub const MAX_NAME: usize = MAX_DATAGRAM - 2 * HEADER_LEN - 1;

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

/// A message to a server or a repeater.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// The version spoken here; the first message of a circuit and of a datagram.
    Version {
        /// How urgent the circuit is, from 0 to 99; of no meaning in a datagram.
        priority: u8,
    },
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
            Request::Version { priority } => {
                write_message(out, header(command::VERSION, priority.into(), minor, 0, 0), &[]);
            }
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

    fn reply(bytes: &[u8]) -> Reply {
        let mut replies = datagram_replies(bytes);
        assert_eq!(replies.len(), 1);
        replies.remove(0)
    }

    #[test]
    fn requests_have_the_bytes_of_channel_access() {
        assert_eq!(written(Request::Version { priority: 0 }), [0, 0, 0, 0, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0, 0]);
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
    fn the_longest_name_fits_a_datagram() {
        let name = "n".repeat(MAX_NAME);
        let mut out = BytesMut::new();
        Request::Version { priority: 0 }.write(&mut out);
        Request::Search { cid: 1, name: &name }.write(&mut out);
        assert_eq!(out.len(), MAX_DATAGRAM);
    }
}
