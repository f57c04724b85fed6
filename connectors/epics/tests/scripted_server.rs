//! The client against a server that does what a well-behaved one seldom does, word by word.

mod support;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::BytesMut;
use connector_epics::{
    ca::{
        Overrides,
        protocol::{Decoder, Eca, Frame, Header, Message, command, write_message},
    },
    channel::{Event, Failure, NativeType, Subscription, Value},
};
use support::{LONG, Monitor, settings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    time::{Instant, timeout},
};

const DOUBLE: u16 = 6;
const TIME_DOUBLE: u16 = 20;
const CTRL_DOUBLE: u16 = 34;

#[tokio::test]
async fn a_server_before_4_13_is_asked_for_all_elements() {
    let server = Server::start().await;
    let mut monitor = Monitor::of(server.address).await;
    let id = monitor.add("T:old");
    let mut connection = server.accept(11).await;
    let create = connection.expect(command::CREATE_CHAN).await;
    assert_eq!((&create.payload[..], create.header.p2), (&b"T:old\0\0\0"[..], 13));
    connection.open(&create, 3, 25).await;
    let subscribe = connection.expect(command::EVENT_ADD).await.header;
    assert_eq!((subscribe.data_type, subscribe.count, subscribe.p1), (TIME_DOUBLE, 25, 3));
    let connected = Event::Connected { id, native: NativeType::Double, count: 25, server: Some(server.address) };
    assert_eq!(monitor.next().await, connected);
}

#[tokio::test]
async fn the_greeting_names_version_user_and_host() {
    let server = Server::start().await;
    let mut named = settings(Overrides { addr_list: Some(server.address.to_string()), ..Overrides::default() });
    named.client_name = "operator".into();
    named.host_name = "console".into();
    let monitor = Monitor::with(named).await;
    monitor.add("T:ai0");
    let mut connection = server.accept(13).await;
    assert_eq!(connection.expect(command::VERSION).await.header.count, 13);
    assert_eq!(&connection.expect(command::CLIENT_NAME).await.payload[..], b"operator\0\0\0\0\0\0\0\0");
    assert_eq!(&connection.expect(command::HOST_NAME).await.payload[..], b"console\0");
}

#[tokio::test]
async fn failures_of_one_channel_leave_the_others_alone() {
    let server = Server::start().await;
    let mut monitor = Monitor::of(server.address).await;
    let good = monitor.add("T:good");
    let mut connection = server.accept(13).await;
    connection.open_next(1).await;
    assert!(matches!(monitor.next().await, Event::Connected { id, .. } if id == good));

    // The server does not have the channel after all: it is searched for again.
    let bad = monitor.add("T:bad");
    let create = connection.expect(command::CREATE_CHAN).await;
    connection.send(Header { command: command::CREATE_CH_FAIL, p1: create.header.p1, ..Header::default() }, &[]).await;
    connection.open_next(2).await;
    assert!(matches!(monitor.next().await, Event::Connected { id, .. } if id == bad));
    let subscription = connection.expect(command::EVENT_ADD).await;

    let update = |eca: Eca, count| Header {
        command: command::EVENT_ADD,
        data_type: TIME_DOUBLE,
        count,
        p1: eca.0,
        p2: create.header.p1,
        payload_len: 0,
    };
    connection.send(update(Eca(152), 1), &[0; 24]).await;
    let refused = Failure::Refused { code: 152, name: "GETFAIL", text: String::new() };
    assert_eq!(monitor.next().await, Event::Failed { id: bad, why: refused });

    connection.send(update(Eca::NORMAL, 2), &[0; 24]).await;
    let malformed = Failure::Malformed("2 elements of type 20 do not fit a payload of 24 bytes".into());
    assert_eq!(monitor.next().await, Event::Failed { id: bad, why: malformed });

    let mut quote = BytesMut::new();
    write_message(&mut quote, subscription.header, &[]);
    quote.extend_from_slice(b"no such mask\0");
    let error = Header { command: command::ERROR, p1: create.header.p1, p2: 330, ..Header::default() };
    connection.send(error, &quote).await;
    let refused = Failure::Refused { code: 330, name: "BADMASK", text: "no such mask".into() };
    assert_eq!(monitor.next().await, Event::Failed { id: bad, why: refused });

    // The server drops the channel: it is lost, searched for and found again.
    connection.send(Header { command: command::SERVER_DISCONN, p1: create.header.p1, ..Header::default() }, &[]).await;
    assert_eq!(monitor.next().await, Event::Disconnected { id: bad });
    connection.open_next(4).await;
    assert!(matches!(monitor.next().await, Event::Connected { id, .. } if id == bad));

    connection.send(Header { p2: 0, ..update(Eca::NORMAL, 1) }, &double(1.5)).await;
    match monitor.next().await {
        Event::Update { id, sample } => assert_eq!((id, sample.value), (good, Value::Double(vec![1.5]))),
        other => panic!("{other:?} is not the update"),
    }
}

