//! Tokens of OAuth 2 by client credentials: fetched when one is needed, kept until shortly before they expire.

use std::time::{Duration, Instant};

use connect_api::{
    Error, Result,
    config::{Key, Problems, Secret},
    json::base64,
    template::percent_encode,
};
use reqwest::{
    StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use serde_json::{Map, Value as Json};
use tokio::sync::Mutex;

use crate::{
    client::{body_of, origin},
    config::{AuthConfig, server_url},
    status::{self, bounded, parse_retry_after},
};

const URL: &str = "http.oauth2.token.url";
/// A token that is about to expire may have done so when its request arrives.
const SLACK: Duration = Duration::from_secs(30);
/// The most of an answer that is read.
const ANSWER_LIMIT: usize = 256 * 1024;

connect_api::config_enum! {
    /// How the token endpoint is told who asks.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum CredentialsIn {
        /// By basic authentication.
        Header = "header",
        /// In the form that is posted.
        Body = "body",
    }
}

connect_api::config! {
    /// OAuth 2 by client credentials.
    #[derive(Debug, Clone)]
    pub struct OAuthConfig {
        /// URL of the endpoint that gives tokens of OAuth 2 for client credentials. Requests then carry a token, a new one
        /// shortly before the old one expires and when it is refused.
        url: Option<String> = Key::new("http.oauth2.token.url")
            .check(|url: &Option<String>| url.as_deref().map_or(Ok(()), server_url)),
        /// Id of the client.
        client_id: Option<String> = Key::new("http.oauth2.client.id"),
        /// Secret of the client.
        client_secret: Option<Secret> = Key::new("http.oauth2.client.secret"),
        /// Scope to ask for, several with blanks between them.
        scope: Option<String> = Key::new("http.oauth2.scope"),
        /// How id and secret are told: header for basic authentication, body for fields of the form.
        credentials_in: CredentialsIn = Key::new("http.oauth2.credentials.in").default("header").low(),
        /// Further fields of the form, each as name=value, such as audience=https://api.example.org.
        parameters: Vec<String> = Key::new("http.oauth2.parameters").default("").low().check(|all: &Vec<String>| {
            let wrong = all.iter().find(|one| one.split_once('=').is_none_or(|(name, _)| name.is_empty()));
            wrong.map_or(Ok(()), |_| Err("Expected name=value for each parameter".into()))
        }),
        /// Field of the answer that holds the token.
        token_field: String = Key::new("http.oauth2.token.field").default("access_token").low().non_empty(),
    }
}

/// Names of the settings, for errors.
#[derive(Debug, Clone, Copy)]
pub struct OAuthKeys {
    /// The endpoint.
    pub url: &'static str,
    /// Id and secret, as in `x.id and x.secret`.
    pub credentials: &'static str,
    /// Scope.
    pub scope: &'static str,
    /// How id and secret are told.
    pub credentials_in: &'static str,
    /// The field with the token.
    pub token_field: &'static str,
}

impl OAuthKeys {
    /// Those of [`OAuthConfig`].
    pub const OURS: Self = Self {
        url: URL,
        credentials: "http.oauth2.client.id and http.oauth2.client.secret",
        scope: "http.oauth2.scope",
        credentials_in: "http.oauth2.credentials.in",
        token_field: "http.oauth2.token.field",
    };
}

impl OAuthConfig {
    /// Nothing is asked for.
    pub fn none() -> Self {
        Self {
            url: None,
            client_id: None,
            client_secret: None,
            scope: None,
            credentials_in: CredentialsIn::Header,
            parameters: Vec::new(),
            token_field: "access_token".into(),
        }
    }

    /// Rules that span several keys; `auth` are the other credentials that requests may carry.
    pub fn validate(&self, auth: &AuthConfig, problems: &mut Problems) {
        if self.url.is_some() && (auth.token.is_some() || auth.username.is_some()) {
            let text = "http.token or http.username and http.oauth2.token.url exclude each other: set one of them";
            problems.add(URL, text);
        }
        let all = [
            (URL, self.url.is_some()),
            ("http.oauth2.client.id", self.client_id.is_some()),
            ("http.oauth2.client.secret", self.client_secret.is_some()),
        ];
        if all.iter().any(|(_, given)| *given) {
            for (key, _) in all.iter().filter(|(_, given)| !given) {
                problems.add(*key, "http.oauth2.token.url, .client.id and .client.secret must be set together");
            }
        } else if self.scope.is_some() {
            problems.add(URL, "http.oauth2.scope needs http.oauth2.token.url");
        }
    }
}

/// Gets tokens and keeps the one that is valid.
pub(crate) struct OAuth {
    client: reqwest::Client,
    url: Url,
    id: String,
    secret: Secret,
    config: OAuthConfig,
    keys: OAuthKeys,
    /// Asked for once, however many requests wait for it.
    token: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    value: HeaderValue,
    /// When it is to be replaced; when it is refused if nobody said.
    until: Option<Instant>,
}

impl OAuth {
    /// By the settings; none where they ask for none.
    pub(crate) fn new(config: &OAuthConfig, keys: OAuthKeys, client: reqwest::Client) -> Result<Option<Self>> {
        let (Some(url), Some(id), Some(secret)) = (&config.url, &config.client_id, &config.client_secret) else {
            return Ok(None);
        };
        let url = Url::parse(url).map_err(|e| Error::fatal(format!("reading {}", keys.url)).caused_by(e))?;
        let (id, secret) = (id.clone(), secret.clone());
        Ok(Some(Self { client, url, id, secret, config: config.clone(), keys, token: Mutex::new(None) }))
    }

