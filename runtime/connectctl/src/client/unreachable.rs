//! Why there was no answer, in one sentence with what to do about it.

use std::{error::Error, io, time::Duration};

use crate::error::Failure;

/// The failure of a request that got no answer; `changes` where it was one that changes something.
pub(super) fn failure(e: &reqwest::Error, address: &str, timeout: Duration, changes: bool) -> Failure {
    let causes = causes(e);
    let (reason, mut hint) = reason(e, &causes, address, timeout);
    // It was sent, and may be carried out by a worker that was only slow.
    if changes && !e.is_connect() && !e.is_builder() {
        hint.push_str("; what was asked for may be done all the same, which connectctl status tells");
    }
    Failure::Unreachable(format!("cannot reach a Kafka Connect worker at {address}: {reason}; {hint}"))
}

const SET: &str = "set --url or CONNECT_URL";

fn reason(e: &reqwest::Error, causes: &[String], address: &str, timeout: Duration) -> (String, String) {
    let last = causes.last().cloned().unwrap_or_else(|| e.to_string());
    let says = |part: &str| causes.iter().any(|c| c.to_ascii_lowercase().contains(part));
    if let Some(kind) = io_kind(e).filter(|_| e.is_connect()) {
        match kind {
            io::ErrorKind::ConnectionRefused => {
                return ("connection refused".into(), format!("is it running? {SET}"));
            }
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                return (kind.to_string(), format!("is the network up? {SET}"));
            }
            _ => {}
        }
    }
    if says("dns error") || says("failed to lookup address") {
        return ("its host name is not known".into(), format!("is it spelled right? {SET}"));
    }
    if e.is_timeout() {
        let what = if e.is_connect() { "no connection" } else { "no answer" };
        return (format!("{what} within {} s", timeout.as_secs_f64()), "is it overloaded? raise --timeout".into());
    }
    if says("wrong version number") || says("packet length too long") {
        return ("it does not speak TLS".into(), format!("try {}", address.replacen("https:", "http:", 1)));
    }
    if says("certificate") {
        let hint = "name the certificate of its authority with --tls-ca, or as tls.ca of a context";
        return (format!("its certificate is not trusted{}", certificate(causes)), hint.into());
    }
    if e.is_connect() {
        return (last, format!("is it running? {SET}"));
    }
    (
        format!("the server does not answer in HTTP ({last})"),
        format!("is this the port of a worker's REST API, and is it http or https? {SET}"),
    )
}

/// What is wrong with the certificate, which the TLS library says in parentheses at the end.
fn certificate(causes: &[String]) -> &str {
    let said = causes
        .iter()
        .filter(|c| c.contains("certificate"))
        .find_map(|c| c.strip_suffix(')').and_then(|_| c.rfind(" (")).map(|at| &c[at..]));
    said.unwrap_or_default()
}

/// The error's causes, outermost first, without the error itself, whose text repeats the URL.
fn causes(e: &reqwest::Error) -> Vec<String> {
    let mut all = Vec::new();
    let mut cause = e.source();
    while let Some(e) = cause {
        all.push(e.to_string());
        cause = e.source();
    }
    all
}

fn io_kind(e: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut cause = e.source();
    let mut kind = None;
    while let Some(e) = cause {
        kind = e.downcast_ref::<io::Error>().map(io::Error::kind).or(kind);
        cause = e.source();
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificates_fault_is_found_between_library_texts() {
        let causes = [
            "client error (Connect)".to_owned(),
            "error:0A000086:SSL routines::certificate verify failed:x.c:1: (self-signed certificate)".to_owned(),
            "error:0A000086:SSL routines::certificate verify failed:x.c:1:".to_owned(),
        ];
        assert_eq!(certificate(&causes), " (self-signed certificate)");
        assert_eq!(certificate(&causes[2..]), "");
    }
}
