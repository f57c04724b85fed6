//! Signatures of bodies: HMAC with a secret that both sides have. The listener's side checks them, the client's makes
//! them.

use connect_api::{
    Error, Result,
    config::{Key, Problems, Secret},
};
use openssl::{base64, error::ErrorStack, hash::MessageDigest, pkey::PKey, sign};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

connect_api::config_enum! {
    /// The function.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Algorithm {
        /// HMAC-SHA256.
        Sha256 = "sha256",
        /// HMAC-SHA512.
        Sha512 = "sha512",
        /// HMAC-SHA1, for old peers.
        Sha1 = "sha1",
    }
}

impl Algorithm {
    /// The name, as it stands before signatures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Sha1 => "sha1",
        }
    }
}

connect_api::config_enum! {
    /// What is signed, and how the signature is written.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Scheme {
        /// The body.
        Body = "body",
        /// A time, a colon, the body.
        Timestamp = "timestamp",
        /// Standard Webhooks.
        Standard = "standard",
    }
}

connect_api::config_enum! {
    /// How the bytes of a signature are written.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Encoding {
        /// Hexadecimal digits.
        Hex = "hex",
        /// Base64.
        Base64 = "base64",
    }
}

connect_api::config! {
    /// How requests are signed.
    #[derive(Debug, Clone)]
    pub struct SigningConfig {
        /// Secret that requests are signed with (HMAC), which the receiver has, too. Without it nothing is signed.
        secret: Option<Secret> = Key::new("http.hmac.secret"),
        /// What is signed. body: the body, as receivers of GitHub's webhooks expect. timestamp: the seconds since 1970 that
        /// the header http.hmac.timestamp.header tells, a colon and the body. standard: Standard Webhooks, with the headers
        /// webhook-id, webhook-timestamp and webhook-signature and a secret that begins with whsec_; the id is made of
        /// topic, partition, offset and time of the record, or of the first and last one of a batch, so that a request
        /// that comes again has the one that it had before.
        scheme: Scheme = Key::new("http.hmac.scheme").default("body"),
        /// Header with the signature, for the schemes body and timestamp.
        header: String = Key::new("http.hmac.header").default("X-Hub-Signature-256").check(|name: &String| header_name(name)),
        /// Algorithm of the signature; Standard Webhooks has sha256.
        algorithm: Algorithm = Key::new("http.hmac.algorithm").default("sha256").low(),
        /// How the signature is written.
        encoding: Encoding = Key::new("http.hmac.encoding").default("hex").low(),
        /// What stands before the signature. Default: the algorithm and an equals sign, as in sha256=; nothing if it is empty.
        prefix: Option<String> = Key::new("http.hmac.prefix").low(),
        /// Header with the time, for the scheme timestamp.
        timestamp_header: Option<String> = Key::new("http.hmac.timestamp.header")
            .check(|name: &Option<String>| name.as_deref().map_or(Ok(()), header_name)),
    }
}

impl SigningConfig {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        let Some(secret) = &self.secret else { return };
        if secret.reveal().is_empty() {
            problems.add("http.hmac.secret", "http.hmac.secret must not be empty");
        } else if self.scheme == Scheme::Standard && key(self.scheme, secret).is_none() {
            let text = "http.hmac.secret must be base64 behind whsec_ for http.hmac.scheme=standard";
            problems.add("http.hmac.secret", text);
        }
        if self.scheme == Scheme::Standard && self.algorithm != Algorithm::Sha256 {
            problems.add("http.hmac.algorithm", "http.hmac.algorithm must be sha256 for http.hmac.scheme=standard");
        }
        if (self.scheme == Scheme::Timestamp) != self.timestamp_header.is_some() {
            let text = "http.hmac.timestamp.header and http.hmac.scheme=timestamp must be set together";
            problems.add("http.hmac.timestamp.header", text);
        }
    }

    /// What signs; none without a secret.
    pub fn signer(&self) -> Result<Option<Signer>> {
        let Some(secret) = &self.secret else { return Ok(None) };
        let key = key(self.scheme, secret);
        let key = key.ok_or_else(|| Error::fatal("reading http.hmac.secret: expected base64 behind whsec_"))?;
        let name = |text: &str| {
            HeaderName::from_bytes(text.as_bytes())
                .map_err(|e| Error::fatal(format!("reading the name of the header {text:?}")).caused_by(e))
        };
        let prefix = self.prefix.clone();
        Ok(Some(Signer {
            hmac: Hmac::new(self.algorithm, key),
            scheme: self.scheme,
            header: name(&self.header)?,
            encoding: self.encoding,
            prefix: prefix.unwrap_or_else(|| format!("{}=", self.algorithm.name())),
            timestamp_header: self.timestamp_header.as_deref().map(name).transpose()?,
        }))
    }
}

/// Makes the headers that sign a request.
#[derive(Debug, Clone)]
pub struct Signer {
    hmac: Hmac,
    scheme: Scheme,
    header: HeaderName,
    encoding: Encoding,
    prefix: String,
    timestamp_header: Option<HeaderName>,
}

impl Signer {
    /// Whether requests carry the id that they are signed with.
    pub fn has_id(&self) -> bool {
        self.scheme == Scheme::Standard
    }

