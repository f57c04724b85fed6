//! Signatures of bodies: HMAC with a secret that the sender has, too.

use std::time::Duration;

use connect_api::config::{Key, Millis, Problems, Secret};
use connector_http::{
    config::positive,
    header::HeaderMap,
    signing::{Algorithm, Hmac, Scheme, header_name, key},
};
use openssl::{base64, memcmp};

use crate::config::Format;

connect_api::config! {
    /// How requests are signed.
    #[derive(Debug, Clone)]
    pub struct SignatureSettings {
        /// Secret that callers sign their requests with (HMAC). Requests without a right signature are answered with 401.
        secret: Option<Secret> = Key::new("webhook.hmac.secret"),
        /// What is signed. body: the body, as GitHub and Grafana do. timestamp: the text of the header
        /// webhook.hmac.timestamp.header, a colon and the body, as Grafana does where it is given such a header. standard:
        /// Standard Webhooks, with the headers webhook-id, webhook-timestamp and webhook-signature and a secret
        /// that begins with whsec_.
        scheme: Scheme = Key::new("webhook.hmac.scheme").default("body"),
        /// Header with the signature, in hexadecimal digits or base64, also behind the algorithm as in sha256=….
        /// Default: X-Grafana-Alerting-Signature for grafana, else X-Hub-Signature-256.
        header: Option<String> = Key::new("webhook.hmac.header").check(name),
        /// Algorithm of the signature.
        algorithm: Algorithm = Key::new("webhook.hmac.algorithm").default("sha256").low(),
        /// Header with the time of the signature, in seconds since 1970, for the scheme timestamp.
        timestamp_header: Option<String> = Key::new("webhook.hmac.timestamp.header")
            .check(name),
        /// How far that time may be from now, in milliseconds: older requests may be somebody's recordings.
        tolerance: Millis = Key::new("webhook.hmac.tolerance.ms").default("300000").low().check(positive),
    }
}

impl SignatureSettings {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        let Some(secret) = &self.secret else { return };
        let has_timestamp = self.timestamp_header.is_some();
        if (self.scheme == Scheme::Timestamp) != has_timestamp {
            let text = "webhook.hmac.timestamp.header and webhook.hmac.scheme=timestamp must be set together";
            problems.add("webhook.hmac.timestamp.header", text);
        }
        if self.scheme == Scheme::Standard && key(self.scheme, secret).is_none() {
            let text = "webhook.hmac.secret must be base64 behind whsec_ for webhook.hmac.scheme=standard";
            problems.add("webhook.hmac.secret", text);
        }
        if secret.reveal().is_empty() {
            problems.add("webhook.hmac.secret", "webhook.hmac.secret must not be empty");
        }
    }

    /// What checks the requests of this format; none without a secret.
    pub fn check(&self, format: Format) -> Option<Signature> {
        let secret = key(self.scheme, self.secret.as_ref()?)?;
        let default = if format == Format::Grafana { "X-Grafana-Alerting-Signature" } else { "X-Hub-Signature-256" };
        let header = match self.scheme {
            Scheme::Standard => "webhook-signature".to_owned(),
            _ => self.header.clone().unwrap_or_else(|| default.to_owned()),
        };
        Some(Signature {
            hmac: Hmac::new(self.algorithm, secret),
            scheme: self.scheme,
            header,
            algorithm: self.algorithm,
            timestamp_header: self.timestamp_header.clone(),
            tolerance: self.tolerance.0,
        })
    }
}

/// Checks signatures.
pub struct Signature {
    hmac: Hmac,
    scheme: Scheme,
    header: String,
    algorithm: Algorithm,
    timestamp_header: Option<String>,
    tolerance: Duration,
}

impl Signature {
    /// Why the request is not signed as it should be.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now_ms: i64) -> Result<(), String> {
        let text = |name: &str| {
            let found = headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
            found.ok_or_else(|| format!("expected the header {name}"))
        };
        let signature = text(&self.header)?;
        let mut before = Vec::new();
        let timestamp = match (self.scheme, &self.timestamp_header) {
            (Scheme::Standard, _) => {
                let (id, timestamp) = (text("webhook-id")?, text("webhook-timestamp")?);
                before.extend_from_slice(format!("{id}.{timestamp}.").as_bytes());
                Some(timestamp)
            }
            (Scheme::Timestamp, Some(name)) => {
                let timestamp = text(name)?;
                before.extend_from_slice(format!("{timestamp}:").as_bytes());
                Some(timestamp)
            }
            _ => None,
        };
        if let Some(timestamp) = timestamp {
            let at = timestamp.parse::<i64>().ok().and_then(|s| s.checked_mul(1000));
            let at = at.ok_or("expected the time of the signature in seconds since 1970")?;
            if u128::from(now_ms.abs_diff(at)) > self.tolerance.as_millis() {
                return Err("the time of the signature is too far from now: check both clocks".into());
            }
        }
        let expected = self.hmac.sign(&[&before, body]).map_err(|e| format!("computing the signature: {e}"))?;
        let right = match self.scheme {
            // Several while the sender changes its secret.
            Scheme::Standard => {
                signature.split(' ').filter_map(|s| s.strip_prefix("v1,")).any(|s| self.is(s, &expected))
            }
            _ => self.is(signature, &expected),
        };
        if right { Ok(()) } else { Err(format!("the signature in the header {} is not that of the body", self.header)) }
    }

    fn is(&self, given: &str, expected: &[u8]) -> bool {
        let without = given.strip_prefix(self.algorithm.name()).and_then(|rest| rest.strip_prefix('='));
        let given = without.unwrap_or(given);
        let bytes = if given.len() == 2 * expected.len() { hex(given) } else { base64::decode_block(given).ok() };
        // Takes as long whatever differs.
        bytes.is_some_and(|bytes| bytes.len() == expected.len() && memcmp::eq(&bytes, expected))
    }
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signature({:?} in {})", self.scheme, self.header)
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let pair = |pair: &[u8]| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8);
    text.as_bytes().chunks_exact(2).map(pair).collect()
}

