//! The client, made from settings in one way for all connectors, and what it hides.

use std::{fs, sync::Arc, time::Instant};

use connect_api::{Check, Error, Result, TaskContext, config::Secret};
use reqwest::{
    Certificate, Identity, Method, Proxy, RequestBuilder, Url,
    header::{AUTHORIZATION, HeaderValue},
    redirect::Policy,
};

use crate::{
    config::{AuthConfig, HttpConfig},
    handshake::ClientFiles,
    oauth::{OAuth, OAuthConfig, OAuthKeys},
    reach::{self, ProxyUse},
    requests::Requests,
    status::{self, Answer},
};

/// The most of an answer that is read unless the caller wants more; what servers say about errors is shorter.
const ANSWER_LIMIT: usize = 64 * 1024;

/// How the names of parameters end whose values are kept out of errors also where they stand alone.
const SECRET_NAMES: [&str; 7] = ["sig", "signature", "token", "key", "secret", "code", "password"];

/// The connector's settings that say where to and with which credentials, for errors that need a person.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// The one of the URL.
    pub url: &'static str,
    /// Those of the credentials, as in `http.token`, or `x.username and x.password`.
    pub credentials: &'static str,
}

/// An HTTP client that follows no redirects, gives up in time, and keeps secrets out of errors.
///
/// Cloning shares its connections.
#[derive(Clone)]
pub struct Client {
    inner: reqwest::Client,
    authorization: Option<HeaderValue>,
    hidden: Vec<Secret>,
    keys: Keys,
    proxy: ProxyUse,
    requests: Requests,
    files: ClientFiles,
    oauth: Option<Arc<OAuth>>,
    answer_limit: usize,
}