    /// The headers for a body that is sent now; `id` is the request's, the same whenever it is sent again.
    pub fn headers(&self, id: &str, body: &[u8], now_ms: i64) -> Result<HeaderMap> {
        let seconds = now_ms.div_euclid(1000).to_string();
        let before = match self.scheme {
            Scheme::Body => String::new(),
            Scheme::Timestamp => format!("{seconds}:"),
            Scheme::Standard => format!("{id}.{seconds}."),
        };
        let signature = self.hmac.sign(&[before.as_bytes(), body]);
        let signature = signature.map_err(|e| Error::fatal("signing a request").caused_by(e))?;
        let value = |text: &str| {
            let value = HeaderValue::from_str(text);
            value.map_err(|e| Error::fatal("writing the headers of a signed request").caused_by(e))
        };
        let mut headers = HeaderMap::new();
        if self.scheme == Scheme::Standard {
            headers.insert("webhook-id", value(id)?);
            headers.insert("webhook-timestamp", value(&seconds)?);
            headers.insert("webhook-signature", value(&format!("v1,{}", base64::encode_block(&signature)))?);
            return Ok(headers);
        }
        let written = match self.encoding {
            Encoding::Hex => signature.iter().map(|b| format!("{b:02x}")).collect(),
            Encoding::Base64 => base64::encode_block(&signature),
        };
        headers.insert(self.header.clone(), value(&format!("{}{written}", self.prefix))?);
        if let Some(name) = &self.timestamp_header {
            headers.insert(name.clone(), value(&seconds)?);
        }
        Ok(headers)
    }
}

/// The function with its key.
#[derive(Clone)]
pub struct Hmac {
    algorithm: Algorithm,
    key: Vec<u8>,
}

impl Hmac {
    /// With a key, which [`key`] makes of a secret.
    pub fn new(algorithm: Algorithm, key: Vec<u8>) -> Self {
        Self { algorithm, key }
    }

    /// The signature of these parts, one behind the other.
    pub fn sign(&self, parts: &[&[u8]]) -> std::result::Result<Vec<u8>, ErrorStack> {
        let digest = match self.algorithm {
            Algorithm::Sha256 => MessageDigest::sha256(),
            Algorithm::Sha512 => MessageDigest::sha512(),
            Algorithm::Sha1 => MessageDigest::sha1(),
        };
        let key = PKey::hmac(&self.key)?;
        let mut signer = sign::Signer::new(digest, &key)?;
        parts.iter().try_for_each(|part| signer.update(part))?;
        signer.sign_to_vec()
    }
}

impl std::fmt::Debug for Hmac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hmac({:?})", self.algorithm)
    }
}

/// The key that a secret stands for; none if the scheme writes secrets in another way.
pub fn key(scheme: Scheme, secret: &Secret) -> Option<Vec<u8>> {
    match scheme {
        Scheme::Standard => {
            let encoded = secret.reveal().strip_prefix("whsec_")?;
            base64::decode_block(encoded).ok().filter(|key| !key.is_empty())
        }
        _ => Some(secret.reveal().as_bytes().to_vec()),
    }
}

/// Refuses what cannot be the name of a header.
pub fn header_name(name: &str) -> Result<(), String> {
    HeaderName::from_bytes(name.as_bytes()).map(drop).map_err(|_| "Expected the name of an HTTP header".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Settings, config::Config};

    fn headers(settings: &[(&str, &str)], id: &str, body: &[u8], now: i64) -> HeaderMap {
        let config = SigningConfig::parse(&settings.iter().copied().collect::<Settings>()).expect("settings");
        let mut problems = Problems::new();
        config.validate(&mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        config.signer().expect("right").expect("a secret").headers(id, body, now).expect("signed")
    }

    #[test]
    fn githubs_own_example_is_signed_as_github_does() {
        let secret = ("http.hmac.secret", "It's a Secret to Everybody");
        let hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let body = b"Hello, World!";
        assert_eq!(headers(&[secret], "", body, 0)["x-hub-signature-256"], format!("sha256={hex}"));
        let plain = [secret, ("http.hmac.prefix", ""), ("http.hmac.header", "X-Sign")];
        assert_eq!(headers(&plain, "", body, 0)["x-sign"], hex);
        let timed = [
            secret,
            ("http.hmac.scheme", "timestamp"),
            ("http.hmac.timestamp.header", "X-Time"),
            ("http.hmac.encoding", "base64"),
        ];
        let made = headers(&timed, "", body, 1_999);
        assert_eq!(made["x-time"], "1");
        assert!(made["x-hub-signature-256"].to_str().is_ok_and(|text| text.ends_with('=')));
    }

    #[test]
    fn the_example_of_standard_webhooks_is_signed_as_they_do() {
        let settings =
            [("http.hmac.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), ("http.hmac.scheme", "standard")];
        let made = headers(&settings, "msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#, 1_614_265_330_500);
        assert_eq!(made["webhook-id"], "msg_p5jXN8AQM9LWM0D4loKWxJek");
        assert_eq!(made["webhook-timestamp"], "1614265330");
        assert_eq!(made["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn halves_are_problems() {
        let problems = |given: &[(&str, &str)]| {
            let config = SigningConfig::parse(&given.iter().copied().collect::<Settings>()).expect("single keys");
            let mut problems = Problems::new();
            config.validate(&mut problems);
            problems.iter().map(|p| p.key.clone()).collect::<Vec<_>>()
        };
        let secret = ("http.hmac.secret", "s");
        assert_eq!(problems(&[secret, ("http.hmac.scheme", "timestamp")]), ["http.hmac.timestamp.header"]);
        assert_eq!(problems(&[secret, ("http.hmac.timestamp.header", "x")]), ["http.hmac.timestamp.header"]);
        assert_eq!(problems(&[secret, ("http.hmac.scheme", "standard")]), ["http.hmac.secret"]);
        assert_eq!(problems(&[("http.hmac.secret", "")]), ["http.hmac.secret"]);
    }
}
