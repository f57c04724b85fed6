//! Where points are written: the three write APIs, who we are there, and what their answers mean.

use connect_api::{Error, ErrorClass, Result, config::Secret};
use connector_http::{Answer, Client, HttpConfig, Keys, StatusCode, Url, config::url_with};
use serde_json::Value as Json;

use crate::moment::Precision;

connect_api::config_enum! {
    /// Which write API the server has.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Version {
        /// `/write` of InfluxDB 1.
        V1 = "1",
        /// `/api/v2/write` of InfluxDB 2.
        V2 = "2",
        /// `/api/v3/write_lp` of InfluxDB 3.
        V3 = "3",
    }
}

impl Version {
    /// As people call it.
    pub fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

connect_api::config_enum! {
    /// How many nodes of a cluster must have stored a point.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Consistency {
        /// None: the point may wait for its nodes.
        Any = "any",
        /// One.
        One = "one",
        /// More than half of its nodes.
        Quorum = "quorum",
        /// All of its nodes.
        All = "all",
    }
}

/// What the settings are called, for errors that need a person.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// The server's URL.
    pub url: &'static str,
    /// The database or bucket.
    pub target: &'static str,
    /// The retention policy.
    pub policy: &'static str,
    /// User and password, or token.
    pub credentials: &'static str,
}

/// Who we are.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Nobody.
    None,
    /// A user with a password.
    User(String, Secret),
    /// Who has this token.
    Token(Secret),
}

/// Where points are written.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The write API.
    pub version: Version,
    /// The server's URL.
    pub url: String,
    /// The database or bucket.
    pub target: String,
    /// Version 1: the retention policy; none for the database's default.
    pub policy: Option<String>,
    /// Version 1: the consistency level.
    pub consistency: Option<Consistency>,
    /// Version 2: the organisation.
    pub org: Option<String>,
    /// Version 3: whether the good lines of a request with bad ones are stored.
    pub accept_partial: bool,
    /// Version 3: whether the server answers before points are on its disk.
    pub no_sync: bool,
    /// Who we are.
    pub credentials: Credentials,
    /// What the settings are called.
    pub names: Names,
}

/// What a line was refused for, by its number from 0.
pub type Refused = Vec<(usize, String)>;

impl Endpoint {
    /// A client that the server knows.
    pub fn client(&self, config: &HttpConfig) -> Result<Client> {
        let client = Client::new(config, Keys { url: self.names.url, credentials: self.names.credentials })?;
        let scheme = if self.version == Version::V2 { "Token" } else { "Bearer" };
        match &self.credentials {
            Credentials::None => Ok(client),
            Credentials::User(user, password) => client.with_basic(user, password.reveal()),
            Credentials::Token(token) => {
                client.hiding(token).with_authorization(&format!("{scheme} {}", token.reveal()))
            }
        }
    }

    /// The URL that takes points.
    pub fn write_url(&self, precision: Precision) -> Result<Url> {
        let (millis, target) = (precision == Precision::Millis, self.target.clone());
        let short = if millis { "ms" } else { "ns" };
        let (path, mut query, precision) = match self.version {
            Version::V1 => ("write", vec![("db", target)], short),
            Version::V2 => ("api/v2/write", vec![("bucket", target)], short),
            Version::V3 => {
                let query = vec![("db", target), ("accept_partial", self.accept_partial.to_string())];
                ("api/v3/write_lp", query, if millis { "millisecond" } else { "nanosecond" })
            }
        };
        query.extend(self.policy.clone().map(|policy| ("rp", policy)));
        let consistency = |level| match level {
            Consistency::Any => "any",
            Consistency::One => "one",
            Consistency::Quorum => "quorum",
            Consistency::All => "all",
        };
        query.extend(self.consistency.map(|level| ("consistency", consistency(level).to_owned())));
        query.extend(self.org.clone().map(|org| ("org", org)));
        query.extend(self.no_sync.then(|| ("no_sync", "true".to_owned())));
        query.push(("precision", precision.to_owned()));
        self.at(path, &query)
    }

    /// A URL of the server.
    pub fn at(&self, path: &str, query: &[(&str, String)]) -> Result<Url> {
        let reading = || Error::fatal(format!("reading {} {}", self.names.url, self.url));
        url_with(&self.url, path, query).map_err(|why| reading().caused_by(why))
    }

    /// What points are written to, as messages call it.
    pub fn name(&self) -> String {
        let kind = if self.version == Version::V2 { "bucket" } else { "database" };
        format!("{kind} {}", self.target)
    }