#[tokio::test]
async fn denied_access_is_reported_until_it_is_granted() {
    let server = Server::start().await;
    let mut monitor = Monitor::of(server.address).await;
    let id = monitor.add("T:secret");
    let mut connection = server.accept(13).await;
    let create = connection.expect(command::CREATE_CHAN).await;
    let cid = create.header.p1;
    let rights = |p2| Header { command: command::ACCESS_RIGHTS, p1: cid, p2, ..Header::default() };
    let update = |eca: Eca| Header {
        command: command::EVENT_ADD,
        data_type: TIME_DOUBLE,
        count: 1,
        p1: eca.0,
        p2: cid,
        ..Header::default()
    };
    let denied = Event::Failed { id, why: Failure::NoReadAccess };

    // A server says it before the channel is open, and again in place of its state.
    connection.send(rights(0), &[]).await;
    connection.open(&create, 1, 1).await;
    assert!(matches!(monitor.next().await, Event::Connected { .. }));
    assert_eq!(monitor.next().await, denied);
    connection.send(update(Eca::NO_READ_ACCESS), &[0; 24]).await;
    for value in [1.5, 2.5] {
        connection.send(rights(1), &[]).await;
        connection.send(update(Eca::NORMAL), &double(value)).await;
        match monitor.next().await {
            Event::Update { sample, .. } => assert_eq!(sample.value, Value::Double(vec![value])),
            other => panic!("{other:?} is not the update"),
        }
        connection.send(rights(2), &[]).await;
        assert_eq!(monitor.next().await, denied, "told once each time");
    }
}

#[tokio::test]
async fn a_type_that_nobody_knows_fails() {
    let server = Server::start().await;
    let mut monitor = Monitor::of(server.address).await;
    let id = monitor.add("T:odd");
    let mut connection = server.accept(13).await;
    let create = connection.expect(command::CREATE_CHAN).await.header;
    let created = Header { command: command::CREATE_CHAN, data_type: 77, p1: create.p1, p2: 1, ..Header::default() };
    connection.send(created, &[]).await;
    assert_eq!(monitor.next().await, Event::Failed { id, why: Failure::UnsupportedType(77) });
}

#[tokio::test]
async fn a_name_that_no_server_can_have_fails() {
    let server = Server::start().await;
    let mut monitor = Monitor::of(server.address).await;
    for name in ["", "T:\0", &"n".repeat(992)] {
        let id = monitor.add(name);
        assert_eq!(monitor.next().await, Event::Failed { id, why: Failure::InvalidName { limit: 991 } });
    }
}

