//! What is wrong with certificates, from what the TLS library says of a connection that failed. Trying again helps none of it.

/// Why one side refuses the other's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateTrouble {
    /// The server's is for other names.
    OtherName,
    /// The server's time is over.
    Expired,
    /// Nobody who is trusted vouches for the server's.
    UnknownAuthority,
    /// The server does not take ours, or wants one.
    OursRefused,
}

/// Alerts by which a server says so.
const ALERTS: [&str; 6] = [
    "certificate required",
    "bad certificate",
    "certificate unknown",
    "certificate expired",
    "unknown ca",
    "handshake failure",
];

impl CertificateTrouble {
    /// What a text of OpenSSL says, which has no codes that get this far.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.to_lowercase();
        if text.contains("certificate verify failed") {
            return Some(if text.contains("mismatch") {
                Self::OtherName
            } else if text.contains("expired") {
                Self::Expired
            } else {
                Self::UnknownAuthority
            });
        }
        ALERTS.iter().any(|alert| text.contains(&format!("alert {alert}"))).then_some(Self::OursRefused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_openssl_are_told_apart() {
        for (text, expected) in [
            (
                "error:0A000086:SSL routines:…:certificate verify failed: (Hostname mismatch)",
                CertificateTrouble::OtherName,
            ),
            ("certificate verify failed: (IP address mismatch)", CertificateTrouble::OtherName),
            ("certificate verify failed: (certificate has expired)", CertificateTrouble::Expired),
            ("certificate verify failed: (self-signed certificate)", CertificateTrouble::UnknownAuthority),
            ("tlsv13 alert certificate required:SSL alert number 116", CertificateTrouble::OursRefused),
            ("sslv3 alert handshake failure", CertificateTrouble::OursRefused),
        ] {
            assert_eq!(CertificateTrouble::of(text), Some(expected), "{text}");
        }
        assert_eq!(CertificateTrouble::of("connection reset by peer"), None);
    }
}