    /// Whether an answer to a write says that the points are stored: without a word, with 204. Whoever has something to
    /// say with status 200 is another server, or a proxy.
    pub fn stored(&self, answer: &Answer) -> bool {
        answer.is_success() && !answer.broken && answer.text.trim().is_empty()
    }

    /// The error that an answer to a write stands for, unless it stored the points.
    ///
    /// The shared mapping is right but for answers that no retry changes. A partial write (400, of version 2 422) is an
    /// error of the data: the worker halves the slice, and the good lines are overwritten by themselves.
    pub fn refusal(&self, answer: &Answer, doing: String) -> Error {
        let Names { url, target, policy, .. } = self.names;
        if answer.broken {
            return answer.error_as(ErrorClass::Retriable, format!("{doing}: the answer breaks off"));
        }
        if answer.is_success() {
            let text = format!("{doing}: this is no answer of an InfluxDB that has stored points: correct {url}");
            return answer.error_as(ErrorClass::Fatal, text);
        }
        if answer.status == StatusCode::NOT_FOUND {
            return answer.error_as(ErrorClass::Fatal, format!("{doing}: create it, or correct {url} or {target}"));
        }
        // InfluxDB 1 answers 500.
        if self.version == Version::V1 && answer.text.contains("retention policy not found") {
            let text = format!("{doing}: create the retention policy, or correct {policy}");
            return answer.error_as(ErrorClass::Fatal, text);
        }
        answer.error(doing)
    }

    /// Whether answers may tell which lines were refused while others were stored.
    pub fn tells_some_lines(&self) -> bool {
        self.version == Version::V3 && self.accept_partial
    }

    /// Which of so many lines were refused, if an answer of version 3 tells. There may be others: it tells of 100 at most.
    pub fn refused_lines(&self, answer: &Answer, lines: usize) -> Option<Refused> {
        if !self.tells_some_lines() || answer.status != StatusCode::BAD_REQUEST {
            return None;
        }
        let said: Json = serde_json::from_str(&answer.text).ok()?;
        if !said["error"].as_str()?.starts_with("partial write of line protocol occurred") {
            return None;
        }
        let refused = |item: &Json| {
            let number = usize::try_from(item["line_number"].as_u64()?).ok()?;
            let why = item["error_message"].as_str()?;
            (1..=lines).contains(&number).then(|| (number - 1, why.to_owned()))
        };
        let all: Option<Refused> = said["data"].as_array()?.iter().map(refused).collect();
        all.filter(|all| !all.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(version: Version) -> Endpoint {
        Endpoint {
            version,
            url: "http://h:1/prefix/".into(),
            target: "a b&c".into(),
            policy: None,
            consistency: None,
            org: None,
            accept_partial: true,
            no_sync: false,
            credentials: Credentials::None,
            names: Names { url: "x.url", target: "x.db", policy: "x.rp", credentials: "x.token" },
        }
    }

    #[test]
    fn each_version_has_its_path_and_its_names() {
        let url = |endpoint: &Endpoint, precision| endpoint.write_url(precision).expect("url").to_string();
        let mut v1 = endpoint(Version::V1);
        assert_eq!(url(&v1, Precision::Millis), "http://h:1/prefix/write?db=a+b%26c&precision=ms");
        (v1.policy, v1.consistency) = (Some("week".into()), Some(Consistency::Quorum));
        let all = "http://h:1/prefix/write?db=a+b%26c&rp=week&consistency=quorum&precision=ns";
        assert_eq!(url(&v1, Precision::Nanos), all);
        let mut v2 = endpoint(Version::V2);
        v2.org = Some("o".into());
        assert_eq!(url(&v2, Precision::Nanos), "http://h:1/prefix/api/v2/write?bucket=a+b%26c&org=o&precision=ns");
        let mut v3 = endpoint(Version::V3);
        let start = "http://h:1/prefix/api/v3/write_lp?db=a+b%26c&accept_partial=";
        assert_eq!(url(&v3, Precision::Nanos), format!("{start}true&precision=nanosecond"));
        (v3.accept_partial, v3.no_sync) = (false, true);
        assert_eq!(url(&v3, Precision::Millis), format!("{start}false&no_sync=true&precision=millisecond"));
        assert_eq!((v2.name().as_str(), v3.name().as_str()), ("bucket a b&c", "database a b&c"));
    }
}
