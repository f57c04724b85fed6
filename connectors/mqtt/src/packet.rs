//! Packets of both versions of the protocol as one set, over the codecs of `rumqttc`; pure.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use connect_api::{Error, Result};
use rumqttc::{
    mqttbytes::{self, Protocol, v4},
    v5::mqttbytes::{self as mqttbytes5, v5},
};

use crate::config::{Retained, Version};

/// A message that the broker sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// MQTT topic.
    pub topic: String,
    /// Payload, or its beginning.
    pub payload: Bytes,
    /// Quality of service.
    pub qos: u8,
    /// Whether it is a retained message.
    pub retained: bool,
    /// Whether it has been sent before.
    pub duplicate: bool,
    /// Packet identifier; 0 with quality 0.
    pub id: u16,
    /// Version 5: what the payload is.
    pub content_type: Option<String>,
    /// Version 5: where an answer is expected.
    pub response_topic: Option<String>,
    /// Version 5: what an answer should tell.
    pub correlation: Option<Bytes>,
    /// Version 5: whatever else the publisher says.
    pub properties: Vec<(String, String)>,
    /// Size of the payload where only its beginning was kept.
    pub cut: Option<usize>,
}

/// What the broker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// The connection stands.
    Connected {
        /// Whether there was a session of this name.
        resumed: bool,
        /// How often the broker wants to hear something, if not as asked.
        keep_alive: Option<Duration>,
    },
    /// For each filter the quality that is granted, or why none.
    Subscribed(Vec<Result<u8, String>>),
    /// Filters are given up.
    Unsubscribed,
    /// A message.
    Message(Box<Message>),
    /// A message of quality 2 will not be sent again.
    Released(u16),
    /// The broker is alive.
    Alive,
}

/// Who connects, and how.
#[derive(Debug, Clone)]
pub struct Hello<'a> {
    /// Name of the session.
    pub client_id: &'a str,
    /// Whether it begins anew.
    pub clean: bool,
    /// How long the broker keeps it, in seconds.
    pub expiry: u32,
    /// Most messages that are not acknowledged.
    pub receive_maximum: u16,
    /// How often something is heard, in seconds.
    pub keep_alive: u16,
    /// User and password.
    pub login: Option<(&'a str, &'a str)>,
}

/// The packet that opens a connection.
pub fn connect(version: Version, hello: &Hello<'_>) -> Result<BytesMut> {
    let mut out = BytesMut::new();
    match version {
        Version::V3 => {
            let connect = v4::Connect {
                protocol: Protocol::V4,
                keep_alive: hello.keep_alive,
                client_id: hello.client_id.to_owned(),
                clean_session: hello.clean,
                last_will: None,
                login: hello.login.map(|(user, password)| v4::Login::new(user, password)),
            };
            connect.write(&mut out).map_err(unwritable)?;
        }
        Version::V5 => {
            let mut properties = v5::ConnectProperties::new();
            properties.session_expiry_interval = Some(if hello.clean { 0 } else { hello.expiry });
            properties.receive_maximum = Some(hello.receive_maximum);
            let connect = v5::Connect {
                keep_alive: hello.keep_alive,
                client_id: hello.client_id.to_owned(),
                clean_start: hello.clean,
                properties: Some(properties),
            };
            let login = hello.login.map(|(user, password)| v5::Login::new(user, password));
            connect.write(&None, &login, &mut out).map_err(unwritable5)?;
        }
    }
    Ok(out)
}

/// Identifier of the request to subscribe; there is one at a time.
const SUBSCRIBE: u16 = 1;
/// Identifier of the request to give subscriptions up.
const UNSUBSCRIBE: u16 = 2;