impl Client {
    /// A client by the settings. Errors are fatal: a file that cannot be read, a certificate that is none.
    pub fn new(config: &HttpConfig, keys: Keys) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(config.connect_timeout.0)
            .timeout(config.request_timeout.0)
            .redirect(Policy::none())
            .user_agent(concat!("tocsin/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = &config.ca_file {
            let certificates = Certificate::from_pem_bundle(&read(file)?).map_err(wrong("certificates", file))?;
            if certificates.is_empty() {
                return Err(Error::fatal(format!("reading certificates from {file}: there is none in it")));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        if let (Some(certificate), Some(key)) = (&config.certificate_file, &config.key_file) {
            let identity = Identity::from_pkcs8_pem(&read(certificate)?, &read(key)?);
            builder = builder.identity(identity.map_err(wrong("the client's certificate and key", certificate))?);
        }
        match config.proxy.as_deref() {
            None => {}
            Some("none") => builder = builder.no_proxy(),
            Some(url) => {
                let mut proxy = Proxy::all(url).map_err(|e| Error::fatal("reading http.proxy").caused_by(e))?;
                if let Some(user) = &config.proxy_username {
                    proxy = proxy.basic_auth(user, config.proxy_password.as_ref().map_or("", Secret::reveal));
                }
                builder = builder.proxy(proxy);
            }
        }
        let inner = builder.build().map_err(|e| Error::fatal("setting up the HTTP client").caused_by(e))?;
        let hidden = config.proxy_password.iter().cloned().collect();
        let proxy = ProxyUse::of(config.proxy.as_deref());
        let (requests, files, answer_limit) = (Requests::default(), ClientFiles::of(config), ANSWER_LIMIT);
        Ok(Self { inner, authorization: None, hidden, keys, proxy, requests, files, oauth: None, answer_limit })
    }

    /// Reads so many bytes of each answer, where the answer is more than a text for people.
    pub fn reading(self, answer_limit: usize) -> Self {
        Self { answer_limit, ..self }
    }

    /// Counts requests as the task's, for the page `/metrics`.
    pub fn counted_by(self, context: &TaskContext) -> Self {
        Self { requests: Requests::of(context), ..self }
    }

    /// Adds what the server knows us by to every request.
    pub fn with_auth(self, auth: &AuthConfig) -> Result<Self> {
        let password = auth.password.as_ref().map_or("", Secret::reveal);
        match (&auth.token, &auth.username) {
            (Some(token), _) => self.hiding(token).with_authorization(&format!("Bearer {}", token.reveal())),
            (None, Some(user)) => self.with_basic(user, password),
            (None, None) => Ok(self),
        }
    }

    /// Has every request carry a token of OAuth 2, where the settings ask for that: one that is refused is replaced, and
    /// the request sent again, once.
    pub fn with_oauth(self, config: &OAuthConfig) -> Result<Self> {
        self.with_oauth_of(config, OAuthKeys::OURS)
    }

    /// As [`Client::with_oauth`], for a connector whose settings have other names.
    pub fn with_oauth_of(self, config: &OAuthConfig, keys: OAuthKeys) -> Result<Self> {
        let oauth = OAuth::new(config, keys, self.inner.clone())?.map(Arc::new);
        let hiding = config.client_secret.iter().fold(self, Self::hiding);
        Ok(Self { oauth: oauth.or(hiding.oauth), ..hiding })
    }

    /// Gets a token of OAuth 2, if requests carry one. Says whether they do.
    pub async fn has_token(&self) -> Result<bool> {
        match &self.oauth {
            Some(oauth) => oauth.authorization().await.map(|_| true),
            None => Ok(false),
        }
    }

    /// Adds basic authentication to every request.
    pub fn with_basic(self, user: &str, password: &str) -> Result<Self> {
        let encoded = connect_api::json::base64(format!("{user}:{password}").as_bytes());
        self.hiding(&Secret::new(password)).with_authorization(&format!("Basic {encoded}"))
    }

    /// Adds an `Authorization` header to every request.
    pub fn with_authorization(mut self, text: &str) -> Result<Self> {
        let value = HeaderValue::from_str(text);
        let mut value = value.map_err(|_| Error::fatal("making the Authorization header: not printable ASCII"))?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }

    /// Keeps a text out of what servers' answers add to errors.
    pub fn hiding(mut self, secret: &Secret) -> Self {
        self.hidden.extend(worth_hiding(secret.reveal()));
        self
    }

    /// As [`Client::hiding`], for what is a secret only in part, such as a path.
    pub fn hiding_text(self, text: &str) -> Self {
        self.hiding(&Secret::new(text))
    }

    /// A request with what every request carries.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.inner.request(method, url);
        match &self.authorization {
            Some(value) => request.header(reqwest::header::AUTHORIZATION, value),
            None => request,
        }
    }

    /// Where a URL leads, for what is said about requests: scheme, host, port and the setting. No path: it may be a
    /// secret.
    pub fn place(&self, url: &Url) -> String {
        format!("{} ({})", origin(url), self.keys.url)
    }

    /// Looks whether the URL's server takes connections, without a request; not where a proxy is in between.
    pub async fn reach(&self, url: &Url) -> Result<()> {
        reach::reach(url, self.place(url), self.proxy, &self.files).await
    }

    /// Looks whether requests get to the URL's server: asks for its OPTIONS, which has no effect.
    pub async fn knock(&self, url: &Url) -> Result<Check> {
        self.reach(url).await?;
        let place = self.place(url);
        let doing = || format!("asking for the OPTIONS of {place}");
        let answer = self.send(self.request(Method::OPTIONS, url.clone()), doing).await?;
        if let Some(e) = answer.unreached(doing()) {
            return Err(e);
        }
        Ok(Check::Partly(format!(
            "{place} answers {} to OPTIONS; whether it takes requests of the connector was not tried, since they would have \
             an effect",
            answer.status
        )))
    }

    /// Sends a request and reads the answer, whatever its status. `doing` says what was being done to what and where.
    pub async fn send(&self, request: RequestBuilder, doing: impl FnOnce() -> String) -> Result<Answer> {
        let (client, request) = request.build_split();
        let mut request = match request {
            Ok(request) => request,
            Err(e) => return Err(status::transport_error(doing(), e)),
        };
        let Some(oauth) = &self.oauth else {
            return self.execute(&client, request).await.map_err(|e| status::transport_error(doing(), e));
        };
        let again = request.try_clone();
        let first = oauth.authorization().await?;
        request.headers_mut().insert(AUTHORIZATION, first.clone());
        let answer = self.execute(&client, request).await;
        let answer = match (answer, again) {
            (Ok(answer), Some(mut again)) if answer.status == 401 => {
                // It may have been revoked, or expire earlier than was said.
                oauth.refused(&first).await;
                again.headers_mut().insert(AUTHORIZATION, oauth.authorization().await?);
                self.execute(&client, again).await
            }
            (answer, _) => answer,
        };
        answer.map_err(|e| status::transport_error(doing(), e))
    }

    async fn execute(&self, client: &reqwest::Client, request: reqwest::Request) -> reqwest::Result<Answer> {
        let secrets = secrets(&request);
        let began = Instant::now();
        let answer = match client.execute(request).await {
            Ok(response) => Ok(self.read(response, &secrets).await),
            Err(e) => Err(e),
        };
        self.requests.count(answer.as_ref().ok().map(|answer| answer.status), began.elapsed());
        answer
    }

    /// As [`Client::send`], and turns every status but 2xx into the error that it stands for.
    pub async fn deliver(&self, request: RequestBuilder, doing: impl Fn() -> String) -> Result<Answer> {
        let answer = self.send(request, &doing).await?;
        if answer.is_success() { Ok(answer) } else { Err(answer.error(doing())) }
    }

    async fn read(&self, mut response: reqwest::Response, secrets: &[Secret]) -> Answer {
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let body = body_of(response, self.answer_limit).await;
        let text = String::from_utf8_lossy(&body.bytes).into_owned();
        let hidden = self.hidden.iter().chain(secrets);
        let text = hidden.fold(text, |text, secret| text.replace(secret.reveal(), "[hidden]"));
        Answer::new(status, headers, text, self.keys).read(&body)
    }
}

/// What was read of the body of an answer.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub bytes: Vec<u8>,
    /// Whether the connection failed before its end.
    pub broken: bool,
    /// Whether it is longer than what was read.
    pub cut: bool,
}

