//! Client of a schema registry that speaks Confluent's REST API (Confluent, Apicurio, Karapace, ours).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use connect_api::{Error, Result, config::Secret, template::percent_encode};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Method, Response, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};
use tokio::sync::OnceCell;

use crate::cache::Cache;

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// What answered is no schema registry, or the path of its URL is wrong: the cause of errors that need another address.
#[derive(Debug)]
pub struct NotARegistry {
    /// What it answered, such as an HTTP status; none where that is no JSON of a registry.
    pub answered: Option<String>,
    source: Option<reqwest::Error>,
}

impl fmt::Display for NotARegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.answered.as_ref().map_or(Ok(()), |answered| write!(f, "{answered}; "))?;
        f.write_str("check that schema.registry.url is the registry's base URL")
    }
}

impl std::error::Error for NotARegistry {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as _)
    }
}

impl NotARegistry {
    /// What is behind an error, where it is this.
    pub fn behind(e: &Error) -> Option<&Self> {
        let mut cause = std::error::Error::source(e);
        while let Some(e) = cause {
            if let Some(found) = e.downcast_ref() {
                return Some(found);
            }
            cause = e.source();
        }
        None
    }
}

/// How to reach a registry.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Base URLs, tried in turn while one does not answer. User and password may be part of them.
    pub urls: Vec<String>,
    /// Credentials.
    pub auth: RegistryAuth,
    /// How many schemas are remembered, each way.
    pub cache_size: usize,
    /// How long one request may take.
    pub timeout: Duration,
    /// Certificates beyond the system's.
    pub tls: Tls,
}

impl RegistryOptions {
    /// These URLs, without credentials, 1000 schemas, 30 seconds.
    pub fn new(urls: Vec<String>) -> Self {
        let timeout = Duration::from_secs(30);
        Self { urls, auth: RegistryAuth::None, cache_size: 1000, timeout, tls: Tls::default() }
    }
}

/// Certificates of an HTTP client, in PEM.
#[derive(Clone, Default)]
pub struct Tls {
    /// Authorities that are trusted beside the system's.
    pub authorities: Option<Vec<u8>>,
    /// The client's own certificate and its key.
    pub identity: Option<(Vec<u8>, Secret)>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Gives them to a client that is being made.
    pub fn apply(&self, mut builder: ClientBuilder) -> Result<ClientBuilder> {
        if let Some(pem) = &self.authorities {
            let wrong = || Error::fatal("the certificates of the authorities are not in PEM");
            let certificates = Certificate::from_pem_bundle(pem).map_err(|e| wrong().caused_by(e))?;
            if certificates.is_empty() {
                return Err(wrong());
            }
            builder = certificates.into_iter().fold(builder, ClientBuilder::add_root_certificate);
        }
        if let Some((certificate, key)) = &self.identity {
            let identity = Identity::from_pkcs8_pem(certificate, key.reveal().as_bytes());
            builder = builder.identity(
                identity.map_err(|e| Error::fatal("the client's certificate or key is not in PEM").caused_by(e))?,
            );
        }
        Ok(builder)
    }
}

/// Credentials for a registry.
#[derive(Debug, Clone, Default)]
pub enum RegistryAuth {
    /// None but those of the URL.
    #[default]
    None,
    /// HTTP basic authentication.
    Basic {
        /// User.
        user: String,
        /// Password.
        password: Secret,
    },
    /// A bearer token.
    Bearer(Secret),
}

/// A schema as a subject's version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RegisteredSchema {
    /// Subject.
    pub subject: String,
    /// Version within the subject, from 1.
    pub version: i32,
    /// Id within the registry.
    pub id: i32,
    /// Text of the schema.
    pub schema: String,
}

type Flight<T> = Arc<OnceCell<T>>;

/// A client; clones share connections and what they have learnt.
///
/// Ids and the schemas behind them never change, so they are asked for once; tasks that ask at the same
/// time share the request. Errors are retriable when the registry does not answer, fatal when it refuses
/// the credentials or is something else, and of the data when it refuses the schema.
#[derive(Clone)]
pub struct SchemaRegistry(Arc<Inner>);