/// Subscribes to filters.
pub fn subscribe(version: Version, filters: &[String], qos: u8, retained: Retained) -> Result<BytesMut> {
    let mut out = BytesMut::new();
    match version {
        Version::V3 => {
            let qos = mqttbytes::qos(qos).map_err(unwritable)?;
            let filters = filters.iter().map(|filter| v4::SubscribeFilter::new(filter.clone(), qos)).collect();
            v4::Subscribe { pkid: SUBSCRIBE, filters }.write(&mut out).map_err(unwritable)?;
        }
        Version::V5 => {
            let qos = mqttbytes5::qos(qos).unwrap_or_default();
            let filters = filters.iter().map(|path| v5::Filter {
                path: path.clone(),
                qos,
                nolocal: false,
                preserve_retain: false,
                retain_forward_rule: match retained {
                    Retained::New => v5::RetainForwardRule::OnNewSubscribe,
                    Retained::Always => v5::RetainForwardRule::OnEverySubscribe,
                    Retained::Never => v5::RetainForwardRule::Never,
                },
            });
            let subscribe = v5::Subscribe { pkid: SUBSCRIBE, filters: filters.collect(), properties: None };
            subscribe.write(&mut out).map_err(unwritable5)?;
        }
    }
    Ok(out)
}

/// Gives subscriptions up.
pub fn unsubscribe(version: Version, filters: &[String]) -> Result<BytesMut> {
    let mut out = BytesMut::new();
    match version {
        Version::V3 => {
            let unsubscribe = v4::Unsubscribe { pkid: UNSUBSCRIBE, topics: filters.to_vec() };
            unsubscribe.write(&mut out).map_err(unwritable)?;
        }
        Version::V5 => {
            let unsubscribe = v5::Unsubscribe { pkid: UNSUBSCRIBE, filters: filters.to_vec(), properties: None };
            unsubscribe.write(&mut out).map_err(unwritable5)?;
        }
    }
    Ok(out)
}

/// A short packet, the same in both versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// A message of quality 1 is safe.
    Acknowledge(u16),
    /// A message of quality 2 is safe.
    Receive(u16),
    /// A message of quality 2 is forgotten.
    Complete(u16),
    /// Asks for a sign of life.
    Ping,
    /// Ends the connection.
    Disconnect,
}

impl Short {
    /// Appends it.
    pub fn write(self, out: &mut BytesMut) {
        let (kind, id) = match self {
            Self::Acknowledge(id) => (0x40, Some(id)),
            Self::Receive(id) => (0x50, Some(id)),
            Self::Complete(id) => (0x70, Some(id)),
            Self::Ping => (0xC0, None),
            Self::Disconnect => (0xE0, None),
        };
        out.extend_from_slice(&[kind, if id.is_some() { 2 } else { 0 }]);
        if let Some(id) = id {
            out.extend_from_slice(&id.to_be_bytes());
        }
    }
}

/// Takes packets out of what was read. Messages beyond a limit are cut, and the rest of them is passed over.
#[derive(Debug)]
pub struct Packets {
    version: Version,
    limit: usize,
    /// Bytes of a message that was cut, yet to come.
    skip: usize,
}

const PUBLISH: u8 = 3;
const DISCONNECT: u8 = 14;
/// Room for a topic and properties beside the payload.
const AROUND: usize = 131_072;

impl Packets {
    /// Reads packets of that version, with payloads up to the limit.
    pub fn new(version: Version, limit: usize) -> Self {
        Self { version, limit, skip: 0 }
    }