#[tokio::test]
async fn removed_channels_are_closed_and_so_is_a_circuit_without_any() {
    let server = Server::start().await;
    let mut monitor = Monitor::of(server.address).await;
    let first = monitor.add("T:first");
    let mut connection = server.accept(13).await;
    connection.open_next(7).await;
    monitor.next().await;
    connection.expect(command::EVENT_ADD).await;

    // Removed while it is being opened: closed as soon as it is open.
    let second = monitor.add("T:second");
    let create = connection.expect(command::CREATE_CHAN).await;
    monitor.client.remove(second);
    let fence = monitor.add("T:fence");
    let fence_create = connection.expect(command::CREATE_CHAN).await;
    connection.open(&create, 8, 1).await;
    let clear = connection.expect(command::CLEAR_CHANNEL).await.header;
    assert_eq!((clear.p1, clear.p2), (8, create.header.p1));
    connection.open(&fence_create, 9, 1).await;
    assert!(matches!(monitor.next().await, Event::Connected { id, .. } if id == fence));

    monitor.client.remove(first);
    let cancel = connection.expect(command::EVENT_CANCEL).await.header;
    assert_eq!((cancel.data_type, cancel.count, cancel.p1, cancel.p2), (TIME_DOUBLE, 0, 7, 0));
    let clear = connection.expect(command::CLEAR_CHANNEL).await.header;
    assert_eq!((clear.p1, clear.p2), (7, 0));

    monitor.client.remove(fence);
    connection.expect_end().await;
}

#[tokio::test]
async fn channels_of_one_priority_share_a_circuit_that_says_it() {
    let server = Server::start().await;
    let mut monitor = Monitor::of(server.address).await;
    let urgent = Subscription { priority: 7, metadata: true, ..support::VALUE_AND_ALARM.into() };
    let id = monitor.client.add("T:urgent", urgent);
    let mut first = server.accept(13).await;
    assert_eq!(first.expect(command::VERSION).await.header.data_type, 7);
    first.open_next(1).await;
    assert!(matches!(monitor.next().await, Event::Connected { .. }));
    // First what values mean, of one element and as that changes; then the values.
    let about = first.expect(command::EVENT_ADD).await;
    assert_eq!((about.header.data_type, about.header.count, about.payload[13]), (CTRL_DOUBLE, 1, 8));
    assert_eq!(first.expect(command::EVENT_ADD).await.header.data_type, TIME_DOUBLE);

    monitor.add("T:plain");
    let mut second = server.accept(13).await;
    assert_eq!(second.expect(command::VERSION).await.header.data_type, 0);
    second.open_next(1).await;
    assert!(matches!(monitor.next().await, Event::Connected { .. }));
    monitor.client.add("T:also urgent", urgent);
    assert_eq!(&first.expect(command::CREATE_CHAN).await.payload[..13], b"T:also urgent");

    monitor.client.remove(id);
    let cancelled =
        [first.expect(command::EVENT_CANCEL).await.header, first.expect(command::EVENT_CANCEL).await.header];
    assert_eq!(cancelled.map(|header| header.data_type), [TIME_DOUBLE, CTRL_DOUBLE]);
    assert_eq!(first.expect(command::CLEAR_CHANNEL).await.header.p1, 1);
}

#[tokio::test]
async fn a_channel_that_does_not_answer_is_not_read_again_meanwhile() {
    let server = Server::start().await;
    let mut monitor = Monitor::of(server.address).await;
    let reading = Subscription { poll: Some(Duration::from_millis(5)), ..support::VALUE_AND_ALARM.into() };
    let slow = monitor.client.add("T:slow", reading);
    let mut connection = server.accept(13).await;
    connection.open_next(1).await;
    assert!(matches!(monitor.next().await, Event::Connected { .. }));
    let read = connection.expect(command::READ_NOTIFY).await.header;
    assert_eq!((read.data_type, read.count, read.p1), (TIME_DOUBLE, 0, 1));
    // Another channel is read several times; of the first one nothing is asked before it has answered.
    monitor.client.add("T:quick", reading);
    connection.open_next(2).await;
    for _ in 0..5 {
        let quick = connection.expect(command::READ_NOTIFY).await.header;
        assert_eq!(quick.p1, 2, "only the one that answers is read");
        connection.send(Header { count: 1, p1: 1, ..quick }, &double(1.0)).await;
    }
    connection.send(Header { count: 1, p1: 1, ..read }, &double(2.5)).await;
    let value = monitor.wait("the answer", |event| match event {
        Event::Update { id, sample } if *id == slow => Some(sample.value.clone()),
        _ => None,
    });
    assert_eq!(value.await, Value::Double(vec![2.5]));
    while connection.expect(command::READ_NOTIFY).await.header.p1 != 1 {}
}

