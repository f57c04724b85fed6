//! A server on a bare socket that fails in every way that a server has, and remembers what it has taken.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Read,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use flate2::read::GzDecoder;
use regex::Regex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It gets an answer with these lines behind the status and this body.
    Answer(u16, Vec<String>, String),
    /// It gets no answer.
    Silent,
    /// The server says that it will write no more, and goes on reading.
    HalfClosed,
    /// The connection ends within the head of the answer.
    HalfAHead,
    /// What comes back is not HTTP.
    NoHttp,
    /// The head of the answer never ends.
    EndlessHead,
    /// The body of the answer breaks off.
    CutBody(u16),
    /// The body of the answer never ends.
    EndlessBody(u16),
    /// The body of the answer never ends, and hardly comes.
    Dripping(u16),
}

impl Fault {
    /// An answer without a body.
    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), String::new())
    }

    /// An answer that asks to wait.
    pub fn later(status: u16, retry_after: impl Into<String>) -> Self {
        Self::Answer(status, vec![format!("Retry-After: {}", retry_after.into())], "slow down".into())
    }

    /// Whether the request counts as taken all the same.
    fn takes(&self) -> bool {
        match self {
            Self::Answer(status, ..) | Self::CutBody(status) | Self::EndlessBody(status) | Self::Dripping(status) => {
                (200..300).contains(status)
            }
            _ => false,
        }
    }
}

/// A request.
#[derive(Debug)]
pub struct Seen {
    /// When its last byte was there, by both clocks.
    pub at: (Instant, SystemTime),
    /// Its head and its body.
    pub text: String,
    /// The records that are in it.
    pub records: Vec<String>,
    /// Whether the answer said, or was to say, that they are stored.
    pub taken: bool,
}