    /// The next packet; none where more bytes are needed. An error ends the connection.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Incoming>> {
        let skipped = self.skip.min(buffer.len());
        buffer.advance(skipped);
        self.skip -= skipped;
        if self.skip > 0 {
            return Ok(None);
        }
        let Some((head, length)) = header(buffer)? else { return Ok(None) };
        let kind = buffer[0] >> 4;
        let kept = self.limit + AROUND;
        if length <= kept {
            if buffer.len() < head + length {
                buffer.reserve(head + length - buffer.len());
                return Ok(None);
            }
            return self.decode(buffer.split_to(head + length), kind).map(Some);
        }
        if kind != PUBLISH {
            return Err(malformed(format!("a packet of kind {kind} has {length} bytes")));
        }
        if buffer.len() < head + kept {
            buffer.reserve(head + kept - buffer.len());
            return Ok(None);
        }
        let mut frame = BytesMut::with_capacity(kept + 5);
        frame.extend_from_slice(&buffer[..1]);
        write_length(&mut frame, kept);
        buffer.advance(head);
        frame.extend_from_slice(&buffer.split_to(kept));
        self.skip = length - kept;
        let mut cut = self.decode(frame, kind)?;
        if let Incoming::Message(message) = &mut cut {
            message.cut = message.cut.map(|size| size + self.skip);
        }
        Ok(Some(cut))
    }

    fn decode(&self, mut frame: BytesMut, kind: u8) -> Result<Incoming> {
        if kind == DISCONNECT {
            return Err(self.disconnected(&frame));
        }
        let mut incoming = match self.version {
            Version::V3 => {
                let packet = v4::Packet::read(&mut frame, usize::MAX).map_err(|e| malformed(e.to_string()))?;
                of_v4(packet)?
            }
            Version::V5 => {
                let packet = v5::Packet::read(&mut frame, None).map_err(|e| malformed(e.to_string()))?;
                of_v5(packet)?
            }
        };
        if let Incoming::Message(message) = &mut incoming
            && message.payload.len() > self.limit
        {
            message.cut = Some(message.payload.len());
            // A copy, as the beginning alone would hold all of it.
            message.payload = Bytes::copy_from_slice(&message.payload[..self.limit]);
        }
        Ok(incoming)
    }

    fn disconnected(&self, frame: &BytesMut) -> Error {
        let code = frame.get(2).copied().unwrap_or(0);
        match v5::Packet::read(&mut frame.clone(), None) {
            _ if self.version == Version::V3 => malformed("it sent what only clients may send".into()),
            Ok(v5::Packet::Disconnect(packet)) if packet.reason_code == v5::DisconnectReasonCode::SessionTakenOver => {
                Error::fatal(
                    "the broker has given the session to another client of the same name: give each connector a \
                     mqtt.client.id of its own",
                )
            }
            Ok(v5::Packet::Disconnect(packet)) => {
                let text = packet.properties.and_then(|p| p.reason_string);
                let text = text.map(|text| format!(": {text}")).unwrap_or_default();
                Error::retriable(format!("the broker has ended the connection ({:?}){text}", packet.reason_code))
            }
            _ => Error::retriable(format!("the broker has ended the connection (reason 0x{code:02x})")),
        }
    }
}

/// Length of the fixed header and of what follows it; none where more bytes are needed.
fn header(buffer: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut length = 0;
    for i in 0..4 {
        let Some(byte) = buffer.get(1 + i) else { return Ok(None) };
        length |= usize::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok(Some((2 + i, length)));
        }
    }
    Err(malformed("a length has more than four bytes".into()))
}

fn write_length(out: &mut BytesMut, mut length: usize) {
    loop {
        let more = if length > 0x7F { 0x80 } else { 0 };
        out.extend_from_slice(&[(length & 0x7F) as u8 | more]);
        length >>= 7;
        if length == 0 {
            return;
        }
    }
}

fn of_v4(packet: v4::Packet) -> Result<Incoming> {
    Ok(match packet {
        v4::Packet::ConnAck(answer) => match answer.code {
            v4::ConnectReturnCode::Success => Incoming::Connected { resumed: answer.session_present, keep_alive: None },
            v4::ConnectReturnCode::ServiceUnavailable => return Err(refused(false, "it is not available", None)),
            v4::ConnectReturnCode::RefusedProtocolVersion => return Err(wrong_version("5")),
            v4::ConnectReturnCode::BadClientId => return Err(refused(true, "it does not take mqtt.client.id", None)),
            v4::ConnectReturnCode::BadUserNamePassword => return Err(refused(true, BAD_LOGIN, None)),
            v4::ConnectReturnCode::NotAuthorized => return Err(refused(true, NOT_AUTHORIZED, None)),
        },
        v4::Packet::SubAck(answer) => {
            let of = |code| match code {
                v4::SubscribeReasonCode::Success(qos) => Ok(qos as u8),
                v4::SubscribeReasonCode::Failure => Err("it does not say why".to_owned()),
            };
            Incoming::Subscribed(answer.return_codes.into_iter().map(of).collect())
        }
        v4::Packet::UnsubAck(_) => Incoming::Unsubscribed,
        v4::Packet::Publish(publish) => Incoming::Message(Box::new(Message {
            topic: publish.topic,
            payload: publish.payload,
            qos: publish.qos as u8,
            retained: publish.retain,
            duplicate: publish.dup,
            id: publish.pkid,
            ..Message::default()
        })),
        v4::Packet::PubRel(release) => Incoming::Released(release.pkid),
        v4::Packet::PingResp => Incoming::Alive,
        other => return Err(malformed(format!("it sent what was not expected: {other:?}"))),
    })
}