struct Inner {
    client: Client,
    urls: Vec<String>,
    // The URL that answered last.
    current: AtomicUsize,
    auth: RegistryAuth,
    ids: Cache<(String, String), Flight<i32>>,
    schemas: Cache<i32, Flight<Arc<str>>>,
}

impl fmt::Debug for SchemaRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SchemaRegistry").field(&self.0.urls.len()).finish()
    }
}

impl SchemaRegistry {
    /// A client. Nothing is sent yet; a wrong URL is a fatal error.
    pub fn new(options: RegistryOptions) -> Result<Self> {
        let urls: Vec<String> = options.urls.iter().map(|u| u.trim_end_matches('/').to_owned()).collect();
        if urls.is_empty() {
            return Err(Error::fatal("schema.registry.url names no registry"));
        }
        for url in &urls {
            let parsed = reqwest::Url::parse(url).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
            if parsed.is_none() {
                // The URL may hold a password: it is not shown.
                return Err(Error::fatal("schema.registry.url has to hold URLs that start with http:// or https://"));
            }
        }
        let builder = Client::builder().timeout(options.timeout).connect_timeout(Duration::from_secs(5));
        let client = options.tls.apply(builder)?.build();
        let client = client.map_err(|e| Error::fatal("setting up the schema registry client").caused_by(e))?;
        Ok(Self(Arc::new(Inner {
            client,
            urls,
            current: AtomicUsize::new(0),
            auth: options.auth,
            ids: Cache::new(options.cache_size),
            schemas: Cache::new(options.cache_size),
        })))
    }

    /// Registers a schema under a subject, unless it is there already, and answers its id.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<i32> {
        let flight = self.0.ids.get_or_insert_with((subject.to_owned(), schema.to_owned()), Flight::default);
        let id = flight.get_or_try_init(|| async {
            let doing = format!("registering a schema under subject {subject}");
            let path = format!("subjects/{}/versions", percent_encode(subject));
            let answer: Id = self.ask(Method::POST, &path, Some(json!({ "schema": schema })), doing).await?;
            Ok::<_, Error>(answer.id)
        });
        id.await.copied()
    }

    /// Finds a schema under a subject without registering it.
    pub async fn lookup(&self, subject: &str, schema: &str) -> Result<RegisteredSchema> {
        let doing = format!("looking up a schema under subject {subject}");
        let path = format!("subjects/{}", percent_encode(subject));
        self.ask(Method::POST, &path, Some(json!({ "schema": schema })), doing).await
    }

    /// The text of a schema by its id.
    pub async fn schema(&self, id: i32) -> Result<Arc<str>> {
        let flight = self.0.schemas.get_or_insert_with(id, Flight::default);
        let text = flight.get_or_try_init(|| async {
            let doing = format!("fetching the schema with id {id}");
            let answer: Text = self.ask(Method::GET, &format!("schemas/ids/{id}"), None, doing).await?;
            let kind = answer.schema_type.as_deref().unwrap_or("AVRO");
            if kind != "AVRO" || !answer.references.is_empty() {
                let what = if kind == "AVRO" { "refers to other schemas" } else { "is not an Avro schema" };
                return Err(Error::data(format!("the schema with id {id} {what}, which is not supported")));
            }
            Ok(Arc::from(answer.schema))
        });
        text.await.cloned()
    }

    /// The latest version of a subject.
    pub async fn latest(&self, subject: &str) -> Result<RegisteredSchema> {
        let doing = format!("fetching the latest schema of subject {subject}");
        let path = format!("subjects/{}/versions/latest", percent_encode(subject));
        self.ask(Method::GET, &path, None, doing).await
    }

    /// A version of a subject.
    pub async fn version(&self, subject: &str, version: i32) -> Result<RegisteredSchema> {
        let doing = format!("fetching version {version} of subject {subject}");
        let path = format!("subjects/{}/versions/{version}", percent_encode(subject));
        self.ask(Method::GET, &path, None, doing).await
    }

    /// The numbers of a subject's versions.
    pub async fn versions(&self, subject: &str) -> Result<Vec<i32>> {
        let doing = format!("listing the versions of subject {subject}");
        self.ask(Method::GET, &format!("subjects/{}/versions", percent_encode(subject)), None, doing).await
    }

    /// All subjects.
    pub async fn subjects(&self) -> Result<Vec<String>> {
        self.ask(Method::GET, "subjects", None, "listing the subjects".into()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Json>,
        doing: String,
    ) -> Result<T> {
        self.ask_coded(method, path, body, doing).await.map_err(|refused| refused.error)
    }

    /// As `ask`, with the registry's code beside the error.
    pub(crate) async fn ask_coded<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Json>,
        doing: String,
    ) -> std::result::Result<T, Refused> {
        let urls = &self.0.urls;
        let first = self.0.current.load(Ordering::Relaxed);
        let mut failure = None;
        for i in 0..urls.len() {
            let index = (first + i) % urls.len();
            match self.send(method.clone(), &urls[index], path, body.as_ref(), &doing).await {
                Err(e) if e.error.class() == connect_api::ErrorClass::Retriable => failure = Some(e),
                Err(e) => return Err(e),
                Ok(response) => {
                    self.0.current.store(index, Ordering::Relaxed);
                    let answer = response.json().await;
                    return answer.map_err(|e| unreachable_registry(doing, e));
                }
            }
        }
        Err(failure.unwrap_or_else(|| Refused { code: None, error: Error::fatal(doing) }))
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        path: &str,
        body: Option<&Json>,
        doing: &str,
    ) -> std::result::Result<Response, Refused> {
        let mut request = self.0.client.request(method, format!("{url}/{path}")).header(header::ACCEPT, CONTENT_TYPE);
        match &self.0.auth {
            RegistryAuth::None => {}
            RegistryAuth::Basic { user, password } => request = request.basic_auth(user, Some(password.reveal())),
            RegistryAuth::Bearer(token) => request = request.bearer_auth(token.reveal()),
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, CONTENT_TYPE).body(body.to_string());
        }
        let response = request.send().await.map_err(|e| unreachable_registry(doing.to_owned(), e))?;
        if response.status().is_success() { Ok(response) } else { Err(refused(response, doing).await) }
    }
}