/// What the server answers to whatever it takes: the lines behind the status, and the body.
pub type Success = (u16, &'static str);

#[derive(Debug)]
struct Inner {
    faults: Mutex<VecDeque<Fault>>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    /// How much of an endless answer was written.
    poured: AtomicUsize,
    success: Success,
    /// Requests without this text get the answer beside it.
    lock: Mutex<Option<(String, Success)>>,
}

/// The server; it ends with the runtime.
#[derive(Debug, Clone)]
pub struct Server {
    url: String,
    inner: Arc<Inner>,
}

impl Server {
    /// Starts it with what is to happen to the first requests; all others are taken.
    pub async fn start(success: Success, faults: impl IntoIterator<Item = Fault>) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", socket.local_addr().expect("address"));
        let inner = Arc::new(Inner {
            faults: Mutex::new(faults.into_iter().collect()),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            poured: AtomicUsize::new(0),
            success,
            lock: Mutex::default(),
        });
        let server = Self { url, inner };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                accepting.inner.connections.fetch_add(1, Ordering::Relaxed);
                let server = accepting.clone();
                // A client that goes away ends its connection only.
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        server
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All requests so far.
    pub fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.inner.seen.lock().expect("lock")
    }

    /// The records that were taken, in order, each as often as it was.
    pub fn taken(&self) -> Vec<String> {
        self.seen().iter().filter(|one| one.taken).flat_map(|one| one.records.clone()).collect()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::Relaxed)
    }

    /// How many bytes of endless answers were written before the client had enough.
    pub fn poured(&self) -> usize {
        self.inner.poured.load(Ordering::Relaxed)
    }

    /// From now on only requests with this text are let in; all others get this answer.
    pub fn admit(&self, text: String, denial: Success) {
        *self.inner.lock.lock().expect("lock") = Some((text, denial));
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut read = Vec::new();
        loop {
            let (head, body) = request(&mut stream, &mut read).await?;
            let fault = self.take(&head, &body);
            match fault {
                None => {
                    let (status, text) = self.inner.success;
                    stream.write_all(answer(status, &[], text).as_bytes()).await.ok()?;
                }
                Some(Fault::Answer(status, lines, text)) => {
                    stream.write_all(answer(status, &lines, &text).as_bytes()).await.ok()?;
                }
                Some(other) => return self.fail(stream, other).await,
            }
        }
    }

    fn take(&self, head: &str, body: &[u8]) -> Option<Fault> {
        let line =
            |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
        let headers: BTreeMap<String, String> = head.lines().skip(1).filter_map(line).collect();
        let unpacked = match headers.get("content-encoding").map(String::as_str) {
            Some("gzip") => {
                let mut out = Vec::new();
                GzDecoder::new(body).read_to_end(&mut out).expect("gzip");
                out
            }
            Some("snappy") => snap::raw::Decoder::new().decompress_vec(body).expect("snappy"),
            _ => body.to_vec(),
        };
        let text = format!("{head}{}", String::from_utf8_lossy(&unpacked));
        let mut records: Vec<String> = Vec::new();
        let all = Regex::new("rec[0-9]+x").expect("an expression");
        for found in all.find_iter(&text).map(|found| found.as_str().to_owned()) {
            if !records.contains(&found) {
                records.push(found);
            }
        }
        let lock = self.inner.lock.lock().expect("lock").clone();
        let denied = lock.filter(|(key, _)| !text.contains(key));
        let is_denied = denied.is_some();
        let denied = denied.map(|(_, (status, why))| Fault::Answer(status, Vec::new(), why.to_owned()));
        let fault = denied.or_else(|| self.inner.faults.lock().expect("lock").pop_front());
        let taken = !is_denied && fault.as_ref().is_none_or(Fault::takes);
        self.seen().push(Seen { at: (Instant::now(), SystemTime::now()), text, records, taken });
        fault
    }

    /// What comes instead of a whole answer; the connection is not used again.
    async fn fail(&self, mut stream: TcpStream, fault: Fault) -> Option<()> {
        let endless = |status: u16| format!("HTTP/1.1 {status} X\r\nContent-Length: 100000000000\r\n\r\n");
        match fault {
            Fault::Silent => until_closed(&mut stream).await,
            Fault::HalfClosed => {
                stream.shutdown().await.ok()?;
                until_closed(&mut stream).await;
            }
            Fault::HalfAHead => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-").await.ok()?,
            Fault::NoHttp => stream.write_all(b"SSH-2.0-x\r\n").await.ok()?,
            Fault::EndlessHead => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nX-More: ").await.ok()?;
                self.pour(&mut stream).await;
            }
            Fault::CutBody(status) => {
                let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 100\r\n\r\n{{\"ok\": tr");
                stream.write_all(text.as_bytes()).await.ok()?;
            }
            Fault::EndlessBody(status) => {
                stream.write_all(endless(status).as_bytes()).await.ok()?;
                self.pour(&mut stream).await;
            }
            Fault::Dripping(status) => {
                stream.write_all(endless(status).as_bytes()).await.ok()?;
                let mut ticks = tokio::time::interval(Duration::from_millis(100));
                while stream.write_all(b"x").await.is_ok() {
                    ticks.tick().await;
                }
            }
            Fault::Answer(..) => unreachable!("those are whole"),
        }
        Some(())
    }

    async fn pour(&self, stream: &mut TcpStream) {
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {
            self.inner.poured.fetch_add(65536, Ordering::Relaxed);
        }
    }
}

fn answer(status: u16, lines: &[String], text: &str) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let length = if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", text.len()) };
    format!("HTTP/1.1 {status} X\r\n{length}{lines}\r\n{text}")
}

async fn until_closed(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
}

/// Head and body of the next request; none when the connection ends.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let mut more = async |read: &mut Vec<u8>| stream.read_buf(read).await.ok().filter(|n| *n > 0);
    let head = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = read.drain(..end + 4).collect();
            break String::from_utf8(head).expect("a head of text");
        }
        more(read).await?;
    };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let length: usize = length.unwrap_or(0);
    while read.len() < length {
        more(read).await?;
    }
    Some((head, read.drain(..length).collect()))
}
