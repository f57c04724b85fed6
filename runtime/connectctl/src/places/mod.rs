//! Where the worker, Kafka and the schema registry are, and with which credentials they are asked.
//!
//! Each address comes from the first of these that names it: the command line, the environment, the context, and for
//! Kafka and the registry the worker itself. Credentials belong to the address beside which they stand: those of a context
//! are never sent to an address that the command line or the environment has named instead.
//!
//! - [`contexts`]: the file of contexts; [`mod@reference`]: references to secrets
//! - [`kafka`], [`registry`]: clients for commands that talk to them

pub mod contexts;
pub mod kafka;
pub mod reference;
pub mod registry;

use std::{
    fs,
    path::{Path, PathBuf},
};

use connect_api::config::Secret;
use connect_converters::Tls;
use reqwest::Url;

use crate::{client::Client, error::Failure};
use contexts::{Contexts, Settings};

/// Where a worker is if nobody says.
const DEFAULT_URL: &str = "http://127.0.0.1:8083";

/// What the command line and the environment say of places.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Given {
    /// Address of the worker's REST API; http://127.0.0.1:8083 if nobody says.
    #[arg(long, global = true, env = "CONNECT_URL", hide_env_values = true, value_name = "URL", value_parser = crate::args::url)]
    pub url: Option<Url>,

    /// Context whose addresses and credentials are used, instead of the current one.
    #[arg(long, global = true, env = "CONNECT_CONTEXT", value_name = "NAME", add = crate::complete::contexts())]
    pub context: Option<String>,

    /// Kafka brokers as HOST:PORT, separated by commas.
    #[arg(long, global = true, env = "BOOTSTRAP_SERVERS", value_name = "HOST:PORT", hide_short_help = true)]
    pub bootstrap_servers: Option<String>,

    /// Properties file with settings of Kafka's clients, such as security.protocol; secrets may be ${env:NAME} there.
    #[arg(long, global = true, env = "KAFKA_CLIENT_CONFIG", value_name = "FILE", hide_short_help = true)]
    pub command_config: Option<PathBuf>,

    /// Address of the schema registry.
    #[arg(
        long,
        global = true,
        env = "SCHEMA_REGISTRY",
        hide_env_values = true,
        value_name = "URL",
        hide_short_help = true
    )]
    pub registry: Option<String>,

    /// User for the REST API.
    #[arg(long, global = true, env = "CONNECT_USER", value_name = "NAME", hide_short_help = true)]
    pub auth_user: Option<String>,

    /// Password for the REST API, by reference: env:NAME or file:PATH.
    #[arg(long, global = true, value_name = "REFERENCE", hide_short_help = true)]
    pub auth_password: Option<String>,

    /// Bearer token for the REST API, by reference: env:NAME or file:PATH.
    #[arg(long, global = true, value_name = "REFERENCE", hide_short_help = true)]
    pub auth_token: Option<String>,

    /// Certificates, in PEM, of authorities that are trusted beside the system's.
    #[arg(long, global = true, env = "CONNECT_CA", value_name = "FILE", hide_short_help = true)]
    pub tls_ca: Option<String>,

    /// The client's own certificate, in PEM.
    #[arg(
        long,
        global = true,
        env = "CONNECT_CERT",
        value_name = "FILE",
        hide_short_help = true,
        requires = "tls_key"
    )]
    pub tls_cert: Option<String>,

    /// The key of the client's own certificate, in PEM.
    #[arg(
        long,
        global = true,
        env = "CONNECT_KEY",
        value_name = "FILE",
        hide_short_help = true,
        requires = "tls_cert"
    )]
    pub tls_key: Option<String>,
}

/// Who asks, and whom he trusts.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// User and password.
    pub user: Option<(String, Secret)>,
    /// Bearer token.
    pub token: Option<Secret>,
    /// Certificates.
    pub tls: Tls,
}

/// All places, as far as they are known without asking.
#[derive(Debug, Clone)]
pub struct Places {
    /// The worker's REST API.
    pub url: Url,
    /// With what it is asked.
    pub access: Access,
    given: Given,
    context: Option<(String, Settings)>,
    folder: PathBuf,
}

impl Places {
    /// Puts together what was given and the context of the user's file.
    pub fn find(given: Given) -> Result<Self, Failure> {
        Self::among(&Contexts::read()?, given)
    }

    /// As [`Places::find`], with these contexts.
    pub fn among(contexts: &Contexts, given: Given) -> Result<Self, Failure> {
        // Not while the command line is read: what is wrong with an option is told there together with its value.
        for (option, text) in [("--auth-password", &given.auth_password), ("--auth-token", &given.auth_token)] {
            text.as_deref().map_or(Ok(()), |text| reference::demand(option, text)).map_err(Failure::Usage)?;
        }
        let name = given.context.clone().filter(|name| !name.is_empty()).or_else(|| contexts.current.clone());
        let context = match name {
            Some(name) => Some((name.clone(), contexts.get(&name)?.clone())),
            None => None,
        };
        let folder = contexts.folder().to_owned();
        // What is not secret may be referred to as well.
        let of_context = |(name, all): &(String, Settings)| {
            let text = all.get("url")?;
            let url = reference::resolve(text, &folder).and_then(|text| contexts::address("url", text.reveal()));
            Some(url.map_err(|e| Failure::Failed(format!("context {name}: {e}"))))
        };
        let (url, beside) = match (&given.url, context.as_ref().and_then(of_context)) {
            (Some(url), _) => (url.clone(), None),
            (None, Some(url)) => (url?, context.as_ref()),
            (None, None) => (crate::args::url(DEFAULT_URL).map_err(Failure::Failed)?, None),
        };
        let own = |flag: &Option<String>, key: &str| {
            let here = flag.clone().map(|text| (text, Path::new("")));
            here.or_else(|| Some((beside?.1.get(key)?.clone(), folder.as_path())))
        };
        let access = access(&|key| match key {
            "user" => own(&given.auth_user, key),
            "password" => own(&given.auth_password, key),
            "token" => own(&given.auth_token, key),
            "tls.ca" => own(&given.tls_ca, key),
            "tls.cert" => own(&given.tls_cert, key),
            "tls.key" => own(&given.tls_key, key),
            _ => None,
        });
        let access = access.map_err(|e| match beside {
            Some((name, _)) => Failure::Failed(format!("context {name}: {e}")),
            None => Failure::Failed(e),
        })?;
        Ok(Self { url, access, given, context, folder })
    }