fn of_v5(packet: v5::Packet) -> Result<Incoming> {
    Ok(match packet {
        v5::Packet::ConnAck(answer) => {
            if answer.code != v5::ConnectReturnCode::Success {
                return Err(refused_v5(&answer));
            }
            let keep_alive = answer.properties.and_then(|p| p.server_keep_alive);
            let keep_alive = keep_alive.map(|seconds| Duration::from_secs(u64::from(seconds)));
            Incoming::Connected { resumed: answer.session_present, keep_alive }
        }
        v5::Packet::SubAck(answer) => {
            let why = answer.properties.and_then(|p| p.reason_string);
            let of = |code| match code {
                v5::SubscribeReasonCode::Success(qos) => Ok(qos as u8),
                code => Err(match &why {
                    Some(why) => format!("{code:?}: {why}"),
                    None => format!("{code:?}"),
                }),
            };
            Incoming::Subscribed(answer.return_codes.into_iter().map(of).collect())
        }
        v5::Packet::UnsubAck(_) => Incoming::Unsubscribed,
        v5::Packet::Publish(publish) => {
            let properties = publish.properties.unwrap_or_default();
            let topic = String::from_utf8(publish.topic.to_vec());
            Incoming::Message(Box::new(Message {
                topic: topic.map_err(|_| malformed("the topic of a message is not UTF-8".into()))?,
                payload: publish.payload,
                qos: publish.qos as u8,
                retained: publish.retain,
                duplicate: publish.dup,
                id: publish.pkid,
                content_type: properties.content_type,
                response_topic: properties.response_topic,
                correlation: properties.correlation_data,
                properties: properties.user_properties,
                cut: None,
            }))
        }
        v5::Packet::PubRel(release) => Incoming::Released(release.pkid),
        v5::Packet::PingResp(_) => Incoming::Alive,
        other => return Err(malformed(format!("it sent what was not expected: {other:?}"))),
    })
}

const BAD_LOGIN: &str = "mqtt.username and mqtt.password are wrong";
const NOT_AUTHORIZED: &str = "this client may not connect: see mqtt.username, mqtt.password and mqtt.client.id";

fn refused_v5(answer: &v5::ConnAck) -> Error {
    use v5::ConnectReturnCode as Code;
    let properties = answer.properties.as_ref();
    let said = properties.and_then(|p| p.reason_string.as_deref());
    match answer.code {
        Code::UnsupportedProtocolVersion | Code::RefusedProtocolVersion => wrong_version("3.1.1"),
        Code::BadUserNamePassword => refused(true, BAD_LOGIN, said),
        Code::NotAuthorized | Code::Banned => refused(true, NOT_AUTHORIZED, said),
        Code::ClientIdentifierNotValid | Code::BadClientId => refused(true, "it does not take mqtt.client.id", said),
        Code::UseAnotherServer | Code::ServerMoved => {
            let other = properties.and_then(|p| p.server_reference.as_deref()).or(said);
            refused(true, "another server is to be used: correct mqtt.server.uri", other)
        }
        code @ (Code::ServerUnavailable
        | Code::ServiceUnavailable
        | Code::ServerBusy
        | Code::QuotaExceeded
        | Code::ConnectionRateExceeded
        | Code::UnspecifiedError
        | Code::ImplementationSpecificError) => refused(false, &format!("{code:?}"), said),
        code => refused(true, &format!("{code:?}"), said),
    }
}

fn refused(for_good: bool, why: &str, said: Option<&str>) -> Error {
    let said = said.map(|said| format!(" ({said})")).unwrap_or_default();
    let text = format!("the broker refuses the connection: {why}{said}");
    if for_good { Error::fatal(text) } else { Error::retriable(text) }
}

fn wrong_version(other: &str) -> Error {
    refused(true, &format!("it does not speak this version of the protocol; try mqtt.version={other}"), None)
}

fn malformed(why: String) -> Error {
    Error::retriable(format!("the broker does not keep to the protocol: {why}"))
}

fn unwritable(e: mqttbytes::Error) -> Error {
    Error::fatal("writing a request to the broker").caused_by(e)
}

