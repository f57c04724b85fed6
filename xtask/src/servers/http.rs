//! Requests to a server on loopback, without a client library.
//!
//! HTTP/1.0, so that the server closes the connection at the end of the body and never cuts it into chunks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{Error, Result};

const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// A server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body; what is not UTF-8 is replaced.
    pub body: String,
}

/// Sends a request to `address` (`127.0.0.1:8086`) and reads the answer, whatever its status.
pub fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Response> {
    send(address, method, path, headers, body, Duration::from_secs(30))
}

/// Gets a path and reads the answer, whatever its status.
pub fn get(address: &str, path: &str) -> Result<Response> {
    request(address, "GET", path, &[], "")
}

/// Whether a path can be got with status 2xx within a second: a readiness probe.
pub(crate) fn answers(address: &str, path: &str) -> bool {
    send(address, "GET", path, &[], "", Duration::from_secs(1))
        .is_ok_and(|response| (200..300).contains(&response.status))
}

/// The answer's body, if its status is 2xx.
pub(crate) fn body_of(response: Response, doing: impl FnOnce() -> String) -> Result<String> {
    if (200..300).contains(&response.status) {
        return Ok(response.body);
    }
    Err(Error::Answer { doing: doing(), answer: format!("status {}: {}", response.status, response.body.trim()) })
}

/// Encodes a value for a query string.
pub fn encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn send(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
    within: Duration,
) -> Result<Response> {
    let doing = || format!("{method} http://{address}{path}");
    let bad = |answer: &str| Error::Answer { doing: doing(), answer: answer.into() };
    let socket: SocketAddr = address.parse().map_err(|_| bad("the address is not an IP address and port"))?;
    let mut stream = TcpStream::connect_timeout(&socket, CONNECT_WITHIN).map_err(Error::io(doing()))?;
    let mut request = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    let mut answer = Vec::new();
    stream
        .set_read_timeout(Some(within))
        .and_then(|()| stream.set_write_timeout(Some(within)))
        .and_then(|()| stream.write_all(request.as_bytes()))
        .and_then(|()| stream.read_to_end(&mut answer))
        .map_err(Error::io(doing()))?;
    parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| bad("the answer is not HTTP"))
}

fn parse(answer: &str) -> Option<Response> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status_line = head.lines().next()?;
    let status = status_line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Response { status, body: body.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_split_into_status_and_body() {
        let answer = "HTTP/1.0 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno\r\n\r\nsuch";
        assert_eq!(parse(answer), Some(Response { status: 404, body: "no\r\n\r\nsuch".into() }));
        assert_eq!(parse("SSH-2.0-x\r\n\r\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn query_values_are_encoded() {
        assert_eq!(encode("SELECT * FROM \"t\" é"), "SELECT%20%2A%20FROM%20%22t%22%20%C3%A9");
    }
}