#[derive(Deserialize)]
struct Id {
    id: i32,
}

#[derive(Deserialize)]
struct Text {
    schema: String,
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Json>,
}

#[derive(Deserialize)]
struct Refusal {
    error_code: i64,
    message: String,
}

/// Why there is no answer to a request.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The registry's own code, such as 40401.
    pub(crate) code: Option<i64>,
    pub(crate) error: Error,
}

fn unreachable_registry(doing: String, e: reqwest::Error) -> Refused {
    let is_read = e.is_decode();
    // The URL may hold a password.
    let e = e.without_url();
    let error = if is_read {
        Error::fatal(doing).caused_by(NotARegistry { answered: None, source: Some(e) })
    } else {
        Error::retriable(doing).caused_by(e)
    };
    Refused { code: None, error }
}

async fn refused(response: Response, doing: &str) -> Refused {
    let status = response.status();
    let delay = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
    let body = response.text().await.unwrap_or_default();
    // Other servers in Java say the same of paths that they do not know; registries have codes of their own for the rest.
    let unknown_path = |r: &Refusal| r.error_code == 404 && r.message.starts_with("HTTP 404");
    let refusal = serde_json::from_str::<Refusal>(&body).ok().filter(|r| !unknown_path(r));
    let said = match &refusal {
        Some(refusal) => format!("{doing}: {} (error {})", refusal.message, refusal.error_code),
        None => format!("{doing}: HTTP status {status}"),
    };
    if status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) {
        let error = Error::retriable(said);
        let error = match delay {
            Some(seconds) => error.retry_after(Duration::from_secs(seconds)),
            None => error,
        };
        return Refused { code: refusal.map(|r| r.error_code), error };
    }
    let code = refusal.as_ref().map(|r| r.error_code);
    let error = match (status, refusal) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
            Error::fatal(format!("{said}; check basic.auth.user.info or bearer.auth.token"))
        }
        (_, None) => {
            let answered = Some(format!("HTTP status {status}"));
            Error::fatal(doing.to_owned()).caused_by(NotARegistry { answered, source: None })
        }
        (StatusCode::CONFLICT, _) => Error::data(format!(
            "{said}; new fields need a default and removed ones must have had one, or set the subject's compatibility level"
        )),
        _ => Error::data(said),
    };
    Refused { code, error }
}