    /// Whether it is said where Kafka is, so that the worker need not be asked.
    pub fn name_kafka(&self) -> bool {
        let given = self.given.bootstrap_servers.as_deref().is_some_and(|b| !b.trim().is_empty());
        given || self.written("bootstrap.servers").is_some()
    }

    /// As [`Places::name_kafka`], of the schema registry.
    pub fn name_registry(&self) -> bool {
        let given = self.given.registry.as_deref().is_some_and(|u| !u.trim().is_empty());
        given || self.written("schema.registry.url").is_some()
    }

    /// A setting of the context as it stands there.
    fn written(&self, key: &str) -> Option<&str> {
        self.context.as_ref().and_then(|(_, all)| all.get(key)).map(String::as_str)
    }

    /// An address of the context, with what it refers to in place.
    fn of_context(&self, key: &str) -> Result<Option<String>, Failure> {
        let Some(text) = self.written(key) else { return Ok(None) };
        let found = reference::resolve(text, &self.folder).map(|text| text.reveal().to_owned());
        let found = found.map_err(|e| Failure::Failed(format!("context {}: {key}: {e}", self.context_name())));
        found.map(Some)
    }

    fn context_name(&self) -> &str {
        self.context.as_ref().map_or("", |(name, _)| name)
    }
}

/// Credentials from texts, each with the folder where its paths begin.
fn access<'a>(find: &dyn Fn(&str) -> Option<(String, &'a Path)>) -> Result<Access, String> {
    let secret = |key: &str| -> Result<Option<Secret>, String> {
        let Some((text, folder)) = find(key) else { return Ok(None) };
        reference::resolve(&text, folder).map(Some).map_err(|e| format!("{key}: {e}"))
    };
    let file = |key: &str| -> Result<Option<(Vec<u8>, PathBuf)>, String> {
        let Some((text, folder)) = find(key) else { return Ok(None) };
        let text = reference::resolve(&text, folder).map_err(|e| format!("{key}: {e}"))?;
        let path = folder.join(text.reveal());
        let read = fs::read(&path).map_err(|e| format!("{key}: reading {}: {e}", path.display()))?;
        Ok(Some((read, path)))
    };
    let user = match (secret("user")?, secret("password")?) {
        (Some(user), password) => Some((user.reveal().to_owned(), password.unwrap_or_default())),
        (None, Some(_)) => return Err("a password without user; name the user, too".into()),
        (None, None) => None,
    };
    let token = secret("token")?;
    if token.is_some() && user.is_some() {
        return Err("user and token exclude each other; leave one of them out".into());
    }
    let identity = match (file("tls.cert")?, file("tls.key")?) {
        (Some((certificate, at)), Some((key, key_at))) => {
            let wrong = || format!("tls.key: {}: the file is not in PEM", key_at.display());
            let key = String::from_utf8(key).map_err(|_| wrong())?;
            let identity = Some((certificate, Secret::new(key)));
            let both = format!("tls.cert and tls.key: {} and {}", at.display(), key_at.display());
            Some(usable(Tls { identity, ..Tls::default() }, &both)?)
        }
        (None, None) => None,
        _ => return Err("tls.cert and tls.key go together; name both".into()),
    };
    let authorities = match file("tls.ca")? {
        Some((pem, at)) => {
            let authorities = Some(pem);
            Some(usable(Tls { authorities, ..Tls::default() }, &format!("tls.ca: {}", at.display()))?)
        }
        None => None,
    };
    let (authorities, identity) = (authorities.and_then(|t| t.authorities), identity.and_then(|t| t.identity));
    Ok(Access { user, token, tls: Tls { authorities, identity } })
}

/// Certificates with which a client can be made; else what to say of them, with the place from which they come.
fn usable(tls: Tls, place: &str) -> Result<Tls, String> {
    let made = tls.apply(reqwest::Client::builder()).map(drop);
    made.map(|()| tls).map_err(|e| format!("{place}: {}", e.one_line()))
}

/// What to say where the worker was to tell an address and did not; `text` puts the reason into a sentence. That nobody is
/// there stays that.
fn untold(worker: &Client, failure: Failure, text: impl Fn(&str) -> String) -> Failure {
    match failure {
        // Kafka Connect's own workers have no such endpoint.
        Failure::Refused { status: 404, .. } => {
            Failure::Failed(text(&format!("the worker at {} does not tell", worker.address())))
        }
        Failure::Unreachable(why) => Failure::Unreachable(text(&why)),
        other => Failure::Failed(text(&other.to_string())),
    }
}