/// The body of an answer, of a long one the beginning. The status is the answer: a text that breaks off behind it must
/// not make a success a failure.
pub(crate) async fn body_of(mut response: reqwest::Response, limit: usize) -> Body {
    let mut body = Body::default();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.bytes.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(_) => {
                body.broken = true;
                break;
            }
        }
        if body.bytes.len() > limit {
            body.bytes.truncate(limit);
            body.cut = true;
            break;
        }
    }
    body
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

/// A URL as it may be shown: without user, password, query and fragment, where secrets are kept.
pub fn shown_url(url: &Url) -> String {
    format!("{}{}", origin(url), url.path())
}

/// Scheme, host and port.
pub(crate) fn origin(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
    format!("{}://{host}{port}", url.scheme())
}

// Servers like to echo requests in their errors.
fn secrets(request: &reqwest::Request) -> Vec<Secret> {
    let headers = request.headers().values().filter(|v| v.is_sensitive()).filter_map(|v| v.to_str().ok());
    let url = request.url();
    let is_secret = |name: &str| {
        let name = name.to_lowercase();
        SECRET_NAMES.iter().any(|end| name.ends_with(end))
    };
    let values = url.query_pairs().filter(|(name, _)| is_secret(name)).filter_map(|(_, value)| worth_hiding(&value));
    url.query().into_iter().chain(headers).filter_map(worth_hiding).chain(values).collect()
}

// Hiding a text of a few characters would garble every message.
fn worth_hiding(secret: &str) -> Option<Secret> {
    (secret.len() >= 4).then(|| Secret::new(secret))
}

fn read(file: &str) -> Result<Vec<u8>> {
    fs::read(file).map_err(|e| Error::fatal(format!("reading {file}")).caused_by(e))
}

fn wrong(what: &'static str, file: &str) -> impl FnOnce(reqwest::Error) -> Error {
    let message = format!("reading {what} from {file}");
    move |e| Error::fatal(message).caused_by(e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{ErrorClass, Settings, config::Config};

    fn config(settings: Settings) -> HttpConfig {
        HttpConfig::parse(&settings).expect("settings")
    }

    const KEYS: Keys = Keys { url: "x.url", credentials: "x.token" };

    #[test]
    fn shown_urls_hold_no_secrets() {
        let url = Url::parse("https://user:pass@h:8443/a/b?token=x#y").expect("url");
        assert_eq!(shown_url(&url), "https://h:8443/a/b");
    }

    #[test]
    fn files_that_are_missing_or_hold_something_else_are_fatal_and_named() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let path = file.path().to_str().expect("utf-8").to_owned();
        for given in [
            Settings::from([("http.tls.ca.file", "/nonexistent/ca.pem")]),
            Settings::from([("http.tls.ca.file", path.as_str())]),
            Settings::from([("http.tls.certificate.file", path.as_str()), ("http.tls.key.file", path.as_str())]),
        ] {
            let e = Client::new(&config(given), KEYS).expect_err("refused");
            assert_eq!(e.class(), ErrorClass::Fatal);
            assert!(e.message().contains("ca.pem") || e.message().contains(&path), "{e}");
        }
    }

    #[test]
    fn a_token_with_a_line_break_is_refused_without_showing_it() {
        let auth = AuthConfig { username: None, password: None, token: Some(Secret::new("sec\nret")) };
        let e = Client::new(&config(Settings::new()), KEYS).and_then(|c| c.with_auth(&auth)).expect_err("refused");
        assert!(!e.report().contains("sec"), "{e:?}");
    }
}