    /// The `Authorization` header with a valid token.
    pub(crate) async fn authorization(&self) -> Result<HeaderValue> {
        let mut kept = self.token.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| token.until.is_none_or(|until| Instant::now() < until)) {
            return Ok(token.value.clone());
        }
        let token = self.fetch().await?;
        *kept = Some(token.clone());
        Ok(token.value)
    }

    /// Forgets a token that was refused, unless there is another one already.
    pub(crate) async fn refused(&self, value: &HeaderValue) {
        let mut kept = self.token.lock().await;
        if kept.as_ref().is_some_and(|token| token.value == *value) {
            *kept = None;
        }
    }

    async fn fetch(&self) -> Result<Token> {
        let asked = Instant::now();
        let doing = format!("getting a token from {} ({})", origin(&self.url), self.keys.url);
        let response = match self.request().send().await {
            Ok(response) => response,
            Err(e) => return Err(status::transport_error(doing, e)),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let body = body_of(response, ANSWER_LIMIT).await;
        let answer: Json = serde_json::from_slice(&body.bytes).unwrap_or_default();
        if !status.is_success() {
            let delay = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let delay = delay.and_then(|text| parse_retry_after(text, std::time::SystemTime::now()));
            return Err(self.refusal(doing, status, &answer, delay));
        }
        if body.broken {
            return Err(Error::retriable(doing).caused_by(format!("the answer {status} breaks off")));
        }
        let Some(token) = answer[&self.config.token_field].as_str().filter(|token| !token.is_empty()) else {
            let why = format!(
                "the answer {status} has no text {:?}; it has {}",
                self.config.token_field,
                answer.as_object().map_or_else(|| "no fields of JSON".into(), names)
            );
            let OAuthKeys { url, token_field, .. } = self.keys;
            return Err(Error::fatal(format!("{doing}: correct {url}, or {token_field}")).caused_by(why));
        };
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| Error::fatal(doing).caused_by("the token is not printable ASCII"))?;
        value.set_sensitive(true);
        let life = &answer["expires_in"];
        // Some write it as text.
        let life = life.as_u64().or_else(|| life.as_str()?.parse().ok()).map(Duration::from_secs);
        let until = life.and_then(|life| asked.checked_add(life.saturating_sub(SLACK.min(life / 10))));
        Ok(Token { value, until })
    }

    fn request(&self) -> reqwest::RequestBuilder {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(self.config.scope.as_deref().map(|scope| ("scope", scope)));
        form.extend(self.config.parameters.iter().filter_map(|one| one.split_once('=')));
        let request = self.client.post(self.url.clone()).header(ACCEPT, "application/json");
        let request = match self.config.credentials_in {
            CredentialsIn::Body => {
                form.extend([("client_id", self.id.as_str()), ("client_secret", self.secret.reveal())]);
                request
            }
            CredentialsIn::Header => {
                // Both are written as in a form before they are joined (RFC 6749, 2.3.1).
                let pair = format!("{}:{}", percent_encode(&self.id), percent_encode(self.secret.reveal()));
                request.header(AUTHORIZATION, format!("Basic {}", base64(pair.as_bytes())))
            }
        };
        let pair = |(name, value): &(&str, &str)| format!("{}={}", percent_encode(name), percent_encode(value));
        let body = form.iter().map(pair).collect::<Vec<_>>().join("&");
        request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
    }

    /// What an answer other than 2xx means; none of it is the fault of a record.
    fn refusal(&self, doing: String, status: StatusCode, answer: &Json, delay: Option<Duration>) -> Error {
        let said = [&answer["error"], &answer["error_description"]];
        let said: Vec<&str> = said.iter().filter_map(|text| text.as_str()).collect();
        let said = bounded(&said.join(": "), 500).replace(self.secret.reveal(), "[hidden]");
        let why = if said.is_empty() {
            format!("the server answered {status}")
        } else {
            format!("the server answered {status}: {said}")
        };
        if status::class(status) == connect_api::ErrorClass::Retriable {
            let error = Error::retriable(doing).caused_by(why);
            return delay.map_or(error.clone(), |delay| error.retry_after(delay));
        }
        let OAuthKeys { url, credentials, scope, credentials_in, .. } = self.keys;
        let (way_out, denied) = match (answer["error"].as_str(), status.as_u16()) {
            (Some("invalid_client" | "unauthorized_client"), _) | (_, 401 | 403) => {
                (format!("correct {credentials}"), true)
            }
            (Some("invalid_scope"), _) => (format!("correct {scope}"), false),
            (Some("invalid_request"), _) => {
                (format!("try the other {credentials_in}, or see what the server's reason asks for"), false)
            }
            _ => (format!("correct {url}"), false),
        };
        let error = Error::fatal(format!("{doing}: {way_out}")).caused_by(why);
        if denied { error.denied() } else { error }
    }
}

impl std::fmt::Debug for OAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OAuth({})", origin(&self.url))
    }
}

fn names(members: &Map<String, Json>) -> String {
    members.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}