#[tokio::test]
async fn a_receiver_that_does_not_read_holds_up_the_server() {
    let server = Server::start().await;
    let mut small = settings(Overrides { addr_list: Some(server.address.to_string()), ..Overrides::default() });
    small.event_queue = 4;
    let mut monitor = Monitor::with(small).await;
    let id = monitor.add("T:fast");
    let mut connection = server.accept(13).await;
    connection.open_next(1).await;
    connection.expect(command::EVENT_ADD).await;
    let header = Header { command: command::EVENT_ADD, data_type: TIME_DOUBLE, count: 1, p1: 1, ..Header::default() };
    let mut sent = 0;
    // A write that cannot finish shows that nobody reads any more; buffers of both sockets fill before.
    while timeout(Duration::from_millis(500), connection.send(header, &double(f64::from(sent)))).await.is_ok() {
        sent += 1;
        assert!(sent < 2_000_000, "the client reads on and on");
    }
    // Everything that was taken arrives, in its order.
    for expected in 0..sent {
        let sample = monitor.update(id).await;
        assert_eq!(sample.value, Value::Double(vec![f64::from(expected)]));
    }
}

#[tokio::test]
async fn dropping_the_client_ends_its_connections_at_once() {
    let server = Server::start().await;
    let mut monitor = Monitor::of(server.address).await;
    monitor.add("T:ai0");
    monitor.add("T:other");
    let mut connection = server.accept(13).await;
    connection.open_next(1).await;
    monitor.next().await;
    let dropped = Instant::now();
    drop(monitor.client);
    connection.expect_end().await;
    while monitor.events.recv().await.is_some() {}
    assert!(dropped.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn dropping_the_receiver_ends_the_client() {
    let server = Server::start().await;
    let Monitor { client, events } = Monitor::of(server.address).await;
    client.add("T:ai0", support::VALUE_AND_ALARM);
    let mut connection = server.accept(13).await;
    drop(events);
    connection.expect_end().await;
    timeout(Duration::from_secs(1), client.stop()).await.expect("the client stops");
}

#[tokio::test]
async fn noise_ends_no_more_than_its_own_circuit() {
    let (good, noisy) = (Server::start().await, Server::start().await);
    let mut monitor = Monitor::of(good.address).await;
    let id = monitor.add("T:good");
    let mut connection = good.accept(13).await;
    connection.open_next(1).await;
    assert!(matches!(monitor.next().await, Event::Connected { .. }));

    // A reply from anywhere can name any server. This one sends what looks like a message of 4 GiB, then noise.
    let mut other = Monitor::of(noisy.address).await;
    let lost = other.add("T:noise");
    let mut noise = noisy.accept(13).await;
    noise.open_next(1).await;
    assert!(matches!(other.next().await, Event::Connected { .. }));
    noise.stream.write_all(&[0, 1, 255, 255, 255, 255, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9]).await.expect("writing noise");
    noise.stream.write_all(&[255; 100_000]).await.expect("writing noise");
    drop(noise);
    assert_eq!(other.next().await, Event::Disconnected { id: lost });
    noisy.accept(13).await.open_next(2).await;
    assert!(matches!(other.next().await, Event::Connected { .. }));

    let update = Header { command: command::EVENT_ADD, data_type: TIME_DOUBLE, count: 1, p1: 1, ..Header::default() };
    connection.send(update, &double(2.5)).await;
    assert_eq!(monitor.update(id).await.value, Value::Double(vec![2.5]));
}

#[tokio::test]
async fn a_silent_server_is_asked_and_one_that_answers_is_kept() {
    let server = Server::start().await;
    let mut monitor = Monitor::with(settings(Overrides {
        addr_list: Some(server.address.to_string()),
        connection_timeout: Some(0.1),
        ..Overrides::default()
    }))
    .await;
    let id = monitor.add("T:ai0");
    let mut connection = server.accept(13).await;
    connection.open_next(1).await;
    assert!(matches!(monitor.next().await, Event::Connected { .. }));
    for _ in 0..3 {
        let echo = connection.expect(command::ECHO).await;
        connection.send(echo.header, &[]).await;
    }
    // Now it does not answer any more.
    connection.expect(command::ECHO).await;
    let asked = Instant::now();
    assert_eq!(monitor.next().await, Event::Disconnected { id });
    assert!((4..8).contains(&asked.elapsed().as_secs()), "given up after {:?}", asked.elapsed());
    // The channel is found again.
    server.accept(13).await.open_next(2).await;
    assert!(matches!(monitor.next().await, Event::Connected { .. }));
}

/// A value of type `DBR_TIME_DOUBLE`.
fn double(value: f64) -> Vec<u8> {
    let mut payload = vec![0; 16];
    payload.extend_from_slice(&value.to_be_bytes());
    payload
}

/// Answers every search and accepts connections, on one port in UDP and TCP.
struct Server {
    address: SocketAddr,
    listener: TcpListener,
}

impl Server {
    async fn start() -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("its number");
        let socket = UdpSocket::bind(address).await.expect("the same port in UDP");
        tokio::spawn(async move {
            let mut datagram = [0; 2048];
            while let Ok((len, client)) = socket.recv_from(&mut datagram).await {
                let mut decoder = Decoder::new(1024);
                decoder.buffer().extend_from_slice(&datagram[..len]);
                let mut replies = BytesMut::new();
                while let Some(Frame::Message(Message { header, .. })) = decoder.next_frame() {
                    if header.command == command::SEARCH {
                        let found =
                            Header { data_type: address.port(), count: 0, p1: u32::MAX, p2: header.p1, ..header };
                        write_message(&mut replies, found, &13_u16.to_be_bytes());
                    }
                }
                // Noise before the answer, as from a port scanner: it has to be survived here too.
                let _ = socket.send_to(&[0, 6, 255, 255, 1, 2, 3], client).await;
                let _ = socket.send_to(&replies, client).await;
            }
        });
        Server { address, listener }
    }

    /// The next connection, on which the server says that it speaks `minor`.
    async fn accept(&self, minor: u32) -> Connection {
        let accepted = timeout(LONG, self.listener.accept()).await.expect("a connection in time");
        let (stream, _) = accepted.expect("accepting");
        let mut connection = Connection { stream, decoder: Decoder::new(1024) };
        connection.send(Header { command: command::VERSION, count: minor, ..Header::default() }, &[]).await;
        connection
    }
}

struct Connection {
    stream: TcpStream,
    decoder: Decoder,
}

impl Connection {
    async fn send(&mut self, header: Header, payload: &[u8]) {
        let mut bytes = BytesMut::new();
        write_message(&mut bytes, header, payload);
        self.stream.write_all(&bytes).await.expect("writing to the client");
    }

    /// The next message, or none at the end.
    async fn next(&mut self) -> Option<Message> {
        timeout(LONG, async {
            loop {
                if let Some(frame) = self.decoder.next_frame() {
                    let Frame::Message(message) = frame else { panic!("{frame:?} from the client") };
                    return Some(message);
                }
                // A client that ends with data unread resets the connection.
                if self.stream.read_buf(self.decoder.buffer()).await.unwrap_or(0) == 0 {
                    return None;
                }
            }
        })
        .await
        .expect("a message in time")
    }

    /// The next message of a kind.
    async fn expect(&mut self, command: u16) -> Message {
        loop {
            let message = self.next().await.expect("the client stays");
            if message.header.command == command {
                return message;
            }
        }
    }

    async fn expect_end(&mut self) {
        while self.next().await.is_some() {}
    }

    /// Opens the next channel that is asked for, with one double.
    async fn open_next(&mut self, sid: u32) {
        let create = self.expect(command::CREATE_CHAN).await;
        self.open(&create, sid, 1).await;
    }

    async fn open(&mut self, create: &Message, sid: u32, count: u32) {
        let p1 = create.header.p1;
        let created =
            Header { command: command::CREATE_CHAN, data_type: DOUBLE, count, p1, p2: sid, ..Header::default() };
        self.send(created, &[]).await;
    }
}