fn unwritable5(e: mqttbytes5::Error) -> Error {
    Error::fatal("writing a request to the broker").caused_by(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(version: Version, limit: usize, bytes: &[u8]) -> Vec<Result<Incoming, String>> {
        let mut packets = Packets::new(version, limit);
        let (mut all, mut buffer) = (Vec::new(), BytesMut::new());
        // However the bytes are cut in pieces, the packets are the same.
        for piece in bytes.chunks(7) {
            buffer.extend_from_slice(piece);
            loop {
                match packets.next(&mut buffer) {
                    Ok(None) => break,
                    Ok(Some(incoming)) => all.push(Ok(incoming)),
                    Err(e) => {
                        all.push(Err(e.one_line()));
                        return all;
                    }
                }
            }
        }
        all
    }

    fn message(incoming: &Result<Incoming, String>) -> &Message {
        match incoming {
            Ok(Incoming::Message(message)) => message,
            other => panic!("no message: {other:?}"),
        }
    }

    #[test]
    fn packets_of_version_3_are_read() {
        let bytes = b"\x20\x02\x01\x00\x90\x04\x00\x01\x01\x80\x3b\x08\x00\x03a/b\x00\x07x\x62\x02\x00\x07\xd0\x00";
        let all = read(Version::V3, 100, bytes);
        assert_eq!(all[0], Ok(Incoming::Connected { resumed: true, keep_alive: None }));
        assert_eq!(all[1], Ok(Incoming::Subscribed(vec![Ok(1), Err("it does not say why".into())])));
        let expected = Message {
            topic: "a/b".into(),
            payload: Bytes::from_static(b"x"),
            qos: 1,
            retained: true,
            duplicate: true,
            id: 7,
            ..Message::default()
        };
        assert_eq!(*message(&all[2]), expected);
        assert_eq!(all[3..], [Ok(Incoming::Released(7)), Ok(Incoming::Alive)]);
    }

    #[test]
    fn properties_of_version_5_are_read() {
        let publish = v5::Publish {
            properties: Some(v5::PublishProperties {
                content_type: Some("text/plain".into()),
                response_topic: Some("r".into()),
                correlation_data: Some(Bytes::from_static(b"c")),
                user_properties: vec![("k".into(), "v".into()), ("k".into(), "w".into())],
                ..Default::default()
            }),
            pkid: 9,
            ..v5::Publish::new("a", mqttbytes5::QoS::ExactlyOnce, "x", None)
        };
        let mut bytes = BytesMut::new();
        publish.write(&mut bytes).expect("written");
        // Reason 0x8e: the session is taken over; and an end without a reason.
        bytes.extend_from_slice(b"\xe0\x02\x8e\x00");
        let all = read(Version::V5, 100, &bytes);
        let found = message(&all[0]);
        assert_eq!((found.qos, found.id, found.content_type.as_deref()), (2, 9, Some("text/plain")));
        assert_eq!((found.response_topic.as_deref(), found.correlation.as_deref()), (Some("r"), Some(&b"c"[..])));
        assert_eq!(found.properties.len(), 2);
        assert!(matches!(&all[1], Err(why) if why.contains("mqtt.client.id")), "{all:?}");
        let all = read(Version::V5, 100, b"\xe0\x00");
        assert!(matches!(&all[0], Err(why) if why.contains("ended the connection")), "{all:?}");
    }

    #[test]
    fn large_messages_are_cut_and_what_follows_is_read() {
        for (size, limit) in [(2000, 1024), (400_000, 1024), (AROUND + 1024, 1024), (1024, 1024)] {
            for version in [Version::V3, Version::V5] {
                let payload = vec![b'x'; size];
                let mut bytes = BytesMut::new();
                match version {
                    Version::V3 => {
                        let mut publish = v4::Publish::new("a", mqttbytes::QoS::AtLeastOnce, payload);
                        publish.pkid = 3;
                        publish.write(&mut bytes).expect("written");
                    }
                    Version::V5 => {
                        let publish = v5::Publish {
                            pkid: 3,
                            ..v5::Publish::new("a", mqttbytes5::QoS::AtLeastOnce, payload, None)
                        };
                        publish.write(&mut bytes).expect("written");
                    }
                }
                bytes.extend_from_slice(b"\xd0\x00");
                let all = read(version, limit, &bytes);
                let found = message(&all[0]);
                assert_eq!((found.id, found.payload.len()), (3, limit), "{size}");
                assert_eq!(found.cut, (size > limit).then_some(size), "{size}");
                assert_eq!(all[1..], [Ok(Incoming::Alive)], "{size}");
            }
        }
    }

    #[test]
    fn what_is_no_packet_is_an_error_and_no_panic() {
        let broken: [&[u8]; 7] = [
            b"\x30\xff\xff\xff\xff\x01",
            b"\x00\x00",
            b"\x36\x05\x00\x01a\x00\x01",
            b"\x32\x03\x00\x09a",
            b"\xf0\x02\x00\x00",
            b"\x20\x02\x00\x63",
            b"\x90\xff\xff\x7f\x00",
        ];
        for bytes in broken {
            for version in [Version::V3, Version::V5] {
                let all = read(version, 1024, bytes);
                assert!(matches!(all.last(), Some(Err(_))), "{bytes:?}: {all:?}");
            }
        }
        // Whatever comes, of pieces of packets that are right.
        let seed = b"\x3a\x14\x00\x03a/b\x00\x07\x08\x26\x00\x01k\x00\x01vpay\x90\x04\x00\x01\x00\x87";
        let mut state = 1u32;
        for _ in 0..20_000 {
            let mut bytes = seed.to_vec();
            for _ in 0..3 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (at, value) = ((state >> 8) as usize % bytes.len(), state as u8);
                bytes[at] = value;
            }
            drop(read(Version::V3, 1024, &bytes));
            drop(read(Version::V5, 1024, &bytes));
        }
    }

    #[test]
    fn refusals_say_what_to_do_and_whether_to_try_again() {
        let refused = |version, bytes: &[u8]| {
            let mut buffer = BytesMut::from(bytes);
            Packets::new(version, 10).next(&mut buffer).expect_err("refused")
        };
        let e = refused(Version::V3, b"\x20\x02\x00\x04");
        assert_eq!((e.class(), e.message().contains("mqtt.password")), (connect_api::ErrorClass::Fatal, true));
        let e = refused(Version::V3, b"\x20\x02\x00\x03");
        assert_eq!(e.class(), connect_api::ErrorClass::Retriable);
        let e = refused(Version::V5, b"\x20\x03\x00\x87\x00");
        assert_eq!((e.class(), e.message().contains("mqtt.client.id")), (connect_api::ErrorClass::Fatal, true));
    }

    #[test]
    fn requests_are_as_the_protocol_has_them() {
        let hello = Hello {
            client_id: "c",
            clean: false,
            expiry: 60,
            receive_maximum: 10,
            keep_alive: 30,
            login: Some(("u", "p")),
        };
        let three = connect(Version::V3, &hello).expect("written");
        assert_eq!(&three[..], b"\x10\x13\x00\x04MQTT\x04\xc0\x00\x1e\x00\x01c\x00\x01u\x00\x01p");
        let five = connect(Version::V5, &hello).expect("written");
        let expected: &[u8] =
            b"\x10\x1c\x00\x04MQTT\x05\xc0\x00\x1e\x08\x11\x00\x00\x00\x3c\x21\x00\x0a\x00\x01c\x00\x01u\x00\x01p";
        assert_eq!(&five[..], expected);
        let filters = ["a".to_owned()];
        let three = subscribe(Version::V3, &filters, 1, Retained::New).expect("written");
        assert_eq!(&three[..], b"\x82\x06\x00\x01\x00\x01a\x01");
        let five = subscribe(Version::V5, &filters, 1, Retained::New).expect("written");
        assert_eq!(&five[..], b"\x82\x07\x00\x01\x00\x00\x01a\x11");
        let mut out = BytesMut::new();
        for short in [Short::Acknowledge(1), Short::Receive(2), Short::Complete(0x304), Short::Ping, Short::Disconnect]
        {
            short.write(&mut out);
        }
        assert_eq!(&out[..], b"\x40\x02\x00\x01\x50\x02\x00\x02\x70\x02\x03\x04\xc0\x00\xe0\x00");
    }
}
