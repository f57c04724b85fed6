//! A receiver that cannot be relied on: it hands requests on to InfluxDB, but fails one in ten, in turns before and after.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use reqwest::blocking::Client;

/// A request that has come.
#[derive(Clone, Debug)]
pub struct Request {
    /// How many crashes were before it.
    pub generation: usize,
    /// Values of the field `n` in it.
    pub numbers: Vec<usize>,
    /// Whether InfluxDB has stored it.
    pub stored: bool,
    /// Whether who sent it was told that it failed, or nothing.
    pub failed: bool,
}

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    generation: usize,
    under_way: usize,
}

/// The receiver.
pub struct Proxy {
    url: String,
    seen: Arc<Mutex<Seen>>,
}

impl Proxy {
    /// Begins to listen.
    pub fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (seen, target) = (Arc::<Mutex<Seen>>::default(), target.to_owned());
        let shared = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, target) = (shared.clone(), target.clone());
                thread::spawn(move || serve(stream, &target, &seen));
            }
        });
        Self { url, seen }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    /// How many points InfluxDB has got, those that came again included.
    pub fn stored(&self) -> usize {
        self.seen().requests.iter().filter(|r| r.stored).map(|r| r.numbers.len()).sum()
    }

    /// Notes that whoever sends requests has crashed.
    pub fn next_generation(&self) {
        self.seen().generation += 1;
    }

    /// Whether no request is under way.
    pub fn is_idle(&self) -> bool {
        self.seen().under_way == 0
    }

    /// All requests in the order in which they came.
    pub fn requests(&self) -> Vec<Request> {
        self.seen().requests.clone()
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a request fails.
#[derive(Clone, Copy)]
enum Fault {
    /// Refused for now, with a word about when.
    Busy,
    /// Stored, but the answer is an error.
    Stored,
    /// The connection ends before the request is handed on.
    Closed,
    /// Stored, but the connection ends in the midst of the answer.
    Torn,
}

const FAULTS: [Fault; 4] = [Fault::Busy, Fault::Stored, Fault::Closed, Fault::Torn];

fn serve(stream: TcpStream, target: &str, seen: &Mutex<Seen>) -> Option<()> {
    let client = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("client");
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (path, body) = read(&mut reader)?;
        let (number, fault) = {
            let mut seen = lock(seen);
            let (number, generation) = (seen.requests.len(), seen.generation);
            let fault = (number % 10 == 9).then(|| FAULTS[number / 10 % FAULTS.len()]);
            let request = Request { generation, numbers: numbers(&body), stored: false, failed: fault.is_some() };
            seen.requests.push(request);
            seen.under_way += 1;
            (number, fault)
        };
        let answer = match fault {
            Some(Fault::Busy) => "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy".to_owned(),
            Some(Fault::Closed) => String::new(),
            other => {
                let answer = client.post(format!("{target}{path}")).body(body).send().expect("an answer of InfluxDB");
                let status = answer.status();
                lock(seen).requests[number].stored = status.is_success();
                match other {
                    Some(Fault::Stored) => "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops".to_owned(),
                    Some(Fault::Torn) => "HTTP/1.1 200 OK\r\nContent-Le".to_owned(),
                    _ => {
                        let text = answer.text().unwrap_or_default();
                        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{text}", text.len())
                    }
                }
            }
        };
        let written = writer.write_all(answer.as_bytes());
        {
            let mut seen = lock(seen);
            seen.under_way -= 1;
            // Nobody was there any more to be told.
            seen.requests[number].failed |= written.is_err();
        }
        if matches!(fault, Some(Fault::Closed | Fault::Torn)) {
            return None;
        }
    }
}

/// Path and body of the next request; none when there is no other.
fn read(reader: &mut impl BufRead) -> Option<(String, String)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().ok()?,
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, String::from_utf8(body).ok()?))
}

fn numbers(body: &str) -> Vec<usize> {
    body.lines().filter_map(|line| line.split_once(" n=")?.1.split_once('i')?.0.parse().ok()).collect()
}
