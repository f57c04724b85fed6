//! Paths before they are routed: what Jetty and Jersey accept in them, and what Jetty refuses (rest.md §1.5).
//!
//! Names with `%2F`, `%25` and `%5C` in them can be addressed here, which Kafka Connect 4 refuses.

use axum::http::{StatusCode, Uri};

use super::error::ApiError;

/// The path as it is routed: without matrix parameters and without a slash at the end.
pub(crate) fn routed(uri: &Uri) -> Result<Uri, ApiError> {
    let path = uri.path();
    let refuse = |why: &str| ApiError(StatusCode::BAD_REQUEST, why.to_owned());
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    let mut made = String::with_capacity(path.len());
    for (i, segment) in segments.iter().enumerate() {
        let bare = segment.split(';').next().unwrap_or_default();
        if bare.is_empty() && !(segment.is_empty() && i + 1 == segments.len()) {
            return Err(refuse("Ambiguous URI empty segment"));
        }
        check(bare).map_err(refuse)?;
        if !bare.is_empty() || segments.len() == 1 {
            made.push('/');
            made.push_str(bare);
        }
    }
    if let Some(query) = uri.query() {
        made.push('?');
        made.push_str(query);
    }
    made.parse().map_err(|_| refuse("Bad Request"))
}

/// Whether the escapes of a segment are right; else Jetty's word for what is wrong.
fn check(segment: &str) -> Result<(), &'static str> {
    let bytes = segment.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'%' {
            decoded.push(byte);
            at += 1;
            continue;
        }
        let digits = bytes.get(at + 1..at + 3).and_then(|d| std::str::from_utf8(d).ok());
        let digits = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|d| u8::from_str_radix(d, 16).ok()) {
            None | Some(0) => return Err("Bad Request"),
            Some(0x01..=0x1F | 0x7F) => return Err("Suspicious Path Character"),
            Some(byte) => decoded.push(byte),
        }
        at += 3;
    }
    std::str::from_utf8(&decoded).map(drop).map_err(|_| "Bad UTF-8 encoding")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrix_parameters_and_slashes_at_the_end_are_dropped() {
        for (given, wanted) in [
            ("/", "/"),
            ("/connectors/", "/connectors"),
            ("/connectors/x;v=1", "/connectors/x"),
            ("/connectors;x/m/status;y=2?a=b;c", "/connectors/m/status?a=b;c"),
            ("/connectors/x;/status/", "/connectors/x/status"),
            ("/connectors/x%3Bv=1", "/connectors/x%3Bv=1"),
            ("/connectors/x;v=%FF/status", "/connectors/x/status"),
            ("/connectors/a%2Fb%25%5C%C3%BC", "/connectors/a%2Fb%25%5C%C3%BC"),
        ] {
            let uri = given.parse().expect("uri");
            assert_eq!(routed(&uri).map(|u| u.to_string()), Ok(wanted.to_owned()), "{given}");
        }
    }

    #[test]
    fn what_jetty_refuses_is_refused_with_its_words() {
        for (given, why) in [
            ("/connectors/%FF", "Bad UTF-8 encoding"),
            ("/connectors/%C3%28/status", "Bad UTF-8 encoding"),
            ("/connectors/%ZZ", "Bad Request"),
            ("/connectors/%", "Bad Request"),
            ("/connectors/a%2", "Bad Request"),
            ("/connectors/%+1", "Bad Request"),
            ("/connectors/%00", "Bad Request"),
            ("/connectors/%01", "Suspicious Path Character"),
            ("/connectors/%7F", "Suspicious Path Character"),
            ("/connectors//status", "Ambiguous URI empty segment"),
            ("/connectors/;v/status", "Ambiguous URI empty segment"),
            ("/connectors/;v", "Ambiguous URI empty segment"),
            ("//", "Ambiguous URI empty segment"),
        ] {
            let refused = routed(&given.parse().expect("uri")).map(|u| u.to_string());
            assert_eq!(refused, Err(ApiError(StatusCode::BAD_REQUEST, why.to_owned())), "{given}");
        }
    }
}