fn name(name: &Option<String>) -> Result<(), String> {
    name.as_deref().map_or(Ok(()), header_name)
}

#[cfg(test)]
mod tests {
    use connect_api::{Settings, config::Config};
    use connector_http::header::HeaderName;

    use super::*;

    const SECRET: (&str, &str) = ("webhook.hmac.secret", "It's a Secret to Everybody");
    const BODY: &[u8] = b"Hello, World!";
    /// GitHub's own example of its signatures.
    const GITHUB: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn verify(settings: &[(&str, &str)], headers: &[(&str, &str)], body: &[u8], now: i64) -> Result<(), String> {
        let settings: Settings = settings.iter().copied().collect();
        let config = SignatureSettings::parse(&settings).expect("valid settings");
        let mut problems = Problems::new();
        config.validate(&mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let header = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).expect("name"), value.parse().expect("value"))
        };
        config.check(Format::Json).expect("a secret").verify(&headers.iter().map(header).collect(), body, now)
    }

    #[test]
    fn githubs_own_example_is_right_and_nothing_near_it() {
        let header = "x-hub-signature-256";
        let prefixed = format!("sha256={GITHUB}");
        let upper = GITHUB.to_uppercase();
        let base64 = base64::encode_block(&hex(GITHUB).expect("hex"));
        for right in [&prefixed, GITHUB, &upper, &base64] {
            assert_eq!(verify(&[SECRET], &[(header, right)], BODY, 0), Ok(()), "{right}");
        }
        let other = format!("{}8", &GITHUB[..63]);
        for wrong in ["", "sha256=", "é", &other, &GITHUB[2..], &format!("sha1={GITHUB}"), &"é".repeat(32), "===="] {
            if let Ok(value) = wrong.parse::<connector_http::header::HeaderValue>()
                && value.to_str().is_ok()
            {
                let e = verify(&[SECRET], &[(header, wrong)], BODY, 0).expect_err(wrong);
                assert_eq!(e, "the signature in the header X-Hub-Signature-256 is not that of the body");
            }
        }
        assert!(verify(&[SECRET], &[(header, GITHUB)], b"Hello, World?", 0).is_err());
        assert_eq!(verify(&[SECRET], &[], BODY, 0), Err("expected the header X-Hub-Signature-256".into()));
    }

    #[test]
    fn old_recordings_are_refused() {
        let settings = [
            SECRET,
            ("webhook.hmac.scheme", "timestamp"),
            ("webhook.hmac.timestamp.header", "x-time"),
            ("webhook.hmac.header", "x-s"),
        ];
        let parsed = SignatureSettings::parse(&settings.into_iter().collect()).expect("settings");
        let signature = parsed.check(Format::Grafana).expect("a secret").hmac.sign(&[b"1000:", BODY]).expect("signed");
        let text: String = signature.iter().map(|b| format!("{b:02x}")).collect();
        let at = |time: &str, now| verify(&settings, &[("x-s", &text), ("x-time", time)], BODY, now);
        assert_eq!(at("1000", 1_000_000), Ok(()));
        assert_eq!(at("1000", 1_299_000), Ok(()));
        assert!(at("1000", 1_301_000).expect_err("old").contains("too far from now"));
        assert!(at("1001", 1_000_000).expect_err("forged").contains("is not that of the body"));
        assert!(at("soon", 0).is_err() && at("9223372036854775807", 0).is_err());
        assert!(verify(&settings, &[("x-s", &text)], BODY, 0).is_err());
    }

    #[test]
    fn the_example_of_standard_webhooks_is_right() {
        let settings =
            [("webhook.hmac.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), ("webhook.hmac.scheme", "standard")];
        let body = br#"{"test": 2432232314}"#;
        let (id, time) = (("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), ("webhook-timestamp", "1614265330"));
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        let verify = |text: &str| verify(&settings, &[id, time, ("webhook-signature", text)], body, 1_614_265_331_000);
        assert_eq!(verify(signature), Ok(()));
        assert_eq!(verify(&format!("v1,AAAA {signature} v2,x")), Ok(()));
        assert!(verify(&signature.replace("v1,", "v2,")).is_err());
    }

    #[test]
    fn halves_are_problems() {
        let problems = |given: &[(&str, &str)]| {
            let mut problems = Problems::new();
            let settings: Settings = given.iter().copied().collect();
            match SignatureSettings::parse(&settings) {
                Ok(config) => config.validate(&mut problems),
                Err(found) => problems = found,
            }
            problems.iter().map(|p| p.key.clone()).collect::<Vec<_>>()
        };
        let header = "webhook.hmac.timestamp.header";
        assert_eq!(problems(&[SECRET, ("webhook.hmac.scheme", "timestamp")]), [header]);
        assert_eq!(problems(&[SECRET, (header, "x")]), [header]);
        assert_eq!(problems(&[SECRET, ("webhook.hmac.scheme", "standard")]), ["webhook.hmac.secret"]);
        assert_eq!(problems(&[SECRET, ("webhook.hmac.header", "a b")]), ["webhook.hmac.header"]);
    }
}
